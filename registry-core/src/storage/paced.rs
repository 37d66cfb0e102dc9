//! A storage that is asked no faster than somebody allows.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;

use super::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, PreparedDelete, Presigned, Scan, StageMode, Staged,
    Storage, WriteOptions,
};

/// Decides when the next operation may begin.
#[async_trait]
pub trait Pace: fmt::Debug + Send + Sync + 'static {
    /// Returns when the next operation may begin.
    async fn turn(&self);
}

/// Wraps any storage, and begins each operation when it is its turn: for work that must not get in the way of other
/// work. What is done with staged bytes and open objects is not slowed down.
pub struct Paced {
    inner: Arc<dyn Storage>,
    pace: Arc<dyn Pace>,
}

impl Paced {
    /// Asks `inner` no faster than `pace` allows.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, pace: Arc<dyn Pace>) -> Self {
        Self { inner, pace }
    }
}

impl fmt::Debug for Paced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Paced({:?}, {:?})", self.pace, self.inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for Paced {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.pace.turn().await;
        self.inner.stat(key).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.pace.turn().await;
        self.inner.confirm(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.pace.turn().await;
        self.inner.read(key, limit_bytes).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        self.pace.turn().await;
        self.inner.open(key).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.pace.turn().await;
        self.inner.write(key, content, options).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.pace.turn().await;
        self.inner.delete(key).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.pace.turn().await;
        self.inner.delete_all(prefix).await
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        self.pace.turn().await;
        self.inner.prepare_delete(key, validity).await
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        self.pace.turn().await;
        self.inner.delete_each(keys).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.pace.turn().await;
        self.inner.copy(from, to).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.pace.turn().await;
        self.inner.list(prefix, after, limit).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        self.pace.turn().await;
        self.inner.scan(prefix, after, limit).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        self.pace.turn().await;
        self.inner.stage(key, mode).await
    }

    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        self.pace.turn().await;
        self.inner.end_unfinished(below, before, dry_run).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.pace.turn().await;
        self.inner.staged_size(key).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.pace.turn().await;
        self.inner.create_directory(prefix).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.pace.turn().await;
        self.inner.remove_directory(prefix).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        self.pace.turn().await;
        self.inner.presign(key, request, validity).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::storage::{Faulty, Memory, contract};

    #[derive(Debug, Default)]
    struct Turns(AtomicUsize);

    #[async_trait]
    impl Pace for Turns {
        async fn turn(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        contract::run_all(Arc::new(Paced::new(Arc::new(Memory::new()), Arc::new(Turns::default())))).await;
    }

    #[tokio::test]
    async fn each_operation_takes_a_turn() {
        let (turns, faulty) = (Arc::new(Turns::default()), Arc::new(Faulty::new(Arc::new(Memory::new()))));
        let storage = Paced::new(faulty.clone(), turns.clone());
        let (key, up): (Key, Key) = ("a/b".parse().unwrap(), "up".parse().unwrap());
        let _ = storage.stat(&key).await;
        let _ = storage.confirm(&key).await;
        let _ = storage.read(&key, 1).await;
        let _ = storage.open(&key).await;
        let _ = storage.write(&key, Bytes::new(), WriteOptions::default()).await;
        let _ = storage.copy(&key, &up).await;
        let _ = storage.list(&key, None, 1).await;
        let _ = storage.stage(&up, StageMode::Create).await;
        let _ = storage.staged_size(&up).await;
        let _ = storage.create_directory(&key).await;
        let _ = storage.remove_directory(&key).await;
        let _ = storage.presign(&key, Presigned::Get, Duration::ZERO).await;
        let _ = storage.delete(&key).await;
        let _ = storage.delete_all(&key).await;
        let _ = storage.delete_each(&[key, up]).await;
        assert_eq!((turns.0.load(Ordering::Relaxed), faulty.operations().len()), (15, 15));
    }
}
