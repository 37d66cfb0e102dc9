//! A journal of small changes: what it promises, and what an opening makes of it.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::executor::block_on;
use registry_core::InlineBlocking;
use registry_core::storage::{Deletion, Error, Key, StageMode, Storage as _, WriteOptions};
use rustix::io::Errno;
use tempfile::TempDir;

use super::super::sys::{self, Call, Sys};
use super::super::{Filesystem, SyncMode};
use super::{ABSENT, BLOB, UPLOAD, Watch, key};

const JOURNAL: &str = "docker/registry/v2/_journal";
const SEGMENT_BYTES: usize = 16 * 1024;

fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn open_as(root: &Path, mode: SyncMode, boot: u8, sys: Sys) -> Filesystem {
    let builder = Filesystem::builder(root).durability(mode).blocking(Arc::new(InlineBlocking));
    builder.journal(boot, SEGMENT_BYTES).sys(sys).open().unwrap()
}

fn open(root: &Path, boot: u8) -> Filesystem {
    open_as(root, SyncMode::Group, boot, Sys::default())
}

fn watched(root: &Path) -> (Arc<Watch>, Filesystem) {
    let watch = Arc::new(Watch { root: root.to_owned(), ..Watch::default() });
    let storage = open_as(root, SyncMode::Group, 1, Sys::interposed(watch.clone()));
    watch.restart();
    (watch, storage)
}

fn write(storage: &Filesystem, at: &str, content: &str) {
    block_on(storage.write(&key(at), content.to_owned().into(), WriteOptions::default())).unwrap();
}

fn read(storage: &Filesystem, at: &str) -> Option<String> {
    let found = block_on(storage.read(&key(at), 1 << 20)).unwrap();
    found.map(|found| String::from_utf8(found.to_vec()).unwrap())
}

fn delete(storage: &Filesystem, at: &str) {
    assert_eq!(block_on(storage.delete(&key(at))).unwrap(), Deletion::Acked);
}

fn publish(storage: &Filesystem, content: &str) {
    let mut staged = block_on(storage.stage(&key(UPLOAD), StageMode::Create)).unwrap().unwrap();
    block_on(staged.append(vec![content.to_owned().into()])).unwrap();
    block_on(staged.sync()).unwrap();
    block_on(staged.publish(&key(BLOB))).unwrap();
    block_on(staged.discard()).unwrap();
}

/// A volume on which a power cut left nothing but the journal.
fn only_the_journal_of(root: &Path) -> TempDir {
    let left = scratch();
    fs::create_dir_all(left.path().join(JOURNAL)).unwrap();
    for name in ["0", "1"] {
        fs::copy(root.join(JOURNAL).join(name), left.path().join(JOURNAL).join(name)).unwrap();
    }
    left
}

#[test]
fn a_small_change_costs_one_sync_and_is_on_record_before_it_is_made() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    write(&storage, "a/b/c", "content");
    let calls = watch.changes();
    let position =
        |call: Call, path: &str| calls.iter().position(|(found, below)| *found == call && below.contains(path));
    let synced = position(Call::SyncData, JOURNAL).unwrap();
    assert!(synced < position(Call::Rename, "a/b/c").unwrap(), "{calls:#?}");
    let syncs = |call: &Call| matches!(call, Call::Sync | Call::SyncData | Call::SyncFilesystem);
    assert_eq!(calls.iter().filter(|(call, _)| syncs(call)).count(), 1, "{calls:#?}");

    watch.restart();
    delete(&storage, "a/b/c");
    let calls = watch.changes();
    let position =
        |call: Call, path: &str| calls.iter().position(|(found, below)| *found == call && below.contains(path));
    assert!(position(Call::SyncData, JOURNAL).unwrap() < position(Call::Unlink, "a/b/c").unwrap(), "{calls:#?}");
}

