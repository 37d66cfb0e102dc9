//! When manifests were pulled, for rules of retention and for the pages.

use std::sync::Arc;
use std::time::Duration;

use registry_core::{PullTimes, Registry};
use tokio::time::MissedTickBehavior;

/// How often what was pulled is written.
const INTERVAL: Duration = Duration::from_mins(1);

/// Writes what was pulled: at once, and then again and again. Never ends; dropping it ends it.
pub async fn note_pulls(registry: Registry, pulls: Arc<PullTimes>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        write_pulls(&registry, &pulls).await;
    }
}

/// Writes what was pulled and is not written. What fails is tried again the next time.
pub async fn write_pulls(registry: &Registry, pulls: &PullTimes) {
    match pulls.write(registry).await {
        Ok(manifests) => tracing::debug!(manifests, "noted what was pulled"),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "what was pulled cannot be noted");
        }
    }
}
