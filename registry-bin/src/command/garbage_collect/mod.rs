//! `registry garbage-collect`: takes away what nothing needs, beside a running server or without one.
//!
//! The command line, the lines and the exit codes are those of Distribution. Without a server nobody can be in the
//! middle of a push, so everything goes at once, as Distribution has it. Beside a server it is one run of the collector,
//! with the times that the configuration names.

mod amount;
mod lines;
mod progress;
mod retaining;
mod totals;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use registry_core::gc::{Brake, Collector, Found, GcObserver, GcOptions, GcReport};
use registry_core::retention::RetentionReport;
use registry_core::storage::Storage;
use registry_core::{Algorithm, Error, PullTimes, Registry, SystemClock, layout};
use tokio::runtime::Runtime;

use super::{complain, configured, logged};
use crate::collecting::{self, OpenError, Opened, Others};
use crate::config::{Config, UploadPurging, duration};
use crate::rehearsal::Rehearsal;
use crate::rounds::{RoundsError, rounds};
use crate::schedule::end_unfinished;
pub(super) use amount::bytes;
use lines::Lines;
use progress::Progress;

/// What goes, and how it is told.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct GarbageCollectArguments {
    /// The configuration file; by default the one that the environment names.
    config: Option<PathBuf>,
    /// Tell what would go, and change nothing.
    #[arg(short, long)]
    dry_run: bool,
    /// Let manifests without a tag go as well, unless one that is kept names them or is their subject.
    #[arg(short = 'm', long)]
    delete_untagged: bool,
    /// Print no line for each thing.
    #[arg(short, long)]
    quiet: bool,
    /// Go on also where more would go than storage.maintenance.garbagecollection.maxcondemned allows.
    #[arg(long)]
    force: bool,
    /// Print nothing but the report, as JSON.
    #[arg(long)]
    json: bool,
    /// Beside a server: purge what earlier runs took away before its time in quarantine is over.
    #[arg(long)]
    now: bool,
}

/// Why nothing, or not everything, was collected.
#[derive(Debug, thiserror::Error)]
enum CollectError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Collector(#[from] Error),
    #[error(
        "{} of {} blobs would go, more than {} %; nothing was taken away. Look with --dry-run, and go on with --force",
        .0.condemned, .0.blobs, .0.max_percent
    )]
    Braked(Brake),
    #[error(transparent)]
    Rounds(#[from] RoundsError),
}

/// How long the program waits at its end for work that blocks.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Collects, and tells what was done.
pub(super) fn run(arguments: &GarbageCollectArguments) -> ExitCode {
    let Some(config) = configured(arguments.config.clone()) else { return ExitCode::FAILURE };
    logged(&config, "failed to garbage collect", || start(arguments, &config).map(|()| true))
}

fn start(arguments: &GarbageCollectArguments, config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let opened = runtime.block_on(collecting::open(config)).map_err(CollectError::from)?;
    let ended = runtime.block_on(collect(arguments, config, &opened));
    // The claims on the folder are let go of when nothing can be changed there any more.
    runtime.shutdown_timeout(LAST_WORK);
    drop(opened);
    Ok(ended?)
}

async fn collect(arguments: &GarbageCollectArguments, config: &Config, opened: &Opened) -> Result<(), CollectError> {
    let is_silent = arguments.quiet || arguments.json;
    let progress = Arc::new(Progress::new(is_silent));
    let lines = (!is_silent).then(|| Lines::new(Arc::clone(&progress)));
    let collection = Collection { arguments, config, opened, progress, lines: lines.map(Arc::new) };
    if !arguments.quiet {
        complain(&[collection.who_is_there()]);
    }
    let work = async {
        if opened.others.is_offline() { collection.without_server().await } else { collection.beside_others().await }
    };
    let done = tokio::select! {
        done = work => done,
        never = collection.progress.show() => match never {},
    };
    collection.progress.make_room();
    collection.conclude(&done?)
}

struct Collection<'a> {
    arguments: &'a GarbageCollectArguments,
    config: &'a Config,
    opened: &'a Opened,
    progress: Arc<Progress>,
    lines: Option<Arc<Lines>>,
}

/// What was done, or would be.
struct Done {
    report: GcReport,
    /// How many abandoned uploads went with it.
    uploads: usize,
    /// What became of tags, if there are rules about them.
    retention: Option<RetentionReport>,
}

