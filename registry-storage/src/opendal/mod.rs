//! A storage on any service that opendal speaks to: object stores above all.

mod ahead;
mod copying;
mod deleting;
mod error;
#[cfg(feature = "http")]
mod http;
mod known_parts;
mod listing;
#[cfg(feature = "s3")]
mod multipart;
mod parts;
mod probe;
mod publishing;
mod reading;
mod retries;
mod staging;

use std::time::{Duration, SystemTime};

use ::opendal::{Capability, ErrorKind, Operator};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{FutureExt as _, TryStreamExt as _};
use registry_core::storage::{
    Capabilities, Deletion, Error, Key, Listing, Metadata, Object, Precondition, PreparedDelete, Presigned, Scan,
    StageMode, Staged, Storage, WriteOptions,
};

pub use ahead::ReadAhead;
pub use error::MissingCapability;
#[cfg(feature = "http")]
pub use http::{over_http, over_http_unverified};
use known_parts::KnownParts;
#[cfg(feature = "s3")]
pub use multipart::MultipartUploads;
pub use probe::ProbeError;
pub use retries::Retries;

/// Any opendal service as a storage: Amazon S3, Google Cloud Storage, Azure Blob Storage and others.
///
/// ```
/// use registry_storage::Opendal;
/// use registry_storage::opendal_crate::{Operator, services};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = Opendal::new(Operator::new(services::Memory::default())?)?;
/// # Ok(())
/// # }
/// ```
///
/// # What the service must do
/// Besides reading, writing, deleting and listing: refuse a write when something lies there already, atomically.
/// [`new`](Self::new) asks for these by capability. opendal's own `fs` service declares all of them, but not at once
/// with whole writes; on a directory a [`filesystem`](crate::filesystem) storage is the one to take.
///
/// # Retries
/// Publishing staged bytes looks three times at most whether the object is there; nothing else is tried again, unless
/// [`retrying`](Self::retrying) says so. A retry layer in the operator is at odds with two promises of a storage: it repeats
/// deletes, of which a late one hits what was written since, and when the answer to a create-only write is lost, it reports that
/// another won.
///
/// # Staged bytes
/// They lie below `KEY.parts/`, in objects named after their offset, each of which is created and never replaced; so
/// of two writers at one offset one wins, and the other is told at its next [`sync`](Staged::sync). What a process
/// appended and did not sync is lost when it ends, at most 4 GiB. A process that goes on with what it wrote last does not ask what
/// is there: that may be more by then, which [`staged_size`](Storage::staged_size) finds out, and who opens them after that. It may
/// leave a multipart upload behind, which an S3 service keeps, unseen, until [`end_unfinished`](Storage::end_unfinished) ends it,
/// given [`MultipartUploads`](https://docs.rs/registry-storage), or the bucket's lifecycle rule for such uploads.
///
/// Each writer holds about 10 MiB in memory. Publishing needs no more where the service copies by itself, or takes
/// an object in pieces; elsewhere it holds the whole object.
///
/// # Lists
/// A page looks at every name behind the one that it starts from, one request for about a thousand of them.
#[derive(Debug, Clone)]
pub struct Opendal {
    operator: Operator,
    /// The same one for content on its way in.
    writing: Operator,
    presigning: Option<Operator>,
    retries: Retries,
    ahead: Option<ReadAhead>,
    known_parts: KnownParts,
    #[cfg(feature = "s3")]
    multipart_uploads: Option<MultipartUploads>,
}

impl Opendal {
    /// Wraps an operator that can do what a registry needs.
    ///
    /// # Errors
    /// [`MissingCapability`] names all that the service lacks.
    pub fn new(operator: Operator) -> Result<Self, MissingCapability> {
        let info = operator.info();
        let missing = missing(&info.capability());
        if missing.is_empty() {
            Ok(Self {
                writing: operator.clone(),
                operator,
                presigning: None,
                retries: Retries::none(),
                ahead: None,
                known_parts: KnownParts::new(),
                #[cfg(feature = "s3")]
                multipart_uploads: None,
            })
        } else {
            Err(MissingCapability::new(info.scheme(), missing))
        }
    }

    /// Signs addresses for clients with another operator: one for the same content at the address under which clients
    /// reach it.
    #[must_use]
    pub fn presigning_with(mut self, operator: Operator) -> Self {
        self.presigning = Some(operator);
        self
    }

    /// Asks again for what the service failed to do.
    #[must_use]
    pub fn retrying(mut self, retries: Retries) -> Self {
        self.writing = retries.for_writers(&self.operator);
        self.retries = retries;
        self
    }

    /// Reads large objects in several pieces at once.
    #[must_use]
    pub fn reading_ahead(mut self, ahead: ReadAhead) -> Self {
        self.ahead = Some(ahead);
        self
    }

    /// Finds multipart uploads that nobody completed, to [end](Storage::end_unfinished) them.
    #[cfg(feature = "s3")]
    #[must_use]
    pub fn ending_multipart_uploads(mut self, uploads: MultipartUploads) -> Self {
        self.multipart_uploads = Some(uploads.over(&self.operator));
        self
    }

    fn capability(&self) -> Capability {
        self.operator.info().capability()
    }

    async fn create(&self, key: &Key, content: Bytes) -> Result<(), Error> {
        let path = path(key)?;
        let Err(error) = self.operator.write_with(path, content).if_not_exists(true).await else { return Ok(()) };
        if error::is_taken(&self.operator, path, &error).await {
            return Err(Error::Exists { key: key.clone() });
        }
        Err(error::of(key, error))
    }
}

