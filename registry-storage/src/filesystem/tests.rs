//! What the backend asks of the operating system, in which order, and what it does when that fails.

mod crash;
mod order;

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt as _, TryStreamExt as _};
use registry_core::InlineBlocking;
use registry_core::storage::{
    Deletion, Durability, Error, Key, Precondition, StageMode, Staged, Storage as _, WriteOptions,
};
use rustix::io::Errno;
use tempfile::TempDir;

use super::sys::{Call, Interpose, Sys};
use super::{Filesystem, SyncMode};

mod copying;
mod journal;

const BLOB: &str = "docker/registry/v2/blobs/sha256/ab/abcd/data";
const BLOB_DIRECTORY: &str = "docker/registry/v2/blobs/sha256/ab/abcd";
const UPLOAD: &str = "docker/registry/v2/repositories/a/_uploads/1/data";
const TMP: &str = "docker/registry/v2/_tmp";

const VOLATILE: WriteOptions = WriteOptions { precondition: Precondition::None, durability: Durability::Volatile };
const ABSENT: WriteOptions = WriteOptions { precondition: Precondition::Absent, durability: Durability::Durable };

/// Fails the calls of one kind on paths that contain a text.
#[derive(Debug, Clone)]
struct Fault {
    call: Call,
    path: &'static str,
    error: Errno,
    times: usize,
}

/// Keeps what was called, and fails what it is told to.
#[derive(Debug, Default)]
struct Watch {
    root: PathBuf,
    calls: Mutex<Vec<(Call, String)>>,
    faults: Mutex<Vec<Fault>>,
    /// The errors of the calls to come, one each; whatever they are.
    next: Mutex<VecDeque<Option<Errno>>>,
}

impl Watch {
    fn fail(&self, call: Call, path: &'static str, error: Errno, times: usize) {
        self.faults.lock().unwrap().push(Fault { call, path, error, times });
    }

    /// Forgets what was called so far.
    fn restart(&self) {
        self.calls.lock().unwrap().clear();
    }

    /// The calls that change or sync something, in order; files on their way without their random names.
    fn changes(&self) -> Vec<(Call, String)> {
        let quiet = [Call::Open, Call::Stat, Call::List, Call::Lock];
        let calls = self.calls.lock().unwrap();
        calls.iter().filter(|(call, _)| !quiet.contains(call)).cloned().collect()
    }

    fn count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

impl Interpose for Watch {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        let below = path.strip_prefix(&self.root).unwrap_or(path).to_str().unwrap();
        let below = if below.starts_with(&format!("{TMP}/")) { format!("{TMP}/*") } else { below.to_owned() };
        self.calls.lock().unwrap().push((call, below.clone()));
        if let Some(Some(error)) = self.next.lock().unwrap().pop_front() {
            return Err(error.into());
        }
        let mut faults = self.faults.lock().unwrap();
        match faults.iter_mut().find(|fault| fault.call == call && below.contains(fault.path) && fault.times > 0) {
            Some(fault) => {
                fault.times -= 1;
                Err(fault.error.into())
            }
            None => Ok(()),
        }
    }
}

struct Fixture {
    directory: TempDir,
    watch: Arc<Watch>,
    storage: Filesystem,
}

impl Fixture {
    fn new(mode: SyncMode) -> Self {
        // In memory where there is such a place: real syncs are not what these tests are about.
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let watch = Arc::new(Watch { root: directory.path().to_owned(), ..Watch::default() });
        let storage = Filesystem::builder(directory.path())
            .durability(mode)
            .blocking(Arc::new(InlineBlocking))
            .sys(Sys::interposed(watch.clone()))
            .open()
            .unwrap();
        Self { directory, watch, storage }
    }

    fn write(&self, at: &str, content: &'static str, options: WriteOptions) -> Result<(), Error> {
        block_on(self.storage.write(&key(at), content.into(), options))
    }

    fn read(&self, at: &str) -> Option<Bytes> {
        block_on(self.storage.read(&key(at), 1 << 20)).unwrap()
    }

    fn confirm(&self, at: &str) -> Result<bool, Error> {
        block_on(self.storage.confirm(&key(at))).map(|found| found.is_some())
    }

    fn stage(&self, mode: StageMode) -> Option<Box<dyn Staged>> {
        block_on(self.storage.stage(&key(UPLOAD), mode)).unwrap()
    }

    fn staged(&self, content: &'static str) -> Box<dyn Staged> {
        let mut staged = self.stage(StageMode::Create).unwrap();
        block_on(staged.append(vec![content.into()])).unwrap();
        staged
    }

