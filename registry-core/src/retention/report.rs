//! What became of tags.

use std::time::Duration;

use serde::Serialize;

use crate::{Digest, RepositoryName, Tag};

/// What rules of retention did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RetentionReport {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How long it took, in seconds.
    #[serde(serialize_with = "crate::gc::as_seconds")]
    pub took: Duration,
    /// How many repositories with tags there are rules about.
    pub repositories: u64,
    /// How many tags they have.
    pub tags: u64,
    /// How many tags went, or would go.
    pub expired: u64,
    /// How many no rule keeps, and stay because they are protected.
    pub protected: u64,
    /// How many were pushed again or deleted just when they were to go, and were left alone.
    pub moved: u64,
    /// Whether rules ask when something was pulled, and that was not noted all the time: then they keep everything.
    pub pulls_unknown: bool,
}

impl RetentionReport {
    pub(super) fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            took: Duration::ZERO,
            repositories: 0,
            tags: 0,
            expired: 0,
            protected: 0,
            moved: 0,
            pulls_unknown: false,
        }
    }
}

/// A tag that no rule keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ExpiredTag {
    /// Where.
    pub repository: RepositoryName,
    /// Which.
    pub tag: Tag,
    /// What it pointed to: as long as that is there, it can be tagged again.
    pub digest: Digest,
}

/// Is told which tags go while rules are at work.
pub trait RetentionObserver: std::fmt::Debug + Send + Sync + 'static {
    /// A tag went, or would go.
    fn expired(&self, tag: &ExpiredTag);
}
