//! Answers of the storage that count for a while.
//!
//! What this process changes is forgotten at once; what others change shows when an answer has become too old.

use std::fmt;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

/// What is kept of answers, each with the time at which it was asked for.
pub(crate) struct Remembered<K> {
    /// How long an answer counts.
    patience: Duration,
    state: Mutex<State<K>>,
}

struct State<K> {
    /// How often this process changed something that matters here.
    changes: u64,
    kept: K,
}

/// A look at the storage that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    changes: u64,
    begun: SystemTime,
}

/// For how many there is memory from the beginning: most registries have fewer.
const FIRST_ITEMS: usize = 256;

impl<K> Remembered<K> {
    /// Counts an answer for `patience`; `None` if that is nothing.
    pub(crate) fn new(patience: Duration, kept: K) -> Option<Self> {
        (!patience.is_zero()).then(|| Self { patience, state: Mutex::new(State { changes: 0, kept }) })
    }

    /// What `find` finds, with the time that belongs to it, if that is not too long ago.
    pub(crate) fn get<T: Clone>(
        &self,
        now: SystemTime,
        find: impl for<'k> FnOnce(&'k K) -> Option<&'k (T, SystemTime)>,
    ) -> Option<T> {
        let state = self.state();
        let (answer, seen) = find(&state.kept)?;
        // A clock that was set back makes nothing young.
        now.duration_since(*seen).is_ok_and(|age| age < self.patience).then(|| answer.clone())
    }

    /// To be called before the storage is asked for what is to be [learnt](Self::learn).
    pub(crate) fn look(&self, now: SystemTime) -> Look {
        Look { changes: self.state().changes, begun: now }
    }

    /// Keeps what a look found out, unless this process changed something meanwhile.
    pub(crate) fn learn(&self, look: Look, keep: impl FnOnce(&mut K, SystemTime)) {
        let mut state = self.state();
        if state.changes == look.changes {
            keep(&mut state.kept, look.begun);
        }
    }

    /// To be called after this process changed something.
    pub(crate) fn change(&self, forget: impl FnOnce(&mut K)) {
        let mut state = self.state();
        state.changes += 1;
        forget(&mut state.kept);
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn inspect<T>(&self, inspect: impl FnOnce(&K) -> T) -> T {
        inspect(&self.state().kept)
    }
}

impl<K> fmt::Debug for Remembered<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered").field("patience", &self.patience).finish_non_exhaustive()
    }
}

/// A cache that takes about so many bytes at most, of which most entries take `usual_bytes`; `None` if that is too little to be of
/// use.
pub(crate) fn cache<K, V, W>(bytes: usize, usual_bytes: usize, weight: W) -> Option<Cache<K, V, W>>
where
    K: Eq + Hash,
    W: Weighter<K, V>,
{
    let mut options = OptionsBuilder::new();
    options.estimated_items_capacity((bytes / usual_bytes).min(FIRST_ITEMS)).weight_capacity(bytes as u64);
    let options = options.build().ok().filter(|_| bytes > usual_bytes)?;
    Some(Cache::with_options(options, weight, DefaultHashBuilder::default(), DefaultLifecycle::default()))
}
