//! Uploads of which this process wrote the last note, so that it need not note each step of theirs where others read it.

use quick_cache::sync::Cache;

use crate::upload_state::Mark;
use crate::{Hasher, UploadId};

/// Where uploads stand that nobody else has gone on with.
#[derive(Debug)]
pub(crate) struct KnownUploads(Cache<UploadId, Followed>);

/// Where an upload stands.
#[derive(Debug, Clone)]
pub(crate) struct Followed {
    /// The mark of the last note. As long as it stands there, nobody else went on.
    pub(crate) mark: Mark,
    /// How many bytes that note tells of.
    pub(crate) noted: u64,
    /// How many there are by now.
    pub(crate) size: u64,
    /// The hash of these.
    pub(crate) hasher: Hasher,
}

/// Half a KiB each.
const MOST_UPLOADS: usize = 10_000;

impl Default for KnownUploads {
    fn default() -> Self {
        Self(Cache::new(MOST_UPLOADS))
    }
}

impl KnownUploads {
    /// Where it stands, which is the caller's to change now.
    pub(crate) fn take(&self, id: &UploadId) -> Option<Followed> {
        self.0.remove(id).map(|(_, followed)| followed)
    }

    pub(crate) fn put(&self, id: &UploadId, followed: Followed) {
        self.0.insert(*id, followed);
    }
}
