//! `registry verify`: reads everything, tells what is not as it should be, and repairs what can be.

mod progress;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use registry_core::Registry;
use registry_core::verify::{Finding, Pacer, Verifier, VerifyOptions, VerifyReport};
use registry_storage::filesystem::LockError;
use tokio::runtime::Runtime;

use super::garbage_collect::bytes;
use super::{configured, logged};
use crate::assemble;
use crate::collecting::{self, OpenError};
use crate::config::{Config, Driver};
use crate::pace::{self, Pace};
use progress::Progress;

/// What is looked at, and how it is told.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArguments {
    /// The configuration file; by default the one that the environment names.
    config: Option<PathBuf>,
    /// Set corrupt content aside, so that the next push heals it, or restore it from a good copy; write torn links again
    /// where they can only mean one thing. Nothing is deleted without a copy.
    #[arg(long)]
    repair: bool,
    /// Print nothing but the report, as JSON.
    #[arg(long)]
    json: bool,
    /// Read at most so many bytes in a second, such as 50MB; 0 is as many as there come. By default 100MB beside a server
    /// or at a bucket, and no bound where no server has the folder.
    #[arg(long, value_name = "BYTES", value_parser = pace::read_rate)]
    rate: Option<u64>,
}

/// What is read in a second while others may want to read, in bytes.
const RATE_BESIDE_OTHERS: u64 = 100 * 1024 * 1024;

/// Looks at everything; a success if it is whole, or is again.
pub(super) fn run(arguments: &VerifyArguments) -> ExitCode {
    let Some(config) = configured(arguments.config.clone()) else { return ExitCode::FAILURE };
    logged(&config, "failed to verify", || start(arguments, &config))
}

fn start(arguments: &VerifyArguments, config: &Config) -> Result<bool, Box<dyn std::error::Error>> {
    Runtime::new()?.block_on(async {
        let registry = collecting::beside(config).await?;
        let rate = match arguments.rate {
            Some(rate) => rate,
            None if is_unserved(config).await? => 0,
            None => RATE_BESIDE_OTHERS,
        };
        let report = verify(registry, arguments, rate).await?;
        tell(&report, arguments)?;
        Ok(report.is_sound())
    })
}

/// Whether no server has the folder. It is claimed for no longer than it takes to find that out.
async fn is_unserved(config: &Config) -> Result<bool, OpenError> {
    let Driver::Filesystem { root, durability } = &config.storage.driver else { return Ok(false) };
    let claimed = assemble::filesystem(root, *durability, |folder| match folder.lock_for_serving() {
        Ok(_lock) => Ok(true),
        // A volume that nobody can write to has no server that could be told apart.
        Err(LockError::Held { .. } | LockError::Failed { .. }) => Ok(false),
        Err(error) => Err(error),
    });
    Ok(claimed.await?)
}

async fn verify(
    registry: Registry,
    arguments: &VerifyArguments,
    rate: u64,
) -> Result<VerifyReport, registry_core::Error> {
    let mut options = VerifyOptions::default();
    options.repair = arguments.repair;
    options.pacer = (rate > 0).then(|| Arc::new(Pace::new(rate)) as Arc<dyn Pacer>);
    let progress = Arc::new(Progress::new(arguments.json));
    let verifier = Verifier::new(registry, options).observed_by(Arc::clone(&progress) as _);
    let report = tokio::select! {
        report = verifier.run() => report,
        never = progress.show() => match never {},
    };
    progress.clear();
    report
}

/// The report, on standard output.
fn tell(report: &VerifyReport, arguments: &VerifyArguments) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if arguments.json {
        serde_json::to_writer(&mut out, report)?;
        return writeln!(out);
    }
    for finding in &report.findings {
        tell_finding(&mut out, finding)?;
    }
    let unlisted = report.findings_total - report.findings.len() as u64;
    if unlisted > 0 {
        writeln!(out, "and {unlisted} more")?;
    }
    writeln!(
        out,
        "{} contents of {} are sound; {} repositories, {} tags, {} manifests, {} links",
        report.sound.count,
        bytes(report.sound.bytes),
        report.repositories,
        report.tags,
        report.manifests,
        report.links
    )?;
    let verdict = if report.is_sound() { "everything is whole" } else { "something is broken" };
    writeln!(
        out,
        "{verdict}: {} findings, of which {} mended, {} set aside, {} left; {} manifests and {} tags are broken",
        report.findings_total,
        report.mended,
        report.set_aside,
        report.unmended,
        report.broken_manifests,
        report.broken_tags
    )
}

fn tell_finding(out: &mut impl io::Write, finding: &Finding) -> io::Result<()> {
    writeln!(out, "{}\n  at {}", finding.damage, finding.place)?;
    if let Some(remedy) = finding.remedy {
        writeln!(out, "  {remedy}")?;
    }
    if let Some(aside) = &finding.aside {
        writeln!(out, "  what lay there is at {aside}")?;
    }
    for broken in &finding.breaks {
        writeln!(out, "  needed by {broken}")?;
    }
    match finding.breaks_total - finding.breaks.len() as u64 {
        0 => Ok(()),
        more => writeln!(out, "  and by {more} more"),
    }
}
