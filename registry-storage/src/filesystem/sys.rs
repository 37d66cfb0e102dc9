//! Every call that the filesystem backend makes into the operating system.
//!
//! They stand together so that a test can watch their order, and make any of them fail.

use std::fmt;
use std::fs::{self, File, OpenOptions, ReadDir};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

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

/// What a cached lookup is to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// What has the name, to be described and not to be read.
    Name,
    /// A file to read.
    Content,
}

/// What a call has done that a power cut may undo, or can undo no more.
#[derive(Debug)]
#[cfg_attr(not(test), expect(dead_code, reason = "only tests stand around the calls"))]
pub(super) enum Done<'a> {
    /// A file lies there, new or not.
    Opened(&'a Path),
    Wrote {
        path: &'a Path,
        offset: u64,
        content: &'a [IoSlice<'a>],
        /// How many bytes of the content were written.
        written: usize,
    },
    Truncated {
        path: &'a Path,
        length: u64,
    },
    /// A file with its bytes, or a directory with its entries.
    Synced(&'a Path),
    SyncedFilesystem,
    Renamed {
        from: &'a Path,
        to: &'a Path,
    },
    Linked {
        from: &'a Path,
        to: &'a Path,
    },
    Unlinked(&'a Path),
    MadeDirectory(&'a Path),
    RemovedDirectory(&'a Path),
}

/// Stands around every call.
pub(super) trait Interpose: fmt::Debug + Send + Sync {
    /// Lets the call happen, or fails it. Of two paths it sees the one that the call would make.
    fn before(&self, call: Call, path: &Path) -> io::Result<()>;

    /// How many of the first `bytes` of a write are written by one call, at least one.
    fn writable(&self, path: &Path, bytes: usize) -> usize {
        let _ = path;
        bytes
    }

    /// Sees what a call that succeeded has done.
    fn after(&self, done: &Done<'_>) {
        let _ = done;
    }
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

    fn after(&self, done: &Done<'_>) {
        if let Some(interposed) = &self.interposed {
            interposed.after(done);
        }
    }

    /// Opens what lies there for reading. A pipe or a device that somebody put there does not hang.
    pub(super) fn open(&self, path: &Path) -> io::Result<File> {
        self.before(Call::Open, path)?;
        nonblocking().read(true).open(path)
    }

    /// Opens what lies there if the kernel can do so without waiting for the disk. Any error but absence means that the
    /// ordinary way is to be taken; it always is by those who watch the calls.
    pub(super) fn open_cached(&self, path: &Path, target: Target) -> io::Result<File> {
        if self.interposed.is_some() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{CWD, Mode, ResolveFlags, openat2};
            let flags = match target {
                Target::Name => OFlags::PATH,
                Target::Content => OFlags::RDONLY | OFlags::NONBLOCK,
            };
            let opened = openat2(CWD, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED)?;
            Ok(opened.into())
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = (path, target);
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    /// Makes a file that was not there, for writing.
    pub(super) fn create_new(&self, path: &Path) -> io::Result<File> {
        self.before(Call::Create, path)?;
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        self.after(&Done::Opened(path));
        Ok(file)
    }

    /// Opens a file for reading and writing, and makes it if `create` says so.
    pub(super) fn open_writable(&self, path: &Path, create: bool) -> io::Result<File> {
        self.before(if create { Call::Create } else { Call::Open }, path)?;
        let file = nonblocking().read(true).write(true).create(create).truncate(false).open(path)?;
        self.after(&Done::Opened(path));
        Ok(file)
    }

    pub(super) fn metadata(&self, path: &Path) -> io::Result<fs::Metadata> {
        self.before(Call::Stat, path)?;
        fs::metadata(path)
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<ReadDir> {
        self.before(Call::List, path)?;
        fs::read_dir(path)
    }

    /// Opens a directory to read what it is and its names.
    pub(super) fn open_directory(&self, path: &Path) -> io::Result<File> {
        self.before(Call::List, path)?;
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed()).open(path)
    }

    /// Writes a file from its beginning.
    pub(super) fn write_all(&self, file: &File, path: &Path, content: &[u8]) -> io::Result<()> {
        self.write_all_at(file, path, &mut [IoSlice::new(content)], 0)
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
            let first = [IoSlice::new(&buffers[0][..self.writable(path, buffers[0].len())])];
            let content = if first[0].len() < buffers[0].len() { &first } else { &buffers[..most] };
            let written = retry_on_intr(|| rustix::io::pwritev(file, content, offset))?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.after(&Done::Wrote { path, offset, content, written });
            IoSlice::advance_slices(&mut buffers, written);
            offset += written as u64;
        }
        Ok(())
    }

    fn writable(&self, path: &Path, bytes: usize) -> usize {
        self.interposed.as_ref().map_or(bytes, |interposed| interposed.writable(path, bytes))
    }

    /// Copies a whole file.
    pub(super) fn copy_all(&self, from: &File, to: &File, path: &Path) -> io::Result<()> {
        let mut buffer = vec![0; 1024 * 1024];
        let mut offset = 0;
        loop {
            let read = from.read_at(&mut buffer, offset)?;
            if read == 0 {
                return Ok(());
            }
            self.write_all_at(to, path, &mut [IoSlice::new(&buffer[..read])], offset)?;
            offset += read as u64;
        }
    }

    pub(super) fn truncate(&self, file: &File, path: &Path, length: u64) -> io::Result<()> {
        self.before(Call::Truncate, path)?;
        file.set_len(length)?;
        self.after(&Done::Truncated { path, length });
        Ok(())
    }

    pub(super) fn sync_data(&self, file: &File, path: &Path) -> io::Result<()> {
        self.before(Call::SyncData, path)?;
        file.sync_data()?;
        self.after(&Done::Synced(path));
        Ok(())
    }

    /// Syncs a directory or a file. Where directories cannot be synced at all, their entries need no sync.
    pub(super) fn sync(&self, opened: &File, path: &Path) -> io::Result<()> {
        self.before(Call::Sync, path)?;
        match opened.sync_all() {
            Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {}
            done => done?,
        }
        self.after(&Done::Synced(path));
        Ok(())
    }

    /// Syncs everything on the filesystem that `path` is on.
    pub(super) fn sync_filesystem(&self, path: &Path) -> io::Result<()> {
        self.before(Call::SyncFilesystem, path)?;
        #[cfg(target_os = "linux")]
        rustix::fs::syncfs(File::open(path)?)?;
        #[cfg(not(target_os = "linux"))]
        rustix::fs::sync();
        self.after(&Done::SyncedFilesystem);
        Ok(())
    }

    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::Rename, to)?;
        fs::rename(from, to)?;
        self.after(&Done::Renamed { from, to });
        Ok(())
    }

    /// Renames only if nothing lies at `to`.
    pub(super) fn rename_exclusive(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::RenameExclusive, to)?;
        #[cfg(any(target_os = "linux", target_vendor = "apple"))]
        {
            rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, rustix::fs::RenameFlags::NOREPLACE)?;
            self.after(&Done::Renamed { from, to });
            Ok(())
        }
        #[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
        {
            let _ = from;
            Err(io::ErrorKind::Unsupported.into())
        }
    }

    pub(super) fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.before(Call::Link, to)?;
        fs::hard_link(from, to)?;
        self.after(&Done::Linked { from, to });
        Ok(())
    }

    pub(super) fn unlink(&self, path: &Path) -> io::Result<()> {
        self.before(Call::Unlink, path)?;
        fs::remove_file(path)?;
        self.after(&Done::Unlinked(path));
        Ok(())
    }

    pub(super) fn make_directory(&self, path: &Path) -> io::Result<()> {
        self.before(Call::MakeDirectory, path)?;
        fs::create_dir(path)?;
        self.after(&Done::MadeDirectory(path));
        Ok(())
    }

    pub(super) fn make_root(&self, path: &Path) -> io::Result<()> {
        self.before(Call::MakeDirectory, path)?;
        fs::create_dir_all(path)
    }

    pub(super) fn remove_directory(&self, path: &Path) -> io::Result<()> {
        self.before(Call::RemoveDirectory, path)?;
        fs::remove_dir(path)?;
        self.after(&Done::RemovedDirectory(path));
        Ok(())
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

/// Reads the beginning of a file, as far as it is in memory.
pub(super) fn read_cached(file: &File, content: &mut [u8]) -> io::Result<usize> {
    #[cfg(target_os = "linux")]
    {
        use rustix::io::{ReadWriteFlags, preadv2};
        Ok(preadv2(file, &mut [io::IoSliceMut::new(content)], 0, ReadWriteFlags::NOWAIT)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (file, content);
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The time by the clock with which the filesystem dates files.
#[expect(clippy::disallowed_methods, reason = "what is compared with it is dated by this clock")]
pub(super) fn now() -> SystemTime {
    SystemTime::now()
}

/// The clock by which the kernel dates changes of files and directories, as seconds and nanoseconds since 1970. It stands
/// still between its ticks, some milliseconds.
pub(super) fn clock_of_files() -> (i64, i64) {
    #[cfg(target_os = "linux")]
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    #[cfg(not(target_os = "linux"))]
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    (now.tv_sec, now.tv_nsec)
}

/// Whether the filesystem is known to date every change of a directory by the clock of this machine, at once.
pub(super) fn dates_changes(root: &Path) -> bool {
    #[cfg(target_os = "linux")]
    {
        /// `f_type` of ext2 to ext4, xfs, btrfs, f2fs, zfs, bcachefs, tmpfs and overlayfs, from `statfs(2)`.
        const LOCAL: [u32; 8] =
            [0xef53, 0x5846_5342, 0x9123_683e, 0xf2f5_2010, 0x2fc1_2fc1, 0xca45_1a4e, 0x0102_1994, 0x794c_7630];
        let kind = rustix::fs::statfs(root).ok().and_then(|found| u32::try_from(found.f_type).ok());
        kind.is_some_and(|kind| LOCAL.contains(&kind))
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = root;
        false
    }
}

/// Which boot of the operating system this is, if it tells.
pub(super) fn boot() -> Option<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&hex, 16).ok().map(u128::to_be_bytes)
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
