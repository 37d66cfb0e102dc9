//! Who may do what to which repository of an OCI registry.
