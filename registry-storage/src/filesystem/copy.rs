//! A second place for an object: another name for its file, or its bytes once more where a file has one name only.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use registry_core::storage::{Error, Key, Metadata};

use super::read::present;
use super::sys;
use super::unsynced::{Change, directory_of};
use super::volume::Volume;

/// The object went away before it had its second place.
#[derive(Debug, thiserror::Error)]
#[error("there is nothing to copy any more")]
struct Gone;

impl Volume {
    pub(super) fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        let source = self.absolute(from.as_str());
        let copied = self.copy_file(from, &source, to).map_err(|error| Error::from_io(to, error))?;
        if copied { self.stat(to) } else { Ok(None) }
    }

    /// Tells whether there was anything to copy.
    fn copy_file(&self, from: &Key, source: &Path, to: &Key) -> io::Result<bool> {
        let Some(found) = present(self.sys.metadata(source))?.filter(fs::Metadata::is_file) else { return Ok(false) };
        // The new name promises what the old one may not have promised yet.
        self.settle(from.as_str())?;
        let target = self.absolute(to.as_str());
        let directory = directory_of(to.as_str());
        let changes = match self.place(directory, || self.link_if_there(source, &target)) {
            Ok(changes) => changes,
            Err(error) if is_gone(&error) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists || sys::is_link_unsupported(&error) => {
                if self.has_size(&target, found.len())? {
                    Vec::new()
                } else {
                    match self.copy_over(source, directory, &target) {
                        Err(error) if is_gone(&error) => return Ok(false),
                        changes => changes?,
                    }
                }
            }
            Err(error) => return Err(error),
        };
        self.settle(to.as_str())?;
        changes.into_iter().for_each(Change::release);
        Ok(true)
    }

    /// Puts a copy in the place of whatever lies there.
    fn copy_over(&self, source: &Path, directory: &str, target: &Path) -> io::Result<Vec<Change<'_>>> {
        let mut temporary = match self.name_temporary(|path| self.link_if_there(source, path)) {
            Ok((temporary, ())) => temporary,
            Err(error) if sys::is_link_unsupported(&error) => {
                let Some(bytes) = present(self.sys.open(source))? else { return Err(io::Error::other(Gone)) };
                let (temporary, file) = self.name_temporary(|path| self.sys.create_new(path))?;
                self.copy_bytes(&bytes, &file, target)?;
                temporary
            }
            Err(error) => return Err(error),
        };
        self.place(directory, || temporary.rename(target))
    }

    fn copy_bytes(&self, bytes: &File, file: &File, target: &Path) -> io::Result<()> {
        self.sys.copy_all(bytes, file, target)?;
        if self.strict() { self.sys.sync_data(file, target) } else { Ok(()) }
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
