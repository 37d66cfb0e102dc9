//! The folder of a cache.
//!
//! ```text
//! ROOT/lock             held by the process that has the cache
//! ROOT/arriving/N       a blob on its way
//! ROOT/sha256/HEX       a blob
//! ```
//!
//! Nothing is synced: what is found at the start is not believed before its digest was computed.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use registry_core::{Algorithm, Digest, Hasher};
use rustix::fs::{Timespec, Timestamps, UTIME_NOW};

const LOCK: &str = "lock";
const ARRIVING: &str = "arriving";

/// How many bytes are hashed in one go.
const READ_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    arrivals: AtomicU64,
    /// Keeps other processes off for as long as it is open.
    _lock: File,
}

/// A blob that an earlier process kept.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) size: u64,
    used: SystemTime,
}

impl Folder {
    /// Takes the folder, made if there is none, and tells what is in it: what was not used for longest first.
    pub(super) fn open(root: &Path) -> io::Result<(Self, Vec<Found>)> {
        let root = std::path::absolute(root)?;
        fs::create_dir_all(&root)?;
        let lock = File::options().create(true).truncate(false).write(true).open(root.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::Error::new(io::ErrorKind::ResourceBusy, Held)),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let folder = Self { root, arrivals: AtomicU64::new(0), _lock: lock };
        folder.clear_arriving()?;
        let mut found = Vec::new();
        for algorithm in Algorithm::ALL {
            folder.find(algorithm, &mut found)?;
        }
        found.sort_by_key(|found| found.used);
        Ok((folder, found))
    }

    /// What was on its way when an earlier process ended. What other programs put there stays.
    fn clear_arriving(&self) -> io::Result<()> {
        let arriving = self.root.join(ARRIVING);
        fs::create_dir_all(&arriving)?;
        for entry in fs::read_dir(&arriving)? {
            let entry = entry?;
            if entry.file_name().to_str().is_some_and(|name| name.parse::<u64>().is_ok()) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn find(&self, algorithm: Algorithm, found: &mut Vec<Found>) -> io::Result<()> {
        let directory = self.root.join(algorithm.as_str());
        fs::create_dir_all(&directory)?;
        for entry in fs::read_dir(&directory)? {
            let entry = entry?;
            let digest = entry.file_name().to_str().and_then(|name| Digest::from_parts(algorithm, name).ok());
            let (Some(digest), metadata) = (digest, entry.metadata()?) else { continue };
            if metadata.is_file() {
                found.push(Found { digest, size: metadata.len(), used: metadata.modified()? });
            }
        }
        Ok(())
    }

    fn place(&self, digest: &Digest) -> PathBuf {
        self.root.join(digest.algorithm().as_str()).join(digest.hex())
    }

    /// Opens a blob, and notes for later processes that it is used now.
    pub(super) fn open_kept(&self, digest: &Digest) -> io::Result<File> {
        let file = File::open(self.place(digest))?;
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        rustix::fs::futimens(&file, &Timestamps { last_access: now, last_modification: now })?;
        Ok(file)
    }

    /// Whether the bytes of a blob are those of its digest.
    pub(super) fn is_whole(&self, digest: &Digest) -> io::Result<bool> {
        let (mut file, mut hasher) = (File::open(self.place(digest))?, Hasher::new(digest.algorithm()));
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(hasher.finish() == *digest),
                read => hasher.update(&buffer[..read]),
            }
        }
    }

    /// Where the next blob may arrive.
    pub(super) fn arrival(&self) -> PathBuf {
        self.root.join(ARRIVING).join(self.arrivals.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Puts what arrived in its place.
    pub(super) fn keep(&self, arrived: &Path, digest: &Digest) -> io::Result<()> {
        fs::rename(arrived, self.place(digest))
    }

    /// Who reads the blob goes on.
    pub(super) fn remove(&self, digest: &Digest) {
        remove(&self.place(digest));
    }
}

/// Removes a file. One that stays is found at the next start.
pub(super) fn remove(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "a file of the cache stays");
        }
        _ => {}
    }
}

#[derive(Debug, thiserror::Error)]
#[error("another process has it")]
struct Held;
