//! A storage of which nothing changes: what is done to it is only imagined.
//!
//! Some things come out only after several runs, because each takes away what the one before it made superfluous. So
//! what comes of them in the end is found out by doing them, over this.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::Clock;
use registry_core::storage::{
    Capabilities, Deletion, Entry, EntryKind, Error, Key, Listing, Memory, Metadata, Object, Precondition, Presigned,
    StageMode, Staged, Storage, WriteOptions,
};

/// A storage of which nothing changes. It is for one collector at a time, and takes no staged bytes. What changes in it is
/// kept in memory.
#[derive(Debug)]
pub struct Rehearsal {
    real: Arc<dyn Storage>,
    /// What was written, and an empty object for each copy, so that it is listed.
    imagined: Memory,
    changes: Mutex<Changes>,
}

#[derive(Debug, Default)]
struct Changes {
    places: HashMap<Key, Place>,
    /// The prefixes below which something was deleted.
    thinned: HashSet<Key>,
}

#[derive(Debug, Clone)]
enum Place {
    Deleted,
    Written,
    /// A copy of something real.
    Copied(Key, Metadata),
}

/// How many entries are looked at together.
const PAGE: usize = 1_000;

impl Rehearsal {
    /// Over what stays as it is. `clock` dates what is only imagined.
    #[must_use]
    pub fn over(real: Arc<dyn Storage>, clock: Arc<dyn Clock>) -> Self {
        Self { real, imagined: Memory::with_clock(clock), changes: Mutex::default() }
    }

    /// Nothing panics while it holds the lock, so what is behind a poisoned one is whole.
    fn changes(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, key: &Key) -> Option<Place> {
        self.changes().places.get(key).cloned()
    }

    fn forget(&self, key: &Key) {
        let mut changes = self.changes();
        changes.places.insert(key.clone(), Place::Deleted);
        let mut parent = key.parent();
        while let Some(prefix) = parent.filter(|prefix| changes.thinned.insert(prefix.clone())) {
            parent = prefix.parent();
        }
    }

    /// Whether an entry of a real listing is still there.
    async fn is_there(&self, key: &Key, kind: EntryKind) -> Result<bool, Error> {
        let (is_deleted, is_thinned) = {
            let changes = self.changes();
            (matches!(changes.places.get(key), Some(Place::Deleted)), changes.thinned.contains(key))
        };
        match kind {
            EntryKind::Object => Ok(!is_deleted),
            EntryKind::Prefix if is_deleted || is_thinned => Ok(!self.list(key, None, 1).await?.entries.is_empty()),
            EntryKind::Prefix => Ok(true),
        }
    }

    /// What is left of a real listing, up to the last name that it looked at; `None` if it looked at all.
    async fn list_real(
        &self,
        prefix: &Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<String>), Error> {
        let mut found = Vec::new();
        let mut last = after.map(str::to_owned);
        loop {
            let page = self.real.list(prefix, last.as_deref(), limit.clamp(PAGE, 100 * PAGE)).await?;
            last = page.entries.last().map(|entry| entry.name.clone()).or(last);
            for entry in page.entries {
                // Names that are no part of a key are for the collector to see.
                let is_there = match prefix.child(&entry.name) {
                    Ok(key) => self.is_there(&key, entry.kind).await?,
                    Err(_) => true,
                };
                if is_there {
                    found.push(entry);
                }
            }
            if !page.more {
                return Ok((found, None));
            }
            if found.len() >= limit {
                return Ok((found, last));
            }
        }
    }
}

