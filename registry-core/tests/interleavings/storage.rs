//! A storage in memory where every operation waits until the scheduler lets it go.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use registry_core::storage::{
    Capabilities, Deletion, Error, Key, Listing, Memory, Metadata, Object, OperationKind, PreparedDelete, Presigned,
    Scan, StageMode, Staged, Storage, WriteOptions,
};

use crate::mirror::Stored;
use crate::sabotage::{self, Sabotage};
use crate::world::{Grant, StorageClock, World};

/// A storage in memory where every operation waits until the scheduler lets it go, then takes effect at once.
#[derive(Debug, Clone)]
pub(crate) struct Scheduled {
    inner: Arc<Memory>,
    world: Arc<World>,
    sabotage: Option<Sabotage>,
    /// Whether a delete that was answered by "unknown" takes effect at once or never.
    prompt_deletes: bool,
}

impl Scheduled {
    pub(crate) fn new(world: &Arc<World>, sabotage: Option<Sabotage>, prompt_deletes: bool) -> Self {
        let inner = Arc::new(Memory::with_clock(Arc::new(StorageClock(Arc::clone(world)))));
        Self { inner, world: Arc::clone(world), sabotage, prompt_deletes }
    }

    /// Waits for the operation's turn, does it, and notes the answer.
    async fn around<T: Answer>(
        &self,
        kind: OperationKind,
        key: &Key,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.world.reach(kind, key).await;
        let answer = operation.await;
        self.answered(kind, key, &answer);
        answer
    }

    fn answered<T: Answer>(&self, kind: OperationKind, key: &Key, answer: &Result<T, Error>) {
        let task = self.world.state().current;
        self.world.note(|| format!("    {task}: {kind:?} {key}: {}", answer_text(answer)));
        self.world.answered(kind, key, fingerprint(answer));
    }

    /// Brings the mirror up to date about one key.
    async fn look(&self, key: &Key) {
        let there = self.inner.stat(key).await.ok().flatten();
        let content = self.inner.read(key, u64::MAX).await.ok().flatten();
        let stored = there
            .zip(content)
            .map(|(there, content)| Stored { content, modified: there.modified.unwrap_or(std::time::UNIX_EPOCH) });
        let mut state = self.world.state();
        state.dirty |= state.mirror.set(key.as_str(), stored);
    }

    /// Brings the mirror up to date about everything below a prefix that is gone.
    fn cleared(&self, prefix: &Key) {
        let mut state = self.world.state();
        for key in state.mirror.below(prefix.as_str()) {
            state.dirty |= state.mirror.set(&key, None);
        }
    }

    /// Puts back what lay there before.
    pub(crate) async fn restore(&self, key: &Key, content: Bytes, options: WriteOptions) {
        self.inner.write(key, content, options).await.unwrap();
        self.look(key).await;
    }

    /// A delete that was answered long ago takes effect.
    pub(crate) async fn delete_late(&self, key: &Key) {
        if self.inner.delete(key).await.is_ok() {
            self.look(key).await;
        }
    }

    /// Whether whoever asks now is told that this is done, and it is not.
    fn is_skipped(&self, kind: OperationKind, key: &Key) -> bool {
        let is_collector = self.world.state().collects();
        self.sabotage.is_some_and(|sabotage| sabotage.skips(is_collector, kind, key.as_str()))
    }