    fn on_disk(&self, at: &str) -> PathBuf {
        self.directory.path().join(at)
    }

    fn left_on_the_way(&self) -> usize {
        fs::read_dir(self.on_disk(TMP)).map_or(0, Iterator::count)
    }

    fn tracked(&self) -> Vec<String> {
        self.storage.volume.unsynced.along(UPLOAD).unwrap()
    }
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

/// Where a call stands; every call that is asked for must have happened.
fn at(calls: &[(Call, String)], call: Call, path: &str) -> usize {
    let found = calls.iter().position(|(found, below)| *found == call && below == path);
    found.unwrap_or_else(|| panic!("no {call:?} of {path} in {calls:#?}"))
}

#[test]
fn publishing_syncs_the_data_then_links_then_syncs_the_directories() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    fixture.watch.restart();
    block_on(staged.publish(&key(BLOB))).unwrap();

    let calls = fixture.watch.changes();
    let linked = calls.iter().rposition(|(call, _)| *call == Call::Link).unwrap();
    assert!(at(&calls, Call::SyncData, UPLOAD) < at(&calls, Call::Link, BLOB));
    for made in ["docker/registry/v2", "docker/registry/v2/blobs", "docker/registry/v2/blobs/sha256", BLOB_DIRECTORY] {
        assert!(linked < at(&calls, Call::Sync, made), "{made}");
    }
    assert_eq!(fixture.watch.changes().last().unwrap(), &(Call::Sync, BLOB_DIRECTORY.to_owned()));
}

#[test]
fn publishing_into_a_known_directory_costs_two_syncs() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("docker/registry/v2/blobs/sha256/ab/abcd/other", "x", WriteOptions::default()).unwrap();
    let mut staged = fixture.staged("bytes");
    block_on(staged.sync()).unwrap();
    block_on(staged.append(vec!["more".into()])).unwrap();
    fixture.watch.restart();
    block_on(staged.publish(&key(BLOB))).unwrap();
    let expected = [(Call::SyncData, UPLOAD), (Call::Link, BLOB), (Call::Sync, BLOB_DIRECTORY)]
        .map(|(call, at)| (call, at.to_owned()));
    assert_eq!(fixture.watch.changes(), expected);
}

#[test]
fn writing_syncs_the_file_then_renames_then_syncs_the_directory() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b", "1", WriteOptions::default()).unwrap();
    fixture.watch.restart();
    fixture.write("a/b", "2", WriteOptions::default()).unwrap();
    let temporary = format!("{TMP}/*");
    let expected = [
        (Call::Create, temporary.as_str()),
        (Call::Write, &temporary),
        (Call::SyncData, &temporary),
        (Call::Rename, "a/b"),
        (Call::Sync, "a"),
    ];
    assert_eq!(fixture.watch.changes(), expected.map(|(call, at)| (call, at.to_owned())));
}

#[test]
fn creating_only_links_and_drops_the_other_name() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b", "1", ABSENT).unwrap();
    let calls = fixture.watch.changes();
    let temporary = format!("{TMP}/*");
    assert!(at(&calls, Call::SyncData, &temporary) < at(&calls, Call::Link, "a/b"));
    assert!(at(&calls, Call::Link, "a/b") < at(&calls, Call::Sync, "a"));
    at(&calls, Call::Unlink, &temporary);
    assert!(matches!(fixture.write("a/b", "2", ABSENT), Err(Error::Exists { .. })));
    assert_eq!(fixture.read("a/b").unwrap(), "1");
    assert_eq!(fixture.left_on_the_way(), 0);
}

#[test]
fn deleting_syncs_before_the_directory_is_pruned() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b/c", "1", WriteOptions::default()).unwrap();
    fixture.watch.restart();
    assert_eq!(block_on(fixture.storage.delete(&key("a/b/c"))).unwrap(), Deletion::Acked);
    let expected = [(Call::Unlink, "a/b/c"), (Call::Sync, "a/b"), (Call::RemoveDirectory, "a/b")];
    assert_eq!(fixture.watch.changes(), expected.map(|(call, at)| (call, at.to_owned())));
}

#[test]
fn without_strictness_nothing_is_synced() {
    let fixture = Fixture::new(SyncMode::Os);
    fixture.write("a/b", "1", WriteOptions::default()).unwrap();
    fixture.write("a/c", "1", ABSENT).unwrap();
    let mut staged = fixture.staged("bytes");
    block_on(staged.sync()).unwrap();
    block_on(staged.publish(&key(BLOB))).unwrap();
    assert!(fixture.confirm(BLOB).unwrap());
    block_on(fixture.storage.delete(&key("a/b"))).unwrap();
    block_on(fixture.storage.delete_all(&key("docker"))).unwrap();
    let synced = |(call, _): &(Call, String)| matches!(call, Call::Sync | Call::SyncData | Call::SyncFilesystem);
    assert!(!fixture.watch.changes().iter().any(synced));
}

