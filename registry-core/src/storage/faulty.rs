//! A storage that fails when it is told to.

mod plan;
mod reading;
mod staged;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::FutureExt as _;

use super::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, OperationKind, PreparedDelete, Presigned, Scan,
    StageMode, Staged, Storage, WriteOptions,
};
use plan::Plan;

pub use plan::{Fault, Gate, Operation};

/// Wraps any storage, notes every operation, and fails those that it was told to fail.
///
/// Operations are counted from 0 in the order in which they begin, those on staged bytes included. A failure is
/// [`Error::Unavailable`], unless the [`Fault`] says something else. With a seed, failures come by chance, and the
/// same seed gives the same failures to the same order of operations; `{:?}` shows it.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::storage::{Error, Fault, Faulty, Memory, Storage, WriteOptions};
///
/// # futures::executor::block_on(async {
/// let storage = Faulty::new(Arc::new(Memory::new()));
/// storage.fail_at(0, Fault::After);
/// let key = "key".parse()?;
/// let lost = storage.write(&key, "content".into(), WriteOptions::default()).await;
/// assert!(matches!(lost, Err(Error::Unavailable { .. })));
/// assert_eq!(storage.read(&key, 10).await?, Some("content".into()));
/// assert_eq!(storage.operations().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
pub struct Faulty {
    inner: Arc<dyn Storage>,
    plan: Arc<Plan>,
}

impl Faulty {
    /// Fails nothing until told to.
    #[must_use]
    pub fn new(inner: Arc<dyn Storage>) -> Self {
        Self { inner, plan: Arc::new(Plan::default()) }
    }

    /// Fails about `per_mille` of thousand operations, each with a fault of its own, as the generator that starts
    /// at `seed` decides.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Storage>, seed: u64, per_mille: u16) -> Self {
        Self { inner, plan: Arc::new(Plan::seeded(seed, per_mille)) }
    }

    /// Fails the operation with this number, once.
    pub fn fail_at(&self, number: usize, fault: Fault) {
        self.plan.fail_at(number, fault);
    }

    /// Fails the operation with this number and all that follow, until [`heal`](Self::heal).
    pub fn fail_from(&self, number: usize, fault: Fault) {
        self.plan.fail_from(number, fault);
    }

    /// Fails the next operation of this kind, once. Said twice, it fails the next two.
    pub fn fail_next(&self, kind: OperationKind, fault: Fault) {
        self.plan.fail_next(kind, fault);
    }

    /// Forgets every fault, those by chance too.
    pub fn heal(&self) {
        self.plan.heal();
    }

    /// Stops the next operation of this kind before it takes effect, until the gate is opened.
    #[must_use]
    pub fn hold(&self, kind: OperationKind) -> Gate {
        self.plan.hold(kind)
    }

    /// Every operation that began so far, the failed ones too; the index is the number.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.plan.operations()
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({:?}, {:?})", self.plan, self.inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.plan.around(OperationKind::Stat, key, self.inner.stat(key)).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.plan.around(OperationKind::Confirm, key, self.inner.confirm(key)).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.plan.around(OperationKind::Read, key, self.inner.read(key, limit_bytes)).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        match self.plan.begin(OperationKind::Open, key).await {
            Some(Fault::Cut) => Ok(self.inner.open(key).await?.map(|object| reading::cut(key, object))),
            fault => plan::apply(fault, key, self.inner.open(key)).await,
        }
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.plan.around(OperationKind::Write, key, self.inner.write(key, content, options)).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.plan.around_delete(OperationKind::Delete, key, self.inner.delete(key)).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.plan.around_delete(OperationKind::DeleteAll, prefix, self.inner.delete_all(prefix)).await
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        let prepared = self.inner.prepare_delete(key, validity).await?;
        let (plan, key) = (Arc::clone(&self.plan), key.clone());
        let planned = |delete| async move { plan.around_delete(OperationKind::Delete, &key, delete).await }.boxed();
        Ok(prepared.map(planned))
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        let Some(first) = keys.first() else { return Ok(Deletion::Acked) };
        self.plan.around_delete(OperationKind::DeleteAll, first, self.inner.delete_each(keys)).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.plan.around(OperationKind::Copy, to, self.inner.copy(from, to)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.plan.around(OperationKind::List, prefix, self.inner.list(prefix, after, limit)).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        self.plan.around(OperationKind::Scan, prefix, self.inner.scan(prefix, after, limit)).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        let staged = self.plan.around(OperationKind::Stage, key, self.inner.stage(key, mode)).await?;
        Ok(staged.map(|inner| staged::wrap(Arc::clone(&self.plan), key, inner)))
    }

    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        let ended = self.inner.end_unfinished(below, before, dry_run);
        self.plan.around(OperationKind::EndUnfinished, below, ended).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.plan.around(OperationKind::StagedSize, key, self.inner.staged_size(key)).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.plan.around(OperationKind::CreateDirectory, prefix, self.inner.create_directory(prefix)).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.plan.around(OperationKind::RemoveDirectory, prefix, self.inner.remove_directory(prefix)).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        self.plan.around(OperationKind::Presign, key, self.inner.presign(key, request, validity)).await
    }
}

#[cfg(test)]
mod tests;
