//! What nothing needs, while the server serves.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::TryStreamExt as _;
use registry_core::gc::{Amount, Brake, Collector, GcReport, Quarantine};
use registry_core::{Clock, Error, PullTimes, Registry, TagRules};
use tokio::time::{Instant, MissedTickBehavior};

use super::claim::Unclaimed;
use super::jumps::Jumps;
use super::{CollectionCounts, FIRST, Reach, Wishes, retention};
use crate::config::{GarbageCollection, RetentionConfig};
use crate::pace::Pace;
use crate::rehearsal::Rehearsal;
use crate::rounds::{RoundsError, rounds};

/// Takes away what nothing needs: soon after the start and then once per interval, if it is enabled, and when it is asked
/// for.
#[derive(Debug)]
pub struct Collection {
    /// What is collected.
    pub registry: Registry,
    /// How.
    pub settings: GarbageCollection,
    /// Which tags nothing takes away.
    pub tag_rules: TagRules,
    /// Which tags stay.
    pub retention: RetentionConfig,
    /// Who else may collect it.
    pub reach: Reach,
    /// Is told what came of it.
    pub counts: Arc<CollectionCounts>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Room on the disk that a run keeps for the next one.
const RESERVE_BYTES: usize = 1024 * 1024;
/// How much of what is left alone is named.
const NAMED: usize = 10;

/// Why nothing was collected.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Claim(#[from] Unclaimed),
    #[error(transparent)]
    Collect(#[from] Error),
    #[error(transparent)]
    Look(#[from] RoundsError),
}

impl Collection {
    /// Collects by the clock, if it is to, and whenever somebody asks for it. Never ends; dropping it drops the run that is
    /// under way, as a crash would.
    pub async fn run(self, mut wishes: Wishes) {
        let interval = self.settings.interval;
        let mut ticks = tokio::time::interval_at(Instant::now() + interval.min(FIRST), interval);
        // After a long run, or when the machine slept, one run is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jumps = Jumps::start(&*self.clock);
        loop {
            let dry_run = tokio::select! {
                _ = ticks.tick(), if self.settings.enabled => false,
                wish = wishes.next() => wish.dry_run,
            };
            match jumps.jumped(&*self.clock) {
                // What is old by a clock that jumped may be young.
                Some(by) => {
                    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
                    tracing::warn!(%by, "the clock of the machine jumped; no garbage is collected this time");
                    self.counts.skipped(dry_run, self.clock.now());
                }
                None => self.run_once(dry_run).await,
            }
        }
    }

    async fn run_once(&self, dry_run: bool) {
        self.counts.start(dry_run, self.clock.now());
        let collected = if dry_run { self.look().await } else { self.collect().await };
        let now = self.clock.now();
        match collected {
            Ok(report) if dry_run => self.counts.looked(&report, now),
            Ok(report) => {
                let in_quarantine = self.in_quarantine().await;
                self.counts.ended(&report, in_quarantine, now);
                tell(&report);
            }
            Err(Failed::Claim(unclaimed @ Unclaimed::Elsewhere(_))) => {
                tracing::info!("{unclaimed}");
                self.counts.left_to_others(dry_run, now);
            }
            // The program is ending.
            Err(Failed::Claim(Unclaimed::Stopped(_))) => self.counts.give_up(),
            Err(error) => {
                self.counts.failed(dry_run, now);
                tracing::error!(error = &error as &dyn std::error::Error, "garbage cannot be collected");
            }
        }
    }

    async fn collect(&self) -> Result<GcReport, Failed> {
        self.reach.claim(&**self.registry.blocking()).await?;
        let mut options = self.settings.options();
        options.alone = !matches!(self.reach, Reach::Shared);
        options.only_process = options.alone;
        if matches!(self.reach, Reach::Folder(..)) {
            options.reserve_bytes = RESERVE_BYTES;
        }
        let registry = self.paced(&self.registry);
        retention::retain(&registry, &self.rules(), &self.counts).await?;
        let report = Collector::new(registry.clone(), options).run().await?;
        forget_pulls(&registry).await;
        // Who does not collect by the clock leaves it to others. All that this run began is over.
        if !self.settings.enabled {
            self.reach.release();
        }
        Ok(report)
    }

    /// Finds out what would go in the end. It takes several runs and their times in quarantine, which are imagined here.
    async fn look(&self) -> Result<GcReport, Failed> {
        let mut options = self.settings.options();
        let max_condemned = options.max_condemned.take();
        options.quarantine = Duration::ZERO;
        (options.alone, options.only_process, options.exclusive) = (true, true, true);
        let rehearsal = Rehearsal::over(Arc::clone(self.registry.storage()), Arc::clone(&self.clock));
        let registry = Registry::builder(Arc::new(rehearsal))
            .clock(Arc::clone(&self.clock))
            .blocking(Arc::clone(self.registry.blocking()))
            .tag_rules(self.tag_rules.clone())
            .build();
        let registry = self.paced(&registry);
        retention::imagine(&registry, &self.rules()).await?;
        let mut report = rounds(&Collector::new(registry.clone(), options), &registry, || ()).await?;
        report.braked = max_condemned.and_then(|max| Brake::on(report.quarantined.count, report.blobs, max));
        Ok(report)
    }

    /// The rules. Where servers elsewhere may be moving tags, they only tell.
    fn rules(&self) -> RetentionConfig {
        let mut rules = self.retention.clone();
        if rules.enforce && matches!(self.reach, Reach::Shared) {
            tracing::warn!("rules of retention delete nothing in a bucket: another server may be moving the tags");
            rules.enforce = false;
        }
        rules
    }

    /// The same registry, asked no faster than is said.
    fn paced(&self, registry: &Registry) -> Registry {
        match self.settings.rate {
            Some(rate) => registry.paced(Arc::new(Pace::new(rate))),
            None => registry.clone(),
        }
    }

    async fn in_quarantine(&self) -> Option<Amount> {
        let content = self.registry.quarantined().try_fold(Amount::default(), |mut amount, item| async move {
            if item.place == Quarantine::Content {
                amount.count += 1;
                amount.bytes += item.bytes;
            }
            Ok::<_, Error>(amount)
        });
        match content.await {
            Ok(amount) => Some(amount),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the quarantine cannot be counted");
                None
            }
        }
    }
}

/// What cannot be forgotten is tried again after the next run.
async fn forget_pulls(registry: &Registry) {
    if let Err(error) = PullTimes::forget_gone(registry).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "notes of pulls of manifests that are gone stay for now");
    }
}