    /// What whoever asks now is told of the time of an object.
    fn dated(&self, key: &Key, found: Option<Metadata>) -> Option<Metadata> {
        let lies = self.sabotage == Some(Sabotage::NoQuarantine) && {
            let state = self.world.state();
            let record = state.mirror.objects().get(key.as_str());
            let is_record = key.as_str().contains("/_gc/runs/") && state.collects();
            is_record && record.is_some_and(|record| record.content.windows(8).any(|word| word == b"resolved"))
        };
        found.map(|found| if lies { sabotage::backdated(found) } else { found })
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for Scheduled {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.prompt_deletes = self.prompt_deletes;
        // As an object store is.
        capabilities.durable_reads = !self.prompt_deletes;
        capabilities
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        let stat = async { Ok(self.dated(key, self.inner.stat(key).await?)) };
        self.around(OperationKind::Stat, key, stat).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.around(OperationKind::Confirm, key, self.inner.confirm(key)).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.around(OperationKind::Read, key, self.inner.read(key, limit_bytes)).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        self.around(OperationKind::Open, key, self.inner.open(key)).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        if self.is_skipped(OperationKind::Write, key) {
            return Ok(());
        }
        let write = async {
            let answer = self.inner.write(key, content, options).await;
            self.look(key).await;
            answer
        };
        self.around(OperationKind::Write, key, write).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        let answer = match self.world.reach(OperationKind::Delete, key).await {
            Grant::Now => self.inner.delete(key).await,
            Grant::Late => {
                self.world.state().late.push(key.clone());
                let lies = self.sabotage == Some(Sabotage::LateIsDone);
                Ok(if lies { Deletion::Acked } else { Deletion::Unknown })
            }
        };
        self.look(key).await;
        self.answered(OperationKind::Delete, key, &answer);
        answer
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        let delete = async {
            let answer = self.inner.delete_all(prefix).await;
            self.cleared(prefix);
            answer
        };
        self.around(OperationKind::DeleteAll, prefix, delete).await
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        self.inner.prepare_delete(key, validity).await
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        let mut deletion = Deletion::Acked;
        for key in keys {
            if self.delete(key).await? == Deletion::Unknown {
                deletion = Deletion::Unknown;
            }
        }
        Ok(deletion)
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        if self.is_skipped(OperationKind::Copy, to) {
            return self.around(OperationKind::Copy, to, self.inner.stat(from)).await;
        }
        let copy = async {
            let answer = self.inner.copy(from, to).await;
            self.look(to).await;
            answer
        };
        self.around(OperationKind::Copy, to, copy).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        if self.is_skipped(OperationKind::List, prefix) {
            return Ok(Listing::default());
        }
        self.around(OperationKind::List, prefix, self.inner.list(prefix, after, limit)).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        self.inner.scan(prefix, after, limit).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        self.world.reach(OperationKind::Stage, key).await;
        let staged = self.inner.stage(key, mode).await;
        let size = staged.as_ref().map(|staged| staged.as_ref().map(|staged| staged.size()));
        let answer = size.map_err(|_| Error::Busy { key: key.clone() });
        self.answered(OperationKind::Stage, key, &answer);
        let outer = self.clone();
        Ok(staged?.map(|inner| {
            let staged: Box<dyn Staged> = Box::new(ScheduledStaged { inner, key: key.clone(), storage: outer });
            staged
        }))
    }

    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        self.inner.end_unfinished(below, before, dry_run).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.around(OperationKind::StagedSize, key, self.inner.staged_size(key)).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        // It does nothing here, so there is nothing to put in an order.
        self.inner.create_directory(prefix).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        // As above.
        self.inner.remove_directory(prefix).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        self.around(OperationKind::Presign, key, self.inner.presign(key, request, validity)).await
    }
}

#[derive(Debug)]
struct ScheduledStaged {
    inner: Box<dyn Staged>,
    key: Key,
    storage: Scheduled,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Staged for ScheduledStaged {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        self.storage.around(OperationKind::Append, &self.key, self.inner.append(batch)).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.storage.around(OperationKind::Sync, &self.key, self.inner.sync()).await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.storage.world.reach(OperationKind::ReadStaged, &self.key).await;
        self.inner.read(offset).await
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        let publish = async {
            let answer = self.inner.publish(key).await;
            self.storage.look(key).await;
            answer
        };
        self.storage.around(OperationKind::Publish, key, publish).await
    }

    fn objects(&self) -> Option<Vec<Key>> {
        self.inner.objects()
    }

    async fn discard(self: Box<Self>) -> Result<(), Error> {
        let Self { inner, key, storage } = *self;
        storage.around(OperationKind::Discard, &key, inner.discard()).await
    }
}

/// What an operation can answer, to be hashed and shown.
trait Answer {
    fn fingerprint(&self, hasher: &mut DefaultHasher);
    fn text(&self) -> String;
}

fn fingerprint<T: Answer>(answer: &Result<T, Error>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match answer {
        Ok(answer) => answer.fingerprint(&mut hasher),
        Err(error) => std::mem::discriminant(error).hash(&mut hasher),
    }
    hasher.finish()
}

fn answer_text<T: Answer>(answer: &Result<T, Error>) -> String {
    answer.as_ref().map_or_else(|error| format!("error: {error}"), Answer::text)
}

impl Answer for () {
    fn fingerprint(&self, _: &mut DefaultHasher) {}

    fn text(&self) -> String {
        "done".into()
    }
}

impl Answer for Deletion {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        (*self == Self::Acked).hash(hasher);
    }

    fn text(&self) -> String {
        format!("{self:?}")
    }
}

impl Answer for u64 {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.hash(hasher);
    }

    fn text(&self) -> String {
        format!("{self} bytes")
    }
}

impl Answer for Metadata {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        (self.size, self.modified).hash(hasher);
    }

    fn text(&self) -> String {
        "there".into()
    }
}

impl Answer for Bytes {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.hash(hasher);
    }

    fn text(&self) -> String {
        let short = self.len() < 100;
        if short { String::from_utf8_lossy(self).into_owned() } else { format!("{} bytes", self.len()) }
    }
}

impl Answer for String {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.hash(hasher);
    }

    fn text(&self) -> String {
        self.clone()
    }
}

impl Answer for Object {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.metadata().fingerprint(hasher);
    }

    fn text(&self) -> String {
        "open".into()
    }
}

impl Answer for Listing {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.more.hash(hasher);
        for entry in &self.entries {
            (&entry.name, entry.kind as u8).hash(hasher);
        }
    }

    fn text(&self) -> String {
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.name.as_str()).collect();
        format!("[{}]", names.join(" "))
    }
}

impl<T: Answer> Answer for Option<T> {
    fn fingerprint(&self, hasher: &mut DefaultHasher) {
        self.is_some().hash(hasher);
        if let Some(answer) = self {
            answer.fingerprint(hasher);
        }
    }

    fn text(&self) -> String {
        self.as_ref().map_or_else(|| "absent".into(), Answer::text)
    }
}
