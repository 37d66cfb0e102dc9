//! A storage whose operations are told to somebody, such as those who count them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::FutureExt as _;
use futures::stream::BoxStream;

use super::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, OperationKind, PreparedDelete, Presigned, Scan,
    StageMode, Staged, Storage, WriteOptions,
};
use crate::{Clock, SystemClock};

/// Is told of every operation that ended.
pub trait StorageObserver: fmt::Debug + Send + Sync + 'static {
    /// An operation ended after `took`. It did not succeed if the backend failed; that something is there already, or
    /// is held by another, is an answer. This is called on the path of the operation, so it must be quick.
    fn observed(&self, kind: OperationKind, took: Duration, succeeded: bool);
}

/// Wraps any storage, and tells of its operations, those on staged bytes included.
///
/// An operation that is cancelled is not told. [`OperationKind::Open`] ends when the object is open; how its bytes are
/// read then is left to the storage, untouched.
pub struct Observed {
    inner: Arc<dyn Storage>,
    telling: Telling,
}

#[derive(Debug, Clone)]
struct Telling {
    observer: Arc<dyn StorageObserver>,
    clock: Arc<dyn Clock>,
}

impl Observed {
    /// Tells `observer` of what `inner` does, timed by the clock of the machine.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>, observer: Arc<dyn StorageObserver>) -> Self {
        Self::with_clock(inner, observer, Arc::new(SystemClock))
    }

    /// Tells `observer` of what `inner` does, timed by `clock`.
    #[must_use]
    pub fn with_clock(inner: Arc<dyn Storage>, observer: Arc<dyn StorageObserver>, clock: Arc<dyn Clock>) -> Self {
        Self { inner, telling: Telling { observer, clock } }
    }
}

impl Telling {
    async fn around<T>(
        &self,
        kind: OperationKind,
        operation: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = self.clock.now();
        let outcome = operation.await;
        self.observer.observed(kind, self.since(begun), !outcome.as_ref().is_err_and(is_failure));
        outcome
    }

    /// A clock that was set back meanwhile makes it nothing.
    fn since(&self, begun: SystemTime) -> Duration {
        self.clock.now().duration_since(begun).unwrap_or_default()
    }
}

fn is_failure(error: &Error) -> bool {
    matches!(error, Error::Unavailable { .. } | Error::Failed { .. } | Error::NoSpace { .. } | Error::Stopped(_))
}

impl fmt::Debug for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Observed({:?})", self.inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for Observed {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.telling.around(OperationKind::Stat, self.inner.stat(key)).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.telling.around(OperationKind::Confirm, self.inner.confirm(key)).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.telling.around(OperationKind::Read, self.inner.read(key, limit_bytes)).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        self.telling.around(OperationKind::Open, self.inner.open(key)).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.telling.around(OperationKind::Write, self.inner.write(key, content, options)).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.telling.around(OperationKind::Delete, self.inner.delete(key)).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.telling.around(OperationKind::DeleteAll, self.inner.delete_all(prefix)).await
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        let prepared = self.inner.prepare_delete(key, validity).await?;
        let telling = self.telling.clone();
        // It is told of when it is done.
        Ok(prepared.map(|delete| async move { telling.around(OperationKind::Delete, delete).await }.boxed()))
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        self.telling.around(OperationKind::DeleteAll, self.inner.delete_each(keys)).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.telling.around(OperationKind::Copy, self.inner.copy(from, to)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.telling.around(OperationKind::List, self.inner.list(prefix, after, limit)).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        self.telling.around(OperationKind::Scan, self.inner.scan(prefix, after, limit)).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        let staged = self.telling.around(OperationKind::Stage, self.inner.stage(key, mode)).await?;
        Ok(staged.map(|inner| Box::new(ObservedStaged { inner, telling: self.telling.clone() }) as Box<dyn Staged>))
    }

    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        let ended = self.inner.end_unfinished(below, before, dry_run);
        self.telling.around(OperationKind::EndUnfinished, ended).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.telling.around(OperationKind::StagedSize, self.inner.staged_size(key)).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.telling.around(OperationKind::CreateDirectory, self.inner.create_directory(prefix)).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.telling.around(OperationKind::RemoveDirectory, self.inner.remove_directory(prefix)).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        self.telling.around(OperationKind::Presign, self.inner.presign(key, request, validity)).await
    }
}

