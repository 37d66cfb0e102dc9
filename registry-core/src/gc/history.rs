//! The records of runs: which are over, so that what they took away may be purged after its time.
//!
//! A run writes a record before it takes anything away, and writes it again when nothing that it deleted can still be
//! deleted later. The quarantine counts from the time that the storage gave to the second record. A run that ended
//! otherwise is finished by a later one, if that is certain to be alone. Else, if its deletes end by themselves, the time of
//! each copy counts; and if they do not, what it took away stays.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use futures::stream::TryStreamExt as _;
use serde::{Deserialize, Serialize};

use super::RunId;
use super::options::{GcOptions, is_older};
use super::removal::OVER;
use crate::storage::{self, Metadata, WriteOptions};
use crate::{Error, Registry, layout};

/// What the record of a run says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "lowercase")]
pub(super) enum Phase {
    /// It is at work, or was cut off.
    Running {
        /// Whether each of its deletes is over some time after the copy that it follows.
        #[serde(default)]
        fenced: bool,
    },
    /// Nothing that it deleted can still be deleted later.
    Resolved,
}

/// No record is longer.
const LIMIT_BYTES: u64 = 16 * 1024;

/// The earlier runs.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Those that have a record.
    pub(super) known: BTreeSet<RunId>,
    /// Those whose copies may be purged.
    pub(super) finished: Finished,
    /// Those of which it is not known whether they are over.
    pub(super) unresolved: BTreeSet<RunId>,
}

/// The runs whose copies may be purged.
#[derive(Debug, Default)]
pub(super) struct Finished {
    pub(super) runs: BTreeSet<RunId>,
    /// Those of which each copy may be purged when it is old enough by itself.
    pub(super) fenced: BTreeSet<RunId>,
    /// Whether those without a record are among them.
    all: bool,
}

impl Finished {
    pub(super) fn contains(&self, run: &RunId) -> bool {
        self.all || self.runs.contains(run) || self.fenced.contains(run)
    }

    /// Whether it is the age of a copy that decides.
    pub(super) fn counts_by_copy(&self, run: &RunId) -> bool {
        !self.all && self.fenced.contains(run)
    }
}

impl History {
    /// Reads what earlier runs left. A run that is alone ends those that were cut off.
    pub(super) async fn read(
        registry: &Registry,
        options: &GcOptions,
        own: &RunId,
        now: SystemTime,
    ) -> Result<Self, Error> {
        let mut history = Self::default();
        // There may have been no room for a record.
        history.finished.all = options.exclusive && options.quarantine.is_zero();
        for (run, (phase, written)) in records(registry).await? {
            if run == *own {
                continue;
            }
            history.known.insert(run);
            match phase {
                Some(Phase::Resolved) => {
                    if is_older(now, written.modified, options.quarantine) {
                        history.finished.runs.insert(run);
                    }
                }
                _ if options.alone => history.resolve(registry, options, run).await?,
                Some(Phase::Running { fenced: true }) => {
                    // No copy is older than the record.
                    if is_older(now, written.modified, options.quarantine + OVER) {
                        history.finished.fenced.insert(run);
                    }
                }
                _ => {
                    history.unresolved.insert(run);
                }
            }
        }
        Ok(history)
    }

    /// Takes in runs of which copies were found, and no record.
    pub(super) async fn meet(
        &mut self,
        registry: &Registry,
        options: &GcOptions,
        runs: impl IntoIterator<Item = RunId>,
    ) -> Result<(), Error> {
        for run in runs {
            if self.known.insert(run) {
                if options.alone {
                    self.resolve(registry, options, run).await?;
                } else {
                    self.unresolved.insert(run);
                }
            }
        }
        Ok(())
    }

    async fn resolve(&mut self, registry: &Registry, options: &GcOptions, run: RunId) -> Result<(), Error> {
        if !options.dry_run {
            match write(registry, &run, Phase::Resolved).await {
                // Its copies are gone through all the same.
                Err(Error::Storage(storage::Error::NoSpace { .. })) if options.exclusive => {}
                written => written?,
            }
        }
        if options.quarantine.is_zero() {
            self.finished.runs.insert(run);
        }
        Ok(())
    }
}

/// The runs of which it is certain that nothing they deleted can still be deleted later.
pub(crate) async fn resolved(registry: &Registry) -> Result<BTreeSet<RunId>, Error> {
    let records = records(registry).await?;
    Ok(records.into_iter().filter(|(_, (phase, _))| *phase == Some(Phase::Resolved)).map(|(run, _)| run).collect())
}

type Records = BTreeMap<RunId, (Option<Phase>, Metadata)>;

async fn records(registry: &Registry) -> Result<Records, Error> {
    let mut records = Records::new();
    let mut entries = registry.entries(layout::runs(), None);
    while let Some(entry) = entries.try_next().await? {
        let Some(run) = entry.name.strip_suffix(".json").and_then(|name| name.parse::<RunId>().ok()) else { continue };
        let key = layout::run(&run);
        let content = match registry.storage().read(&key, LIMIT_BYTES).await {
            Err(storage::Error::TooLarge { .. }) => None,
            content => content?,
        };
        // A record that a power cut tore says nothing, as one that was never finished.
        let phase = content.and_then(|content| serde_json::from_slice(&content).ok());
        if let Some(metadata) = registry.storage().stat(&key).await? {
            records.insert(run, (phase, metadata));
        }
    }
    Ok(records)
}

/// Writes the record of a run, durably.
pub(super) async fn write(registry: &Registry, run: &RunId, phase: Phase) -> Result<(), Error> {
    let key = layout::run(run);
    let content = serde_json::to_vec(&phase)
        .map_err(|error| storage::Error::Failed { key: key.clone(), source: error.into() })?;
    Ok(registry.storage().write(&key, content.into(), WriteOptions::default()).await?)
}
