//! Storage adapters for an OCI registry: a durable native filesystem, and any opendal service.
