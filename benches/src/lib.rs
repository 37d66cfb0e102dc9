//! What the benchmarks share: a registry on loopback, a client that costs little, and content.
//!
//! Server and client run in one process, and so does what measures: they share the processors of the machine. A
//! client elsewhere leaves the server more of them, so the numbers are lower bounds, good for comparing with each
//! other and with the limits (`hashing`, and the raw socket of `blob_pull`) that were measured the same way.

mod client;
mod content;
mod memory;
mod place;
mod server;
mod store;

pub use client::{Answer, Connection, Content, drain, together};
pub use content::{Encoded, Layer, Repeated, chunked, image_manifest};
pub use memory::{forget_peak, peak_mib};
pub use place::Place;
pub use server::Server;
pub use store::StoreSize;

/// Bytes in a mebibyte.
pub const MEBIBYTE: usize = 1024 * 1024;
