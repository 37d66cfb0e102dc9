//! The HTTP API of an OCI registry: routes, headers, status codes, errors, as an axum router or a tower service.
