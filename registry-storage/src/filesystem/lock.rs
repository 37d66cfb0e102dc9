//! One serving process per root, and one collector.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use registry_core::layout;
use registry_core::storage::Key;

use super::Filesystem;
use super::read::present;
use super::unsynced::directory_of;
use super::volume::{ATTEMPTS, Volume};

/// The right to serve a root, for as long as it lives. It ends with its process, however that ends.
#[derive(Debug)]
#[must_use = "dropping it lets another server in"]
pub struct ServingLock {
    _file: File,
}

/// The certainty that nobody else collects a root, for as long as it lives. It ends with its process, however that ends.
#[derive(Debug)]
#[must_use = "dropping it lets another collector in"]
pub struct CollectingLock {
    _file: File,
}

/// A root cannot be claimed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Another process has the claim.
    #[error("another registry{} {does} {}", in_process(*.process), .root.display())]
    Held {
        /// What the other does with the root.
        does: &'static str,
        /// The root.
        root: PathBuf,
        /// The number of the other process as it sees itself, if it told.
        process: Option<u32>,
    },
    /// The lock could not be taken.
    #[error("cannot lock {}", .path.display())]
    Failed {
        /// The file that is locked.
        path: PathBuf,
        /// The words of the operating system.
        #[source]
        source: io::Error,
    },
}

fn in_process(process: Option<u32>) -> String {
    process.map(|process| format!(" (process {process})")).unwrap_or_default()
}

impl Filesystem {
    /// Claims the root for serving. Two servers on one root are refused, because each relies on locks and on
    /// knowledge that lives in its memory; programs that only maintain the volume need no claim.
    ///
    /// Removes what an earlier server left on its way. Blocks for a few file operations.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process, or another `Filesystem` of this one, has the claim.
    pub fn lock_for_serving(&self) -> Result<ServingLock, LockError> {
        let file = self.claim(&layout::serving_lock(), "serves")?;
        let volume = self.volume();
        let path = volume.absolute(&volume.temporary);
        volume.clear_temporary().map_err(|source| LockError::Failed { path, source })?;
        Ok(ServingLock { _file: file })
    }

    /// Claims the root for collecting, whoever serves it. A collector with this claim is
    /// [alone](registry_core::gc::GcOptions::alone), as long as every run of this process ended before the next one
    /// begins, and none was dropped.
    ///
    /// Blocks for a few file operations.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process, or another `Filesystem` of this one, has the claim.
    pub fn lock_for_collecting(&self) -> Result<CollectingLock, LockError> {
        self.claim(&layout::collecting_lock(), "collects").map(|file| CollectingLock { _file: file })
    }

    fn claim(&self, key: &Key, does: &'static str) -> Result<File, LockError> {
        let volume = self.volume();
        let path = volume.absolute(key.as_str());
        let file = volume.lock(key, &path).map_err(|source| LockError::Failed { path: path.clone(), source })?;
        file.ok_or_else(|| LockError::Held { does, root: volume.root.clone(), process: holder(&path) })
    }
}

impl Volume {
    /// Locks a file, and leaves in it which process did.
    fn lock(&self, key: &Key, path: &Path) -> io::Result<Option<File>> {
        for _ in 0..ATTEMPTS {
            let mut opened = None;
            self.place(&self.unsynced, directory_of(key.as_str()), || {
                opened = Some(self.sys.open_writable(path, true)?);
                Ok(())
            })?;
            let Some(file) = opened else { break };
            if !self.sys.try_lock(&file, path)? {
                return Ok(None);
            }
            let ours = file.metadata()?;
            let named = present(self.sys.metadata(path))?;
            if named.is_some_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
                self.sign(&file, path)?;
                return Ok(Some(file));
            }
            // Somebody removed the file between opening and locking.
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Leaves in a lock which process has it. Where there is no room for that it is a lock all the same.
    fn sign(&self, file: &File, path: &Path) -> io::Result<()> {
        self.sys.truncate(file, path, 0)?;
        match self.sys.write_all(file, path, format!("{}\n", std::process::id()).as_bytes()) {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
            written => written,
        }
    }

    /// Removes the files of writers that died. Those of this value are left to it.
    fn clear_temporary(&self) -> io::Result<()> {
        let directory = self.absolute(&self.temporary);
        let Some(found) = present(self.sys.list(&directory))? else { return Ok(()) };
        for found in found {
            let found = found?;
            if found.file_name().as_encoded_bytes().starts_with(self.prefix.as_bytes()) {
                continue;
            }
            match present(self.sys.unlink(&found.path())) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                    tracing::warn!(path = %found.path().display(), "a directory lies among the temporary files");
                }
                done => {
                    done?;
                }
            }
        }
        Ok(())
    }
}

/// The process that wrote itself into the lock; `None` while it is doing so.
fn holder(path: &Path) -> Option<u32> {
    let mut text = String::new();
    File::open(path).ok()?.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
