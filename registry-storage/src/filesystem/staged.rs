//! Staged bytes: a file that one writer holds by a kernel lock, and publishes by giving it a second name.

use std::fs::{self, File};
use std::io::{self, IoSlice};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use registry_core::storage::{Error, Key, Metadata, Object, StageMode, Staged};
use registry_core::{Blocking, Span};

use super::journal::{self, Journal};
use super::read::present;
use super::sys;
use super::unsynced::{Change, Unsynced, directory_of};
use super::volume::{ATTEMPTS, Volume};

/// The staged bytes as the storage gives them out.
#[derive(Debug)]
pub(super) struct StagedFile {
    shared: Arc<Shared>,
    blocking: Arc<dyn Blocking>,
    /// Numbers the calls.
    calls: u64,
}

/// What the calls share. A call that its caller gave up runs on, and the next one waits for it here; one that was
/// given up before it began does not run after a later one.
#[derive(Debug)]
struct Shared {
    writer: Mutex<(Writer, LastCall)>,
    /// The writer's size, to be told while it is at work.
    size: AtomicU64,
    key: Key,
    file: Arc<File>,
    /// Whether to sync them means to wait for the disk.
    syncs_staged: bool,
}

/// The number of the last call that ran.
type LastCall = u64;

/// A locked file with staged bytes.
#[derive(Debug)]
pub(super) struct Writer {
    volume: Arc<Volume>,
    key: Key,
    path: PathBuf,
    file: Arc<File>,
    size: u64,
    /// All bytes are on disk.
    synced: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    /// The bytes may have a second name, under which they must not change.
    Published,
    /// A sync failed, or the size is not known: the bytes are not to be trusted.
    Broken,
}

#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("these staged bytes were published and cannot change any more")]
    Published,
    #[error("these staged bytes were not written whole and cannot be used")]
    Broken,
}

impl StagedFile {
    pub(super) fn new(writer: Writer, blocking: Arc<dyn Blocking>) -> Self {
        let size = AtomicU64::new(writer.size);
        let (key, file) = (writer.key.clone(), Arc::clone(&writer.file));
        let syncs_staged = writer.volume.syncs_staged();
        let shared = Shared { writer: Mutex::new((writer, 0)), size, key, file, syncs_staged };
        Self { shared: Arc::new(shared), blocking, calls: 0 }
    }

    async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Writer) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.calls += 1;
        let (shared, call) = (Arc::clone(&self.shared), self.calls);
        self.blocking.run(move || shared.run(call, work)).await?
    }

    /// Does at once what never waits for the disk, unless a call that was given up is still at work.
    fn run_at_once<T>(&mut self, work: impl FnOnce(&mut Writer) -> io::Result<T>) -> Option<Result<T, Error>> {
        let mut writer = self.shared.writer.try_lock().ok()?;
        self.calls += 1;
        Some(self.shared.run_locked(&mut writer, self.calls, work))
    }
}

impl Shared {
    fn run<T>(&self, call: u64, work: impl FnOnce(&mut Writer) -> io::Result<T>) -> Result<T, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.run_locked(&mut writer, call, work)
    }

    fn run_locked<T>(
        &self,
        (writer, last): &mut (Writer, LastCall),
        call: u64,
        work: impl FnOnce(&mut Writer) -> io::Result<T>,
    ) -> Result<T, Error> {
        if call < *last {
            return Err(Error::Busy { key: self.key.clone() });
        }
        *last = call;
        let done = work(writer);
        self.size.store(writer.size, Ordering::Release);
        done.map_err(|error| match error.get_ref().and_then(|cause| cause.downcast_ref()) {
            Some(Refused::Published) => Error::Busy { key: self.key.clone() },
            _ => Error::from_io(&self.key, error),
        })
    }
}

#[async_trait]
impl Staged for StagedFile {
    fn size(&self) -> u64 {
        self.shared.size.load(Ordering::Acquire)
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        self.run(move |writer| writer.append(&batch)).await
    }

    async fn sync(&mut self) -> Result<(), Error> {
        if !self.shared.syncs_staged
            && let Some(done) = self.run_at_once(Writer::sync)
        {
            return done;
        }
        self.run(Writer::sync).await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let size = self.run(Writer::readable).await?;
        let found = Metadata { size, modified: None };
        let object = Object::from_file(self.shared.key.clone(), Arc::clone(&self.shared.file), found);
        Ok(object.read(Span::rest(offset, size)).await?.into_stream(Arc::clone(&self.blocking)))
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        let key = key.clone();
        self.run(move |writer| writer.publish(&key)).await
    }

