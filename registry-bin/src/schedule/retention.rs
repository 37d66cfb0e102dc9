//! Rules of retention, as each run of the collector begins.

use std::sync::Arc;

use registry_core::Registry;
use registry_core::retention::{ExpiredTag, Retention, RetentionObserver};

use super::CollectionCounts;
use crate::config::RetentionConfig;

/// Lets tags go that no rule keeps, as [`retain`] would, in a registry that is only imagined.
///
/// # Errors
/// If the storage fails.
pub(super) async fn imagine(registry: &Registry, settings: &RetentionConfig) -> Result<(), registry_core::Error> {
    if settings.enforce && !settings.rules.is_empty() {
        Retention::new(registry.clone(), settings.rules.clone()).enforce(true).run().await?;
    }
    Ok(())
}

/// Lets tags go that no rule keeps, or tells which ones would.
///
/// # Errors
/// If the storage fails.
pub(super) async fn retain(
    registry: &Registry,
    settings: &RetentionConfig,
    counts: &CollectionCounts,
) -> Result<(), registry_core::Error> {
    if settings.rules.is_empty() {
        return Ok(());
    }
    let retention = Retention::new(registry.clone(), settings.rules.clone())
        .enforce(settings.enforce)
        .observed_by(Arc::new(Telling { enforce: settings.enforce }));
    let report = retention.run().await?;
    counts.retained(&report);
    tracing::info!(
        seconds = report.took.as_secs_f64(),
        repositories = report.repositories,
        tags = report.tags,
        expired = report.expired,
        protected = report.protected,
        pushed_meanwhile = report.moved,
        dry_run = report.dry_run,
        "rules looked at tags"
    );
    if report.pulls_unknown {
        tracing::warn!("pulls were not noted all the time: rules that ask for them keep everything for now");
    }
    Ok(())
}

#[derive(Debug)]
struct Telling {
    enforce: bool,
}

impl RetentionObserver for Telling {
    /// A line for each: whoever misses a tag finds here what it pointed to.
    fn expired(&self, ExpiredTag { repository, tag, digest, .. }: &ExpiredTag) {
        if self.enforce {
            tracing::info!(%repository, %tag, %digest, "no rule keeps a tag; it is deleted");
        } else {
            tracing::info!(%repository, %tag, %digest, "no rule keeps a tag; it would be deleted");
        }
    }
}
