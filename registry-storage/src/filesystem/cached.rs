//! Answers from what the kernel has in memory, on the thread that asks.
//!
//! To ask another thread costs many times what such an answer does. The kernel is asked never to wait for the disk; where it
//! would have to, or cannot be asked so, there is no answer here (`None`), and the ordinary way gives one.

use std::fs::File;

use bytes::Bytes;
use registry_core::storage::{Error, Key, Listing, Metadata};

use super::read::{describe, present};
use super::sys::{self, Target};
use super::volume::Volume;

/// More than this is not copied on the thread that asks.
const MOST_BYTES: u64 = 64 * 1024;

/// The kernel has a page in memory, or it has not: less than one is never read in part.
const PAGE_BYTES: u64 = 4096;

/// Nor are more names.
const MOST_ENTRIES: usize = 1_000;

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
        if limit_bytes < PAGE_BYTES {
            return read_page(&file, limit_bytes).map(|content| Ok(Some(content)));
        }
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

    /// As [`list`](Self::list), of a directory that is not there, or whose names are known.
    pub(super) fn list_cached(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Answer<Listing> {
        let path = self.absolute(prefix.as_str());
        let found = present(self.sys.open_cached(&path, Target::Name)).ok()?;
        let Some(directory) = found else { return Some(Ok(Listing::default())) };
        if limit > MOST_ENTRIES {
            return None;
        }
        let names = self.known_names.as_ref()?.get(prefix, &directory.metadata().ok()?)?;
        Some(Ok(names.page(after, limit)))
    }
}

/// All of a file that lies within its first page, without a look at what it is: `None` if it is larger than that, empty, or
/// no file.
fn read_page(file: &File, limit_bytes: u64) -> Option<Bytes> {
    // With one more byte than there may be it shows that this is all.
    let mut content = vec![0; usize::try_from(limit_bytes).ok()? + 1];
    let read = sys::read_cached(file, &mut content).ok()?;
    let is_whole = read > 0 && read < content.len();
    content.truncate(read);
    is_whole.then(|| content.into())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use registry_core::storage::{EntryKind, Storage as _, WriteOptions};

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
        assert_eq!(volume.read_cached(&key("a/b"), 7).unwrap().unwrap().as_deref(), Some(&b"content"[..]));
        assert_eq!(volume.read_cached(&key("a/b"), 5000).unwrap().unwrap().as_deref(), Some(&b"content"[..]));
        assert!(volume.read_cached(&key("a/b"), 6).is_none(), "the ordinary way tells that it is too large");
        assert!(matches!(volume.read(&key("a/b"), 6), Err(Error::TooLarge { limit_bytes: 6, .. })));
        let found = volume.stat_cached(&key("a/b")).unwrap().unwrap();
        assert_eq!(found, volume.stat(&key("a/b")).unwrap());
        assert_eq!(found.map(|found| found.size), Some(7));
        assert_eq!(volume.confirm_cached(&key("a/b")).unwrap().unwrap(), found);
        for absent in ["a/none", "a"] {
            assert!(matches!(volume.read_cached(&key(absent), 5000), Some(Ok(None))), "{absent}");
            assert_eq!(storage.read(&key(absent), 100).await.unwrap(), None, "{absent}");
            assert!(matches!(volume.stat_cached(&key(absent)), Some(Ok(None))), "{absent}");
            assert!(matches!(volume.confirm_cached(&key(absent)), Some(Ok(None))), "{absent}");
        }
        assert_eq!(volume.list_cached(&key("a/none"), None, 10).unwrap().unwrap(), Listing::default());
    }

    /// Lists until the names are known, and once more, which then is answered at once.
    fn list(storage: &Filesystem, prefix: &str) -> Vec<(String, EntryKind)> {
        let prefix = key(prefix);
        loop {
            let listed = storage.volume().list(&prefix, None, 100).unwrap();
            // Known are the names when the clock of the filesystem has gone on.
            if let Some(known) = storage.volume().list_cached(&prefix, None, 100) {
                assert_eq!(known.unwrap(), listed);
                return listed.entries.into_iter().map(|entry| (entry.name, entry.kind)).collect();
            }
            std::thread::yield_now();
        }
    }

    #[tokio::test]
    async fn names_are_known_until_anybody_changes_the_directory() {
        let (directory, storage) = storage();
        let root = directory.path();
        for object in ["d/b", "d/a", "e/z"] {
            storage.write(&key(object), "content".into(), WriteOptions::default()).await.unwrap();
        }
        let object = |name: &str| (name.to_owned(), EntryKind::Object);
        assert_eq!(list(&storage, "d"), [object("a"), object("b")]);

        storage.write(&key("d/c"), "content".into(), WriteOptions::default()).await.unwrap();
        assert!(storage.volume().list_cached(&key("d"), None, 100).is_none(), "changed by this storage");
        assert_eq!(list(&storage, "d"), [object("a"), object("b"), object("c")]);

        std::fs::remove_file(root.join("d/a")).unwrap();
        assert!(storage.volume().list_cached(&key("d"), None, 100).is_none(), "changed by somebody else");
        assert_eq!(list(&storage, "d"), [object("b"), object("c")]);

        std::fs::remove_file(root.join("d/b")).unwrap();
        std::fs::create_dir(root.join("d/b")).unwrap();
        assert_eq!(list(&storage, "d"), [("b".to_owned(), EntryKind::Prefix), object("c")]);

        std::fs::rename(root.join("d"), root.join("gone")).unwrap();
        assert_eq!(storage.list(&key("d"), None, 100).await.unwrap(), Listing::default());
        assert_eq!(list(&storage, "e"), [object("z")]);
        std::fs::rename(root.join("e"), root.join("d")).unwrap();
        assert_eq!(storage.list(&key("d"), None, 100).await.unwrap().entries.len(), 1);
        assert_eq!(list(&storage, "d"), [object("z")], "another directory with this name");
    }

    #[tokio::test]
    async fn what_links_lead_to_is_looked_at_each_time() {
        let (directory, storage) = storage();
        std::fs::create_dir_all(directory.path().join("d/a")).unwrap();
        assert_eq!(list(&storage, "d"), [("a".to_owned(), EntryKind::Prefix)]);
        for target in ["nowhere", "a"] {
            let link = directory.path().join("d/link");
            std::os::unix::fs::symlink(target, &link).unwrap();
            let found = std::fs::metadata(directory.path().join("d")).unwrap();
            let known = storage.volume().known_names.as_ref().unwrap();
            while known.gather(&found).is_none() {
                std::thread::yield_now();
            }
            let expected = if target == "a" { 2 } else { 1 };
            assert_eq!(storage.volume().list(&key("d"), None, 100).unwrap().entries.len(), expected, "{target}");
            assert!(storage.volume().list_cached(&key("d"), None, 100).is_none(), "{target}");
            std::fs::remove_file(&link).unwrap();
        }
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