    async fn discard(self: Box<Self>) -> Result<(), Error> {
        let Self { shared, blocking, calls } = *self;
        // The file is closed there too: to free a large one takes its time.
        blocking.run(move || shared.run(calls + 1, Writer::discard)).await?
    }
}

impl Volume {
    /// Whether staged bytes outlive a power cut.
    fn syncs_staged(&self) -> bool {
        self.syncs() && self.journal.is_none()
    }

    /// Opens and locks a file with staged bytes.
    pub(super) fn stage(self: &Arc<Self>, key: &Key, mode: StageMode) -> Result<Option<Writer>, Error> {
        let failed = |error| Error::from_io(key, error);
        let path = self.absolute(key.as_str());
        for _ in 0..ATTEMPTS {
            let Some(file) = self.open_staged(key, &path, mode).map_err(failed)? else { return Ok(None) };
            if !self.sys.try_lock(&file, &path).map_err(failed)? {
                return Err(Error::Busy { key: key.clone() });
            }
            let opened = file.metadata().map_err(failed)?;
            let named = present(self.sys.metadata(&path)).map_err(failed)?;
            if !named.is_some_and(|named| is_same(&named, &opened)) {
                // It was removed between opening and locking.
                continue;
            }
            return Ok(Some(Writer::new(Arc::clone(self), key.clone(), path, file, &opened)));
        }
        Err(Error::Busy { key: key.clone() })
    }

    /// How many staged bytes there are.
    pub(super) fn staged_size(&self, key: &Key) -> io::Result<Option<u64>> {
        let found = present(self.sys.metadata(&self.absolute(key.as_str())))?;
        Ok(found.filter(fs::Metadata::is_file).map(|found| found.len()))
    }

    fn open_staged(&self, key: &Key, path: &Path, mode: StageMode) -> io::Result<Option<File>> {
        let file = match mode {
            StageMode::Create => {
                let mut opened = None;
                // The changes are left unsynced: losing a fresh upload only costs work.
                self.place(&self.unsynced, directory_of(key.as_str()), || {
                    opened = Some(self.sys.open_writable(path, true)?);
                    Ok(())
                })?;
                opened
            }
            StageMode::Resume => match present(self.sys.open_writable(path, false)) {
                Err(error) if error.kind() == io::ErrorKind::IsADirectory => None,
                opened => opened?,
            },
        };
        let Some(file) = file else { return Ok(None) };
        match mode {
            _ if file.metadata()?.is_file() => Ok(Some(file)),
            // A pipe or a device is no staged bytes.
            StageMode::Create => Err(io::ErrorKind::AlreadyExists.into()),
            StageMode::Resume => Ok(None),
        }
    }

    /// Gives staged bytes the name of an object, durably.
    fn publish(&self, staged: &Path, size: u64, key: &Key) -> io::Result<()> {
        let changes = self.name(&self.unsynced, staged, size, key)?;
        self.settle(key.as_str())?;
        changes.into_iter().for_each(Change::release);
        Ok(())
    }

    /// The same for bytes that are durable as soon as they are on record.
    fn publish_noted(&self, journal: &Journal, staged: &Path, content: &[u8], key: &Key) -> io::Result<()> {
        let turn = journal.turn(key);
        let size = content.len() as u64;
        if self.has_size(&self.absolute(key.as_str()), size)? {
            drop(turn);
            return self.settle(key.as_str());
        }
        let running = journal.note(&journal::Change::Write(key, content))?;
        if let Err(error) = self.name(&self.on_record, staged, size, key) {
            running.give_up()?;
            return Err(error);
        }
        Ok(())
    }

    fn name<'a>(&self, unsynced: &'a Unsynced, staged: &Path, size: u64, key: &Key) -> io::Result<Vec<Change<'a>>> {
        let target = self.absolute(key.as_str());
        let directory = directory_of(key.as_str());
        match self.place(unsynced, directory, || self.sys.link(staged, &target)) {
            Ok(changes) => Ok(changes),
            // Kept, whoever wrote it; or published before, on a volume where that takes the first name away.
            Err(_) if self.has_size(&target, size)? => Ok(Vec::new()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists || sys::is_link_unsupported(&error) => {
                self.replace(unsynced, staged, directory, &target)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts staged bytes in the place of an object, which another program may have written only in part. Where
    /// they cannot have two names, they lose the first.
    fn replace<'a>(
        &self,
        unsynced: &'a Unsynced,
        staged: &Path,
        directory: &str,
        target: &Path,
    ) -> io::Result<Vec<Change<'a>>> {
        match self.name_temporary(|path| self.sys.link(staged, path)) {
            Ok((mut temporary, ())) => self.place(unsynced, directory, || temporary.rename(target)),
            Err(error) if sys::is_link_unsupported(&error) => {
                self.place(unsynced, directory, || self.sys.rename(staged, target))
            }
            Err(error) => Err(error),
        }
    }

    fn has_size(&self, target: &Path, size: u64) -> io::Result<bool> {
        let found = present(self.sys.metadata(target))?;
        Ok(found.is_some_and(|found| found.is_file() && found.len() == size))
    }
}

