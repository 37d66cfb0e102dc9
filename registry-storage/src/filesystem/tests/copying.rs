//! A second place for an object.

use super::*;

const ASIDE: &str = "docker/registry/v2/_gc/fossil/sha256/abcd/1";
const ASIDE_DIRECTORY: &str = "docker/registry/v2/_gc/fossil/sha256/abcd";

fn copy(fixture: &Fixture, from: &str, to: &str) -> Result<Option<u64>, Error> {
    block_on(fixture.storage.copy(&key(from), &key(to))).map(|copied| copied.map(|copied| copied.size))
}

#[test]
fn a_copy_is_a_second_name_and_no_byte_is_written() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write(BLOB, "bytes", WriteOptions::default()).unwrap();
    fixture.write(&format!("{ASIDE_DIRECTORY}/0"), "x", WriteOptions::default()).unwrap();
    fixture.watch.restart();
    assert_eq!(copy(&fixture, BLOB, ASIDE).unwrap(), Some(5));
    let expected = [(Call::Link, ASIDE), (Call::Sync, ASIDE_DIRECTORY)].map(|(call, at)| (call, at.to_owned()));
    assert_eq!(fixture.watch.changes(), expected);
}

#[test]
fn what_was_not_durable_is_made_so_before_it_is_copied() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write(BLOB, "bytes", VOLATILE).unwrap();
    fixture.watch.restart();
    copy(&fixture, BLOB, ASIDE).unwrap();
    let calls = fixture.watch.changes();
    assert!(at(&calls, Call::Sync, BLOB) < at(&calls, Call::Link, ASIDE));
    assert!(at(&calls, Call::Link, ASIDE) < at(&calls, Call::Sync, ASIDE_DIRECTORY));
}

#[test]
fn what_is_there_already_is_synced_all_the_same() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write(BLOB, "bytes", WriteOptions::default()).unwrap();
    copy(&fixture, BLOB, ASIDE).unwrap();
    fixture.watch.restart();
    assert_eq!(copy(&fixture, BLOB, ASIDE).unwrap(), Some(5));
    let calls = fixture.watch.changes();
    for directory in [ASIDE_DIRECTORY, "docker/registry/v2/_gc/fossil/sha256", "docker/registry/v2/_gc"] {
        at(&calls, Call::Sync, directory);
    }
}

#[test]
fn without_hard_links_the_bytes_are_copied_and_synced() {
    for error in [Errno::PERM, Errno::OPNOTSUPP, Errno::MLINK] {
        let fixture = Fixture::new(SyncMode::Strict);
        fixture.write(BLOB, "bytes", WriteOptions::default()).unwrap();
        fixture.watch.fail(Call::Link, "", error, usize::MAX);
        fixture.watch.restart();
        assert_eq!(copy(&fixture, BLOB, ASIDE).unwrap(), Some(5));
        assert_eq!(fixture.read(ASIDE).unwrap(), "bytes");
        let calls = fixture.watch.changes();
        let temporary = format!("{TMP}/*");
        assert!(at(&calls, Call::SyncData, &temporary) < at(&calls, Call::RenameExclusive, ASIDE));
        assert_eq!(fixture.left_on_the_way(), 0);
        assert_eq!(copy(&fixture, BLOB, ASIDE).unwrap(), Some(5), "again");
        assert_eq!(fixture.left_on_the_way(), 0);
        assert_eq!(copy(&fixture, UPLOAD, ASIDE).unwrap(), None);
    }
}

#[test]
fn a_full_disk_does_not_keep_an_object_from_its_second_name() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write(BLOB, "bytes", WriteOptions::default()).unwrap();
    for call in [Call::Write, Call::Create] {
        fixture.watch.fail(call, "", Errno::NOSPC, usize::MAX);
    }
    assert_eq!(copy(&fixture, BLOB, ASIDE).unwrap(), Some(5));
}

#[test]
fn a_copy_whose_sync_failed_is_not_promised() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write(BLOB, "bytes", WriteOptions::default()).unwrap();
    fixture.watch.fail(Call::Sync, ASIDE_DIRECTORY, Errno::IO, 1);
    assert!(copy(&fixture, BLOB, ASIDE).is_err());
    assert!(copy(&fixture, BLOB, ASIDE).is_err(), "a failed sync is not forgotten");
}

#[test]
fn only_an_empty_directory_is_removed() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.write("a/b/c", "x", WriteOptions::default()).unwrap();
    let remove = |at: &str| block_on(fixture.storage.remove_directory(&key(at))).unwrap();
    assert!(!remove("a/b"));
    fs::remove_file(fixture.on_disk("a/b/c")).unwrap();
    assert!(!remove("a"));
    assert!(remove("a/b") && remove("a") && remove("a"));
    assert!(!fixture.on_disk("a").exists());
    assert_eq!(fixture.storage.volume.unsynced.along("a/b").unwrap(), [""; 0]);
}
