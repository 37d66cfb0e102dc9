//! Garbage collection while pushes and pulls go on.
//!
//! No lock is taken that a writer waits for, nothing has to stop, and nothing but the storage is needed. It rests on two
//! rules.
//!
//! **Writers announce first and look afterwards.** A push writes the link of a manifest, and then makes sure of all that
//! the manifest needs; an upload or a mount writes the link of the blob, and then makes sure of the blob. So a collector
//! either sees the link, or has taken the content away before the writer looks; and then the writer finds the copy.
//!
//! **The collector never deletes a thing without a copy.** A run takes content away by giving it a second place of its
//! own, a *fossil*, and then deleting the first; and links likewise. What was taken away stays readable for the
//! *quarantine*. Only a later run, whose look at everything began after the first one's deletes were certain to be over,
//! purges it, if nothing needs it; and whatever is needed by then it brings back.
//!
//! What is needed is told by the links alone, never by age or policy: all that a manifest names whose link is in its
//! place, or was only taken away. Age and policy decide what is taken away, not what is purged.
//!
//! A run may be cut off anywhere, and several may overlap. What cannot be understood is reported and left alone.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//! use registry_core::gc::{Collector, GcOptions};
//! use registry_core::{Registry, storage::Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry_core::Error> {
//! let registry = Registry::builder(Arc::new(Memory::new())).build();
//! let mut options = GcOptions::default();
//! options.delete_untagged = true;
//! let report = Collector::new(registry, options).run().await?;
//! assert_eq!(report.purged.bytes, 0);
//! # Ok(())
//! # }
//! ```

pub(crate) mod digests;
pub(crate) mod documents;
pub(crate) mod history;
mod hollow;
pub(crate) mod members;
mod options;
mod prune;
mod purge;
mod removal;
mod report;
mod reserve;
mod restore;
mod retire;
mod run_id;
mod scan;
mod survey;
mod sweep;
mod verdict;

use std::sync::Arc;

use crate::storage::{self, Deletion, Key, Metadata};
use crate::{Error, Registry, layout};
use history::{History, Phase};
use scan::{Plan, Scan};

pub use options::GcOptions;
pub(crate) use options::is_older;
pub(crate) use report::as_seconds;
pub use report::{Amount, Brake, Found, GcObserver, GcReport, Skipped};
pub use restore::{Quarantine, Quarantined};
pub use run_id::{ParseRunIdError, RunId};

/// What became of a copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    Done(Metadata),
    /// There is nothing to copy.
    Absent,
    /// There is no room for it.
    NoRoom,
}

fn is_full(error: &Error) -> bool {
    matches!(error, Error::Storage(storage::Error::NoSpace { .. }))
}

/// Takes away what nothing needs, and purges what earlier runs took away.
#[derive(Debug)]
pub struct Collector {
    registry: Registry,
    options: GcOptions,
    observer: Option<Arc<dyn GcObserver>>,
}

impl Collector {
    /// A collector over all that `registry` stores.
    #[must_use]
    pub fn new(registry: Registry, options: GcOptions) -> Self {
        Self { registry, options, observer: None }
    }

    /// Tells `observer` what it finds.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn GcObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Does one run.
    ///
    /// Dropping the future leaves what a crash would leave: what was taken away can be found and is brought back if it is
    /// needed, and a later run that is [alone](GcOptions::alone) ends what this one began; so does any, some time after the
    /// quarantine, where deletes [expire](crate::storage::Capabilities::expiring_deletes).
    ///
    /// # Errors
    /// If the storage fails. Nothing that is needed is lost then either.
    pub async fn run(&self) -> Result<GcReport, Error> {
        let report = loop {
            match self.attempt().await {
                Err(error) if is_full(&error) && !self.options.dry_run && self.use_reserve().await? => {}
                done => break done?,
            }
        };
        self.keep_reserve().await?;
        Ok(report)
    }

