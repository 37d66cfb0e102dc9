//! Every call that the filesystem backend makes into the operating system.
//!
//! They stand together so that a test can watch their order, and make any of them fail.

use std::fmt;
use std::fs::{self, File, OpenOptions, ReadDir};
use std::io::{self, IoSlice, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    Open,
    Create,
    Stat,
    List,
    Write,
    Truncate,
    SyncData,
    Sync,
    SyncFilesystem,
    Rename,
    RenameExclusive,
    Link,
    Unlink,
    MakeDirectory,
    RemoveDirectory,
    Lock,
}

/// Stands before every call.
pub(super) trait Interpose: fmt::Debug + Send + Sync {
    /// Lets the call happen, or fails it. Of two paths it sees the one that the call would make.
    fn before(&self, call: Call, path: &Path) -> io::Result<()>;
}

/// The operating system.
#[derive(Debug, Clone, Default)]
pub(super) struct Sys {
    interposed: Option<Arc<dyn Interpose>>,
}

impl Sys {
    #[cfg(test)]
    pub(super) fn interposed(by: Arc<dyn Interpose>) -> Self {
        Self { interposed: Some(by) }
    }

    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        self.interposed.as_ref().map_or(Ok(()), |interposed| interposed.before(call, path))
    }

    /// Opens what lies there for reading. A pipe or a device that somebody put there does not hang.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.before(Call::Open, path)?;
        nonblocking().read(true).open(path)
    }

    /// Makes a file that was not there, for writing.
    pub(super) fn create_new(&self, path: &Path) -> io::Result<File> {
        self.before(Call::Create, path)?;
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    /// Opens a file for reading and writing, and makes it if `create` says so.
    pub(super) fn open_writable(&self, path: &Path, create: bool) -> io::Result<File> {
        self.before(if create { Call::Create } else { Call::Open }, path)?;
        nonblocking().read(true).write(true).create(create).truncate(false).open(path)
    }

    pub(super) fn metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        self.before(Call::Stat, path)?;
        fs::metadata(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<ReadDir> {
        self.before(Call::List, path)?;
        fs::read_dir(path)
    }

    pub(super) fn write_all(&self, mut file: &File, path: &Path, content: &[u8]) -> io::Result<()> {
        self.before(Call::Write, path)?;
        file.write_all(content)
    }

    /// Writes all buffers, in order, from `offset` on. After an error any number of bytes may have been written.
    pub(super) fn write_all_at(
        &self,
        file: &File,
        path: &Path,
        mut buffers: &mut [IoSlice<'_>],
        mut offset: u64,
    ) -> io::Result<()> {
        /// What one call takes.
        const MOST_BUFFERS: usize = 1024;
        IoSlice::advance_slices(&mut buffers, 0);
        while !buffers.is_empty() {
            self.before(Call::Write, path)?;
            let most = buffers.len().min(MOST_BUFFERS);
            let written = retry_on_intr(|| rustix::io::pwritev(file, &buffers[..most], offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            IoSlice::advance_slices(&mut buffers, written);
            offset += written as u64;
        }
        Ok(())
    }

    /// Copies a whole file, within the kernel where it can.
    pub(super) fn copy_all(&self, mut from: &File, mut to: &File, path: &Path) -> io::Result<()> {
        self.before(Call::Write, path)?;
        io::copy(&mut from, &mut to).map(drop)
    }

    pub(super) fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.before(Call::Truncate, path)?;
        file.set_len(length)
    }

    pub(super) fn sync_data(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Call::SyncData, path)?;
        file.sync_data()
    }

    /// Syncs a directory or a file. Where directories cannot be synced at all, their entries need no sync.
    pub(super) fn sync(&self, opened: &File, path: &Path) -> io::Result<()> {
        self.before(Call::Sync, path)?;
        match opened.sync_all() {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// Syncs everything on the filesystem that `path` is on.
    pub(super) fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        self.before(Call::SyncFilesystem, path)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(File::open(path)?)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::Rename, to)?;
        fs::rename(from, to)
    }

    /// Renames only if nothing lies at `to`.
    pub(super) fn rename_exclusive(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::RenameExclusive, to)?;
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        return Ok(rustix::fs::renameat_with(
            rustix::fs::CWD,
            from,
            rustix::fs::CWD,
            to,
            rustix::fs::RenameFlags::NOREPLACE,
        )?);
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        {
            let _ = from;
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::Link, to)?;
        fs::hard_link(from, to)
    }

    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.before(Call::Unlink, path)?;
        fs::remove_file(path)
    }

    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.before(Call::MakeDirectory, path)?;
        fs::create_dir(path)
    }

    pub(super) fn make_root(&self, path: &Path) -> io::Result<()> {
        self.before(Call::MakeDirectory, path)?;
        fs::create_dir_all(path)
    }

    pub(super) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.before(Call::RemoveDirectory, path)?;
        fs::remove_dir(path)
    }

    /// Takes the lock of an open file, or tells that somebody else has it. The kernel drops it with the file.
    pub(super) fn try_lock(&self, file: &File, path: &Path) -> io::Result<bool> {
        self.before(Call::Lock, path)?;
        match retry_on_intr(|| rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives the lock back, also when other handles share the open file.
    pub(super) fn unlock(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Call::Lock, path)?;
        Ok(retry_on_intr(|| rustix::fs::flock(file, FlockOperation::Unlock))?)
    }
}

fn nonblocking() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    options
}

/// Whether a lookup failed because nothing that could be an object lies there.
pub(super) fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::InvalidFilename)
        || is_any(error, &[Errno::LOOP, Errno::NXIO])
}

/// Whether this volume has no hard links, or none for this file.
pub(super) fn is_link_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || is_any(error, &[Errno::PERM, Errno::OPNOTSUPP, Errno::NOSYS, Errno::MLINK])
}

/// Whether this volume cannot rename without replacing.
pub(super) fn is_exclusive_rename_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported || is_any(error, &[Errno::INVAL, Errno::OPNOTSUPP, Errno::NOSYS])
}

fn is_any(error: &io::Error, numbers: &[Errno]) -> bool {
    numbers.iter().any(|number| error.raw_os_error() == Some(number.raw_os_error()))
}