impl Writer {
    fn new(volume: Arc<Volume>, key: Key, path: PathBuf, file: File, opened: &fs::Metadata) -> Self {
        // With a second name the bytes belong to an object: a publisher died before it discarded them. They can
        // be read and published again, but never change.
        let state = if opened.nlink() > 1 { State::Published } else { State::Open };
        Self { volume, key, path, file: Arc::new(file), size: opened.len(), synced: false, state }
    }

    /// Adds all of the batch, or nothing of it.
    fn append(&mut self, batch: &[Bytes]) -> io::Result<()> {
        match self.state {
            State::Open => {}
            State::Published => return Err(io::Error::other(Refused::Published)),
            State::Broken => return Err(io::Error::other(Refused::Broken)),
        }
        let mut buffers: Vec<_> = batch.iter().map(|buffer| IoSlice::new(buffer)).collect();
        self.synced = false;
        let volume = Arc::clone(&self.volume);
        let _running = volume.journal.as_ref().map(|journal| journal.note_staged(&self.key)).transpose()?;
        match self.volume.sys.write_all_at(&self.file, &self.path, &mut buffers, self.size) {
            Ok(()) => {
                self.size += batch.iter().map(|buffer| buffer.len() as u64).sum::<u64>();
                Ok(())
            }
            Err(error) => {
                if let Err(left) = self.volume.sys.truncate(&self.file, &self.path, self.size) {
                    tracing::error!(key = %self.key, error = %left, "staged bytes could not be cut back");
                    self.give_up();
                }
                Err(error)
            }
        }
    }

    /// Makes the bytes durable, and the name by which they are found again. With a journal they may be lost, and are not
    /// found again then.
    fn sync(&mut self) -> io::Result<()> {
        if !self.volume.syncs_staged() {
            return self.readable().map(drop);
        }
        self.sync_data()?;
        self.volume.settle(directory_of(self.key.as_str()))
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.readable()?;
        if self.synced || !self.volume.syncs() {
            return Ok(());
        }
        match self.volume.sys.sync_data(&self.file, &self.path) {
            Ok(()) => {
                self.synced = true;
                Ok(())
            }
            Err(error) => {
                tracing::error!(key = %self.key, %error, "a sync failed: the staged bytes are given up");
                self.give_up();
                Err(error)
            }
        }
    }

    /// The size, if the bytes can be relied on.
    fn readable(&mut self) -> io::Result<u64> {
        if self.state == State::Broken { Err(io::Error::other(Refused::Broken)) } else { Ok(self.size) }
    }

    fn publish(&mut self, key: &Key) -> io::Result<()> {
        let volume = Arc::clone(&self.volume);
        if let Some(journal) = volume.journal_for(self.readable()?) {
            let mut content = vec![0; usize::try_from(self.size).map_err(io::Error::other)?];
            self.file.read_exact_at(&mut content, 0)?;
            self.state = State::Published;
            return volume.publish_noted(journal, &self.path, &content, key);
        }
        self.sync_data()?;
        self.state = State::Published;
        volume.publish(&self.path, self.size, key)
    }

    /// Removes the name. The lock ends with the writer.
    fn discard(&mut self) -> io::Result<()> {
        present(self.volume.sys.unlink(&self.path))?;
        Ok(())
    }

    /// Lets nobody find the bytes again.
    fn give_up(&mut self) {
        self.state = State::Broken;
        if let Err(error) = present(self.volume.sys.unlink(&self.path)) {
            tracing::error!(key = %self.key, %error, "broken staged bytes stay behind");
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A stream that still reads shares the open file; it must not hold up the next writer.
        if let Err(error) = self.volume.sys.unlock(&self.file, &self.path) {
            tracing::warn!(key = %self.key, %error, "staged bytes stay locked until their readers are done");
        }
    }
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
