//! A full disk.

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use registry_core::storage::{Deletion, Error, StageMode, Storage as _};
use registry_storage::filesystem::{Filesystem, SyncMode};

use super::{BLOB, DURABLE, UPLOAD, key};

/// A filesystem in memory with a mebibyte of space.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m,nr_inodes=64", "registry-test"])
            .arg(directory.path())
            .output();
        match mount {
            Ok(done) if done.status.success() => Some(Self(directory)),
            refused => {
                eprintln!("SKIPPED: no small filesystem can be mounted here, which takes root: {refused:?}");
                None
            }
        }
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} stays mounted", self.path().display());
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_and_loses_nothing() {
    let Some(small) = Small::mount() else { return };
    for mode in [SyncMode::Strict, SyncMode::Os] {
        let storage = Filesystem::builder(small.path()).durability(mode).open().unwrap();
        storage.write(&key("a/tag"), "old".into(), DURABLE).await.unwrap();
        let mut staged = storage.stage(&key(UPLOAD), StageMode::Create).await.unwrap().unwrap();
        staged.append(vec!["kept".into()]).await.unwrap();
        // The first buffer fits in part, so the write is short before it fails.
        let batch = vec![Bytes::from(vec![1; 700_000]), Bytes::from(vec![2; 700_000])];
        assert!(matches!(staged.append(batch).await, Err(Error::NoSpace { .. })));
        assert_eq!(staged.size(), 4);
        assert_eq!(std::fs::metadata(small.path().join(UPLOAD)).unwrap().len(), 4);

        let large = Bytes::from(vec![3; 1_400_000]);
        assert!(matches!(storage.write(&key("a/tag"), large, DURABLE).await, Err(Error::NoSpace { .. })));
        assert_eq!(storage.read(&key("a/tag"), 100).await.unwrap().unwrap(), "old");
        assert_eq!(std::fs::read_dir(small.path().join("docker/registry/v2/_tmp")).unwrap().count(), 0);

        // With space again, the upload goes on.
        staged.append(vec![Bytes::from(vec![1; 500_000])]).await.unwrap();
        staged.publish(&key(BLOB)).await.unwrap();
        staged.discard().await.unwrap();
        assert_eq!(storage.stat(&key(BLOB)).await.unwrap().unwrap().size, 500_004);
        assert_eq!(storage.delete(&key(BLOB)).await.unwrap(), Deletion::Acked);
    }
}

#[tokio::test]
async fn deleting_works_on_a_disk_without_a_byte_or_an_inode_left() {
    let Some(small) = Small::mount() else { return };
    let storage = Filesystem::builder(small.path()).open().unwrap();
    let mut written = Vec::new();
    let refused = loop {
        let at = key(&format!("a/{}", written.len()));
        match storage.write(&at, vec![1; 20_000].into(), DURABLE).await {
            Ok(()) => written.push(at),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, Error::NoSpace { .. }) && written.len() > 10, "{refused:?} after {}", written.len());
    for at in &written {
        assert_eq!(storage.read(at, 20_000).await.unwrap().unwrap().len(), 20_000);
        assert_eq!(storage.delete(at).await.unwrap(), Deletion::Acked);
    }
    storage.write(&key("a/again"), "1".into(), DURABLE).await.unwrap();
}
