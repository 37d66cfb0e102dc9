//! A storage of one's own: one that counts what passes through it, checked by the suite that every storage must pass.
//!
//! ```text
//! cargo run -p registry-examples --example custom_storage
//! ```

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use registry_core::storage::{
    self, Capabilities, Deletion, Key, Listing, Memory, Metadata, Object, Presigned, StageMode, Staged, Storage,
    WriteOptions, contract,
};
use registry_core::{Algorithm, Digest, Registry};

/// Any storage, and how many bytes were written to it. An adapter of another backend has the same methods.
#[derive(Debug)]
struct Metered<S> {
    inner: S,
    written: Arc<AtomicU64>,
}

#[async_trait]
impl<S: Storage> Storage for Metered<S> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, storage::Error> {
        self.inner.stat(key).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, storage::Error> {
        self.inner.confirm(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, storage::Error> {
        self.inner.read(key, limit_bytes).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, storage::Error> {
        self.inner.open(key).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), storage::Error> {
        let bytes = content.len() as u64;
        self.inner.write(key, content, options).await?;
        self.written.fetch_add(bytes, Relaxed);
        Ok(())
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, storage::Error> {
        self.inner.delete(key).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, storage::Error> {
        self.inner.delete_all(prefix).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, storage::Error> {
        self.inner.copy(from, to).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, storage::Error> {
        self.inner.list(prefix, after, limit).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, storage::Error> {
        let staged = self.inner.stage(key, mode).await?;
        Ok(staged.map(|inner| Box::new(MeteredStaged { inner, written: Arc::clone(&self.written) }) as Box<dyn Staged>))
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, storage::Error> {
        self.inner.staged_size(key).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), storage::Error> {
        self.inner.create_directory(prefix).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, storage::Error> {
        self.inner.remove_directory(prefix).await
    }

    async fn presign(
        &self,
        key: &Key,
        request: Presigned,
        validity: Duration,
    ) -> Result<Option<String>, storage::Error> {
        self.inner.presign(key, request, validity).await
    }
}

/// Content on its way in.
#[derive(Debug)]
struct MeteredStaged {
    inner: Box<dyn Staged>,
    written: Arc<AtomicU64>,
}

#[async_trait]
impl Staged for MeteredStaged {
    fn size(&self) -> u64 {
        self.inner.size()
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), storage::Error> {
        let before = self.inner.size();
        let outcome = self.inner.append(batch).await;
        // A batch that broke off may have been kept in part.
        self.written.fetch_add(self.inner.size() - before, Relaxed);
        outcome
    }

    async fn sync(&mut self) -> Result<(), storage::Error> {
        self.inner.sync().await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, storage::Error>>, storage::Error> {
        self.inner.read(offset).await
    }

    async fn publish(&mut self, key: &Key) -> Result<(), storage::Error> {
        self.inner.publish(key).await
    }

    async fn discard(self: Box<Self>) -> Result<(), storage::Error> {
        self.inner.discard().await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let written = Arc::new(AtomicU64::new(0));
    let storage = Arc::new(Metered { inner: Memory::new(), written: Arc::clone(&written) });
    // It panics with the names of the rules that are broken. Run it in a test of the adapter.
    contract::run_all(Arc::<Metered<Memory>>::clone(&storage)).await;
    println!("all {} rules of the contract hold", contract::rules().len());

    let before = written.load(Relaxed);
    let repository = Registry::builder(storage).build().repository(&"library/app".parse()?);
    let layer = Bytes::from(vec![7; 1_000_000]);
    let digest = Digest::of(Algorithm::Sha256, &layer);
    repository.uploads().push(&digest, stream::once(async { Ok(layer) }).boxed()).await?;
    let bytes = written.load(Relaxed) - before;
    println!("a layer of 1000000 bytes wrote {bytes} bytes");
    assert!((1_000_000..1_001_000).contains(&bytes));
    Ok(())
}
