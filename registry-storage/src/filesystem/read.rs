//! Looking objects up and reading them.
//!
//! Only a regular file is an object. A directory, a pipe, a dangling link: whatever else lies at a key is none, so
//! that a volume that somebody tampered with reads as incomplete, and a write heals it.

use std::fs::{self, File};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use registry_core::storage::{Error, Key, Metadata, Object, read_small};

use super::sys;
use super::volume::Volume;

impl Volume {
    pub(super) fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        let found = present(self.sys.metadata(&self.absolute(key.as_str())));
        let found = found.map_err(|error| Error::from_io(key, error))?;
        Ok(found.filter(fs::Metadata::is_file).map(|found| describe(&found)))
    }

    pub(super) fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        let found = self.stat(key)?;
        if found.is_some() {
            self.settle(key.as_str()).map_err(|error| Error::from_io(key, error))?;
        }
        Ok(found)
    }

    pub(super) fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        let failed = |error| Error::from_io(key, error);
        let Some((mut file, found)) = self.open_object(key).map_err(failed)? else { return Ok(None) };
        let too_large = || Error::TooLarge { key: key.clone(), limit_bytes };
        if found.size > limit_bytes {
            return Err(too_large());
        }
        read_small(&mut file, limit_bytes).map_err(failed)?.map(Some).ok_or_else(too_large)
    }

    pub(super) fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        let opened = self.open_object(key).map_err(|error| Error::from_io(key, error))?;
        Ok(opened.map(|(file, found)| Object::from_file(key.clone(), Arc::new(file), found)))
    }

    fn open_object(&self, key: &Key) -> io::Result<Option<(File, Metadata)>> {
        let Some(file) = present(self.sys.open(&self.absolute(key.as_str())))? else { return Ok(None) };
        let found = file.metadata()?;
        Ok(found.is_file().then(|| (file, describe(&found))))
    }
}

/// Makes the failure of a lookup that says "nothing there" into `None`.
pub(super) fn present<T>(looked_up: io::Result<T>) -> io::Result<Option<T>> {
    match looked_up {
        Ok(found) => Ok(Some(found)),
        Err(error) if sys::is_absence(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(super) fn describe(found: &fs::Metadata) -> Metadata {
    Metadata { size: found.len(), modified: found.modified().ok() }
}
