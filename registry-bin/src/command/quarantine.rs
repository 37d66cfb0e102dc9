//! `registry quarantine`: what the collector took away, and how it comes back.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use futures::stream::TryStreamExt as _;
use registry_core::gc::{Quarantine, Quarantined};
use registry_core::{Digest, Error, Registry, RunId};
use serde_json::json;
use tokio::runtime::Runtime;

use super::garbage_collect::bytes;
use super::{complain, configured, logged};
use crate::collecting::{self, OpenError};
use crate::config::Config;

/// What to do with what the collector took away.
#[derive(Debug, clap::Subcommand)]
pub(super) enum QuarantineCommand {
    /// List what was taken away and not purged yet.
    List {
        /// The configuration file; by default the one that the environment names.
        config: Option<PathBuf>,
        /// Print a JSON object for each thing.
        #[arg(long)]
        json: bool,
    },
    /// Put back what was taken away and not purged yet. A server may run meanwhile.
    Restore(RestoreArguments),
}

/// What is to be put back.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(false))]
pub(super) struct RestoreArguments {
    /// The configuration file.
    config: PathBuf,
    /// Everything but what clients deleted.
    #[arg(long, group = "what")]
    all: bool,
    /// What this run took away, but what clients deleted.
    #[arg(long, group = "what")]
    run: Option<RunId>,
    /// What has these digests, also if clients deleted it.
    #[arg(group = "what")]
    digests: Vec<Digest>,
}

/// Why it could not be done.
#[derive(Debug, thiserror::Error)]
enum QuarantineError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Registry(#[from] Error),
    #[error("nothing of that is in quarantine")]
    Nothing,
    #[error("{0} of it could not be put back")]
    Some(usize),
}

/// Does it.
pub(super) fn run(command: &QuarantineCommand) -> ExitCode {
    let path = match command {
        QuarantineCommand::List { config, .. } => config.clone(),
        QuarantineCommand::Restore(arguments) => Some(arguments.config.clone()),
    };
    let Some(config) = configured(path) else { return ExitCode::FAILURE };
    logged(&config, "cannot use the quarantine", || start(command, &config).map(|()| true))
}

fn start(command: &QuarantineCommand, config: &Config) -> Result<(), Box<dyn std::error::Error>> {
    Runtime::new()?.block_on(async {
        // It needs no claim: a collector that is at work meets what is put back as it meets what is pushed.
        let registry = collecting::beside(config).await.map_err(QuarantineError::from)?;
        match command {
            QuarantineCommand::List { json, .. } => list(&registry, *json).await?,
            QuarantineCommand::Restore(arguments) => restore(&registry, arguments).await?,
        }
        Ok(())
    })
}

async fn list(registry: &Registry, as_json: bool) -> Result<(), QuarantineError> {
    let mut items = registry.quarantined();
    let (mut count, mut total) = (0_u64, 0);
    while let Some(item) = items.try_next().await? {
        let line = if as_json { json_of(&item) } else { text_of(&item) };
        if writeln!(io::stdout(), "{line}").is_err() {
            // Nobody reads any further.
            return Ok(());
        }
        count += 1;
        total += if item.place == Quarantine::Content { item.bytes } else { 0 };
    }
    if !as_json {
        complain(&[format!("{count} in quarantine, {} of content", bytes(total))]);
    }
    Ok(())
}

fn text_of(item: &Quarantined) -> String {
    let Quarantined { digest, run, .. } = item;
    let since = humantime::format_rfc3339_seconds(item.since());
    let place = match &item.place {
        Quarantine::Content => format!("blob {digest}, {}", bytes(item.bytes)),
        Quarantine::Manifest { repository, .. } => format!("manifest {repository}@{digest}"),
        Quarantine::Layer { repository, .. } => format!("layer link {repository}@{digest}"),
        other => format!("{other:?} {digest}"),
    };
    let deleted = if item.is_deleted() { ", deleted since" } else { "" };
    format!("{since} {run} {place}{deleted}")
}

fn json_of(item: &Quarantined) -> String {
    let (kind, repository) = match &item.place {
        Quarantine::Content => ("blob", None),
        Quarantine::Manifest { repository, .. } => ("manifest", Some(repository.as_str())),
        Quarantine::Layer { repository, .. } => ("layer", Some(repository.as_str())),
        _ => ("other", None),
    };
    let since = humantime::format_rfc3339_seconds(item.since()).to_string();
    let value = json!({
        "kind": kind,
        "repository": repository,
        "digest": item.digest.to_string(),
        "run": item.run.to_string(),
        "since": since,
        "bytes": item.bytes,
        "deleted": item.is_deleted(),
    });
    value.to_string()
}

async fn restore(registry: &Registry, arguments: &RestoreArguments) -> Result<(), QuarantineError> {
    // What is there first; looking and putting back at the same time would list what was just put back.
    let found: Vec<Quarantined> =
        registry.quarantined().try_filter(|item| std::future::ready(arguments.mean(item))).try_collect().await?;
    if found.is_empty() && !arguments.all {
        return Err(QuarantineError::Nothing);
    }
    let (mut blobs, mut links, mut lost) = (0, 0, 0);
    for item in &found {
        match (registry.restore(item).await?, &item.place) {
            (false, _) => lost += 1,
            (true, Quarantine::Content) => blobs += 1,
            (true, _) => links += 1,
        }
    }
    complain(&[format!("restored: {blobs} blobs, {links} links of manifests and layers")]);
    if blobs > 0 {
        complain(&["a blob that no manifest needs is taken away again by the next run".to_owned()]);
    }
    if lost > 0 { Err(QuarantineError::Some(lost)) } else { Ok(()) }
}

impl RestoreArguments {
    fn mean(&self, item: &Quarantined) -> bool {
        let named = self.digests.contains(&item.digest);
        let by_run = self.all || self.run == Some(item.run);
        named || (by_run && !item.is_deleted())
    }
}