#[test]
fn what_a_power_cut_took_is_done_again() {
    let directory = scratch();
    let storage = open(directory.path(), 1);
    publish(&storage, "the bytes of a blob");
    write(&storage, "a/tag", "old");
    write(&storage, "a/tag", "new");
    write(&storage, "a/gone", "1");
    delete(&storage, "a/gone");
    write(&storage, "b/x/1", "1");
    assert_eq!(block_on(storage.delete_all(&key("b"))).unwrap(), Deletion::Acked);
    block_on(storage.write(&key("c"), "first".into(), ABSENT)).unwrap();
    assert!(matches!(block_on(storage.write(&key("c"), "second".into(), ABSENT)), Err(Error::Exists { .. })));
    drop(storage);

    let left = only_the_journal_of(directory.path());
    // Something torn that the kernel had written back.
    fs::create_dir_all(left.path().join("a")).unwrap();
    fs::write(left.path().join("a/tag"), "\0\0\0").unwrap();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_hours(400_000);
    File::options().write(true).open(left.path().join("a/tag")).unwrap().set_modified(long_ago).unwrap();
    for mode in [SyncMode::Group, SyncMode::Strict] {
        let storage = open_as(left.path(), mode, 2, Sys::default());
        assert_eq!(read(&storage, BLOB).as_deref(), Some("the bytes of a blob"));
        assert_eq!(read(&storage, "a/tag").as_deref(), Some("new"));
        assert_eq!(read(&storage, "c").as_deref(), Some("first"));
        assert_eq!((read(&storage, "a/gone"), read(&storage, "b/x/1")), (None, None));
    }
    assert_eq!(fs::read_dir(left.path().join(JOURNAL)).unwrap().count(), 0, "without a journal there is none left");
}

#[test]
fn as_long_as_the_system_runs_nothing_is_done_again() {
    let directory = scratch();
    let storage = open(directory.path(), 1);
    write(&storage, "a/tag", "old");
    drop(storage);
    // Another program goes on with the volume.
    fs::write(directory.path().join("a/tag"), "of another program").unwrap();
    assert_eq!(read(&open(directory.path(), 1), "a/tag").as_deref(), Some("of another program"));
}

#[test]
fn what_another_program_wrote_since_stays_after_a_power_cut_too() {
    let directory = scratch();
    let storage = open(directory.path(), 1);
    write(&storage, "a/tag", "old");
    write(&storage, "a/tag", "newer");
    write(&storage, "a/other", "1");
    delete(&storage, "a/other");
    drop(storage);
    for at in ["a/tag", "a/other"] {
        let path = directory.path().join(at);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "of another program").unwrap();
        let later = sys::now() + Duration::from_mins(1);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    }
    let storage = open(directory.path(), 2);
    assert_eq!(read(&storage, "a/tag").as_deref(), Some("of another program"));
    assert_eq!(read(&storage, "a/other").as_deref(), Some("of another program"));
}

#[test]
fn a_full_segment_is_turned_over_and_what_was_in_it_is_done() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    let content = "x".repeat(1000);
    for number in 0..100 {
        write(&storage, &format!("a/{number}"), &content);
    }
    let checkpoints = watch.changes().iter().filter(|(call, _)| *call == Call::SyncFilesystem).count();
    assert!((5..20).contains(&checkpoints), "{checkpoints}");
    drop(storage);
    let left = only_the_journal_of(directory.path());
    let storage = open(left.path(), 2);
    let there = (0..100).filter(|number| read(&storage, &format!("a/{number}")).is_some());
    let there: Vec<_> = there.collect();
    assert!(there.len() < 20 && there.last() == Some(&99), "only what came after the last checkpoint: {there:?}");
    assert_eq!(there.len(), 100 - there[0], "in one piece");
}

#[test]
fn large_content_is_synced_by_itself_before_it_is_answered() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    publish(&storage, &"x".repeat(SEGMENT_BYTES));
    let calls = watch.changes();
    let position =
        |call: Call, path: &str| calls.iter().position(|(found, below)| *found == call && below.contains(path));
    let synced = position(Call::SyncData, UPLOAD).unwrap();
    let linked = position(Call::Link, BLOB).unwrap();
    let last = calls.iter().rposition(|(call, _)| *call == Call::SyncFilesystem).unwrap();
    assert!(synced < linked && linked < last, "{calls:#?}");
}

