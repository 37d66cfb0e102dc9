//! What stands for traces in a program that was built without them.

use std::env;
use std::sync::Arc;

use registry_core::storage::Storage;

use super::Asked;

/// There are none.
#[derive(Debug)]
pub enum Traces {}

impl Traces {
    /// Tells of it where the environment asks for what is not there.
    #[must_use]
    pub fn start() -> Option<Self> {
        match Asked::of(|name| env::var(name).ok()) {
            Ok(Asked::No) => {}
            Ok(Asked::Yes) => {
                tracing::warn!(
                    "the environment asks for traces, but this program was built without the feature `otel`"
                );
            }
            Err(unable) => tracing::warn!("{unable}"),
        }
        None
    }

    /// The same storage.
    #[must_use]
    pub fn storage(&self, _: Arc<dyn Storage>) -> Arc<dyn Storage> {
        match *self {}
    }

    /// Nothing is left to send.
    pub fn finish(self) {
        match self {}
    }
}

/// The same service.
pub fn traced<S>(service: S, _: Option<&Traces>) -> S {
    service
}