#[derive(Debug)]
struct ObservedStaged {
    inner: Box<dyn Staged>,
    telling: Telling,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Staged for ObservedStaged {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        self.telling.around(OperationKind::Append, self.inner.append(batch)).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.telling.around(OperationKind::Sync, self.inner.sync()).await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.telling.around(OperationKind::ReadStaged, self.inner.read(offset)).await
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        self.telling.around(OperationKind::Publish, self.inner.publish(key)).await
    }

    fn objects(&self) -> Option<Vec<Key>> {
        self.inner.objects()
    }

    async fn discard(self: Box<Self>) -> Result<(), Error> {
        let Self { inner, telling } = *self;
        telling.around(OperationKind::Discard, inner.discard()).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::storage::{Fault, Faulty, Memory, Precondition, contract};

    #[derive(Debug, Default)]
    struct Told(Mutex<Vec<(OperationKind, Duration, bool)>>);

    impl StorageObserver for Told {
        fn observed(&self, kind: OperationKind, took: Duration, succeeded: bool) {
            self.0.lock().unwrap().push((kind, took, succeeded));
        }
    }

    /// Is a second later each time.
    #[derive(Debug, Default)]
    struct Ticking(Mutex<u64>);

    impl Clock for Ticking {
        fn now(&self) -> SystemTime {
            let mut seconds = self.0.lock().unwrap();
            *seconds += 1;
            SystemTime::UNIX_EPOCH + Duration::from_secs(*seconds)
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn keeps_the_contract() {
        contract::run_all(Arc::new(Observed::new(Arc::new(Memory::new()), Arc::new(Told::default())))).await;
    }

    #[tokio::test]
    async fn every_operation_is_told_as_what_it_is() {
        let told = Arc::new(Told::default());
        let faulty = Arc::new(Faulty::new(Arc::new(Memory::new())));
        let storage = Observed::with_clock(faulty.clone(), told.clone(), Arc::new(Ticking::default()));
        let (key, up): (Key, Key) = ("a/b".parse().unwrap(), "up".parse().unwrap());
        let _ = storage.stat(&key).await;
        let _ = storage.confirm(&key).await;
        let _ = storage.read(&key, 1).await;
        let _ = storage.open(&key).await;
        let _ = storage.write(&key, Bytes::new(), WriteOptions::default()).await;
        let absent = WriteOptions { precondition: Precondition::Absent, ..WriteOptions::default() };
        assert!(storage.write(&key, Bytes::new(), absent).await.is_err());
        let _ = storage.list(&key, None, 1).await;
        let mut staged = storage.stage(&up, StageMode::Create).await.unwrap().unwrap();
        let _ = staged.append(vec!["x".into()]).await;
        let _ = staged.sync().await;
        let _ = staged.read(0).await;
        let _ = storage.staged_size(&up).await;
        let _ = staged.publish(&key).await;
        let _ = staged.discard().await;
        let _ = storage.copy(&key, &up).await;
        let _ = storage.create_directory(&key).await;
        let _ = storage.remove_directory(&key).await;
        let _ = storage.presign(&key, Presigned::Get, Duration::ZERO).await;
        let _ = storage.delete(&key).await;
        faulty.fail_next(OperationKind::DeleteAll, Fault::Before);
        assert!(storage.delete_all(&key).await.is_err());

        let told = told.0.lock().unwrap();
        let began: Vec<_> = faulty.operations().iter().map(|operation| operation.kind).collect();
        assert_eq!(told.iter().map(|(kind, ..)| *kind).collect::<Vec<_>>(), began);
        assert_eq!(began.len(), 20, "all of them, one twice");
        assert!(told.iter().all(|(_, took, _)| *took == Duration::from_secs(1)), "{told:?}");
        let failed: Vec<_> = told.iter().filter(|(.., succeeded)| !succeeded).map(|(kind, ..)| *kind).collect();
        assert_eq!(failed, [OperationKind::DeleteAll]);
    }
}