#[test]
fn staged_bytes_that_were_not_synced_are_gone_after_a_power_cut_and_only_then() {
    for (boot, is_there) in [(1, true), (2, false)] {
        let directory = scratch();
        let storage = open(directory.path(), 1);
        let mut staged = block_on(storage.stage(&key(UPLOAD), StageMode::Create)).unwrap().unwrap();
        block_on(staged.append(vec!["half".into()])).unwrap();
        block_on(staged.sync()).unwrap();
        drop(staged);
        drop(storage);
        let storage = open(directory.path(), boot);
        assert_eq!(block_on(storage.staged_size(&key(UPLOAD))).unwrap().is_some(), is_there);
    }
}

#[test]
fn the_uploads_of_a_repository_share_a_record() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    let uploads = |repository: &str| {
        ["1", "2"].map(|id| key(&format!("docker/registry/v2/repositories/{repository}/_uploads/{id}/data")))
    };
    let stage = |key: &Key| {
        let mut staged = block_on(storage.stage(key, StageMode::Create)).unwrap().unwrap();
        block_on(staged.append(vec!["half".into()])).unwrap();
    };
    let syncs = |watch: &Watch| watch.changes().iter().filter(|(call, _)| *call == Call::SyncData).count();
    uploads("a").iter().for_each(stage);
    assert_eq!(syncs(&watch), 1);
    // Where nothing was staged since the last checkpoint, nothing is in doubt.
    uploads("b").iter().for_each(stage);
    assert_eq!(syncs(&watch), 2);
    block_on(storage.create_directory(&key("new/directory"))).unwrap();
    watch.restart();
    uploads("c").iter().for_each(stage);
    assert_eq!(syncs(&watch), 1);
    drop(storage);

    let storage = open(directory.path(), 2);
    let left = |repository| uploads(repository).map(|key| block_on(storage.staged_size(&key)).unwrap());
    assert_eq!((left("a"), left("b"), left("c")), ([Some(4); 2], [Some(4); 2], [None; 2]));
    // Elsewhere a record is of one place.
    for at in ["x/1/data", "x/2/data"] {
        drop(block_on(storage.stage(&key(at), StageMode::Create)).unwrap().unwrap());
    }
    let mut staged = block_on(storage.stage(&key("x/1/data"), StageMode::Resume)).unwrap().unwrap();
    block_on(staged.append(vec!["half".into()])).unwrap();
    drop(staged);
    drop(storage);
    let storage = open(directory.path(), 3);
    let left = ["x/1/data", "x/2/data"].map(|at| block_on(storage.staged_size(&key(at))).unwrap());
    assert_eq!(left, [None, Some(0)]);
}

#[test]
fn what_is_added_after_a_checkpoint_is_on_record_again() {
    let directory = scratch();
    let storage = open(directory.path(), 1);
    let mut staged = block_on(storage.stage(&key(UPLOAD), StageMode::Create)).unwrap().unwrap();
    block_on(staged.append(vec!["first".into()])).unwrap();
    // This takes a checkpoint.
    block_on(storage.create_directory(&key("new/directory"))).unwrap();
    block_on(staged.append(vec!["second".into()])).unwrap();
    drop(staged);
    drop(storage);
    let storage = open(directory.path(), 2);
    assert_eq!(block_on(storage.staged_size(&key(UPLOAD))).unwrap(), None);
}