#[test]
fn opening_strictly_syncs_what_earlier_processes_left() {
    let fixture = Fixture::new(SyncMode::Strict);
    at(&fixture.watch.changes(), Call::SyncFilesystem, "");
}

#[test]
fn a_durable_write_below_a_volatile_one_syncs_the_directories_that_it_made() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b/c/state", "1", VOLATILE).unwrap();
    assert!(!fixture.watch.changes().iter().any(|(call, _)| matches!(call, Call::Sync | Call::SyncData)));
    fixture.write("a/b/link", "1", WriteOptions::default()).unwrap();
    let calls = fixture.watch.changes();
    for made in ["", "a", "a/b"] {
        at(&calls, Call::Sync, made);
    }
    assert!(!calls.contains(&(Call::Sync, "a/b/c".to_owned())));
}

#[test]
fn confirming_makes_durable_what_was_volatile_and_does_it_once() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b", "1", VOLATILE).unwrap();
    assert!(fixture.confirm("a/b").unwrap());
    let calls = fixture.watch.changes();
    for place in ["", "a", "a/b"] {
        at(&calls, Call::Sync, place);
    }
    fixture.watch.restart();
    assert!(fixture.confirm("a/b").unwrap());
    assert!(!fixture.confirm("a/none").unwrap());
    assert_eq!(fixture.watch.changes(), []);
}

#[test]
fn confirming_syncs_what_another_writer_made_visible_and_did_not_sync_yet() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b", "1", WriteOptions::default()).unwrap();
    let under_way = fixture.storage.volume.unsynced.begin("a");
    fixture.watch.restart();
    assert!(fixture.confirm("a/b").unwrap());
    at(&fixture.watch.changes(), Call::Sync, "a");
    under_way.release();
}

#[test]
fn a_directory_whose_sync_failed_promises_nothing_until_it_is_opened_again() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.watch.fail(Call::Sync, BLOB_DIRECTORY, Errno::IO, 1);
    let mut staged = fixture.staged("bytes");
    assert!(matches!(block_on(staged.publish(&key(BLOB))), Err(Error::Failed { .. })));
    assert!(fixture.confirm(BLOB).is_err());
    assert!(fixture.confirm(BLOB).is_err());
    assert!(block_on(staged.publish(&key(BLOB))).is_err());
    assert_eq!(block_on(fixture.storage.delete(&key(BLOB))).unwrap(), Deletion::Unknown);
    // Others are as good as before.
    fixture.write("docker/registry/v2/blobs/sha256/cd/cdef/data", "1", WriteOptions::default()).unwrap();

    let again = Filesystem::builder(fixture.directory.path()).blocking(Arc::new(InlineBlocking)).open().unwrap();
    block_on(again.write(&key(BLOB), "1".into(), WriteOptions::default())).unwrap();
    assert!(block_on(again.confirm(&key(BLOB))).unwrap().is_some());
}

#[test]
fn a_directory_that_could_not_be_opened_is_synced_by_the_next() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b", "1", WriteOptions::default()).unwrap();
    fixture.watch.fail(Call::Open, "a", Errno::MFILE, 1);
    assert!(fixture.write("a/c", "1", WriteOptions::default()).is_err());
    fixture.watch.restart();
    assert!(fixture.confirm("a/c").unwrap());
    at(&fixture.watch.changes(), Call::Sync, "a");
}

#[test]
fn a_file_whose_sync_failed_is_dropped_and_never_synced_again() {
    for error in [Errno::IO, Errno::NOSPC] {
        let fixture = Fixture::new(SyncMode::Strict);
        fixture.write("a/b", "old", WriteOptions::default()).unwrap();
        fixture.watch.fail(Call::SyncData, TMP, error, 1);
        fixture.watch.restart();
        assert!(fixture.write("a/b", "new", WriteOptions::default()).is_err());
        let syncs = fixture.watch.changes().iter().filter(|(call, _)| *call == Call::SyncData).count();
        assert_eq!((syncs, fixture.left_on_the_way()), (1, 0));
        assert_eq!(fixture.read("a/b").unwrap(), "old");
        fixture.write("a/b", "new", WriteOptions::default()).unwrap();
        assert_eq!(fixture.read("a/b").unwrap(), "new");
    }
}

