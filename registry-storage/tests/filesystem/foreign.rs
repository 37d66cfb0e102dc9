//! What other programs, crashes and operators leave in a volume.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use futures::TryStreamExt as _;
use registry_core::storage::{Deletion, EntryKind, Metadata, StageMode, Storage as _};
use registry_core::{Span, TokioBlocking};
use rustix::fs::{CWD, FileType, Mode};

use super::{ABSENT, BLOB, DURABLE, Ground, UPLOAD, key};

impl Ground {
    async fn stat(&self, at: &str) -> Option<Metadata> {
        let found = self.storage.stat(&key(at)).await.unwrap();
        assert_eq!(self.storage.open(&key(at)).await.unwrap().is_some(), found.is_some(), "{at}");
        assert_eq!(self.read(at).await.is_some(), found.is_some(), "{at}");
        assert_eq!(self.storage.confirm(&key(at)).await.unwrap().is_some(), found.is_some(), "{at}");
        assert_eq!(self.storage.staged_size(&key(at)).await.unwrap().is_some(), found.is_some(), "{at}");
        found
    }

    fn make_pipe(&self, at: &str) {
        rustix::fs::mknodat(CWD, self.path(at), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
    }
}

#[tokio::test]
async fn what_is_no_file_is_absent() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("a/directory/below")).unwrap();
    fs::write(ground.path("a/file"), "1").unwrap();
    ground.make_pipe("a/pipe");
    let _socket = UnixListener::bind(ground.path("a/socket")).unwrap();
    symlink("nowhere", ground.path("a/dangling")).unwrap();
    symlink("loop", ground.path("a/loop")).unwrap();
    symlink("/dev/null", ground.path("a/device")).unwrap();

    let long = format!("a/{}", "n".repeat(300));
    for at in [
        "a/directory",
        "a/pipe",
        "a/socket",
        "a/dangling",
        "a/loop",
        "a/device",
        "a/none",
        "a/file/below",
        "none/none",
        &long,
    ] {
        assert_eq!(ground.stat(at).await, None, "{at}");
        assert!(ground.storage.stage(&key(at), StageMode::Resume).await.unwrap().is_none(), "{at}");
    }
    assert_eq!(ground.names("a").await, ["directory", "file"]);
    for nothing in ["a/file", "a/pipe", "a/none", &long] {
        assert!(ground.names(nothing).await.is_empty(), "{nothing}");
    }
}

#[tokio::test]
async fn a_write_replaces_what_is_no_object() {
    let ground = Ground::new();
    fs::create_dir(ground.path("a")).unwrap();
    ground.make_pipe("a/pipe");
    symlink("nowhere", ground.path("a/dangling")).unwrap();
    for at in ["a/pipe", "a/dangling"] {
        ground.storage.write(&key(at), "1".into(), ABSENT).await.unwrap_err();
        ground.write(at, "2").await;
        assert_eq!(ground.read(at).await.unwrap(), "2");
    }
    fs::create_dir(ground.path("a/directory")).unwrap();
    ground.storage.write(&key("a/directory"), "1".into(), DURABLE).await.unwrap_err();
    ground.storage.write(&key("a/directory"), "1".into(), ABSENT).await.unwrap_err();
    assert_eq!(ground.storage.delete(&key("a/directory")).await.unwrap(), Deletion::Acked);
    assert!(ground.path("a/directory").is_dir());
}

#[tokio::test]
async fn a_pipe_cannot_be_staged() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path(UPLOAD).parent().unwrap()).unwrap();
    ground.make_pipe(UPLOAD);
    assert!(ground.storage.stage(&key(UPLOAD), StageMode::Create).await.is_err());
    assert!(ground.storage.stage(&key("docker"), StageMode::Create).await.is_err());
}

#[tokio::test]
async fn an_empty_file_is_an_empty_object() {
    let ground = Ground::new();
    fs::write(ground.path("empty"), "").unwrap();
    assert_eq!(ground.stat("empty").await.unwrap().size, 0);
    assert_eq!(ground.read("empty").await.unwrap(), "");
}

#[tokio::test]
async fn a_truncated_blob_is_healed_by_the_next_push() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path(BLOB).parent().unwrap()).unwrap();
    fs::write(ground.path(BLOB), "wh").unwrap();
    let old = ground.storage.open(&key(BLOB)).await.unwrap().unwrap();
    let mut staged = ground.staged("whole").await;
    staged.publish(&key(BLOB)).await.unwrap();
    assert_eq!(ground.read(BLOB).await.unwrap(), "whole");
    let frames = old.read(Span::whole(2)).await.unwrap().into_stream(std::sync::Arc::new(TokioBlocking));
    assert_eq!(frames.try_collect::<Vec<_>>().await.unwrap().concat(), b"wh");
}

#[tokio::test]
async fn names_that_no_key_has_are_left_out_of_lists() {
    let ground = Ground::new();
    fs::create_dir(ground.path("a")).unwrap();
    for name in [&b"good"[..], b"bad\xff", b"bad\n", b"bad\\", b"bad:"] {
        fs::write(ground.path("a").join(OsStr::from_bytes(name)), "1").unwrap();
    }
    assert_eq!(ground.names("a").await, ["good"]);
    assert_eq!(ground.storage.delete_all(&key("a")).await.unwrap(), Deletion::Acked);
    assert!(!ground.path("a").exists());
}

#[tokio::test]
async fn directories_may_be_links() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("elsewhere")).unwrap();
    fs::create_dir_all(ground.path("a")).unwrap();
    symlink("../elsewhere", ground.path("a/linked")).unwrap();
    ground.write("a/linked/b/c", "1").await;
    fs::write(ground.path("elsewhere/file"), "2").unwrap();
    symlink("file", ground.path("elsewhere/another")).unwrap();

    assert_eq!(fs::read(ground.path("elsewhere/b/c")).unwrap(), b"1");
    assert_eq!(ground.read("a/linked/another").await.unwrap(), "2");
    let listing = ground.storage.list(&key("a"), None, 10).await.unwrap();
    assert_eq!(listing.entries[0].kind, EntryKind::Prefix);
    let listing = ground.storage.list(&key("a/linked"), None, 10).await.unwrap();
    let found: Vec<_> = listing.entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
    assert_eq!(found, [("another", EntryKind::Object), ("b", EntryKind::Prefix), ("file", EntryKind::Object)]);
}

#[tokio::test]
async fn deleting_a_tree_does_not_follow_links_out_of_it() {
    let ground = Ground::new();
    ground.write("elsewhere/file", "1").await;
    ground.write("a/b/c", "1").await;
    symlink("../../elsewhere", ground.path("a/b/linked")).unwrap();
    assert_eq!(ground.storage.delete_all(&key("a")).await.unwrap(), Deletion::Acked);
    assert!(!ground.path("a").exists());
    assert_eq!(ground.read("elsewhere/file").await.unwrap(), "1");
}

#[tokio::test]
async fn an_empty_directory_shows_as_a_prefix() {
    let ground = Ground::new();
    fs::create_dir_all(ground.path("a/empty")).unwrap();
    let listing = ground.storage.list(&key("a"), None, 10).await.unwrap();
    assert_eq!((listing.entries[0].name.as_str(), listing.entries[0].kind), ("empty", EntryKind::Prefix));
    assert!(ground.names("a/empty").await.is_empty());
}