#[test]
fn a_change_that_fails_is_not_done_again() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    write(&storage, "a/tag", "old");
    let syncs = |watch: &Watch| watch.changes().iter().filter(|(call, _)| *call == Call::SyncFilesystem).count();
    watch.fail(Call::Rename, "a/tag", Errno::IO, 1);
    block_on(storage.write(&key("a/tag"), "new".into(), WriteOptions::default())).unwrap_err();
    assert_eq!(syncs(&watch), 1, "from now on the disk vouches for what others may have seen");
    watch.fail(Call::Unlink, "a/tag", Errno::IO, 1);
    block_on(storage.delete(&key("a/tag"))).unwrap_err();
    watch.fail(Call::Link, BLOB, Errno::IO, 1);
    let mut staged = block_on(storage.stage(&key(UPLOAD), StageMode::Create)).unwrap().unwrap();
    block_on(staged.append(vec!["content".into()])).unwrap();
    block_on(staged.publish(&key(BLOB))).unwrap_err();
    assert_eq!(syncs(&watch), 3);
    drop((staged, storage));
    let storage = open(directory.path(), 2);
    assert_eq!((read(&storage, "a/tag").as_deref(), read(&storage, BLOB)), (Some("old"), None));
}

#[test]
fn a_journal_that_cannot_be_synced_promises_nothing_any_more() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    write(&storage, "a/tag", "old");
    watch.fail(Call::SyncData, JOURNAL, Errno::IO, 1);
    for _ in 0..2 {
        block_on(storage.write(&key("a/tag"), "new".into(), WriteOptions::default())).unwrap_err();
        block_on(storage.delete(&key("a/tag"))).unwrap_err();
        block_on(storage.create_directory(&key("b"))).unwrap_err();
    }
    assert_eq!(read(&storage, "a/tag").as_deref(), Some("old"), "and nothing of it was made");
    drop(storage);
    let storage = open(directory.path(), 1);
    write(&storage, "a/tag", "new");
}

#[test]
fn a_second_opening_does_without_the_journal_of_the_first() {
    let directory = scratch();
    let first = open(directory.path(), 1);
    write(&first, "a/1", "1");
    for boot in [1, 2] {
        let second = open(directory.path(), boot);
        assert!(second.volume.journal.is_none() && second.volume.mode == SyncMode::Strict);
        write(&second, "a/2", "2");
    }
    write(&first, "a/3", "3");
    assert!(first.volume.journal.is_some());
    drop(first);
    let left = only_the_journal_of(directory.path());
    let storage = open(left.path(), 2);
    assert_eq!((read(&storage, "a/1").as_deref(), read(&storage, "a/3").as_deref()), (Some("1"), Some("3")));
}

#[test]
fn many_writers_share_syncs_and_all_of_them_are_on_record() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    let storage = &storage;
    std::thread::scope(|scope| {
        for thread in 0..16 {
            scope.spawn(move || {
                for number in 0..50 {
                    write(storage, &format!("a/{thread}/{number}"), "content");
                    write(storage, "a/same", &format!("{thread} {number}"));
                }
            });
        }
    });
    let last = read(storage, "a/same").unwrap();
    assert!(
        watch.changes().iter().filter(|(call, path)| *call == Call::SyncData && path.starts_with(JOURNAL)).count()
            <= 1700
    );
    // Everything is in its place, and what is on record since the last checkpoint says the same.
    for thread in 0..16 {
        for number in 0..50 {
            assert!(read(storage, &format!("a/{thread}/{number}")).is_some());
        }
    }
    let left = only_the_journal_of(directory.path());
    let again = read(&open(left.path(), 2), "a/same");
    assert!(again.is_none_or(|again| again == last));
}

#[test]
fn what_was_in_its_place_at_a_checkpoint_is_not_done_again() {
    let directory = scratch();
    let (watch, storage) = watched(directory.path());
    write(&storage, "a/link", "1");
    watch.restart();
    block_on(storage.checkpoint()).unwrap();
    assert!(watch.changes().iter().any(|(call, _)| *call == Call::SyncFilesystem));
    watch.restart();
    block_on(storage.checkpoint()).unwrap();
    assert_eq!(watch.changes(), [], "nothing was changed since");

    // Another process deletes it, and then the power is cut.
    delete(&open_as(directory.path(), SyncMode::Strict, 1, Sys::default()), "a/link");
    write(&storage, "b/link", "2");
    drop(storage);
    assert_eq!(read(&open(directory.path(), 2), "a/link"), None);
}
