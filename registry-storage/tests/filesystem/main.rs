//! The filesystem backend on a real filesystem.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod contract;
mod disk;
mod foreign;
mod model;
mod processes;
mod races;
mod registry;
mod space;
mod staging;

use std::path::PathBuf;

use bytes::Bytes;
use registry_core::storage::{Durability, Key, Precondition, StageMode, Staged, Storage as _, WriteOptions};
use registry_storage::filesystem::{Filesystem, SyncMode};
use tempfile::TempDir;

const DURABLE: WriteOptions = WriteOptions { precondition: Precondition::None, durability: Durability::Durable };
const ABSENT: WriteOptions = WriteOptions { precondition: Precondition::Absent, durability: Durability::Durable };
const TMP: &str = "docker/registry/v2/_tmp";
const UPLOAD: &str = "docker/registry/v2/repositories/a/_uploads/1/data";
const BLOB: &str = "docker/registry/v2/blobs/sha256/ab/abcd/data";

/// A storage in a directory of its own.
struct Ground {
    directory: TempDir,
    storage: Filesystem,
}

impl Ground {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // Syncs are watched elsewhere; here they would only take time.
        let storage = Filesystem::builder(directory.path()).durability(SyncMode::Os).open().unwrap();
        Self { directory, storage }
    }

    fn path(&self, at: &str) -> PathBuf {
        self.directory.path().join(at)
    }

    async fn write(&self, at: &str, content: &'static str) {
        self.storage.write(&key(at), content.into(), DURABLE).await.unwrap();
    }

    async fn read(&self, at: &str) -> Option<Bytes> {
        self.storage.read(&key(at), 1 << 20).await.unwrap()
    }

    async fn names(&self, prefix: &str) -> Vec<String> {
        let listing = self.storage.list(&key(prefix), None, 100).await.unwrap();
        listing.entries.into_iter().map(|entry| entry.name).collect()
    }

    async fn staged(&self, content: &'static str) -> Box<dyn Staged> {
        let mut staged = self.storage.stage(&key(UPLOAD), StageMode::Create).await.unwrap().unwrap();
        staged.append(vec![content.into()]).await.unwrap();
        staged
    }

    fn left_on_the_way(&self) -> usize {
        std::fs::read_dir(self.path(TMP)).map_or(0, Iterator::count)
    }
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}