    async fn attempt(&self) -> Result<GcReport, Error> {
        let registry = &self.registry;
        let begun = registry.clock().now();
        let run = RunId::new(begun, registry.random().bytes());
        let mut report = GcReport::new(run, self.options.dry_run);
        // The storage's own time, where it dates what is written.
        let mut now = begun;
        let is_recorded = !self.options.dry_run && self.begin_record(&run).await?;
        if is_recorded {
            now =
                registry.storage().stat(&layout::run(&run)).await?.and_then(|record| record.modified).unwrap_or(begun);
        }
        let mut history = History::read(registry, &self.options, &run, now).await?;
        let scan = Scan { collector: self, finished: &history.finished, report: &mut report, plan: Plan::new(now) };
        let mut plan = scan.run().await?;
        let condemned = self.condemn(&plan).await?;
        report.braked = self.brake(condemned.len() + plan.retired_manifests(), plan.blobs.len());
        self.purge(&mut plan, &mut history, &mut report).await?;
        let mut took_away = false;
        if report.braked.is_none() {
            if !is_recorded && !self.options.dry_run && (!condemned.is_empty() || plan.retires()) {
                // What was purged may have made room.
                self.write_record(&run, self.running()).await?;
            }
            took_away |= self.retire(&mut plan, &mut report).await?;
            if !plan.has_strangers {
                took_away |= self.sweep(&plan, condemned, &mut report).await?;
            }
            self.prune(&plan, &mut report).await?;
        }
        report.unresolved_runs = history.unresolved.len() as u64;
        if !self.options.dry_run {
            self.conclude(took_away, &report).await?;
        }
        report.took = registry.clock().now().duration_since(begun).unwrap_or_default();
        Ok(report)
    }

    /// Ends the record of the run. One that took nothing away leaves none; one whose deletes may still come leaves it as
    /// it is.
    async fn conclude(&self, took_away: bool, report: &GcReport) -> Result<(), Error> {
        if !took_away {
            self.registry.storage().delete(&layout::run(&report.run)).await?;
        } else if report.resolved {
            self.write_record(&report.run, Phase::Resolved).await?;
        }
        Ok(())
    }

    fn running(&self) -> Phase {
        Phase::Running { fenced: self.is_fenced() }
    }

    /// Writes that a run begins; tells whether there was room for it. One that is alone can do without as long as it takes
    /// nothing away.
    async fn begin_record(&self, run: &RunId) -> Result<bool, Error> {
        match history::write(&self.registry, run, self.running()).await {
            Err(error) if self.options.alone && is_full(&error) => Ok(false),
            written => written.map(|()| true),
        }
    }

    /// Writes the record of a run. Where nobody else has the storage a run can do without: what it took away has no
    /// record then, and is ended by the next one.
    async fn write_record(&self, run: &RunId, phase: Phase) -> Result<(), Error> {
        match history::write(&self.registry, run, phase).await {
            Err(error) if self.options.exclusive && is_full(&error) => Ok(()),
            written => written,
        }
    }

    /// What a delete means for when the run is over.
    fn settle(&self, deletion: Deletion, report: &mut GcReport) {
        if deletion == Deletion::Unknown && !self.registry.storage().capabilities().prompt_deletes {
            report.resolved = false;
        }
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    /// What has no copy because there is no room may go without one, where nobody can come to want it.
    async fn copy_or_do_without(&self, from: &Key, to: &Key) -> Result<Copied, Error> {
        match self.registry.storage().copy(from, to).await {
            Ok(Some(copy)) => Ok(Copied::Done(copy)),
            Ok(None) => Ok(Copied::Absent),
            Err(storage::Error::NoSpace { .. }) if self.options.exclusive => Ok(Copied::NoRoom),
            Err(error) => Err(error.into()),
        }
    }

    fn options(&self) -> &GcOptions {
        &self.options
    }

    fn is_observed(&self) -> bool {
        self.observer.is_some()
    }

    fn tell(&self, found: Found<'_>) {
        if let Some(observer) = &self.observer {
            observer.found(&found);
        }
    }
}
