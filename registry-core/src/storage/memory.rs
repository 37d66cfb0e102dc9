//! A storage in memory.

mod pieces;
mod staged;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::FutureExt as _;

use super::{
    Capabilities, Deletion, Entry, EntryKind, Error, Key, Listing, Metadata, Object, Precondition, PreparedDelete,
    Presigned, Scan, StageMode, Staged, Storage, WriteOptions,
};
use crate::{Clock, SystemClock};
use pieces::Pieces;
use staged::StagedMemory;

/// A storage in memory: for tests, simulation and short-lived embedding.
///
/// It holds every byte that was ever written and not deleted, without a bound, and all of it is gone when the last
/// handle is dropped. Published and staged bytes share the same memory, large ones that of the buffers in which they came.
///
/// ```
/// use registry_core::storage::{Memory, Storage, WriteOptions};
///
/// # futures::executor::block_on(async {
/// let storage = Memory::new();
/// let key = "greetings/first".parse()?;
/// storage.write(&key, "hello".into(), WriteOptions::default()).await?;
/// assert_eq!(storage.read(&key, 1024).await?, Some("hello".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Memory {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    scans: bool,
    is_far: bool,
}

impl Memory {
    /// A storage with nothing in it, which dates objects by the clock of the machine.
    #[must_use]
    pub fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }

    /// A storage with nothing in it, which dates objects by `clock`.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        Self { state: Arc::default(), clock, scans: false, is_far: false }
    }

    /// The same one as an object store that lists all that lies below a prefix, in order.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn scanning(mut self) -> Self {
        self.scans = true;
        self
    }

    /// The same one as an object store behind a network, where deletes may come late, but not later than they are ready for.
    #[cfg(any(test, feature = "test-util"))]
    #[must_use]
    pub fn far(mut self) -> Self {
        self.is_far = true;
        self
    }

    fn object(&self, key: &Key) -> Option<Stored> {
        lock(&self.state).objects.get(&Place::of(key)).cloned()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the delete came too late")]
struct TooLate;

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = lock(&self.state);
        write!(f, "Memory({} objects, {} staged)", state.objects.len(), state.staged.len())
    }
}

#[async_trait]
impl Storage for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            presign: false,
            shared: false,
            exclusive_staging: true,
            stable_readers: true,
            prompt_deletes: !self.is_far,
            durable_reads: false,
            scans: self.scans,
            expiring_deletes: self.is_far,
        }
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        Ok(self.object(key).map(|object| object.metadata()))
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.stat(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.object(key) {
            Some(object) if object.metadata().size > limit_bytes => {
                Err(Error::TooLarge { key: key.clone(), limit_bytes })
            }
            object => Ok(object.map(|object| object.content.whole())),
        }
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        Ok(self.object(key).map(|object| Object::from_pieces(object.content.as_slice(), Some(object.modified))))
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        let object = Stored { content: Pieces::new(vec![content]), modified: self.clock.now() };
        let mut state = lock(&self.state);
        if options.precondition == Precondition::Absent && state.objects.contains_key(&Place::of(key)) {
            return Err(Error::Exists { key: key.clone() });
        }
        state.objects.insert(Place::of(key), object);
        Ok(())
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        if !self.is_far {
            return Ok(None);
        }
        let (state, clock, key) = (Arc::clone(&self.state), Arc::clone(&self.clock), key.clone());
        let ends = clock.now() + validity;
        let delete = async move {
            if clock.now() > ends {
                return Err(Error::Failed { key, source: TooLate.into() });
            }
            lock(&state).objects.remove(&Place::of(&key));
            Ok(Deletion::Acked)
        };
        Ok(Some(delete.boxed()))
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        lock(&self.state).objects.remove(&Place::of(key));
        Ok(Deletion::Acked)
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        let mut state = lock(&self.state);
        remove_below(&mut state.objects, prefix);
        remove_below(&mut state.staged, prefix);
        Ok(Deletion::Acked)
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        let modified = self.clock.now();
        let mut state = lock(&self.state);
        let Some(Stored { content, .. }) = state.objects.get(&Place::of(from)).cloned() else { return Ok(None) };
        if let Some(kept) = state.objects.get(&Place::of(to)) {
            return Ok(Some(kept.metadata()));
        }
        let copied = Stored { content, modified };
        let metadata = copied.metadata();
        state.objects.insert(Place::of(to), copied);
        Ok(Some(metadata))
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        let state = lock(&self.state);
        // No name has a control character, so what follows one decides nothing.
        let after = after.and_then(|after| after.split(|letter| letter < ' ').next()).map(str::to_owned);
        let mut names = Names { objects: &state.objects, below: Place::below(prefix), after };
        let entries = names.by_ref().take(limit).collect();
        Ok(Listing { entries, more: names.next().is_some() })
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        if !self.scans {
            return Err(Error::Unsupported { capability: "list all that lies below a prefix in order" });
        }
        let directory = format!("{prefix}/");
        let keys: Vec<String> = lock(&self.state).objects.keys().map(|place| place.0.replace(SEPARATOR, "/")).collect();
        let below = keys.iter().filter_map(|key| key.strip_prefix(&directory));
        let mut paths: Vec<String> = below.filter(|path| *path > after).map(str::to_owned).collect();
        paths.sort_unstable();
        let more = paths.len() > limit;
        paths.truncate(limit);
        Ok(Scan { paths, more })
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        let mut state = lock(&self.state);
        state.writers += 1;
        let writer = state.writers;
        let upload = match state.staged.get_mut(&Place::of(key)) {
            Some(upload) => upload,
            None if mode == StageMode::Resume => return Ok(None),
            None => state.staged.entry(Place::of(key)).or_default(),
        };
        if upload.writer.is_some() {
            return Err(Error::Busy { key: key.clone() });
        }
        upload.writer = Some(writer);
        let (state, clock, size) = (Arc::clone(&self.state), Arc::clone(&self.clock), upload.size);
        Ok(Some(Box::new(StagedMemory { state, clock, key: key.clone(), writer, size })))
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        Ok(lock(&self.state).staged.get(&Place::of(key)).map(|upload| upload.size))
    }

    async fn create_directory(&self, _: &Key) -> Result<(), Error> {
        Ok(())
    }

    async fn remove_directory(&self, _: &Key) -> Result<bool, Error> {
        Ok(true)
    }

    async fn presign(&self, _: &Key, _: Presigned, _: Duration) -> Result<Option<String>, Error> {
        Ok(None)
    }
}