#[test]
fn staged_bytes_whose_sync_failed_are_given_up() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    fixture.watch.fail(Call::SyncData, UPLOAD, Errno::IO, 1);
    assert!(block_on(staged.sync()).is_err());
    assert!(block_on(staged.sync()).is_err());
    assert!(block_on(staged.append(vec!["x".into()])).is_err());
    assert!(block_on(staged.read(0)).is_err());
    assert!(block_on(staged.publish(&key(BLOB))).is_err());
    assert!(fixture.read(BLOB).is_none());
    drop(staged);
    assert!(fixture.stage(StageMode::Resume).is_none());
}

#[test]
fn a_failed_append_keeps_what_was_there() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    fixture.watch.fail(Call::Write, UPLOAD, Errno::NOSPC, 1);
    assert!(matches!(block_on(staged.append(vec!["x".into()])), Err(Error::NoSpace { .. })));
    assert_eq!(staged.size(), 5);
    block_on(staged.append(vec!["!".into(), "".into(), "?".into()])).unwrap();
    assert_eq!(staged.size(), 7);
    assert_eq!(fs::read(fixture.on_disk(UPLOAD)).unwrap(), b"bytes!?");
}

#[test]
fn staged_bytes_that_cannot_be_cut_back_are_given_up() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    fixture.watch.fail(Call::Write, UPLOAD, Errno::NOSPC, 1);
    fixture.watch.fail(Call::Truncate, UPLOAD, Errno::IO, 1);
    assert!(block_on(staged.append(vec!["x".into()])).is_err());
    assert!(block_on(staged.append(vec!["x".into()])).is_err());
    drop(staged);
    assert!(fixture.stage(StageMode::Resume).is_none());
}

#[test]
fn without_hard_links_files_are_renamed_into_place() {
    for error in [Errno::PERM, Errno::OPNOTSUPP, Errno::MLINK] {
        let fixture = Fixture::new(SyncMode::Strict);
        fixture.watch.fail(Call::Link, "", error, usize::MAX);
        fixture.write("a/b", "1", ABSENT).unwrap();
        assert!(matches!(fixture.write("a/b", "2", ABSENT), Err(Error::Exists { .. })));
        assert_eq!((fixture.read("a/b").unwrap(), fixture.left_on_the_way()), ("1".into(), 0));

        let mut staged = fixture.staged("bytes");
        block_on(staged.publish(&key(BLOB))).unwrap();
        let calls = fixture.watch.changes();
        assert!(at(&calls, Call::Rename, BLOB) < at(&calls, Call::Sync, BLOB_DIRECTORY));
        block_on(staged.publish(&key(BLOB))).unwrap();
        assert!(block_on(staged.append(vec!["x".into()])).is_err());
        block_on(staged.discard()).unwrap();
        assert_eq!(fixture.read(BLOB).unwrap(), "bytes");
    }
}

#[test]
fn without_any_way_to_create_only_it_says_so() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.watch.fail(Call::Link, "", Errno::PERM, usize::MAX);
    fixture.watch.fail(Call::RenameExclusive, "", Errno::INVAL, usize::MAX);
    assert!(matches!(fixture.write("a/b", "1", ABSENT), Err(Error::Unsupported { .. })));
    assert!(fixture.read("a/b").is_none());
    assert_eq!(fixture.left_on_the_way(), 0);
}

#[test]
fn a_directory_that_is_pruned_before_the_rename_is_made_again() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.watch.fail(Call::Rename, "a/b/c", Errno::NOENT, 20);
    fixture.write("a/b/c", "1", WriteOptions::default()).unwrap();
    assert_eq!(fixture.read("a/b/c").unwrap(), "1");
}

#[test]
fn what_is_gone_leaves_nothing_to_remember() {
    let fixture = Fixture::new(SyncMode::Strict);
    let staged = fixture.staged("bytes");
    fixture.write("docker/registry/v2/repositories/a/_uploads/1/state.json", "{}", VOLATILE).unwrap();
    fixture.write("docker/registry/v2/repositories/a/_uploads/1/startedat", "0", VOLATILE).unwrap();
    block_on(staged.discard()).unwrap();
    let upload = key("docker/registry/v2/repositories/a/_uploads/1");
    assert_eq!(block_on(fixture.storage.delete_all(&upload)).unwrap(), Deletion::Acked);
    assert_eq!(fixture.tracked(), Vec::<String>::new());
}

#[test]
fn a_stream_that_still_reads_does_not_keep_the_next_writer_out() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    let frames = block_on(staged.read(1)).unwrap();
    drop(staged);
    let staged = fixture.stage(StageMode::Resume).unwrap();
    assert_eq!(staged.size(), 5);
    assert_eq!(block_on(frames.try_collect::<Vec<_>>()).unwrap().concat(), b"ytes");
}

