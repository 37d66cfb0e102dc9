//! Bringing the journal of a folder to its end.

use std::time::Duration;

use registry_storage::filesystem::Filesystem;
use tokio::time::MissedTickBehavior;

/// How long it may take until what was answered is in its place on the disk.
const INTERVAL: Duration = Duration::from_mins(1);

/// Has what was answered in its place on the disk, again and again, so that after a power cut nothing is done again that
/// another program had time to undo. Never ends; dropping it ends it.
pub async fn checkpoints(folder: Filesystem) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        checkpoint(&folder).await;
    }
}

/// Has what was answered in its place on the disk. Where that fails it stays on record.
pub async fn checkpoint(folder: &Filesystem) {
    if let Err(error) = folder.checkpoint().await {
        tracing::error!(error = &error as &dyn std::error::Error, "the journal cannot be brought to its end");
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use registry_core::InlineBlocking;
    use registry_core::storage::{Storage as _, WriteOptions};
    use registry_storage::filesystem::SyncMode;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_written_is_in_its_place_a_minute_later() {
        let directory = tempfile::tempdir().unwrap();
        let builder = Filesystem::builder(directory.path()).durability(SyncMode::Group);
        let folder = builder.blocking(Arc::new(InlineBlocking)).open().unwrap();
        // Where a journal is written to only after the end of what came first.
        let second = directory.path().join("docker/registry/v2/_journal/1");
        let is_used = || std::fs::read(&second).unwrap().iter().any(|byte| *byte != 0);
        let running = tokio::spawn(checkpoints(folder.clone()));
        tokio::time::sleep(Duration::from_secs(1)).await;
        folder.write(&"a".parse().unwrap(), "1".into(), WriteOptions::default()).await.unwrap();
        assert!(!is_used());
        tokio::time::sleep(INTERVAL).await;
        assert!(is_used());
        running.abort();
    }
}
