//! What is on the disk and what is on its way there.

use std::collections::HashMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::future::{BoxFuture, FutureExt as _, Shared};
use registry_core::storage::Object;
use registry_core::{Blocking, Digest};

use super::entries::{Entries, Entry};
use super::filling::Filling;
use super::folder::{self, Folder};

#[derive(Debug)]
pub(super) struct Shelf {
    pub(super) folder: Folder,
    pub(super) blocking: Arc<dyn Blocking>,
    state: Mutex<State>,
    pub(super) hits: AtomicU64,
    pub(super) misses: AtomicU64,
}

#[derive(Debug)]
struct State {
    entries: Entries,
    filling: HashMap<Digest, Weak<Filling>>,
    verifying: HashMap<Digest, Verifying>,
}

/// Whether the bytes are those of the digest; computed once for all that wait for it.
type Verifying = Shared<BoxFuture<'static, bool>>;

/// Where a blob is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    Kept { size: u64 },
    Arriving,
    Nowhere,
}

impl Shelf {
    pub(super) fn new(folder: Folder, entries: Entries, blocking: Arc<dyn Blocking>) -> Self {
        let state = State { entries, filling: HashMap::new(), verifying: HashMap::new() };
        Self { folder, blocking, state: Mutex::new(state), hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No change is left half done by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many blobs and bytes there are, and how many bytes there may be.
    pub(super) fn usage(&self) -> (usize, u64, u64) {
        let state = self.state();
        let (bytes, limit) = state.entries.bytes();
        (state.entries.len(), bytes, limit)
    }

    pub(super) fn look(&self, digest: &Digest) -> Known {
        let mut state = self.state();
        match state.entries.used(digest) {
            Some(Entry { size, .. }) => Known::Kept { size },
            None if state.is_under_way(digest) => Known::Arriving,
            None => Known::Nowhere,
        }
    }

    /// Opens a blob that is kept; `None` if it is not any more, or its bytes are not what they should be.
    pub(super) async fn open(self: &Arc<Self>, digest: Digest) -> Option<File> {
        if !self.is_verified(digest).await {
            return None;
        }
        let this = Arc::clone(self);
        let opened = self.blocking.run(move || this.folder.open_kept(&digest)).await.ok()?;
        match opened {
            Ok(file) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                Some(file)
            }
            Err(error) => {
                tracing::warn!(%digest, %error, "a blob of the cache cannot be opened");
                self.state().entries.forget(&digest);
                None
            }
        }
    }

    async fn is_verified(self: &Arc<Self>, digest: Digest) -> bool {
        let verifying = {
            let mut state = self.state();
            match state.entries.used(&digest) {
                None => return false,
                Some(entry) if entry.is_verified => return true,
                Some(_) => state.verifying.entry(digest).or_insert_with(|| self.verify(digest)).clone(),
            }
        };
        verifying.await
    }

    /// What an earlier process left may be torn.
    fn verify(self: &Arc<Self>, digest: Digest) -> Verifying {
        let (this, blocking) = (Arc::clone(self), Arc::clone(&self.blocking));
        let work = move || {
            let is_whole = this.folder.is_whole(&digest).unwrap_or(false);
            let mut state = this.state();
            state.verifying.remove(&digest);
            if is_whole {
                state.entries.verified(&digest);
            } else {
                tracing::warn!(%digest, "a blob of the cache is not what it should be, and goes");
                state.entries.forget(&digest);
                drop(state);
                this.folder.remove(&digest);
            }
            is_whole
        };
        async move { blocking.run(work).await.unwrap_or(false) }.boxed().shared()
    }

    /// The blob on its way, begun from `object` if it was not. Where there is no room for it the object comes back.
    pub(super) fn fill(self: &Arc<Self>, digest: Digest, object: Object) -> Result<(Arc<Filling>, Begun), Object> {
        let mut state = self.state();
        if let Some(filling) = state.under_way(&digest) {
            return Ok((filling, Begun::ByAnother));
        }
        let size = object.metadata().size;
        let Some(gone) = state.entries.reserve(size) else { return Err(object) };
        let arrival = Arc::new(Arrival {
            shelf: Arc::clone(self),
            path: self.folder.arrival(),
            digest,
            size,
            is_kept: AtomicBool::new(false),
        });
        let filling = Arc::new(Filling::new(arrival, object, gone));
        state.filling.retain(|_, filling| filling.strong_count() > 0);
        state.filling.insert(digest, Arc::downgrade(&filling));
        Ok((filling, Begun::Now))
    }

    /// What is on its way will not come.
    pub(super) fn give_up(&self, digest: &Digest) {
        self.state().filling.remove(digest);
    }

    /// Drops what is kept of a blob.
    pub(super) async fn forget(self: &Arc<Self>, digest: Digest) {
        if self.state().entries.forget(&digest) {
            let this = Arc::clone(self);
            // A runtime that stops leaves the file for the next start.
            let _ = self.blocking.run(move || this.folder.remove(&digest)).await;
        }
    }
}

impl State {
    /// Holds nothing meanwhile: whoever drops the last handle takes the lock.
    fn is_under_way(&self, digest: &Digest) -> bool {
        self.filling.get(digest).is_some_and(|filling| filling.strong_count() > 0)
    }

    fn under_way(&self, digest: &Digest) -> Option<Arc<Filling>> {
        self.filling.get(digest)?.upgrade()
    }
}

/// Who began to fetch a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begun {
    Now,
    ByAnother,
}

/// The file and the room of a blob on its way. Dropping it gives both up, unless the blob was kept.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) shelf: Arc<Shelf>,
    pub(super) path: PathBuf,
    pub(super) digest: Digest,
    pub(super) size: u64,
    is_kept: AtomicBool,
}

impl Arrival {
    /// Puts the file in its place, and lets it be found there.
    pub(super) fn keep(&self) -> std::io::Result<()> {
        self.shelf.folder.keep(&self.path, &self.digest)?;
        let mut state = self.shelf.state();
        state.entries.keep(self.digest, self.size);
        state.filling.remove(&self.digest);
        self.is_kept.store(true, Ordering::Relaxed);
        Ok(())
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.is_kept.load(Ordering::Relaxed) {
            return;
        }
        self.shelf.state().entries.release(self.size);
        // On the spot: this may be where no work can be given away any more.
        folder::remove(&self.path);
    }
}
