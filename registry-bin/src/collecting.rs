//! Who may collect what, and what a collector over it can rely on.

use std::path::PathBuf;
use std::sync::Arc;

use registry_core::Registry;
use registry_core::storage::Storage;
use registry_storage::filesystem::{CollectingLock, LockError, ServingLock};

use crate::assemble::{self, AssembleError};
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use crate::buckets;
use crate::config::{Config, Driver};

/// A registry that is opened to be maintained, beside a server or without one.
#[derive(Debug)]
pub struct Opened {
    /// The registry.
    pub registry: Registry,
    /// What it stores in.
    pub storage: Arc<dyn Storage>,
    /// Who else may be at work there.
    pub others: Others,
}

/// Who else may be at work, for as long as this value lives.
#[derive(Debug)]
#[must_use = "dropping it lets others in"]
pub enum Others {
    /// Nobody: no server and no other collector.
    None {
        /// Keeps collectors away.
        collecting: CollectingLock,
        /// Keeps servers away.
        serving: ServingLock,
    },
    /// A server, but no other collector.
    Server {
        /// Keeps collectors away.
        collecting: CollectingLock,
    },
    /// Anybody.
    Anybody,
}

impl Others {
    /// Whether no server is at work, so that nobody can be in the middle of a push.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        matches!(self, Self::None { .. })
    }

    /// Whether no other collector is.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        !matches!(self, Self::Anybody)
    }
}

/// Why a registry cannot be maintained.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A folder that is not there is more likely not mounted than empty.
    #[error("there is no folder {}", .0.display())]
    NoFolder(PathBuf),
    /// Only the server knows what is in its memory.
    #[error("storage.inmemory is in the memory of the server, where only that can reach it")]
    InMemory,
    /// It cannot be opened or claimed.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

/// Opens what a configuration names. A folder is claimed for collecting, and for serving if no server has it.
///
/// # Errors
/// If there is nothing to open, or another collector has it.
pub async fn open(config: &Config) -> Result<Opened, OpenError> {
    let (storage, others): (Arc<dyn Storage>, _) = match &config.storage.driver {
        Driver::Filesystem { root, durability } => {
            if !root.is_dir() {
                return Err(OpenError::NoFolder(root.clone()));
            }
            let folder = assemble::filesystem(root, *durability, |folder| {
                let collecting = folder.lock_for_collecting()?;
                let others = match folder.lock_for_serving() {
                    Ok(serving) => Others::None { collecting, serving },
                    Err(LockError::Held { .. }) => Others::Server { collecting },
                    Err(error) => return Err(error),
                };
                Ok((folder, others))
            });
            let (folder, others) = folder.await?;
            (Arc::new(folder), others)
        }
        Driver::InMemory => return Err(OpenError::InMemory),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        Driver::Bucket(bucket) => (Arc::new(buckets::open(bucket).map_err(AssembleError::from)?), Others::Anybody),
    };
    let registry = over(Arc::clone(&storage), config);
    Ok(Opened { registry, storage, others })
}

/// A registry beside whoever is at work there, for looking at it, and for what any client might do as well.
///
/// # Errors
/// If there is nothing to open.
pub async fn beside(config: &Config) -> Result<Registry, OpenError> {
    let storage: Arc<dyn Storage> = match &config.storage.driver {
        Driver::Filesystem { root, durability } => {
            if !root.is_dir() {
                return Err(OpenError::NoFolder(root.clone()));
            }
            Arc::new(assemble::filesystem(root, *durability, Ok).await?)
        }
        Driver::InMemory => return Err(OpenError::InMemory),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        Driver::Bucket(bucket) => Arc::new(buckets::open(bucket).map_err(AssembleError::from)?),
    };
    Ok(over(storage, config))
}

/// A registry that is filled by nobody but whoever opened it.
#[derive(Debug)]
pub struct Destination {
    /// The registry, which has no rules of its own.
    pub registry: Registry,
    /// Keeps servers and collectors of a folder away.
    pub claim: Option<(CollectingLock, ServingLock)>,
}

/// Opens what a configuration names, to be filled. A folder is made if it is not there, and claimed; a bucket is tried out, and
/// who else writes to it nobody can tell.
///
/// # Errors
/// If there is nothing that would last, or somebody has it.
pub async fn destination(config: &Config) -> Result<Destination, OpenError> {
    let (storage, claim): (Arc<dyn Storage>, _) = match &config.storage.driver {
        Driver::Filesystem { root, durability } => {
            let folder = assemble::filesystem(root, *durability, |folder| {
                let claim = (folder.lock_for_collecting()?, folder.lock_for_serving()?);
                Ok((folder, claim))
            });
            let (folder, claim) = folder.await?;
            (Arc::new(folder), Some(claim))
        }
        Driver::InMemory => return Err(OpenError::InMemory),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        Driver::Bucket(bucket) => {
            (Arc::new(buckets::open_probed(bucket, false).await.map_err(AssembleError::from)?), None)
        }
    };
    Ok(Destination { registry: Registry::builder(storage).build(), claim })
}

/// A registry that is only maintained.
#[must_use]
pub fn over(storage: Arc<dyn Storage>, config: &Config) -> Registry {
    Registry::builder(storage).validation(config.validation.clone()).tag_rules(config.tag_rules.clone()).build()
}
