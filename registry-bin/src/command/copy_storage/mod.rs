//! `registry copy-storage`: all that one configuration's storage has, into that of another.

mod progress;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use registry_core::Registry;
use registry_core::transfer::{Transfer, TransferReport};
use tokio::runtime::Runtime;

use super::garbage_collect::bytes;
use super::{configured, logged};
use crate::assemble;
use crate::collecting::{self, Destination};
use crate::config::Config;
use crate::pace::{self, Pace};
use progress::Progress;

/// From where, to where, and how it is told.
#[derive(Debug, clap::Args)]
pub(super) struct CopyStorageArguments {
    /// The configuration of the storage that is copied. A server may serve it meanwhile.
    from: PathBuf,
    /// The configuration of the storage that it is copied into, which no server may have meanwhile.
    to: PathBuf,
    /// Change nothing, and tell what would be copied.
    #[arg(long)]
    dry_run: bool,
    /// Print nothing but the report, as JSON.
    #[arg(long)]
    json: bool,
    /// Copy at most so many bytes in a second, such as 50MB; 0 is as many as there come.
    #[arg(long, value_name = "BYTES", default_value = "0", value_parser = pace::read_rate)]
    rate: u64,
}

/// Copies; a success if nothing had to be left out.
pub(super) fn run(arguments: &CopyStorageArguments) -> ExitCode {
    let (from, to) = (configured(Some(arguments.from.clone())), configured(Some(arguments.to.clone())));
    let (Some(from), Some(to)) = (from, to) else { return ExitCode::FAILURE };
    logged(&from, "failed to copy", || start(arguments, &from, &to))
}

fn start(arguments: &CopyStorageArguments, from: &Config, to: &Config) -> Result<bool, Box<dyn std::error::Error>> {
    let place = assemble::storage_place(&to.storage.driver);
    if assemble::storage_place(&from.storage.driver) == place {
        // A variable overrides both.
        return Err(
            format!("both configurations, with the variables REGISTRY_STORAGE_*, name the same: {place}").into()
        );
    }
    Runtime::new()?.block_on(async {
        let from = collecting::beside(from).await?;
        let Destination { registry, claim: _claim } = collecting::destination(to).await?;
        let report = copy(from, registry, arguments).await?;
        tell(&report, arguments)?;
        Ok(report.left_total == 0)
    })
}

async fn copy(
    from: Registry,
    to: Registry,
    arguments: &CopyStorageArguments,
) -> Result<TransferReport, registry_core::Error> {
    let progress = Arc::new(Progress::new(arguments.json));
    let mut transfer = Transfer::new(from, to).dry_run(arguments.dry_run).observed_by(Arc::clone(&progress) as _);
    if arguments.rate > 0 {
        transfer = transfer.pacer(Arc::new(Pace::new(arguments.rate)));
    }
    let report = tokio::select! {
        report = transfer.run() => report,
        never = progress.show() => match never {},
    };
    progress.clear();
    report
}

/// The report, on standard output.
fn tell(report: &TransferReport, arguments: &CopyStorageArguments) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    for left in &report.left {
        writeln!(out, "left out: {left}")?;
    }
    let unlisted = report.left_total - report.left.len() as u64;
    if unlisted > 0 {
        writeln!(out, "and {unlisted} more")?;
    }
    writeln!(
        out,
        "{}{} repositories: {} contents of {} copied, {} links made and {} known, {} tags set and {} known; {} left out",
        if arguments.dry_run { "would be done: " } else { "" },
        report.repositories,
        report.copied,
        bytes(report.copied_bytes),
        report.links,
        report.known_links,
        report.tags,
        report.known_tags,
        report.left_total
    )
}
