//! Abandoned uploads.

use std::time::Duration;

use registry_core::Registry;
use tokio::time::{Instant, MissedTickBehavior};

use super::FIRST;
use crate::config::UploadPurging;

const A_DAY: Duration = Duration::from_hours(24);

/// Cleans up abandoned uploads: soon after the start, and then once per interval. Never ends; dropping it ends it, at
/// the latest after the upload that is being looked at.
pub async fn purge_uploads(registry: Registry, purging: UploadPurging) {
    let mut ticks = tokio::time::interval_at(Instant::now() + purging.interval.min(FIRST), purging.interval);
    // After a long round, or when the machine slept, one round is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        purge_once(&registry, purging).await;
    }
}

async fn purge_once(registry: &Registry, purging: UploadPurging) {
    match registry.expire_uploads(purging.age, purging.dry_run).await {
        Ok(expired) => {
            for (repository, upload) in &expired {
                tracing::info!(%repository, %upload, dry_run = purging.dry_run, "an upload was abandoned");
            }
            tracing::debug!(uploads = expired.len(), dry_run = purging.dry_run, "looked for abandoned uploads");
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot look for abandoned uploads");
        }
    }
    end_unfinished(registry, purging).await;
}

/// Ends what killed processes left in a bucket; gives how many. Where that is not possible, the log tells: it costs space,
/// and nothing else.
pub(crate) async fn end_unfinished(registry: &Registry, purging: UploadPurging) -> usize {
    // Whether somebody is still at it cannot be told: a large layer on a slow line may take hours.
    match registry.end_unfinished(purging.age.max(A_DAY), purging.dry_run).await {
        Ok(ended) => {
            tracing::debug!(ended, dry_run = purging.dry_run, "looked for multipart uploads that nobody completed");
            ended
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "cannot look for multipart uploads that nobody completed");
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::SystemTime;

    use registry_core::storage::Memory;
    use registry_core::{Algorithm, Clock, Error};

    use super::*;

    #[derive(Debug)]
    struct Settable(Mutex<SystemTime>);

    impl Clock for Settable {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn old_uploads_go_and_young_ones_stay() {
        let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(1000))));
        let registry = Registry::builder(Arc::new(Memory::new())).clock(Arc::clone(&clock) as _).build();
        let repository = registry.repository(&"a/b".parse().unwrap());
        let old = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
        *clock.0.lock().unwrap() += Duration::from_hours(2);
        let young = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;

        let mut purging =
            UploadPurging { age: Duration::from_hours(1), interval: Duration::from_hours(24), dry_run: true };
        purge_once(&registry, purging).await;
        assert!(repository.uploads().status(&old).await.is_ok());

        purging.dry_run = false;
        let rounds = purge_uploads(registry.clone(), purging);
        assert!(tokio::time::timeout(Duration::from_hours(1), rounds).await.is_err());
        assert!(matches!(repository.uploads().status(&old).await, Err(Error::UploadUnknown { .. })));
        assert!(repository.uploads().status(&young).await.is_ok());
    }
}
