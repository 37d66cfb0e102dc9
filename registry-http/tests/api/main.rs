//! The HTTP API, driven through the real router in process.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod base;
mod client;
