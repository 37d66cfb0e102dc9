//! Where a registry under measurement keeps its content.

use std::io;
use std::path::Path;
use std::sync::Arc;

use registry_core::storage::{Memory, Storage};
use registry_storage::filesystem::{Filesystem, SyncMode};
use tempfile::TempDir;

/// Where a registry under measurement keeps its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In memory.
    Memory,
    /// In a directory, durable.
    Strict,
    /// In a directory, written when the operating system likes.
    Os,
}

impl Place {
    /// Every place.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Strict, Self::Os];

    /// The name in the results.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Strict => "filesystem_strict",
            Self::Os => "filesystem_os",
        }
    }

    /// An empty storage, and the directory below `parent` that goes with it.
    pub(crate) fn open(self, parent: &Path) -> io::Result<(Arc<dyn Storage>, Option<TempDir>)> {
        let mode = match self {
            Self::Memory => return Ok((Arc::new(Memory::new()), None)),
            Self::Strict => SyncMode::Strict,
            Self::Os => SyncMode::Os,
        };
        let directory = tempfile::tempdir_in(parent)?;
        let storage = Filesystem::builder(directory.path()).durability(mode).open().map_err(io::Error::other)?;
        Ok((Arc::new(storage), Some(directory)))
    }
}
