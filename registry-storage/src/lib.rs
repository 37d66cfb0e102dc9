//! Storage adapters for an OCI registry: a durable native filesystem, and any opendal service.
//!
//! Each is a [`registry_core::storage::Storage`], to be given to a registry:
//!
//! - [`filesystem`]: a directory, laid out as CNCF Distribution does it, that keeps what it acknowledged through a
//!   power cut.
//! - [`Opendal`](https://docs.rs/opendal) services, with the feature `opendal`.
//!
//! A [`DiskCache`] in front of one that is far away keeps what is read on a local disk.

mod disk_cache;
pub mod filesystem;
#[cfg(feature = "opendal")]
mod opendal;

pub use self::disk_cache::{DiskCache, DiskCacheBuilder, DiskCacheError, DiskCacheUsage};

/// The version of opendal whose operators [`Opendal`] takes.
#[cfg(feature = "opendal")]
pub use ::opendal as opendal_crate;

#[cfg(feature = "s3")]
pub use self::opendal::MultipartUploads;
#[cfg(feature = "opendal")]
pub use self::opendal::{MissingCapability, Opendal, ProbeError, ReadAhead, Retries};
#[cfg(feature = "http")]
pub use self::opendal::{over_http, over_http_unverified};
