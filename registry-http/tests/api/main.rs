//! The HTTP API, driven through the real router in process; and the server, over real sockets.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod access;
mod advisories;
mod base;
mod blobs;
mod catalog;
mod client;
mod connections;
mod hostile;
mod http2;
mod limits;
mod location;
mod manifests;
mod matrix;
#[cfg(feature = "metrics")]
mod metrics;
mod redirects;
mod referrers;
mod tags;
mod test_registry;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "ui")]
mod ui;
mod uploads;
mod visibility;
