//! Blobs that a repository was seen to have a moment ago, so that a push need not ask for each of them twice.

use std::time::{Duration, SystemTime};

use quick_cache::sync::Cache;

use crate::{Digest, Registry, RepositoryName};

/// Blobs and when they were seen.
#[derive(Debug)]
pub(crate) struct RecentBlobs {
    patience: Duration,
    seen: Cache<(RepositoryName, Digest), (u64, SystemTime)>,
}

/// Some MiB.
const MOST_BLOBS: usize = 20_000;

impl RecentBlobs {
    /// Counts what was seen for `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, seen: Cache::new(MOST_BLOBS) }
    }

    /// The repository has a blob of this size, under its own digest.
    pub(crate) fn note(&self, name: &RepositoryName, digest: &Digest, size: u64, now: SystemTime) {
        self.seen.insert((name.clone(), *digest), (size, now));
    }

    /// The size of a blob that was seen a moment ago.
    pub(crate) fn size(&self, name: &RepositoryName, digest: &Digest, now: SystemTime) -> Option<u64> {
        let (size, seen) = self.seen.get(&(name.clone(), *digest))?;
        // A clock that was set back makes nothing young.
        now.duration_since(seen).is_ok_and(|age| age < self.patience).then_some(size)
    }

    /// The blob is not what was seen any more.
    pub(crate) fn forget(&self, name: &RepositoryName, digest: &Digest) {
        self.seen.remove(&(name.clone(), *digest));
    }
}

impl Registry {
    /// A repository has a blob of this size, under its own digest.
    pub(crate) fn saw_blob(&self, name: &RepositoryName, digest: &Digest, size: u64) {
        if let Some(recent) = self.recent_blobs() {
            recent.note(name, digest, size, self.clock().now());
        }
    }

    /// The size of a blob that the repository was seen to have a moment ago.
    pub(crate) fn recent_blob(&self, name: &RepositoryName, digest: &Digest) -> Option<u64> {
        self.recent_blobs()?.size(name, digest, self.clock().now())
    }

    /// A blob of the repository is taken away.
    pub(crate) fn forget_blob(&self, name: &RepositoryName, digest: &Digest) {
        if let Some(recent) = self.recent_blobs() {
            recent.forget(name, digest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    #[test]
    fn a_moment_is_over_soon() {
        let recent = RecentBlobs::new(Duration::from_mins(1));
        let (name, digest) = ("a/b".parse().unwrap(), Digest::of(Algorithm::Sha256, b""));
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        recent.note(&name, &digest, 7, at(100));
        assert_eq!(recent.size(&name, &digest, at(159)), Some(7));
        assert_eq!(recent.size(&name, &digest, at(160)), None);
        assert_eq!(recent.size(&name, &digest, at(99)), None);
        assert_eq!(recent.size(&"a/c".parse().unwrap(), &digest, at(100)), None);
        recent.forget(&name, &digest);
        assert_eq!(recent.size(&name, &digest, at(100)), None);
    }
}
