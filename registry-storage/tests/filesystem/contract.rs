use std::sync::Arc;

use registry_core::storage::{Storage, contract};
use registry_storage::filesystem::{Filesystem, SyncMode};

#[tokio::test(flavor = "multi_thread")]
async fn strict_keeps_it() {
    keeps_it(SyncMode::Strict).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn group_keeps_it() {
    keeps_it(SyncMode::Group).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn os_keeps_it() {
    keeps_it(SyncMode::Os).await;
}

async fn keeps_it(mode: SyncMode) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Filesystem::builder(directory.path()).durability(mode).open().unwrap();
    let storage: Arc<dyn Storage> = Arc::new(storage);
    for rule in contract::rules() {
        rule.check(Arc::clone(&storage)).await;
    }
    let left: Vec<_> = std::fs::read_dir(directory.path().join("docker/registry/v2/_tmp")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