/// One of everything. Gives how much of it was acknowledged.
fn program(fixture: &Fixture) -> Vec<&'static str> {
    let mut acked = Vec::new();
    let mut tell = |what, done: bool| {
        if done {
            acked.push(what);
        }
    };
    tell("write", fixture.write("r/_layers/1/link", "link", WriteOptions::default()).is_ok());
    tell("create", fixture.write("r/created", "created", ABSENT).is_ok());
    tell("volatile", fixture.write("r/volatile", "volatile", VOLATILE).is_ok());
    let staged = block_on(fixture.storage.stage(&key(UPLOAD), StageMode::Create));
    if let Ok(Some(mut staged)) = staged
        && block_on(staged.append(vec!["by".into(), "tes".into()])).is_ok()
        && block_on(staged.publish(&key(BLOB))).is_ok()
    {
        tell("publish", true);
        tell("discard", block_on(staged.discard()).is_ok());
    }
    tell("confirm", matches!(fixture.confirm(BLOB), Ok(true)));
    tell("delete", matches!(block_on(fixture.storage.delete(&key("r/created"))), Ok(Deletion::Acked)));
    tell("list", block_on(fixture.storage.list(&key("r"), None, 10)).is_ok());
    acked
}

/// What was acknowledged is there, what is there is whole.
fn check(fixture: &Fixture, acked: &[&str]) {
    for (what, at, content) in [
        ("write", "r/_layers/1/link", "link"),
        ("volatile", "r/volatile", "volatile"),
        ("publish", BLOB, "bytes"),
        ("create", "r/created", "created"),
    ] {
        let found = fs::read_to_string(fixture.on_disk(at)).ok();
        let must = acked.contains(&what) && what != "create";
        assert!(found.as_deref() == Some(content) || (found.is_none() && !must), "{what}: {found:?} after {acked:?}");
    }
    if acked.contains(&"delete") {
        assert!(!fixture.on_disk("r/created").exists());
    }
}

#[test]
fn each_call_may_fail_once() {
    let calls = {
        let fixture = Fixture::new(SyncMode::Strict);
        fixture.watch.restart();
        let acked = program(&fixture);
        assert_eq!(acked.len(), 8, "{acked:?}");
        fixture.watch.count()
    };
    assert!(calls > 50, "{calls}");
    for error in [Errno::IO, Errno::NOSPC, Errno::MFILE, Errno::NOENT, Errno::ACCESS] {
        for nth in 0..calls {
            let fixture = Fixture::new(SyncMode::Strict);
            *fixture.watch.next.lock().unwrap() = (0..=nth).map(|call| (call == nth).then_some(error)).collect();
            let mut acked = program(&fixture);
            if error == Errno::NOENT {
                // Who is told that there is nothing to delete has deleted it.
                acked.retain(|what| *what != "delete");
            }
            check(&fixture, &acked);
            let unlink_failed = fixture.watch.calls.lock().unwrap()[..]
                .iter()
                .any(|(call, at)| *call == Call::Unlink && at.starts_with(TMP));
            assert!(fixture.left_on_the_way() == 0 || unlink_failed, "call {nth} with {error:?}");
            // The next process finds a volume that it can use.
            let again =
                Filesystem::builder(fixture.directory.path()).blocking(Arc::new(InlineBlocking)).open().unwrap();
            let lock = again.lock_for_serving().unwrap();
            assert_eq!(fixture.left_on_the_way(), 0);
            block_on(again.write(&key(BLOB), "again".into(), WriteOptions::default())).unwrap();
            drop(lock);
        }
    }
}

#[test]
fn every_call_from_the_nth_on_may_fail() {
    for error in [Errno::IO, Errno::NOSPC, Errno::ROFS] {
        for nth in 0..80 {
            let fixture = Fixture::new(SyncMode::Strict);
            *fixture.watch.next.lock().unwrap() = (0..2000).map(|call| (call >= nth).then_some(error)).collect();
            let acked = program(&fixture);
            check(&fixture, &acked);
        }
    }
}

#[test]
fn a_read_that_fails_in_the_middle_ends_with_an_error() {
    let fixture = Fixture::new(SyncMode::Strict);
    let mut staged = fixture.staged("bytes");
    let frames = block_on(staged.read(0)).unwrap();
    fs::OpenOptions::new().write(true).open(fixture.on_disk(UPLOAD)).unwrap().set_len(2).unwrap();
    let frames: Vec<_> = block_on(frames.collect());
    assert!(matches!(frames.last(), Some(Err(_))));
}
