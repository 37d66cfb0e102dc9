//! What the catalog found out about repositories, in memory.
//!
//! A page of the catalog takes several looks into each repository, and the answers seldom change. What this process changes
//! is forgotten at once; what others change shows when an answer has become too old, which is soon.

use std::time::{Duration, SystemTime};

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use crate::RepositoryName;
use crate::remembered::{Look, Remembered, cache};

/// What is known of repositories, by their names.
#[derive(Debug)]
pub(crate) struct KnownRepositories(Remembered<Cache<RepositoryName, Known, Weight>>);

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    has_manifests: Option<(bool, SystemTime)>,
    is_leaf: Option<((), SystemTime)>,
}

/// What can be known of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fact {
    /// Whether it has a manifest.
    Manifests(bool),
    /// No other repository lies below it.
    Leaf,
}

#[derive(Debug, Clone)]
struct Weight;

/// What a repository takes beside its name, about.
const OVERHEAD_BYTES: usize = 150;

/// Most are of about this size.
const USUAL_BYTES: usize = OVERHEAD_BYTES + 30;

impl Weighter<RepositoryName, Known> for Weight {
    fn weight(&self, name: &RepositoryName, _: &Known) -> u64 {
        (OVERHEAD_BYTES + name.as_str().len()) as u64
    }
}

impl KnownRepositories {
    /// Takes about so many bytes at most, and counts an answer for `patience`; `None` if that is too little to be of use.
    pub(crate) fn new(bytes: usize, patience: Duration) -> Option<Self> {
        Remembered::new(patience, cache(bytes, USUAL_BYTES, Weight)?).map(Self)
    }

    /// Whether it has a manifest, if that is known.
    pub(crate) fn has_manifests(&self, name: &RepositoryName, now: SystemTime) -> Option<bool> {
        self.0.get(now, |known| known.get(name)?.has_manifests.as_ref())
    }

    /// Whether it is known that no other lies below it.
    pub(crate) fn is_leaf(&self, name: &RepositoryName, now: SystemTime) -> bool {
        self.0.get(now, |known| known.get(name)?.is_leaf.as_ref()).is_some()
    }

    /// To be called before the storage is asked for what is to be [learnt](Self::learn).
    pub(crate) fn look(&self, now: SystemTime) -> Look {
        self.0.look(now)
    }

    /// Keeps what a look found out, unless this process changed a repository meanwhile.
    pub(crate) fn learn(&self, name: &RepositoryName, fact: Fact, look: Look) {
        self.0.learn(look, |repositories, seen| {
            let mut known = repositories.get(name).copied().unwrap_or_default();
            match fact {
                Fact::Manifests(answer) => known.has_manifests = Some((answer, seen)),
                Fact::Leaf => known.is_leaf = Some(((), seen)),
            }
            repositories.insert(name.clone(), known);
        });
    }

    /// To be called after a manifest of the repository came or went.
    pub(crate) fn changed(&self, name: &RepositoryName) {
        self.0.change(|known| {
            known.remove(name);
            // Those that it lies below are no leaves.
            let parents = name.as_str().match_indices('/').map(|(end, _)| &name.as_str()[..end]);
            for parent in parents.filter_map(|parent| parent.parse::<RepositoryName>().ok()) {
                known.remove(&parent);
            }
        });
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
        assert!(known.0.inspect(Cache::weight) <= 64 * 1024);
        assert!(KnownRepositories::new(0, Duration::from_secs(2)).is_none());
        assert!(KnownRepositories::new(64 * 1024, Duration::ZERO).is_none());
    }
}