#[derive(Default)]
struct State {
    objects: BTreeMap<Place, Stored>,
    staged: BTreeMap<Place, Upload>,
    /// How many writers of staged bytes there have been; each is known by its number.
    writers: u64,
}

/// Nothing panics while it holds the lock, so the state behind a poisoned one is whole.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Clone)]
struct Stored {
    content: Pieces,
    modified: SystemTime,
}

impl Stored {
    fn metadata(&self) -> Metadata {
        Metadata { size: self.content.size(), modified: Some(self.modified) }
    }
}

#[derive(Default)]
struct Upload {
    chunks: Vec<Bytes>,
    size: u64,
    /// Who holds it.
    writer: Option<u64>,
}

/// A key whose order is that of its segments: `/` is turned into a byte that no segment has and that sorts before
/// all of them, so `a/x` comes before `a-b`, as a listing wants it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place(String);

const SEPARATOR: char = '\0';
/// Sorts behind the name before it and all that lies below, and before every longer name.
const BEHIND: char = '\x01';

impl Place {
    fn of(key: &Key) -> Self {
        Self(key.as_str().replace('/', "\0"))
    }

    fn below(prefix: &Key) -> String {
        let mut place = Self::of(prefix).0;
        place.push(SEPARATOR);
        place
    }
}

/// Removes all below a prefix, and looks at nothing else.
fn remove_below<V>(places: &mut BTreeMap<Place, V>, prefix: &Key) {
    let end = Place(format!("{}{BEHIND}", Place::of(prefix).0));
    let below: Vec<Place> = places.range(Place(Place::below(prefix))..end).map(|(place, _)| place.clone()).collect();
    for place in below {
        places.remove(&place);
    }
}

/// The names directly below a prefix, in order; it jumps from name to name and never walks what lies below them.
struct Names<'a> {
    objects: &'a BTreeMap<Place, Stored>,
    below: String,
    after: Option<String>,
}

