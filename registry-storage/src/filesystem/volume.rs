//! The directory tree that a [`Filesystem`](super::Filesystem) writes to, as blocking calls.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::storage::{Durability, Error, Key, Precondition, WriteOptions};
use registry_core::{Random as _, SystemRandom, layout};

use super::SyncMode;
use super::journal::{self, Journal};
use super::names::KnownNames;
use super::read::present;
use super::sys::{self, Sys};
use super::unsynced::{Change, Unsynced, directory_of};

/// How often an operation starts over when somebody prunes the directories under it. Pruning takes a deleted file
/// each time, so nobody loses this often in practice; the bound is for volumes that answer nonsense.
pub(super) const ATTEMPTS: usize = 1000;

/// A directory tree, and what this process knows of it.
///
/// Places in it are named by their path below the root, as keys are.
#[derive(Debug)]
pub(super) struct Volume {
    pub(super) root: PathBuf,
    pub(super) mode: SyncMode,
    pub(super) sys: Sys,
    pub(super) unsynced: Unsynced,
    /// Stands for it where changes are on record, which vouches for them before they are made.
    pub(super) on_record: Unsynced,
    /// Makes small changes durable, with [`SyncMode::Group`].
    pub(super) journal: Option<Journal>,
    pub(super) known_names: Option<KnownNames>,
    pub(super) temporary: String,
    /// Begins the names of this value's temporary files, so that no other process or value has the same.
    pub(super) prefix: String,
    next: AtomicU64,
}

impl Volume {
    pub(super) fn new(root: PathBuf, mode: SyncMode, sys: Sys) -> Self {
        let mut random = [0; 16];
        random[..10].copy_from_slice(&SystemRandom.bytes());
        Self {
            known_names: KnownNames::new(&root),
            root,
            mode,
            sys,
            unsynced: Unsynced::new(mode != SyncMode::Os),
            on_record: Unsynced::new(false),
            journal: None,
            temporary: layout::temporary().to_string(),
            prefix: format!("{:032x}", u128::from_be_bytes(random)),
            next: AtomicU64::new(0),
        }
    }

    /// Writes a whole object: into a temporary file, then into place in one step.
    pub(super) fn write(&self, key: &Key, content: &[u8], options: WriteOptions) -> Result<(), Error> {
        let failed = |error| Error::from_io(key, error);
        let durable = self.syncs() && options.durability == Durability::Durable;
        if durable && let Some(journal) = self.journal_for(content.len() as u64) {
            return self.write_noted(journal, key, content, options.precondition);
        }
        let mut temporary = self.write_temporary(content, durable).map_err(failed)?;
        // Its bytes are not on disk: who confirms the object has to put them there.
        let volatile = (!durable).then(|| self.unsynced.begin(key.as_str()));
        let directory = directory_of(key.as_str());
        let changes = self.put(&self.unsynced, key, &mut temporary, options.precondition)?;
        drop(volatile);
        if durable {
            self.settle(directory).map_err(failed)?;
            changes.into_iter().for_each(Change::release);
        }
        Ok(())
    }

    /// Writes a small object that is durable as soon as it is on record.
    fn write_noted(
        &self,
        journal: &Journal,
        key: &Key,
        content: &[u8],
        precondition: Precondition,
    ) -> Result<(), Error> {
        let failed = |error| Error::from_io(key, error);
        // Where there is no room, nothing is put on record.
        let mut temporary = self.write_temporary(content, false).map_err(failed)?;
        let _turn = journal.turn(key);
        if precondition == Precondition::Absent
            && present(self.sys.metadata(&self.absolute(key.as_str()))).map_err(failed)?.is_some()
        {
            return Err(Error::Exists { key: key.clone() });
        }
        let running = journal.note(&journal::Change::Write(key, content)).map_err(failed)?;
        if let Err(error) = self.put(&self.on_record, key, &mut temporary, precondition) {
            running.give_up().map_err(failed)?;
            return Err(error);
        }
        Ok(())
    }

