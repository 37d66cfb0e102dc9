//! A storage in a directory, durable by default.
//!
//! # What lies on disk
//! The object with key `a/b` is the file `ROOT/a/b`, byte for byte; there is nothing else but
//! `docker/registry/v2/_tmp/` (files on their way), `docker/registry/v2/_serving.lock`, `docker/registry/v2/_gc/lock`,
//! and with [`SyncMode::Group`] `docker/registry/v2/_journal/`. Only regular files are
//! objects: whatever else lies at a key reads as absent. Directories may be symbolic links, as long as all of the
//! volume is on one filesystem, because objects come into place by `rename` and `link`. Permissions come from the
//! umask of the process.
//!
//! # What an answer promises
//! With [`SyncMode::Strict`] an operation that says it is durable synced, in this order, the bytes of the file, and
//! after the name was given to it every directory that got a new entry. What other writers of the same
//! [`Filesystem`] did not sync yet is remembered, so that [`confirm`](Storage::confirm) can do it for them; what
//! earlier processes left is synced once, when the storage is opened. A sync that failed is never tried again,
//! because the kernel has forgotten what it could not write: the file is given up, a directory refuses to promise
//! anything until the storage is opened again.
//!
//! Two `Filesystem` values on one root, or two processes, see each other's objects at once and exclude each other
//! from staged bytes by kernel locks; but neither can confirm what the other is just about to sync. So one process
//! serves a root ([`Filesystem::lock_for_serving`]).
//!
//! # Without hard links
//! Staged bytes are published by a second name for the same file, and an object is copied by one; no byte is written,
//! so that works on a full disk. On a volume that has no hard links staged bytes are renamed: after
//! [`publish`](registry_core::storage::Staged::publish) they are found under the key only; and
//! [`copy`](Storage::copy) writes the bytes once more.

mod cached;
mod copy;
mod journal;
mod list;
mod lock;
mod names;
mod read;
mod remove;
mod space;
mod staged;
mod sys;
#[cfg(test)]
mod tests;
mod unsynced;
mod volume;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use registry_core::storage::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, Presigned, StageMode, Staged, Storage, WriteOptions,
};
use registry_core::{Blocking, TokioBlocking, layout};

use journal::Journal;
pub use lock::{CollectingLock, LockError, ServingLock};
pub use space::Space;
use staged::StagedFile;
use sys::Sys;
use volume::Volume;

/// A storage in a directory. Clones share it.
///
/// ```
/// use registry_core::storage::{Key, Storage as _, WriteOptions};
/// use registry_storage::filesystem::Filesystem;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let root = directory.path().join("registry-data");
/// let storage = Filesystem::builder(&root).open()?;
/// let key: Key = "greetings/first".parse()?;
/// storage.write(&key, "hello".into(), WriteOptions::default()).await?;
///
/// assert_eq!(storage.read(&key, 100).await?.as_deref(), Some(&b"hello"[..]));
/// assert_eq!(std::fs::read(root.join("greetings/first"))?, b"hello");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Filesystem {
    volume: Arc<Volume>,
    blocking: Arc<dyn Blocking>,
}

/// What a durable write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SyncMode {
    /// A power cut, as far as the disk keeps its word.
    #[default]
    Strict,
    /// A power cut, as with [`Strict`](Self::Strict), but for uploads under way, which begin anew after one. Small changes
    /// go through a journal, where many share one sync. Linux only; elsewhere, and where another process has the
    /// journal, it is [`Strict`](Self::Strict).
    Group,
    /// The end of the process. The operating system writes to the disk when it likes, in any order; a power cut may
    /// lose or tear what was written in the last half minute or so.
    Os,
}

/// Says how to open a [`Filesystem`].
#[derive(Debug)]
#[must_use]
pub struct Builder {
    root: PathBuf,
    mode: SyncMode,
    blocking: Arc<dyn Blocking>,
    sys: Sys,
    /// The boot of the operating system.
    boot: Option<[u8; 16]>,
    segment_bytes: usize,
}

/// A root cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {} as the root of a storage", .root.display())]
pub struct OpenError {
    root: PathBuf,
    source: io::Error,
}

impl Builder {
    /// What a durable write survives; [`SyncMode::Strict`] unless said otherwise.
    pub fn durability(mut self, mode: SyncMode) -> Self {
        self.mode = mode;
        self
    }

    /// Where files are accessed, unless the kernel can answer from memory; tokio's blocking pool unless said otherwise.
    pub fn blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.blocking = blocking;
        self
    }

    #[cfg(test)]
    fn sys(mut self, sys: Sys) -> Self {
        self.sys = sys;
        self
    }

    /// A journal that is small, and a boot that a test decides.
    #[cfg(test)]
    fn journal(mut self, boot: u8, segment_bytes: usize) -> Self {
        (self.boot, self.segment_bytes) = (Some([boot; 16]), segment_bytes);
        self
    }

    /// Opens the storage, and makes the root directory if there is none.
    ///
    /// Blocks: with [`SyncMode::Strict`] it waits until the disk has all that its filesystem holds unwritten.
    ///
    /// # Errors
    /// If the root is no directory and cannot become one, or what is unwritten cannot be written.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn open(self) -> Result<Filesystem, OpenError> {
        match self.open_volume() {
            Ok(volume) => Ok(Filesystem { volume: Arc::new(volume), blocking: self.blocking }),
            Err(source) => Err(OpenError { root: self.root, source }),
        }
    }

    fn open_volume(&self) -> io::Result<Volume> {
        let Self { mode, sys, boot, .. } = self;
        // A path that stays right when the process changes its directory.
        let root = std::path::absolute(&self.root)?;
        sys.make_root(&root)?;
        let found = journal::recover(&Volume::new(root.clone(), SyncMode::Os, sys.clone()), boot.as_ref())?;
        if *mode != SyncMode::Os {
            sys.sync_filesystem(&root)?;
        }
        let mut volume = Volume::new(root, *mode, sys.clone());
        if *mode == SyncMode::Group {
            // Without a journal every change is synced by itself.
            volume.mode = SyncMode::Strict;
            if cfg!(target_os = "linux") && found == journal::Found::Nothing {
                volume.journal = Journal::begin(&volume, *boot, self.segment_bytes)?;
            }
            if volume.journal.is_none() {
                tracing::warn!(root = %volume.root.display(), "there is no room for a journal, or another process has it: every change is synced by itself");
            }
        }
        Ok(volume)
    }
}