#[async_trait]
impl Storage for Rehearsal {
    fn capabilities(&self) -> Capabilities {
        self.real.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        match self.place(key) {
            None => self.real.stat(key).await,
            Some(Place::Deleted) => Ok(None),
            Some(Place::Written) => self.imagined.stat(key).await,
            Some(Place::Copied(_, metadata)) => Ok(Some(metadata)),
        }
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.stat(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.place(key) {
            None => self.real.read(key, limit_bytes).await,
            Some(Place::Deleted) => Ok(None),
            Some(Place::Written) => self.imagined.read(key, limit_bytes).await,
            Some(Place::Copied(from, _)) => self.real.read(&from, limit_bytes).await,
        }
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        match self.place(key) {
            None => self.real.open(key).await,
            Some(Place::Deleted) => Ok(None),
            Some(Place::Written) => self.imagined.open(key).await,
            Some(Place::Copied(from, _)) => self.real.open(&from).await,
        }
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        if options.precondition == Precondition::Absent && self.stat(key).await?.is_some() {
            return Err(Error::Exists { key: key.clone() });
        }
        self.imagined.write(key, content, WriteOptions::default()).await?;
        self.changes().places.insert(key.clone(), Place::Written);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.imagined.delete(key).await?;
        self.forget(key);
        Ok(Deletion::Acked)
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        let mut prefixes = vec![prefix.clone()];
        while let Some(prefix) = prefixes.pop() {
            for entry in self.list(&prefix, None, usize::MAX).await?.entries {
                let Ok(key) = prefix.child(&entry.name) else { continue };
                match entry.kind {
                    EntryKind::Object => drop(self.delete(&key).await?),
                    EntryKind::Prefix => prefixes.push(key),
                }
            }
            self.forget(&prefix);
        }
        Ok(Deletion::Acked)
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        let Some(metadata) = self.stat(from).await? else { return Ok(None) };
        if let Some(kept) = self.stat(to).await? {
            return Ok(Some(kept));
        }
        let copy = match self.place(from) {
            Some(Place::Copied(real, metadata)) => Place::Copied(real, metadata),
            Some(Place::Written) => Place::Written,
            Some(Place::Deleted) | None => Place::Copied(from.clone(), metadata),
        };
        let content = match copy {
            Place::Written => self.imagined.read(from, u64::MAX).await?.unwrap_or_default(),
            _ => Bytes::new(),
        };
        self.imagined.write(to, content, WriteOptions::default()).await?;
        self.changes().places.insert(to.clone(), copy);
        Ok(Some(metadata))
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        let (mut entries, reached) = self.list_real(prefix, after, limit).await?;
        let imagined = self.imagined.list(prefix, after, limit.saturating_add(1)).await?;
        let is_listed = |entry: &Entry| reached.as_ref().is_none_or(|reached| entry.name <= *reached);
        entries.extend(imagined.entries.into_iter().filter(is_listed));
        // A name that is both shows as a prefix.
        entries.sort_by(|one, other| (&one.name, other.kind).cmp(&(&other.name, one.kind)));
        entries.dedup_by(|later, kept| later.name == kept.name);
        let more = reached.is_some() || entries.len() > limit || imagined.more;
        entries.truncate(limit);
        Ok(Listing { entries, more })
    }

    async fn stage(&self, _: &Key, _: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        Err(Error::Unsupported { capability: "stage what is only imagined" })
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.real.staged_size(key).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.changes().places.remove(prefix);
        Ok(())
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        let is_empty = self.list(prefix, None, 1).await?.entries.is_empty();
        if is_empty {
            self.forget(prefix);
        }
        Ok(is_empty)
    }

    async fn presign(&self, _: &Key, _: Presigned, _: Duration) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use registry_core::SystemClock;

    use super::*;

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    async fn names(storage: &dyn Storage, prefix: &str) -> Vec<String> {
        let listing = storage.list(&key(prefix), None, 100).await.unwrap();
        listing.entries.into_iter().map(|entry| entry.name).collect()
    }

    #[tokio::test]
    async fn what_is_done_shows_here_and_nowhere_else() {
        let real = Arc::new(Memory::new());
        let options = WriteOptions::default();
        for name in ["a/b/one", "a/b/two", "a/c/one"] {
            real.write(&key(name), name.to_owned().into(), options).await.unwrap();
        }
        let rehearsal = Rehearsal::over(real.clone(), Arc::new(SystemClock));
        rehearsal.copy(&key("a/b/one"), &key("x/copy")).await.unwrap().unwrap();
        rehearsal.delete(&key("a/b/one")).await.unwrap();
        rehearsal.copy(&key("x/copy"), &key("x/copy-of-copy")).await.unwrap().unwrap();
        rehearsal.delete(&key("a/c/one")).await.unwrap();
        rehearsal.write(&key("a/b/three"), "3".into(), options).await.unwrap();
        rehearsal.copy(&key("a/b/three"), &key("x/three")).await.unwrap().unwrap();

        assert_eq!(names(&rehearsal, "a").await, ["b"], "nothing is left in c");
        assert_eq!(names(&rehearsal, "a/b").await, ["three", "two"]);
        assert_eq!(names(&rehearsal, "x").await, ["copy", "copy-of-copy", "three"]);
        for (copy, content) in [("x/copy-of-copy", "a/b/one"), ("x/three", "3")] {
            assert_eq!(rehearsal.read(&key(copy), 100).await.unwrap().unwrap(), content);
            let size = rehearsal.stat(&key(copy)).await.unwrap().unwrap().size;
            assert_eq!(size, content.len() as u64);
        }
        assert!(rehearsal.read(&key("a/b/one"), 100).await.unwrap().is_none());
        assert!(rehearsal.copy(&key("a/b/one"), &key("y")).await.unwrap().is_none());
        assert!(!rehearsal.remove_directory(&key("a/b")).await.unwrap());
        assert!(rehearsal.remove_directory(&key("a/c")).await.unwrap());

        assert_eq!(names(&*real, "a").await, ["b", "c"]);
        assert_eq!(names(&*real, "a/b").await, ["one", "two"]);
        assert_eq!(names(&*real, "x").await, [""; 0]);
    }

    #[tokio::test]
    async fn pages_are_whole() {
        let real = Arc::new(Memory::new());
        let options = WriteOptions::default();
        for number in 0..3_000 {
            real.write(&key(&format!("a/{number:04}")), Bytes::new(), options).await.unwrap();
        }
        let rehearsal = Rehearsal::over(real, Arc::new(SystemClock));
        let mut expected = Vec::new();
        for number in 0..3_000 {
            match number % 3 {
                0 => drop(rehearsal.delete(&key(&format!("a/{number:04}"))).await.unwrap()),
                1 => expected.push(format!("{number:04}")),
                _ => {
                    rehearsal.write(&key(&format!("a/{number:04}x")), Bytes::new(), options).await.unwrap();
                    expected.extend([format!("{number:04}"), format!("{number:04}x")]);
                }
            }
        }
        for limit in [1, 7, 999, 1_000, 5_000] {
            let mut found: Vec<String> = Vec::new();
            loop {
                let after = found.last().cloned();
                let page = rehearsal.list(&key("a"), after.as_deref(), limit).await.unwrap();
                assert!(page.entries.len() <= limit);
                found.extend(page.entries.into_iter().map(|entry| entry.name));
                if !page.more {
                    break;
                }
            }
            assert!(found == expected, "{limit}");
        }
        rehearsal.delete_all(&key("a")).await.unwrap();
        assert_eq!(names(&rehearsal, "a").await, [""; 0]);
    }
}
