//! When manifests were pulled, for rules that keep what is used.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::TryStreamExt as _;

use crate::layout::Member;
use crate::storage::{Durability, Key, WriteOptions};
use crate::{Algorithm, Digest, Error, Event, EventAction, EventSink, Registry, RepositoryName, layout};

/// Notes when manifests were pulled.
///
/// It is told of every pull as an [`EventSink`] of the registry, and keeps it in memory until [`write`](Self::write) is
/// called, once a minute or so. A pull that is not written yet is forgotten when the process ends. What is noted stays until
/// [`forget_gone`](Self::forget_gone) is called, after each garbage collection or so. One time is kept for each
/// manifest, true to an [hour](Self::PRECISION).
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{PullTimes, Registry, storage::Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), registry_core::Error> {
/// let pulls = Arc::new(PullTimes::default());
/// let registry = Registry::builder(Arc::new(Memory::new())).events(pulls.clone()).build();
/// // … while the registry is used, again and again:
/// pulls.write(&registry).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct PullTimes(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What was pulled and is not written.
    pending: BTreeSet<Pulled>,
    /// What was written, and when.
    written: HashMap<Pulled, SystemTime>,
    /// How many pulls there was no room for.
    lost: u64,
    /// When it was last written that pulls are noted.
    alive: Option<SystemTime>,
}

type Pulled = (RepositoryName, Digest);

/// How many manifests are remembered, written or not. Of written ones more are forgotten, and written again.
const LIMIT: usize = 100_000;

/// So long may nobody have noted pulls without it being taken for a time in which they went unnoticed.
const GAP: Duration = Duration::from_hours(24);

const VOLATILE: WriteOptions =
    WriteOptions { precondition: crate::storage::Precondition::None, durability: Durability::Volatile };

impl PullTimes {
    /// How much later a manifest may have been pulled than is written.
    pub const PRECISION: Duration = Duration::from_hours(1);

    /// Writes what was pulled since the last call, and that pulls are noted; tells how many manifests that were. Begins
    /// anew to note pulls if nobody did so for a day.
    ///
    /// Dropping the future leaves the rest to the next call.
    ///
    /// # Errors
    /// If the storage fails. What is not written then is written by the next call.
    pub async fn write(&self, registry: &Registry) -> Result<usize, Error> {
        let now = registry.clock().now();
        self.write_alive(registry, now).await?;
        let lost = std::mem::take(&mut self.state().lost);
        if lost > 0 {
            tracing::warn!(pulls = lost, "more was pulled than can be noted: rules may take it for older than it is");
        }
        let mut count = 0;
        while let Some(pulled) = self.next() {
            let key = layout::pulled(&pulled.0, &pulled.1);
            registry.storage().write(&key, text(now), VOLATILE).await?;
            self.state().settle(pulled, now);
            count += 1;
        }
        Ok(count)
    }

    /// Deletes the notes about manifests that their repositories do not have any more, nor a quarantine of theirs; tells
    /// how many these were. Others can write notes meanwhile.
    ///
    /// Dropping the future leaves some of them.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn forget_gone(registry: &Registry) -> Result<u64, Error> {
        let mut count = 0;
        let mut names = registry.walk_in(layout::pulled_directory, None);
        while let Some(name) = names.try_next().await? {
            for algorithm in Algorithm::ALL {
                count += forget_gone_of(registry, &name, algorithm).await?;
            }
        }
        Ok(count)
    }

    fn next(&self) -> Option<Pulled> {
        self.state().pending.first().cloned()
    }

    async fn write_alive(&self, registry: &Registry, now: SystemTime) -> Result<(), Error> {
        let alive = self.state().alive;
        if alive.is_some_and(|alive| is_within(now, alive, Self::PRECISION)) {
            return Ok(());
        }
        let storage = registry.storage();
        if alive.is_none() && noted_since(registry, now).await?.is_none() {
            storage.write(&layout::pulls_noted_since(), text(now), WriteOptions::default()).await?;
        }
        storage.write(&layout::pulls_noted_until(), text(now), WriteOptions::default()).await?;
        self.state().alive = Some(now);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, pulled: Pulled, now: SystemTime) {
        self.pending.remove(&pulled);
        if self.written.len() >= LIMIT {
            self.written.clear();
        }
        self.written.insert(pulled, now);
    }
}

impl EventSink for PullTimes {
    fn wants(&self, action: EventAction) -> bool {
        matches!(action, EventAction::Pull | EventAction::Delete)
    }

    fn record(&self, event: Event) {
        let Some(digest) = event.digest else { return };
        let pulled = (event.repository, digest);
        let mut state = self.state();
        if event.action == EventAction::Delete {
            // The note goes as well; should the manifest come back, its next pull is worth a new one.
            state.pending.remove(&pulled);
            state.written.remove(&pulled);
        }
        if event.action != EventAction::Pull || event.media_type.is_none() {
            return;
        }
        let written = state.written.get(&pulled);
        if written.is_some_and(|written| is_within(event.time, *written, Self::PRECISION)) {
            return;
        }
        if state.pending.len() < LIMIT {
            state.pending.insert(pulled);
        } else if !state.pending.contains(&pulled) {
            state.lost += 1;
        }
    }
}

async fn forget_gone_of(registry: &Registry, name: &RepositoryName, algorithm: Algorithm) -> Result<u64, Error> {
    let directory = layout::pulls(name, algorithm);
    let (mut count, mut notes) = (0, registry.entries(directory.clone(), None));
    while let Some(note) = notes.try_next().await? {
        tokio::task::consume_budget().await;
        let Ok(digest) = Digest::from_parts(algorithm, &note.name) else { continue };
        if registry.member(name, Member::Revision, &digest).await?.is_none() {
            registry.delete(&layout::pulled(name, &digest)).await?;
            count += 1;
        }
    }
    if count > 0 {
        let mut empty = Some(directory);
        while let Some(prefix) = empty.filter(|prefix| *prefix != layout::pulled_directory("")) {
            let is_gone = registry.storage().remove_directory(&prefix).await?;
            empty = prefix.parent().filter(|_| is_gone);
        }
    }
    Ok(count)
}

/// Since when all pulls are noted; `None` if they are not, or were not for a while.
pub(crate) async fn noted_since(registry: &Registry, now: SystemTime) -> Result<Option<SystemTime>, Error> {
    let modified = async |key: Key| -> Result<_, Error> {
        Ok(registry.storage().stat(&key).await?.and_then(|metadata| metadata.modified))
    };
    let until = modified(layout::pulls_noted_until()).await?;
    if until.is_some_and(|until| is_within(now, until, GAP)) {
        return modified(layout::pulls_noted_since()).await;
    }
    Ok(None)
}

/// When a manifest was last known to be pulled; `None` if that is not known.
pub(crate) async fn time_of(
    registry: &Registry,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Option<SystemTime>, Error> {
    Ok(registry.storage().stat(&layout::pulled(name, digest)).await?.and_then(|metadata| metadata.modified))
}

/// Whether `earlier` was no longer ago than `span`. A time to come is not.
fn is_within(now: SystemTime, earlier: SystemTime, span: Duration) -> bool {
    now.duration_since(earlier).is_ok_and(|passed| passed < span)
}

/// For people; what counts is when it was written.
fn text(now: SystemTime) -> Bytes {
    humantime::format_rfc3339_seconds(now).to_string().into()
}