fn missing(capability: &Capability) -> Vec<&'static str> {
    let needed = [
        ("stat", capability.stat),
        ("read", capability.read),
        ("write", capability.write),
        ("write empty objects", capability.write_can_empty),
        ("write only if nothing is there (write_with_if_not_exists)", capability.write_with_if_not_exists),
        ("delete", capability.delete),
        ("list", capability.list),
    ];
    needed.into_iter().filter(|(_, has)| !has).map(|(name, _)| name).collect()
}

/// opendal trims paths, so that two keys would become one.
fn path(key: &Key) -> Result<&str, Error> {
    let path = key.as_str();
    if path.trim() == path {
        Ok(path)
    } else {
        Err(Error::Unsupported { capability: "keep keys that begin or end with white space" })
    }
}

/// The path under which everything below the key lies.
fn directory(key: &Key) -> Result<String, Error> {
    path(key).map(|path| format!("{path}/"))
}

async fn stat(operator: &Operator, key: &Key) -> Result<Option<::opendal::Metadata>, Error> {
    match operator.stat(path(key)?).await {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Ok(None),
        Err(error) if error::is_absent(&error) => Ok(None),
        Err(error) => Err(error::of(key, error)),
    }
}

fn metadata(of: &::opendal::Metadata) -> Metadata {
    Metadata { size: of.content_length(), modified: of.last_modified().map(SystemTime::from) }
}

#[async_trait]
impl Storage for Opendal {
    fn capabilities(&self) -> Capabilities {
        let service = self.capability();
        let mut capabilities = Capabilities::default();
        capabilities.presign = service.presign && service.presign_read && service.presign_stat;
        capabilities.shared = service.shared;
        capabilities.durable_reads = true;
        capabilities.expiring_deletes = service.presign && service.presign_delete;
        // Who can begin behind a path has an order of them.
        capabilities.scans = service.list_with_start_after && service.list_with_recursive;
        capabilities
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        let found = self.retries.look(key, || stat(&self.operator, key)).await?;
        Ok(found.as_ref().map(metadata))
    }

    /// What an object store shows is durable.
    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.stat(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.retries.look(key, || reading::read_small(&self.operator, key, limit_bytes)).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        let found = self.retries.look(key, || stat(&self.operator, key)).await?;
        Ok(found.map(|found| reading::object(self, key, &found)))
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        match options.precondition {
            Precondition::None => {
                let path = path(key)?;
                let write = || async {
                    let written = self.operator.write(path, content.clone()).await;
                    written.map(drop).map_err(|error| error::of(key, error))
                };
                self.retries.ask(key, write).await
            }
            Precondition::Absent => self.create(key, content).await,
            _ => Err(Error::Unsupported { capability: "write under this precondition" }),
        }
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        error::deletion(key, self.operator.delete(path(key)?).await)
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        let directory = directory(prefix)?;
        let failed = |error| error::of(prefix, error);
        let mut found = self.operator.lister_with(&directory).recursive(true).await.map_err(failed)?;
        let mut deleter = self.operator.deleter().await.map_err(failed)?;
        loop {
            let entry = match found.try_next().await {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) if error.kind() == ErrorKind::NotFound => break,
                Err(error) => return Err(failed(error)),
            };
            if let Err(error) = deleter.delete(entry.path()).await {
                return error::deletion(prefix, Err(error));
            }
        }
        error::deletion(prefix, deleter.close().await)
    }

    async fn prepare_delete(&self, key: &Key, validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        if !self.capabilities().expiring_deletes {
            return Ok(None);
        }
        let signed = self.operator.presign_delete(path(key)?, validity).await.map_err(|error| error::of(key, error))?;
        Ok(Some(deleting::send(self.operator.clone(), key.clone(), signed).boxed()))
    }

    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        let Some(first) = keys.first() else { return Ok(Deletion::Acked) };
        let paths = keys.iter().map(path).collect::<Result<Vec<_>, Error>>()?;
        error::deletion(first, self.operator.delete_iter(paths).await)
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.retries.repeat(|| copying::copy(&self.operator, from, to)).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.retries.repeat(|| listing::list(&self.operator, prefix, after, limit)).await
    }

    async fn scan(&self, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
        if !self.capabilities().scans {
            return Err(Error::Unsupported { capability: "list all that lies below a prefix in order" });
        }
        self.retries.ask(prefix, || listing::scan(&self.operator, prefix, after, limit)).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        let parts = match self.known_parts.take(key) {
            Some(known) => Some(known),
            None => self.retries.ask(key, || staging::begin(&self.operator, key, mode)).await?,
        };
        Ok(parts.map(|parts| staging::stage(&self.operator, &self.writing, &self.known_parts, key, parts)))
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        // Who asks this wants to know what is there now, and so will who stages next.
        drop(self.known_parts.take(key));
        let found = self.retries.ask(key, || parts::find(&self.operator, key)).await?;
        Ok(found.as_deref().map(parts::size))
    }

    #[cfg(feature = "s3")]
    async fn end_unfinished(&self, below: &Key, before: SystemTime, dry_run: bool) -> Result<usize, Error> {
        let Some(uploads) = &self.multipart_uploads else { return Ok(0) };
        uploads.end(&self.operator, &self.retries, below, before, dry_run).await
    }

    async fn create_directory(&self, _: &Key) -> Result<(), Error> {
        Ok(())
    }

    async fn remove_directory(&self, _: &Key) -> Result<bool, Error> {
        Ok(true)
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        if !self.capabilities().presign {
            return Ok(None);
        }
        let (operator, path) = (self.presigning.as_ref().unwrap_or(&self.operator), path(key)?);
        let signed = match request {
            Presigned::Get => operator.presign_read(path, validity).await,
            Presigned::Head => operator.presign_stat(path, validity).await,
        };
        signed.map(|request| Some(request.uri().to_string())).map_err(|error| error::of(key, error))
    }
}
