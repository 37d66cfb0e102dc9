//! A look at whether a service does what it says that it can.

use std::time::Duration;

use registry_core::layout;
use registry_core::storage::{Durability, Error, Key, Precondition, Presigned, Storage, WriteOptions};

use super::Opendal;

/// Why no registry can be kept on a service.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// It refused what a registry does all the time, or could not be reached.
    #[error("the bucket does not let this server {what}")]
    Refused {
        /// What it was asked for.
        what: &'static str,
        /// What came of it.
        source: Error,
    },
    /// It took a request and did something else. Pushes would lose content.
    #[error("the service of the bucket does not {0}, without which a registry loses content")]
    NotHonoured(&'static str),
}

const CREATE: &str = "create an object";

const ONCE: WriteOptions = WriteOptions { precondition: Precondition::Absent, durability: Durability::Durable };

impl Opendal {
    /// Tries out what a registry asks of the service: to create, read, replace, list and delete an object, and above all to
    /// refuse to create one that is there. The object is named `id`, which nobody else may use, and is gone afterwards;
    /// dropping the future may leave it behind.
    ///
    /// # Errors
    /// If any of it does not come out as it should.
    pub async fn probe(&self, id: &str) -> Result<(), ProbeError> {
        let folder = layout::probes();
        let key = folder.child(id).map_err(|_| ProbeError::NotHonoured("keep an object of this name"))?;
        let created = self.write(&key, "first".into(), ONCE).await;
        if let Err(source @ Error::Exists { .. }) = created {
            // It is somebody else's.
            return Err(ProbeError::Refused { what: CREATE, source });
        }
        let done = match refused(CREATE, created) {
            Ok(()) => self.try_out(&folder, &key).await,
            failed => failed,
        };
        let deleted = refused("delete an object", self.delete(&key).await);
        done?;
        deleted?;
        match refused("look an object up", self.stat(&key).await)? {
            Some(_) => Err(ProbeError::NotHonoured("delete what it is told to delete")),
            None => Ok(()),
        }
    }

    async fn try_out(&self, folder: &Key, key: &Key) -> Result<(), ProbeError> {
        match self.write(key, "second".into(), ONCE).await {
            Err(Error::Exists { .. }) => {}
            Ok(()) => {
                return Err(ProbeError::NotHonoured("refuse to create an object that is there (If-None-Match: *)"));
            }
            Err(source) => {
                return Err(ProbeError::Refused { what: "create an object only if it is not there", source });
            }
        }
        self.has(key, "first").await?;
        refused("replace an object", self.write(key, "third".into(), WriteOptions::default()).await)?;
        self.has(key, "third").await?;
        let listing = refused("list objects", self.list(folder, None, 1_000).await)?;
        if !listing.more && !listing.entries.iter().any(|entry| key.as_str().ends_with(&entry.name)) {
            return Err(ProbeError::NotHonoured("list what was just written"));
        }
        refused("sign an address", self.presign(key, Presigned::Get, Duration::from_mins(1)).await)?;
        Ok(())
    }

    async fn has(&self, key: &Key, content: &str) -> Result<(), ProbeError> {
        match refused("read an object", self.read(key, 100).await)? {
            Some(found) if found == content => Ok(()),
            _ => Err(ProbeError::NotHonoured("give back what was just written")),
        }
    }
}

fn refused<T>(what: &'static str, done: Result<T, Error>) -> Result<T, ProbeError> {
    done.map_err(|source| ProbeError::Refused { what, source })
}
