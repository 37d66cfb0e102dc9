//! Uploads that crashes interrupted.

use std::fs;

use futures::TryStreamExt as _;
use registry_core::storage::{Error, StageMode, Storage as _};
use registry_storage::filesystem::Filesystem;

use super::{BLOB, Ground, UPLOAD, key};

#[tokio::test]
async fn published_bytes_never_change_through_their_first_name() {
    let ground = Ground::new();
    let mut staged = ground.staged("whole").await;
    staged.publish(&key(BLOB)).await.unwrap();
    staged.append(vec!["!".into()]).await.unwrap_err();
    // The process dies before it discards them; the next one finds two names for one file.
    drop(staged);
    for mode in [StageMode::Resume, StageMode::Create] {
        let mut found = ground.storage.stage(&key(UPLOAD), mode).await.unwrap().unwrap();
        assert_eq!(found.size(), 5);
        assert!(matches!(found.append(vec!["!".into()]).await, Err(Error::Busy { .. })));
        let frames: Vec<_> = found.read(0).await.unwrap().try_collect().await.unwrap();
        assert_eq!(frames.concat(), b"whole");
        found.publish(&key(BLOB)).await.unwrap();
    }
    assert_eq!(fs::read(ground.path(BLOB)).unwrap(), b"whole");
    let found = ground.storage.stage(&key(UPLOAD), StageMode::Resume).await.unwrap().unwrap();
    found.discard().await.unwrap();
    assert!(!ground.path(UPLOAD).exists());
    assert_eq!(ground.read(BLOB).await.unwrap(), "whole");
}

#[tokio::test]
async fn two_storages_on_one_root_exclude_each_other() {
    let ground = Ground::new();
    let other = Filesystem::builder(ground.directory.path()).open().unwrap();
    let staged = ground.staged("abc").await;
    for mode in [StageMode::Resume, StageMode::Create] {
        assert!(matches!(other.stage(&key(UPLOAD), mode).await, Err(Error::Busy { .. })));
        assert!(matches!(ground.storage.stage(&key(UPLOAD), mode).await, Err(Error::Busy { .. })));
    }
    assert_eq!(other.staged_size(&key(UPLOAD)).await.unwrap(), Some(3));
    drop(staged);
    assert_eq!(other.stage(&key(UPLOAD), StageMode::Resume).await.unwrap().unwrap().size(), 3);
}

#[tokio::test]
async fn bytes_whose_upload_was_deleted_cannot_be_published() {
    let ground = Ground::new();
    let mut staged = ground.staged("abc").await;
    ground.storage.delete_all(&key("docker/registry/v2/repositories/a/_uploads/1")).await.unwrap();
    staged.append(vec!["d".into()]).await.unwrap();
    staged.publish(&key(BLOB)).await.unwrap_err();
    assert_eq!(ground.read(BLOB).await, None);
    staged.discard().await.unwrap();
}

#[tokio::test]
async fn a_writer_that_was_given_up_in_the_middle_leaves_whole_batches() {
    let ground = Ground::new();
    let mut staged = ground.staged("").await;
    let batch = vec![bytes::Bytes::from(vec![7; 1 << 20]); 8];
    for _ in 0..8 {
        // Polled once, so that the work begins, and dropped, mostly before it ends.
        let append = staged.append(batch.clone());
        futures::pin_mut!(append);
        let _ = futures::poll!(append.as_mut());
    }
    staged.append(vec!["end".into()]).await.unwrap();
    let size = staged.size();
    assert_eq!(size, fs::metadata(ground.path(UPLOAD)).unwrap().len());
    assert_eq!(size % (8 << 20), 3, "{size}");
    let frames: Vec<_> = staged.read(size - 3).await.unwrap().try_collect().await.unwrap();
    assert_eq!(frames.concat(), b"end");
}
