//! Collecting until nothing is left to do.

use futures::stream::TryStreamExt as _;
use registry_core::gc::{Collector, GcReport};
use registry_core::{Error, Registry};

/// A manifest is found to be superfluous when what names it is gone, so it may take some rounds until nothing is left.
const ROUNDS: usize = 64;

/// Why not everything was collected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoundsError {
    /// The storage failed.
    #[error(transparent)]
    Collector(#[from] Error),
    /// There is no end.
    #[error("after {ROUNDS} rounds there was still something to do; run it again")]
    Endless,
}

/// Runs `collector`, whose quarantine must be of no time, over its `registry` until nothing is left to do; `again` is
/// called before each further run. Gives what all runs did together.
///
/// # Errors
/// If a run fails, or there is no end.
pub async fn rounds(collector: &Collector, registry: &Registry, again: impl Fn()) -> Result<GcReport, RoundsError> {
    let mut total = collector.run().await?;
    let mut was_idle = total.is_idle();
    for _ in 1..ROUNDS {
        // A run that only found what a lost one left has nothing to tell, but makes work for the next.
        if was_idle && registry.quarantined().try_next().await?.is_none() {
            return Ok(total);
        }
        again();
        let report = collector.run().await?;
        let is_idle = report.is_idle();
        total.absorb(report);
        if was_idle && is_idle {
            return Ok(total);
        }
        was_idle = is_idle;
    }
    Err(RoundsError::Endless)
}
