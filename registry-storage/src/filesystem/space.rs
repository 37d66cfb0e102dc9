//! How much room there is.

use registry_core::layout;
use registry_core::storage::Error;

use super::Filesystem;

/// How much room the disk has that a storage lies on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// What can still be written, in bytes; what is kept for the superuser is not among it.
    pub available_bytes: u64,
}

impl Filesystem {
    /// How much room there is now.
    ///
    /// # Errors
    /// If the operating system does not tell.
    pub async fn space(&self) -> Result<Space, Error> {
        self.run(&layout::repositories(), |volume, key| {
            let told = rustix::fs::statvfs(&volume.root).map_err(|error| Error::from_io(key, error.into()))?;
            let bytes = |blocks: u64| blocks.saturating_mul(told.f_frsize);
            Ok(Space { total_bytes: bytes(told.f_blocks), available_bytes: bytes(told.f_bavail) })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn there_is_some_and_no_more_than_all() {
        let folder = tempfile::tempdir().unwrap();
        let storage = Filesystem::builder(folder.path()).open().unwrap();
        let space = storage.space().await.unwrap();
        assert!(space.total_bytes > 0 && space.available_bytes <= space.total_bytes, "{space:?}");
        drop(folder);
        assert!(storage.space().await.is_err());
    }
}
