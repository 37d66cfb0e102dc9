//! Blobs on a local disk, in front of a storage that is far away.

mod entries;
mod filling;
mod folder;
mod reading;
mod shelf;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::FutureExt as _;
use registry_core::storage::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, PreparedDelete, Presigned, Scan, StageMode, Staged,
    Storage, WriteOptions,
};
use registry_core::{Blocking, Digest, TokioBlocking, layout};

use entries::Entries;
use folder::Folder;
use reading::Unkept;
use shelf::{Known, Shelf};

/// Wraps a storage, and keeps what is read of its blobs on a local disk, so that it is not read from there again. Clones
/// share it.
///
/// # What is kept
/// A blob that somebody reads from its beginning to its end, if it fits. Those who read it while it comes share it: it
/// leaves the storage once. It is kept when its bytes have been found to be those of its digest. What was not used for
/// longest goes when there is no room. A range is read from the disk if the blob is there, and from the storage if not.
///
/// # What is promised
/// Whether a blob is there, the storage is asked every time; only the bytes are had from the disk. So nothing is served that
/// was deleted, here or by another process, and nothing while the storage does not answer. A disk that fails or is full
/// costs that blobs are read from the storage.
///
/// What is found from an earlier process is hashed before its first use. One process has a folder.
///
/// ```
/// use std::sync::Arc;
///
/// use registry_core::storage::{Memory, Storage as _, WriteOptions};
/// use registry_core::{Algorithm, Digest, Span, layout};
/// use registry_storage::DiskCache;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let folder = directory.path().join("cache");
/// let cache = DiskCache::builder(Arc::new(Memory::new()), &folder, 1_000_000).open()?;
/// let key = layout::blob(&Digest::of(Algorithm::Sha256, b"a layer"));
/// cache.write(&key, "a layer".into(), WriteOptions::default()).await?;
///
/// for _ in 0..3 {
///     let object = cache.open(&key).await?.ok_or("written above")?;
///     let frames = object.read(Span::whole(7)).await?.into_stream(Arc::new(registry_core::TokioBlocking));
///     let _read: Vec<_> = futures::TryStreamExt::try_collect(frames).await?;
/// }
/// assert_eq!((cache.usage().misses, cache.usage().hits), (1, 2));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct DiskCache {
    inner: Arc<dyn Storage>,
    shelf: Arc<Shelf>,
}

/// Says how to open a [`DiskCache`].
#[derive(Debug)]
#[must_use]
pub struct DiskCacheBuilder {
    inner: Arc<dyn Storage>,
    root: PathBuf,
    limit_bytes: u64,
    blocking: Arc<dyn Blocking>,
}

/// A folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as the folder of a cache", .root.display())]
pub struct DiskCacheError {
    root: PathBuf,
    source: io::Error,
}

/// What a [`DiskCache`] has, and what it was good for since it was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskCacheUsage {
    /// How many blobs are kept.
    pub blobs: u64,
    /// How many bytes they have, with those that have room but did not come yet.
    pub bytes: u64,
    /// How many bytes there may be.
    pub limit_bytes: u64,
    /// How often a blob was opened that did not have to leave the storage again.
    pub hits: u64,
    /// How often one was read from the storage.
    pub misses: u64,
}

impl DiskCacheBuilder {
    /// Where files are accessed, unless the kernel can answer from memory; tokio's blocking pool unless said otherwise.
    pub fn blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }

    /// Opens the cache, and makes the folder if there is none. What is in it beyond the limit goes. This blocks.
    ///
    /// # Errors
    /// If the folder cannot be used, or another process has it.
    pub fn open(self) -> Result<DiskCache, DiskCacheError> {
        let (folder, found) = match Folder::open(&self.root) {
            Ok(opened) => opened,
            Err(source) => return Err(DiskCacheError { root: self.root, source }),
        };
        let mut entries = Entries::new(self.limit_bytes);
        for found in found {
            for gone in entries.found(found.digest, found.size) {
                folder.remove(&gone);
            }
        }
        Ok(DiskCache { inner: self.inner, shelf: Arc::new(Shelf::new(folder, entries, self.blocking)) })
    }
}