impl Names<'_> {
    /// The next name, and whether what was found lies below it.
    fn seek(&self, from: String) -> Option<(String, bool)> {
        let (place, _) = self.objects.range((Bound::Included(Place(from)), Bound::Unbounded)).next()?;
        let rest = place.0.strip_prefix(&self.below)?;
        let (name, deeper) = rest.split_once(SEPARATOR).map_or((rest, false), |(name, _)| (name, true));
        Some((name.to_owned(), deeper))
    }
}

impl Iterator for Names<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        let from = match &self.after {
            None => self.below.clone(),
            Some(after) => format!("{}{after}{BEHIND}", self.below),
        };
        let (name, mut deeper) = self.seek(from)?;
        if !deeper {
            let inside = format!("{}{name}{SEPARATOR}", self.below);
            deeper = self.seek(inside).is_some_and(|(next, _)| next == name);
        }
        self.after = Some(name.clone());
        Some(Entry { name, kind: if deeper { EntryKind::Prefix } else { EntryKind::Object } })
    }
}

#[cfg(test)]
mod tests {
    use futures::stream::StreamExt as _;

    use super::*;
    use crate::storage::contract;

    #[derive(Debug)]
    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_hours(12)
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn keeps_the_contract() {
        contract::run_all(Arc::new(Memory::new())).await;
        contract::run_all(Arc::new(Memory::new().scanning())).await;
    }

    #[tokio::test]
    async fn dates_by_its_clock() {
        let memory = Memory::with_clock(Arc::new(Noon));
        let (written, published) = ("written".parse().unwrap(), "published".parse().unwrap());
        memory.write(&written, "x".into(), WriteOptions::default()).await.unwrap();
        let mut staged = memory.stage(&"up".parse().unwrap(), StageMode::Create).await.unwrap().unwrap();
        staged.publish(&published).await.unwrap();
        for key in [written, published] {
            assert_eq!(memory.stat(&key).await.unwrap().unwrap().modified, Some(Noon.now()));
        }
    }

    #[tokio::test]
    async fn published_and_staged_bytes_share_their_memory() {
        let memory = Memory::new();
        let key: Key = "blob".parse().unwrap();
        let mut staged = memory.stage(&"up".parse().unwrap(), StageMode::Create).await.unwrap().unwrap();
        staged.append(vec!["one".into(), "two".into()]).await.unwrap();
        staged.publish(&key).await.unwrap();
        let published = memory.read(&key, 6).await.unwrap().unwrap();
        let back = staged.read(0).await.unwrap().next().await.unwrap().unwrap();
        assert_eq!((&published[..], published.as_ptr()), (&b"onetwo"[..], back.as_ptr()));
    }

    #[tokio::test]
    async fn a_discarded_writer_does_not_let_go_of_the_next_one() {
        let memory = Memory::new();
        let key = "up".parse().unwrap();
        let first = memory.stage(&key, StageMode::Create).await.unwrap().unwrap();
        first.discard().await.unwrap();
        let _second = memory.stage(&key, StageMode::Create).await.unwrap().unwrap();
        assert!(matches!(memory.stage(&key, StageMode::Resume).await, Err(Error::Busy { .. })));
    }

    #[tokio::test]
    async fn a_writer_whose_bytes_were_deleted_fails_and_spares_the_next() {
        let memory = Memory::new();
        let key = "ups/1/data".parse().unwrap();
        let mut old = memory.stage(&key, StageMode::Create).await.unwrap().unwrap();
        memory.delete_all(&"ups/1".parse().unwrap()).await.unwrap();
        let next = memory.stage(&key, StageMode::Create).await.unwrap().unwrap();
        assert!(matches!(old.append(vec!["x".into()]).await, Err(Error::Failed { .. })));
        drop(old);
        assert!(matches!(memory.stage(&key, StageMode::Resume).await, Err(Error::Busy { .. })));
        assert_eq!(next.size(), 0);
    }

    #[tokio::test]
    async fn an_after_that_is_no_name_is_only_a_place_in_the_order() {
        let memory = Memory::new();
        for key in ["p/a/x", "p/b"] {
            memory.write(&key.parse().unwrap(), Bytes::new(), WriteOptions::default()).await.unwrap();
        }
        let prefix = "p".parse().unwrap();
        let list = |after| memory.list(&prefix, Some(after), 9);
        assert_eq!(list("a/x").await.unwrap().entries.len(), 1);
        assert_eq!(list("a\0b").await.unwrap().entries.len(), 1);
        assert_eq!(list("").await.unwrap().entries.len(), 2);
    }
}
