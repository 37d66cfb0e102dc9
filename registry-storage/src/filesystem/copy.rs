//! A second place for an object: another name for its file, or its bytes once more where a file has one name only.

use std::io;
use std::path::Path;

use registry_core::storage::{Error, Key, Metadata};

use super::read::present;
use super::sys;
use super::unsynced::{Change, ancestors, directory_of};
use super::volume::Volume;

/// The object went away before it had its second place.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing to copy any more")]
struct Gone;

impl Volume {
    pub(super) fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        let copied = self.copy_file(from, to).map_err(|error| Error::from_io(to, error))?;
        if copied { self.stat(to) } else { Ok(None) }
    }

    /// Tells whether there was anything to copy.
    fn copy_file(&self, from: &Key, to: &Key) -> io::Result<bool> {
        let source = self.absolute(from.as_str());
        if present(self.sys.metadata(&source))?.is_none_or(|found| !found.is_file()) {
            return Ok(false);
        }
        // The new name promises what the old one may not have promised yet.
        self.settle(from.as_str())?;
        let target = self.absolute(to.as_str());
        let directory = directory_of(to.as_str());
        let mut linked = self.place(&self.unsynced, directory, || self.link_if_there(&source, &target));
        if linked.as_ref().is_err_and(sys::is_link_unsupported) {
            linked = self.copy_bytes(&source, directory, &target);
        }
        let changes = match linked {
            Ok(changes) => changes,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Another process may have put it there and be about to sync it: who asked for a copy may drop the
                // original, so that does not do.
                ancestors(directory).for_each(|place| drop(self.unsynced.begin(place)));
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        self.settle(to.as_str())?;
        changes.into_iter().for_each(Change::release);
        Ok(true)
    }

    /// Writes the bytes once more, and puts them in place if nothing lies there.
    fn copy_bytes(&self, source: &Path, directory: &str, target: &Path) -> io::Result<Vec<Change<'_>>> {
        let Some(bytes) = present(self.sys.open(source))? else { return Err(io::Error::other(Gone)) };
        let (mut temporary, file) = self.name_temporary(|path| self.sys.create_new(path))?;
        self.sys.copy_all(&bytes, &file, temporary.path())?;
        if self.syncs() {
            self.sys.sync_data(&file, temporary.path())?;
        }
        self.place(&self.unsynced, directory, || match temporary.rename_exclusive(target) {
            Err(error) if sys::is_exclusive_rename_unsupported(&error) => {
                if present(self.sys.metadata(target))?.is_some() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                temporary.rename(target)
            }
            done => done,
        })
    }

    /// A link fails alike when its source and when its directory is missing; only the second can be mended.
    fn link_if_there(&self, source: &Path, target: &Path) -> io::Result<()> {
        match self.sys.link(source, target) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && present(self.sys.metadata(source))?.is_none() => {
                Err(io::Error::other(Gone))
            }
            done => done,
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.get_ref().and_then(|cause| cause.downcast_ref::<Gone>()).is_some()
}