impl DiskCache {
    /// Says how to open a cache in the folder `root`, of at most `limit_bytes`, in front of `inner`.
    pub fn builder(inner: Arc<dyn Storage>, root: impl AsRef<Path>, limit_bytes: u64) -> DiskCacheBuilder {
        let root = root.as_ref().to_owned();
        DiskCacheBuilder { inner, root, limit_bytes, blocking: Arc::new(TokioBlocking) }
    }

    /// What there is, and what it was good for.
    #[must_use]
    pub fn usage(&self) -> DiskCacheUsage {
        let (blobs, bytes, limit_bytes) = self.shelf.usage();
        DiskCacheUsage {
            blobs: blobs as u64,
            bytes,
            limit_bytes,
            hits: self.shelf.hits.load(Ordering::Relaxed),
            misses: self.shelf.misses.load(Ordering::Relaxed),
        }
    }

    async fn open_blob(&self, key: &Key, digest: Digest) -> Result<Option<Object>, Error> {
        let known = self.shelf.look(&digest);
        if known == Known::Nowhere {
            let Some(object) = self.inner.open(key).await? else { return Ok(None) };
            let metadata = object.metadata();
            return Ok(Some(self.unkept(key, digest, metadata, Some(object))));
        }
        let Some(metadata) = self.inner.stat(key).await? else {
            self.shelf.forget(digest).await;
            return Ok(None);
        };
        if let Known::Kept { size } = known {
            if size != metadata.size {
                self.shelf.forget(digest).await;
            } else if let Some(file) = self.shelf.open(digest).await {
                return Ok(Some(Object::from_file(key.clone(), Arc::new(file), metadata)));
            }
        }
        Ok(Some(self.unkept(key, digest, metadata, None)))
    }

    fn unkept(&self, key: &Key, digest: Digest, metadata: Metadata, object: Option<Object>) -> Object {
        let unkept = Unkept {
            inner: Arc::clone(&self.inner),
            shelf: Arc::clone(&self.shelf),
            key: key.clone(),
            digest,
            size: metadata.size,
            object: Mutex::new(object),
        };
        Object::from_reader(Arc::new(unkept), metadata)
    }
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DiskCache({:?})", self.inner)
    }
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl Storage for DiskCache {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.inner.stat(key).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.inner.confirm(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.inner.read(key, limit_bytes).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        match layout::blob_digest(key) {
            Some(digest) => self.open_blob(key, digest).await,
            None => self.inner.open(key).await,
        }
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.inner.write(key, content, options).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        let deletion = self.inner.delete(key).await?;
        if let Some(digest) = layout::blob_digest(key) {
            self.shelf.forget(digest).await;
        }
        Ok(deletion)
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.inner.delete_all(prefix).await
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        let Some(prepared) = self.inner.prepare_delete(key, validity).await? else { return Ok(None) };
        let Some(blob) = layout::blob_digest(key) else { return Ok(Some(prepared)) };
        let cache = self.clone();
        let forgetting = async move {
            let deletion = prepared.await?;
            cache.shelf.forget(blob).await;
            Ok(deletion)
        };
        Ok(Some(forgetting.boxed()))
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        let deletion = self.inner.delete_each(keys).await?;
        for digest in keys.iter().filter_map(layout::blob_digest) {
            self.shelf.forget(digest).await;
        }
        Ok(deletion)
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.inner.copy(from, to).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.inner.list(prefix, after, limit).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        self.inner.scan(prefix, after, limit).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        self.inner.stage(key, mode).await
    }

    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        self.inner.end_unfinished(below, before, dry_run).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.inner.staged_size(key).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.inner.create_directory(prefix).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.inner.remove_directory(prefix).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        self.inner.presign(key, request, validity).await
    }
}
