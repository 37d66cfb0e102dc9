//! Answers from what the kernel has in memory, on the thread that asks.
//!
//! To ask another thread costs many times what such an answer does. The kernel is asked never to wait for the disk; where it
//! would have to, or cannot be asked so, there is no answer here (`None`), and the ordinary way gives one.

use bytes::Bytes;
use registry_core::storage::{Error, Key, Listing, Metadata};

use super::read::{describe, present};
use super::sys::{self, Target};
use super::volume::Volume;

/// More than this is not copied on the thread that asks.
const MOST_BYTES: u64 = 64 * 1024;

type Answer<T> = Option<Result<T, Error>>;

impl Volume {
    /// As [`stat`](Self::stat).
    pub(super) fn stat_cached(&self, key: &Key) -> Answer<Option<Metadata>> {
        let path = self.absolute(key.as_str());
        let Some(file) = present(self.sys.open_cached(&path, Target::Name)).ok()? else { return Some(Ok(None)) };
        let found = file.metadata().ok()?;
        Some(Ok(found.is_file().then(|| describe(&found))))
    }

    /// As [`confirm`](Self::confirm), where nothing has to be synced for it.
    pub(super) fn confirm_cached(&self, key: &Key) -> Answer<Option<Metadata>> {
        let found = self.stat_cached(key)?;
        let is_absent = matches!(found, Ok(None));
        let is_settled = is_absent || !self.syncs() || self.unsynced.along(key.as_str()).ok()?.is_empty();
        is_settled.then_some(found)
    }

    /// As [`read`](Self::read).
    pub(super) fn read_cached(&self, key: &Key, limit_bytes: u64) -> Answer<Option<Bytes>> {
        let path = self.absolute(key.as_str());
        let Some(file) = present(self.sys.open_cached(&path, Target::Content)).ok()? else { return Some(Ok(None)) };
        let found = file.metadata().ok()?;
        if !found.is_file() {
            return Some(Ok(None));
        }
        if found.len() > limit_bytes {
            return Some(Err(Error::TooLarge { key: key.clone(), limit_bytes }));
        }
        if found.len() > MOST_BYTES {
            return None;
        }
        // With one more byte than there should be it shows whether it still is all of it.
        let size = usize::try_from(found.len()).ok()?;
        let mut content = vec![0; size + 1];
        let read = sys::read_cached(&file, &mut content).ok()?;
        content.truncate(size);
        (read == size).then(|| Ok(Some(content.into())))
    }

    /// As [`list`](Self::list), of a directory that is not there.
    pub(super) fn list_cached(&self, prefix: &Key) -> Answer<Listing> {
        let path = self.absolute(prefix.as_str());
        let found = present(self.sys.open_cached(&path, Target::Name)).ok()?;
        found.is_none().then(|| Ok(Listing::default()))
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use registry_core::storage::{Storage as _, WriteOptions};

    use super::super::Filesystem;
    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    /// Somewhere with a kernel that can be asked not to wait.
    fn storage() -> (tempfile::TempDir, Filesystem) {
        let directory = tempfile::tempdir().unwrap();
        let storage = Filesystem::builder(directory.path()).open().unwrap();
        (directory, storage)
    }

    #[tokio::test]
    async fn what_was_just_looked_at_is_answered_at_once() {
        let (_directory, storage) = storage();
        storage.write(&key("a/b"), "content".into(), WriteOptions::default()).await.unwrap();
        assert_eq!(storage.read(&key("a/b"), 100).await.unwrap().as_deref(), Some(&b"content"[..]));
        assert_eq!(storage.stat(&key("a/none")).await.unwrap(), None);

        let volume = storage.volume();
        assert_eq!(volume.read_cached(&key("a/b"), 100).unwrap().unwrap().as_deref(), Some(&b"content"[..]));
        assert!(matches!(volume.read_cached(&key("a/b"), 6), Some(Err(Error::TooLarge { limit_bytes: 6, .. }))));
        let found = volume.stat_cached(&key("a/b")).unwrap().unwrap();
        assert_eq!(found, volume.stat(&key("a/b")).unwrap());
        assert_eq!(found.map(|found| found.size), Some(7));
        assert_eq!(volume.confirm_cached(&key("a/b")).unwrap().unwrap(), found);
        for absent in ["a/none", "a"] {
            assert!(matches!(volume.read_cached(&key(absent), 100), Some(Ok(None))), "{absent}");
            assert!(matches!(volume.stat_cached(&key(absent)), Some(Ok(None))), "{absent}");
            assert!(matches!(volume.confirm_cached(&key(absent)), Some(Ok(None))), "{absent}");
        }
        assert_eq!(volume.list_cached(&key("a/none")).unwrap().unwrap(), Listing::default());
        assert!(volume.list_cached(&key("a")).is_none(), "what is there is listed the ordinary way");
    }

    #[tokio::test]
    async fn what_is_large_or_has_to_be_synced_is_left_to_others() {
        let (_directory, storage) = storage();
        let large = vec![0; usize::try_from(MOST_BYTES).unwrap() + 1];
        storage.write(&key("large"), large.into(), WriteOptions::default()).await.unwrap();
        let volume = storage.volume();
        assert!(volume.read(&key("large"), u64::MAX).unwrap().is_some());
        assert!(volume.read_cached(&key("large"), u64::MAX).is_none());
        assert!(volume.confirm_cached(&key("large")).is_some());
        drop(volume.unsynced.begin(""));
        assert!(volume.confirm_cached(&key("large")).is_none());
    }
}