/// Room for some thousands of small changes: turning over costs a sync of the whole filesystem, during which others wait.
const SEGMENT_BYTES: usize = 16 * 1024 * 1024;

impl Filesystem {
    /// Says how to open a storage in the directory `root`.
    pub fn builder(root: impl Into<PathBuf>) -> Builder {
        Builder {
            root: root.into(),
            mode: SyncMode::default(),
            blocking: Arc::new(TokioBlocking),
            sys: Sys::default(),
            boot: sys::boot(),
            segment_bytes: SEGMENT_BYTES,
        }
    }

    /// The root, as an absolute path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.volume.root
    }

    /// Has all that was answered in its place on the disk, as it always is with [`SyncMode::Strict`].
    ///
    /// With [`SyncMode::Group`] a program that does not know the journal may take the volume only after this. And what
    /// was answered since is done again after a power cut, even where another program has undone it meanwhile: so who
    /// has other programs beside it calls this from time to time, which costs little where nothing was changed. With
    /// [`SyncMode::Os`] it does nothing.
    ///
    /// Where it is cancelled it goes on to its end.
    ///
    /// # Errors
    /// If the disk does not take it; what was answered stays on record.
    pub async fn checkpoint(&self) -> Result<(), Error> {
        self.run(&layout::journal(), |volume, key| match &volume.journal {
            Some(journal) => journal.catch_up().map_err(|error| Error::from_io(key, error)),
            None => Ok(()),
        })
        .await
    }

    fn volume(&self) -> &Volume {
        &self.volume
    }

    /// Goes to the seam once and does all of the work there.
    async fn run<T: Send + 'static>(
        &self,
        key: &Key,
        work: impl FnOnce(&Arc<Volume>, &Key) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (volume, key) = (Arc::clone(&self.volume), key.clone());
        self.blocking.run(move || work(&volume, &key)).await?
    }
}

impl fmt::Debug for Filesystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filesystem")
            .field("root", &self.volume.root)
            .field("mode", &self.volume.mode)
            .finish_non_exhaustive()
    }
}

/// Gives an answer that nobody had to wait for; who asks for many lets others have their turn.
async fn at_once<T>(answer: T) -> T {
    tokio::task::consume_budget().await;
    answer
}

#[async_trait]
impl Storage for Filesystem {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.exclusive_staging = true;
        capabilities.stable_readers = true;
        capabilities.prompt_deletes = true;
        capabilities
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        match self.volume.stat_cached(key) {
            Some(found) => at_once(found).await,
            None => self.run(key, |volume, key| volume.stat(key)).await,
        }
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        match self.volume.confirm_cached(key) {
            Some(found) => at_once(found).await,
            None => self.run(key, |volume, key| volume.confirm(key)).await,
        }
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        match self.volume.read_cached(key, limit_bytes) {
            Some(found) => at_once(found).await,
            None => self.run(key, move |volume, key| volume.read(key, limit_bytes)).await,
        }
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        self.run(key, |volume, key| volume.open(key)).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.run(key, move |volume, key| volume.write(key, &content, options)).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.run(key, |volume, key| volume.delete(key)).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.run(prefix, |volume, prefix| volume.delete_all(prefix)).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        let to = to.clone();
        self.run(from, move |volume, from| volume.copy(from, &to)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        if let Some(listing) = self.volume.list_cached(prefix, after, limit) {
            return at_once(listing).await;
        }
        let after = after.map(str::to_owned);
        self.run(prefix, move |volume, prefix| {
            volume.list(prefix, after.as_deref(), limit).map_err(|error| Error::from_io(prefix, error))
        })
        .await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        let writer = self.run(key, move |volume, key| volume.stage(key, mode)).await?;
        Ok(writer.map(|writer| Box::new(StagedFile::new(writer, Arc::clone(&self.blocking))) as Box<dyn Staged>))
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.run(key, |volume, key| volume.staged_size(key).map_err(|error| Error::from_io(key, error))).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.run(prefix, |volume, prefix| {
            volume.create_directory(prefix.as_str()).map_err(|error| Error::from_io(prefix, error))
        })
        .await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.run(prefix, |volume, prefix| Ok(volume.remove_directory(prefix))).await
    }

    async fn presign(&self, _: &Key, _: Presigned, _: Duration) -> Result<Option<String>, Error> {
        Ok(None)
    }
}
