//! What a transfer tells of itself.

use std::fmt;

use serde::Serialize;

use crate::{Digest, RepositoryName, Tag};

/// What became of a transfer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TransferReport {
    /// Repositories that were gone through.
    pub repositories: u64,
    /// Contents whose bytes were copied.
    pub copied: u64,
    /// Their bytes.
    pub copied_bytes: u64,
    /// Links to blobs and manifests that were made.
    pub links: u64,
    /// Links that were there already, with what they point to.
    pub known_links: u64,
    /// Tags that were set or moved.
    pub tags: u64,
    /// Tags that were right already.
    pub known_tags: u64,
    /// What was left out, the first thousand.
    pub left: Vec<Left>,
    /// How much was left out.
    pub left_total: u64,
}

/// How much of what was left out is named.
const NAMED: usize = 1_000;

impl TransferReport {
    pub(super) fn leave(&mut self, left: Left) {
        self.left_total += 1;
        if self.left.len() < NAMED {
            self.left.push(left);
        }
    }
}

/// Something that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Left {
    /// Of which repository.
    pub repository: RepositoryName,
    /// What.
    pub what: LeftOut,
    /// Why.
    pub reason: Reason,
}

/// What can be left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum LeftOut {
    /// A blob.
    Blob(Digest),
    /// A manifest.
    Manifest(Digest),
    /// A tag.
    Tag(Tag),
}

/// Why it was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub enum Reason {
    /// Its bytes are not there: it was deleted meanwhile, or was never whole.
    Absent,
    /// Its bytes are not what its digest says.
    Corrupt,
    /// Its manifest was left out.
    NoManifest,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { repository, what, reason } = self;
        match what {
            LeftOut::Blob(digest) => write!(f, "blob {digest} of {repository}: "),
            LeftOut::Manifest(digest) => write!(f, "manifest {digest} of {repository}: "),
            LeftOut::Tag(tag) => write!(f, "tag {repository}:{tag}: "),
        }?;
        f.write_str(match reason {
            Reason::Absent => "its bytes are not there",
            Reason::Corrupt => "its bytes are not what its digest says",
            Reason::NoManifest => "its manifest was left out",
        })
    }
}
