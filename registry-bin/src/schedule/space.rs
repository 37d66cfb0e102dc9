//! How much room there is, for those who have to make some.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use registry_storage::filesystem::{Filesystem, Space};
use tokio::time::MissedTickBehavior;

/// How often it is looked at.
const INTERVAL: Duration = Duration::from_secs(15);

/// The room that was found last; none where the disk could not tell.
#[derive(Debug, Clone, Default)]
pub struct KnownSpace(Arc<Mutex<Option<Space>>>);

impl KnownSpace {
    /// How much there is.
    #[must_use]
    pub fn last(&self) -> Option<Space> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, space: Option<Space>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = space;
    }
}

/// Looks at once, and then again and again. A disk that hangs does so here, and not where somebody asks for numbers. Never
/// ends; dropping it ends it.
pub async fn look_at_space(folder: Filesystem, known: KnownSpace) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match folder.space().await {
            Ok(space) => known.set(Some(space)),
            Err(error) => {
                known.set(None);
                tracing::warn!(error = &error as &dyn std::error::Error, "how much room there is cannot be told");
            }
        }
    }
}
