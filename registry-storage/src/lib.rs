//! Storage adapters for an OCI registry: a durable native filesystem, and any opendal service.
//!
//! Each is a [`registry_core::storage::Storage`], to be given to a registry:
//!
//! - [`filesystem`]: a directory, laid out as CNCF Distribution does it, that keeps what it acknowledged through a
//!   power cut.

pub mod filesystem;