impl Collection<'_> {
    fn who_is_there(&self) -> String {
        let quarantine = duration::format(self.config.storage.garbage_collection.quarantine);
        match self.opened.others {
            Others::None { .. } => "no server has this folder: what nothing needs is purged at once".to_owned(),
            Others::Server { .. } => {
                format!("a server has this folder: what is taken away stays in quarantine for {quarantine}")
            }
            Others::Anybody => {
                format!("servers may be at work: what is taken away stays in quarantine for {quarantine}")
            }
        }
    }

    fn options(&self) -> GcOptions {
        let configured = &self.config.storage.garbage_collection;
        let mut options = configured.options();
        options.alone = self.opened.others.is_alone();
        options.delete_untagged |= self.arguments.delete_untagged;
        if self.arguments.force {
            options.max_condemned = None;
        }
        if self.opened.others.is_offline() {
            // Nobody can be in the middle of a push.
            options.only_process = true;
            options.exclusive = true;
            options.lease = Duration::ZERO;
            options.quarantine = Duration::ZERO;
            if self.arguments.delete_untagged {
                options.untagged_grace = Duration::ZERO;
            }
        } else if self.arguments.now {
            options.quarantine = Duration::ZERO;
        }
        options
    }

    /// One run. What it takes away goes to the quarantine.
    async fn beside_others(&self) -> Result<Done, CollectError> {
        let mut options = self.options();
        options.dry_run = self.arguments.dry_run;
        let collector = Collector::new(self.opened.registry.clone(), options).observed_by(self.observer(true));
        let report = collector.run().await?;
        if !self.arguments.dry_run {
            PullTimes::forget_gone(&self.opened.registry).await?;
        }
        Ok(Done { report, uploads: 0, retention: None })
    }

    /// Runs until nothing is left to do. What would go in the end is looked at first, so that the brake stops it before
    /// anything is gone.
    async fn without_server(&self) -> Result<Done, CollectError> {
        let mut options = self.options();
        let max_condemned = options.max_condemned.take();
        let is_dry = self.arguments.dry_run;
        if is_dry || max_condemned.is_some() {
            let rehearsal: Arc<dyn Storage> =
                Arc::new(Rehearsal::over(Arc::clone(&self.opened.storage), Arc::new(SystemClock)));
            let registry = collecting::over(rehearsal, self.config);
            let mut retention = self.retain(&registry, is_dry).await?;
            let mut report = self.rounds(&registry, &options, is_dry).await?;
            report.dry_run = true;
            if let Some(retention) = &mut retention {
                retention.dry_run = true;
            }
            report.braked = max_condemned.and_then(|max| Brake::on(report.quarantined.count, report.blobs, max));
            if is_dry || report.braked.is_some() {
                return Ok(Done { report, uploads: self.expire_uploads(true).await?, retention });
            }
            self.progress.restart();
        }
        let uploads = self.expire_uploads(false).await?;
        let retention = self.retain(&self.opened.registry, true).await?;
        let report = self.rounds(&self.opened.registry, &options, true).await?;
        self.tidy().await?;
        Ok(Done { report, uploads, retention })
    }

    /// Lets tags go where that is configured. What a dry run imagines goes the same way.
    async fn retain(&self, registry: &Registry, is_told: bool) -> Result<Option<RetentionReport>, CollectError> {
        let rules = &self.config.storage.retention;
        let lines = self.lines.is_some() && is_told;
        Ok(retaining::retain(registry, rules, rules.enforce, lines.then(|| Arc::clone(&self.progress))).await?)
    }

    /// Forgets when manifests were pulled that are gone, and removes the empty directories of the quarantine.
    async fn tidy(&self) -> Result<(), CollectError> {
        PullTimes::forget_gone(&self.opened.registry).await?;
        let fossils = Algorithm::ALL.map(layout::all_fossils);
        let parent = fossils[0].parent();
        for directory in fossils.into_iter().chain(parent).chain([layout::runs()]) {
            self.opened.storage.remove_directory(&directory).await.map_err(Error::from)?;
        }
        Ok(())
    }

    async fn rounds(&self, registry: &Registry, options: &GcOptions, is_told: bool) -> Result<GcReport, CollectError> {
        let collector = Collector::new(registry.clone(), options.clone()).observed_by(self.observer(is_told));
        let again = || {
            self.progress.begin_later_run();
            if let Some(lines) = self.lines.as_ref().filter(|_| is_told) {
                lines.begin_later_run();
            }
        };
        Ok(rounds(&collector, registry, again).await?)
    }

    async fn expire_uploads(&self, dry_run: bool) -> Result<usize, CollectError> {
        let Some(purging) = self.config.storage.upload_purging else { return Ok(0) };
        let purging = UploadPurging { dry_run: dry_run || purging.dry_run, ..purging };
        let expired = self.opened.registry.expire_uploads(purging.age, purging.dry_run).await?;
        Ok(expired.len() + end_unfinished(&self.opened.registry, purging).await)
    }

    /// Why rules of retention delete nothing.
    fn about_rules(&self) -> Vec<String> {
        let retention = &self.config.storage.retention;
        let reason = if retention.rules.is_empty() {
            None
        } else if !self.opened.others.is_offline() {
            // A server may just be moving the tags.
            Some("rules of retention are left to the server")
        } else if !retention.enforce {
            Some("rules delete nothing as long as storage.maintenance.retention.dryrun is not false")
        } else {
            None
        };
        reason.map(str::to_owned).into_iter().collect()
    }

    fn observer(&self, is_told: bool) -> Arc<dyn GcObserver> {
        let lines = self.lines.clone().filter(|_| is_told);
        Arc::new(Telling { progress: Arc::clone(&self.progress), lines })
    }

    fn conclude(&self, done: &Done) -> Result<(), CollectError> {
        let report = &done.report;
        let braked = report.braked.filter(|_| !self.arguments.dry_run);
        if let Some(lines) = self.lines.as_ref().filter(|_| braked.is_none()) {
            lines.finish(report.marked);
        }
        if self.arguments.json {
            let text = serde_json::to_string(&Told { report, retention: done.retention.as_ref() });
            let text = text.unwrap_or_else(|error| error.to_string());
            // Where nobody reads it there is nobody to tell.
            let _ = writeln!(io::stdout(), "{text}");
        }
        if let Some(brake) = braked {
            return Err(CollectError::Braked(brake));
        }
        if !self.arguments.quiet && !self.arguments.json {
            complain(&totals::of(report, done.uploads, done.retention.as_ref()));
            complain(&self.about_rules());
        }
        Ok(())
    }
}

/// The report as JSON.
#[derive(serde::Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    report: &'a GcReport,
    #[serde(skip_serializing_if = "Option::is_none")]
    retention: Option<&'a RetentionReport>,
}

#[derive(Debug)]
struct Telling {
    progress: Arc<Progress>,
    lines: Option<Arc<Lines>>,
}

impl GcObserver for Telling {
    fn found(&self, found: &Found<'_>) {
        self.progress.note(found);
        if let Some(lines) = &self.lines {
            lines.note(found);
        }
    }
}