/// One line for each run, and one for each thing that somebody has to look at.
fn tell(report: &GcReport) {
    tracing::info!(
        run = %report.run,
        seconds = report.took.as_secs_f64(),
        repositories = report.repositories,
        manifests = report.manifests,
        blobs = report.blobs,
        untagged_manifests = report.retired_manifests,
        layer_links = report.retired_layers,
        dead_tags = report.dead_tags,
        quarantined_blobs = report.quarantined.count,
        quarantined_bytes = report.quarantined.bytes,
        purged_blobs = report.purged.count,
        purged_bytes = report.purged.bytes,
        restored = report.restored + report.restored_links,
        "garbage was collected"
    );
    if let Some(brake) = report.braked {
        tracing::warn!(
            condemned = brake.condemned,
            blobs = brake.blobs,
            percent = brake.max_percent,
            "so much would have gone that nothing was taken away; look with registry garbage-collect --dry-run, and let \
             it go with --force"
        );
    }
    for skipped in report.skipped.iter().take(NAMED) {
        tracing::warn!(place = skipped.place, reason = skipped.reason, "the collector leaves something alone");
    }
    if report.skipped_total > NAMED as u64 {
        tracing::warn!(count = report.skipped_total, "the collector leaves more alone than is named here");
    }
    if report.unresolved_runs > 0 {
        tracing::warn!(
            runs = report.unresolved_runs,
            "of some runs it is not known whether they are over; what they took away stays"
        );
    }
}

#[cfg(test)]
mod tests;
