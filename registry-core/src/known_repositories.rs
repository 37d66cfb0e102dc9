//! What the catalog found out about repositories, in memory.
//!
//! A page of the catalog takes several looks into each repository, and the answers seldom change. What this process changes
//! is forgotten at once; what others change shows when an answer has become too old, which is soon.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use quick_cache::unsync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use crate::RepositoryName;

/// What is known of repositories, by their names.
pub(crate) struct KnownRepositories {
    /// How long an answer counts.
    patience: Duration,
    state: Mutex<State>,
}

struct State {
    /// How often this process changed something that matters here.
    changes: u64,
    known: Cache<RepositoryName, Known, Weight>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    has_manifests: Option<(bool, SystemTime)>,
    is_leaf: Option<SystemTime>,
}

/// What can be known of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Whether it has a manifest.
    Manifests(bool),
    /// No other repository lies below it.
    Leaf,
}

/// A look at the storage that has begun.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    changes: u64,
    begun: SystemTime,
}

#[derive(Debug, Clone)]
struct Weight;

/// What a repository takes beside its name, about.
const OVERHEAD_BYTES: usize = 150;

/// Most are of about this size.
const USUAL_BYTES: usize = OVERHEAD_BYTES + 30;

/// For how many there is memory from the beginning: most registries have fewer.
const FIRST_ITEMS: usize = 256;

impl Weighter<RepositoryName, Known> for Weight {
    fn weight(&self, name: &RepositoryName, _: &Known) -> u64 {
        (OVERHEAD_BYTES + name.as_str().len()) as u64
    }
}

impl KnownRepositories {
    /// Takes about so many bytes at most, and counts an answer for `patience`; `None` if that is too little to be of use.
    pub(crate) fn new(bytes: usize, patience: Duration) -> Option<Self> {
        let mut options = OptionsBuilder::new();
        options.estimated_items_capacity((bytes / USUAL_BYTES).min(FIRST_ITEMS)).weight_capacity(bytes as u64);
        let options = options.build().ok().filter(|_| bytes > USUAL_BYTES && !patience.is_zero())?;
        let known = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Some(Self { patience, state: Mutex::new(State { changes: 0, known }) })
    }

    /// Whether it has a manifest, if that is known.
    pub(crate) fn has_manifests(&self, name: &RepositoryName, now: SystemTime) -> Option<bool> {
        let (answer, seen) = self.state().known.get(name)?.has_manifests?;
        self.is_young(seen, now).then_some(answer)
    }

    /// Whether it is known that no other lies below it.
    pub(crate) fn is_leaf(&self, name: &RepositoryName, now: SystemTime) -> bool {
        self.state().known.get(name).and_then(|known| known.is_leaf).is_some_and(|seen| self.is_young(seen, now))
    }

    /// To be called before the storage is asked for what is to be [learnt](Self::learn).
    pub(crate) fn look(&self, now: SystemTime) -> Look {
        Look { changes: self.state().changes, begun: now }
    }

    /// Keeps what a look found out, unless this process changed a repository meanwhile.
    pub(crate) fn learn(&self, name: &RepositoryName, fact: Fact, look: Look) {
        let mut state = self.state();
        if state.changes != look.changes {
            return;
        }
        let mut known = state.known.get(name).copied().unwrap_or_default();
        match fact {
            Fact::Manifests(answer) => known.has_manifests = Some((answer, look.begun)),
            Fact::Leaf => known.is_leaf = Some(look.begun),
        }
        state.known.insert(name.clone(), known);
    }

    /// To be called after a manifest of the repository came or went.
    pub(crate) fn changed(&self, name: &RepositoryName) {
        let mut state = self.state();
        state.changes += 1;
        state.known.remove(name);
        // Those that it lies below are no leaves.
        let parents = name.as_str().match_indices('/').map(|(end, _)| &name.as_str()[..end]);
        for parent in parents.filter_map(|parent| parent.parse::<RepositoryName>().ok()) {
            state.known.remove(&parent);
        }
    }

    /// A clock that was set back makes nothing young.
    fn is_young(&self, seen: SystemTime, now: SystemTime) -> bool {
        now.duration_since(seen).is_ok_and(|age| age < self.patience)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KnownRepositories {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownRepositories").field("patience", &self.patience).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn known() -> KnownRepositories {
        KnownRepositories::new(64 * 1024, Duration::from_secs(2)).unwrap()
    }

    #[test]
    fn an_answer_counts_for_a_while() {
        let known = known();
        known.learn(&name("a"), Fact::Manifests(true), known.look(at(10)));
        known.learn(&name("a"), Fact::Leaf, known.look(at(11)));
        assert_eq!(known.has_manifests(&name("a"), at(11)), Some(true));
        assert_eq!(known.has_manifests(&name("a"), at(12)), None);
        assert_eq!(known.has_manifests(&name("a"), at(9)), None);
        assert_eq!(known.has_manifests(&name("b"), at(10)), None);
        assert!(known.is_leaf(&name("a"), at(12)));
        assert!(!known.is_leaf(&name("a"), at(13)));
    }

    #[test]
    fn a_change_takes_away_what_it_touches_and_what_lies_above() {
        let known = known();
        for text in ["a", "a/b", "a/b/c", "ab"] {
            known.learn(&name(text), Fact::Leaf, known.look(at(10)));
        }
        known.changed(&name("a/b"));
        let leaves = ["a", "a/b", "a/b/c", "ab"].map(|text| known.is_leaf(&name(text), at(10)));
        assert_eq!(leaves, [false, false, true, true]);
    }

    #[test]
    fn what_was_looked_for_before_a_change_is_not_learnt_after_it() {
        let known = known();
        let look = known.look(at(10));
        known.changed(&name("b"));
        known.learn(&name("a"), Fact::Manifests(true), look);
        assert_eq!(known.has_manifests(&name("a"), at(10)), None);
    }

    #[test]
    fn it_is_bounded() {
        let known = known();
        for number in 0..10_000 {
            known.learn(&name(&format!("r{number}")), Fact::Leaf, known.look(at(10)));
        }
        assert!(known.state().known.weight() <= 64 * 1024);
        assert!(KnownRepositories::new(0, Duration::from_secs(2)).is_none());
        assert!(KnownRepositories::new(64 * 1024, Duration::ZERO).is_none());
    }
}
