//! What a verifier is told, and the seam that bounds its rate.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

/// What a verifier is told.
///
/// ```
/// use registry_core::verify::VerifyOptions;
///
/// let mut options = VerifyOptions::default();
/// options.repair = true;
/// ```
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct VerifyOptions {
    /// Whether corrupt content is set aside, and what can only mean one thing is written again; off: nothing is changed.
    pub repair: bool,
    /// Bounds the rate at which content is read; as fast as the storage gives it by default.
    pub pacer: Option<Arc<dyn Pacer>>,
}

/// Bounds the rate at which content is read. The verifier knows no timers, so whoever embeds it decides how to wait.
#[async_trait]
pub trait Pacer: fmt::Debug + Send + Sync + 'static {
    /// Returns when so many bytes more may be read. It is called by several readers at once.
    async fn pace(&self, bytes: u64);
}
