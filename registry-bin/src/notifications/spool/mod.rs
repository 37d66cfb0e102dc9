//! What an endpoint has yet to be told, in order: in the files of a folder, or in memory.

mod log;
mod position;
mod record;
mod segment;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use self::log::Log;

/// How much is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How many events.
    pub(super) events: u64,
    /// How many bytes together, with what their files need besides.
    pub(super) bytes: u64,
}

/// What an endpoint has yet to be told. One adds, and one takes away.
#[derive(Debug)]
pub(super) struct Spool {
    kept: Mutex<Kept>,
    /// How many events there are, for those who must not wait for the disk.
    pending: AtomicU64,
    /// How many were given up.
    lost: AtomicU64,
    bounds: Bounds,
    more: Notify,
}

#[derive(Debug)]
enum Kept {
    InFiles(Log),
    InMemory { notices: VecDeque<Bytes>, bytes: u64 },
}

/// An event is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// As much is kept as may be.
    #[error("as many are kept as may be")]
    Full,
    /// The file cannot be written.
    #[error("cannot be written")]
    Failed(#[from] io::Error),
}

impl Spool {
    /// Opens a folder, which is made if need be, with what an earlier process left in it. Blocks.
    ///
    /// # Errors
    /// If the folder cannot be used.
    pub(super) fn open(folder: &Path, bounds: Bounds) -> io::Result<Self> {
        Ok(Self::new(Kept::InFiles(Log::open(folder)?), bounds))
    }

    /// Keeps in memory.
    pub(super) fn in_memory(bounds: Bounds) -> Self {
        Self::new(Kept::InMemory { notices: VecDeque::new(), bytes: 0 }, bounds)
    }

    fn new(kept: Kept, bounds: Bounds) -> Self {
        let pending = kept.sizes().0.into();
        Self { kept: Mutex::new(kept), pending, lost: AtomicU64::new(0), bounds, more: Notify::new() }
    }

    /// Adds an event. Blocks for a write to a file.
    ///
    /// # Errors
    /// [`NotKept`]; then it is not added.
    pub(super) fn append(&self, notice: &Bytes) -> Result<(), NotKept> {
        let mut kept = self.lock();
        let (events, bytes) = kept.sizes();
        let added = record::bytes_of(notice);
        if events >= self.bounds.events
            || bytes.saturating_add(added) > self.bounds.bytes
            || notice.len() > record::MAX_BYTES
        {
            return Err(NotKept::Full);
        }
        match &mut *kept {
            Kept::InFiles(log) => log.append(notice)?,
            Kept::InMemory { notices, bytes } => {
                notices.push_back(notice.clone());
                *bytes += added;
            }
        }
        self.tell_pending(&kept);
        self.more.notify_one();
        Ok(())
    }

    /// Makes what was added survive a power cut, if it lies in files. Blocks.
    ///
    /// # Errors
    /// If the system refuses.
    pub(super) fn sync(&self) -> io::Result<()> {
        let files = match &mut *self.lock() {
            Kept::InFiles(log) => log.unsynced()?,
            Kept::InMemory { .. } => Vec::new(),
        };
        // Not under the lock: it takes as long as the disk likes.
        files.iter().try_for_each(File::sync_all)
    }

    /// The first event, which stays. Blocks for a read from a file.
    ///
    /// # Errors
    /// If the file cannot be read at the moment. One that is damaged is given up.
    pub(super) fn first(&self) -> io::Result<Option<Bytes>> {
        let mut kept = self.lock();
        let first = match &mut *kept {
            Kept::InFiles(log) => log.first()?.map(Bytes::from),
            Kept::InMemory { notices, .. } => notices.front().cloned(),
        };
        // Some may have been given up.
        self.tell_pending(&kept);
        Ok(first)
    }

    /// Takes the first event away, which is `notice`: it is delivered. Blocks for a write to a file.
    ///
    /// # Errors
    /// If this cannot be noted down. It is away all the same, but may come again after a restart.
    pub(super) fn done(&self, notice: &Bytes) -> io::Result<()> {
        let mut kept = self.lock();
        let done = match &mut *kept {
            Kept::InFiles(log) => log.done(notice),
            Kept::InMemory { notices, bytes } => {
                notices.pop_front();
                *bytes -= record::bytes_of(notice);
                Ok(())
            }
        };
        self.tell_pending(&kept);
        done
    }

    /// How many events there are.
    pub(super) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// How many events were given up, as what held them was damaged.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until an event was added since the last call.
    pub(super) async fn added(&self) {
        self.more.notified().await;
    }

    fn tell_pending(&self, kept: &Kept) {
        self.pending.store(kept.sizes().0, Ordering::Relaxed);
        if let Kept::InFiles(log) = kept {
            self.lost.store(log.lost(), Ordering::Relaxed);
        }
    }

    /// Whoever panicked with the lock left what is on disk as it was.
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// How many events, and how many bytes.
    fn sizes(&self) -> (u64, u64) {
        match self {
            Self::InFiles(log) => (log.events(), log.bytes()),
            Self::InMemory { notices, bytes } => (notices.len() as u64, *bytes),
        }
    }
}

#[cfg(test)]
mod tests;
