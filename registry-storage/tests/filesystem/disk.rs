//! Exact bytes at exact places.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use registry_core::storage::{Deletion, Storage as _};
use registry_core::{Algorithm, Digest, RepositoryName, Tag, layout};
use registry_storage::filesystem::Filesystem;

use super::{ABSENT, BLOB, DURABLE, Ground, TMP, UPLOAD, key};

#[tokio::test]
async fn files_lie_where_distribution_looks_for_them() {
    let ground = Ground::new();
    let name: RepositoryName = "library/alpine".parse().unwrap();
    let tag: Tag = "3.20".parse().unwrap();
    let digest = Digest::of(Algorithm::Sha256, b"");
    for at in [layout::tag_current(&name, &tag), layout::layer_link(&name, &digest)] {
        ground.storage.write(&at, layout::link(&digest), DURABLE).await.unwrap();
    }
    let link = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let repository = ground.path("docker/registry/v2/repositories/library/alpine");
    let hex = &link[7..];
    for at in ["_manifests/tags/3.20/current/link", &format!("_layers/sha256/{hex}/link")] {
        assert_eq!(fs::read_to_string(repository.join(at)).unwrap(), link, "{at}");
    }
}

#[tokio::test]
async fn permissions_are_what_the_umask_leaves() {
    let ground = Ground::new();
    ground.write("a/written", "1").await;
    ground.storage.write(&key("a/created"), "1".into(), ABSENT).await.unwrap();
    let mut staged = ground.staged("1").await;
    staged.publish(&key(BLOB)).await.unwrap();

    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let elsewhere = tempfile::tempdir().unwrap();
    File::create(elsewhere.path().join("file")).unwrap();
    fs::create_dir(elsewhere.path().join("directory")).unwrap();
    for file in ["a/written", "a/created", BLOB, UPLOAD] {
        assert_eq!(mode(&ground.path(file)), mode(&elsewhere.path().join("file")), "{file}");
    }
    for directory in ["a", "docker", TMP] {
        assert_eq!(mode(&ground.path(directory)), mode(&elsewhere.path().join("directory")), "{directory}");
    }
}

#[tokio::test]
async fn nothing_stays_on_the_way() {
    let ground = Ground::new();
    ground.write("a/b", "1").await;
    ground.storage.write(&key("a/c"), "1".into(), ABSENT).await.unwrap();
    ground.storage.write(&key("a/c"), "1".into(), ABSENT).await.unwrap_err();
    ground.storage.write(&key("a/b/c"), "1".into(), DURABLE).await.unwrap_err();
    ground.storage.write(&key("a"), "1".into(), DURABLE).await.unwrap_err();
    ground.storage.write(&key(&"n".repeat(300)), "1".into(), DURABLE).await.unwrap_err();
    fs::create_dir_all(ground.path(BLOB).parent().unwrap()).unwrap();
    fs::write(ground.path(BLOB), "torn").unwrap();
    let mut staged = ground.staged("whole").await;
    staged.publish(&key(BLOB)).await.unwrap();
    assert_eq!(ground.read(BLOB).await.unwrap(), "whole");
    assert_eq!(ground.left_on_the_way(), 0);
}

#[tokio::test]
async fn a_delete_takes_the_empty_directory_but_not_what_others_look_for() {
    let ground = Ground::new();
    for (at, directory, stays) in [
        ("r/_layers/sha256/ab/link", "r/_layers/sha256/ab", false),
        ("r/_layers/link", "r/_layers", true),
        ("r/_manifests/tags/link", "r/_manifests/tags", true),
        ("r/_manifests/revisions/link", "r/_manifests/revisions", true),
        ("r/_uploads/link", "r/_uploads", true),
    ] {
        ground.write(at, "1").await;
        assert_eq!(ground.storage.delete(&key(at)).await.unwrap(), Deletion::Acked);
        assert_eq!(ground.path(directory).is_dir(), stays, "{directory}");
    }
    assert!(ground.path("r/_layers/sha256").is_dir());
}

#[tokio::test]
async fn a_delete_keeps_a_directory_that_holds_something() {
    let ground = Ground::new();
    ground.write("a/b", "1").await;
    ground.write("a/c", "1").await;
    ground.storage.delete(&key("a/b")).await.unwrap();
    assert_eq!(ground.names("a").await, ["c"]);
}

#[tokio::test]
async fn a_directory_can_be_made_ahead() {
    let ground = Ground::new();
    for _ in 0..2 {
        ground.storage.create_directory(&key("r/_layers")).await.unwrap();
        assert!(ground.path("r/_layers").is_dir());
    }
    ground.write("r/file", "1").await;
    ground.storage.create_directory(&key("r/file")).await.unwrap_err();
    ground.storage.create_directory(&key("r/file/below")).await.unwrap_err();
}

#[test]
fn a_file_is_no_root() {
    let ground = Ground::new();
    fs::write(ground.path("file"), "1").unwrap();
    let refused = Filesystem::builder(ground.path("file")).open().unwrap_err();
    assert!(refused.to_string().contains("file"), "{refused}");
}