    /// Gives a file that is written its place.
    fn put<'a>(
        &self,
        unsynced: &'a Unsynced,
        key: &Key,
        temporary: &mut Temporary<'_>,
        precondition: Precondition,
    ) -> Result<Vec<Change<'a>>, Error> {
        let (directory, target) = (directory_of(key.as_str()), self.absolute(key.as_str()));
        let failed = |error| Error::from_io(key, error);
        match precondition {
            Precondition::None => self.place(unsynced, directory, || temporary.rename(&target)).map_err(failed),
            Precondition::Absent => {
                self.place(unsynced, directory, || temporary.rename_exclusive(&target)).map_err(|error| match error {
                    error if error.kind() == io::ErrorKind::AlreadyExists => Error::Exists { key: key.clone() },
                    error if sys::is_exclusive_rename_unsupported(&error) => {
                        Error::Unsupported { capability: "create a file only if there is none" }
                    }
                    error => failed(error),
                })
            }
            _ => Err(Error::Unsupported { capability: "write under this precondition" }),
        }
    }

    /// The journal, if it takes so much content.
    pub(super) fn journal_for(&self, bytes: u64) -> Option<&Journal> {
        self.journal.as_ref().filter(|journal| journal.takes(bytes))
    }

    /// Makes a directory and those above it, durably.
    pub(super) fn create_directory(&self, place: &str) -> io::Result<()> {
        let path = self.absolute(place);
        let mut changes = Vec::new();
        for _ in 0..ATTEMPTS {
            match self.sys.metadata(&path) {
                Ok(found) if found.is_dir() => {
                    self.settle(place)?;
                    changes.into_iter().for_each(Change::release);
                    return Ok(());
                }
                Ok(_) => return Err(io::ErrorKind::NotADirectory.into()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.make_directories(&self.unsynced, place, &mut changes)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Makes an entry of `directory` by `make`, and the directory where it is missing or is pruned meanwhile.
    ///
    /// The changes, which are announced to `unsynced`, are to be released after [`settle`](Self::settle), or dropped to
    /// leave them unsynced.
    pub(super) fn place<'a>(
        &self,
        unsynced: &'a Unsynced,
        directory: &str,
        mut make: impl FnMut() -> io::Result<()>,
    ) -> io::Result<Vec<Change<'a>>> {
        let mut changes = Vec::new();
        for _ in 0..ATTEMPTS {
            let change = unsynced.begin(directory);
            match make() {
                Ok(()) => {
                    changes.push(change);
                    return Ok(changes);
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    change.release();
                    self.make_directories(unsynced, directory, &mut changes)?;
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    change.release();
                    return Err(error);
                }
                // Whether it took effect is not known.
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Makes a directory and what is missing above it. It may be pruned before this returns.
    fn make_directories<'a>(
        &self,
        unsynced: &'a Unsynced,
        directory: &str,
        changes: &mut Vec<Change<'a>>,
    ) -> io::Result<()> {
        let mut missing = vec![directory];
        for _ in 0..ATTEMPTS {
            let Some(&place) = missing.last() else { return Ok(()) };
            if place.is_empty() {
                // The root is made once, when the storage is opened: where it vanished, a disk may have.
                break;
            }
            let change = unsynced.begin(directory_of(place));
            match self.sys.make_directory(&self.absolute(place)) {
                Ok(()) => {
                    changes.push(change);
                    missing.pop();
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    change.release();
                    missing.pop();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    change.release();
                    missing.push(directory_of(place));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::NotFound.into())
    }

    /// Makes durable what this process changed and did not sync yet, at `path` and in the directories above it.
    pub(super) fn settle(&self, path: &str) -> io::Result<()> {
        if !self.syncs() {
            return Ok(());
        }
        let places = self.unsynced.along(path)?;
        match &self.journal {
            None => places.iter().try_for_each(|place| self.sync(place)),
            Some(_) if places.is_empty() => Ok(()),
            Some(journal) => {
                let marks: Vec<_> = places.iter().map(|place| (place, self.unsynced.mark(place))).collect();
                journal.checkpoint()?;
                for (place, mark) in marks {
                    self.unsynced.cover(place, mark);
                }
                Ok(())
            }
        }
    }

    /// Syncs a place, or, where it is gone, the directory that it is gone from.
    fn sync(&self, place: &str) -> io::Result<()> {
        let mark = self.unsynced.mark(place);
        let path = self.absolute(place);
        match self.sys.open(&path) {
            Ok(file) => match self.sys.sync(&file, &path) {
                Ok(()) => self.unsynced.cover(place, mark),
                Err(error) => {
                    self.unsynced.fail(place);
                    tracing::error!(%place, %error, "a sync failed: what was written there may not survive a power cut");
                    return Err(error);
                }
            },
            Err(error) if sys::is_absence(&error) && !place.is_empty() => {
                self.sync(directory_of(place))?;
                self.unsynced.cover(place, mark);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Writes a file in the directory for files on their way.
    fn write_temporary(&self, content: &[u8], durable: bool) -> io::Result<Temporary<'_>> {
        let (temporary, file) = self.name_temporary(|path| self.sys.create_new(path))?;
        self.sys.write_all(&file, &temporary.path, content)?;
        if durable {
            self.sys.sync_data(&file, &temporary.path)?;
        }
        Ok(temporary)
    }

    /// Finds a free name in the directory for files on their way, and has `make` make a file of this name.
    pub(super) fn name_temporary<T>(
        &self,
        mut make: impl FnMut(&Path) -> io::Result<T>,
    ) -> io::Result<(Temporary<'_>, T)> {
        let name = format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed));
        let path = self.absolute(&self.temporary).join(name);
        let file = match make(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Nothing below it has to be durable, so the changes are left for who needs them.
                self.make_directories(&self.unsynced, &self.temporary, &mut Vec::new())?;
                make(&path)?
            }
            done => done?,
        };
        Ok((Temporary { volume: self, path, there: true }, file))
    }

    pub(super) fn syncs(&self) -> bool {
        self.mode != SyncMode::Os
    }

    pub(super) fn absolute(&self, place: &str) -> PathBuf {
        let mut path = PathBuf::with_capacity(self.root.as_os_str().len() + 1 + place.len());
        path.push(&self.root);
        path.push(place);
        path
    }
}

/// A file on its way; it is removed unless it was moved to its place.
#[derive(Debug)]
pub(super) struct Temporary<'a> {
    volume: &'a Volume,
    path: PathBuf,
    there: bool,
}

impl Temporary<'_> {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Moves it over what lies at `target`.
    pub(super) fn rename(&mut self, target: &Path) -> io::Result<()> {
        self.volume.sys.rename(&self.path, target)?;
        self.there = false;
        Ok(())
    }

    /// Moves it to `target` if nothing lies there.
    pub(super) fn rename_exclusive(&mut self, target: &Path) -> io::Result<()> {
        match self.volume.sys.link(&self.path, target) {
            Err(error) if sys::is_link_unsupported(&error) => {
                self.volume.sys.rename_exclusive(&self.path, target)?;
                self.there = false;
                Ok(())
            }
            done => done,
        }
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if self.there
            && let Err(error) = self.volume.sys.unlink(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "a temporary file stays behind");
        }
    }
}
