use std::fs;
use std::path::PathBuf;

use super::*;

const BOUNDS: Bounds = Bounds { events: 1000, bytes: 100 * 1024 * 1024 };

fn open(folder: &Path) -> Spool {
    Spool::open(folder, BOUNDS).unwrap()
}

#[track_caller]
fn add(spool: &Spool, notice: &str) {
    spool.append(&Bytes::copy_from_slice(notice.as_bytes())).unwrap();
}

/// Delivers so many events.
#[track_caller]
fn deliver(spool: &Spool, count: usize) -> Vec<String> {
    let mut delivered = Vec::new();
    for _ in 0..count {
        let notice = spool.first().unwrap().expect("an event");
        spool.done(&notice).unwrap();
        delivered.push(String::from_utf8(notice.to_vec()).unwrap());
    }
    delivered
}

#[track_caller]
fn rest(spool: &Spool) -> Vec<String> {
    let delivered = deliver(spool, usize::try_from(spool.pending()).unwrap());
    assert_eq!((spool.first().unwrap(), spool.pending()), (None, 0));
    delivered
}

fn segments(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == "events")).collect();
    paths.sort();
    paths
}

#[test]
fn first_in_first_out() {
    let folder = tempfile::tempdir().unwrap();
    for spool in [open(folder.path()), Spool::in_memory(BOUNDS)] {
        assert_eq!((spool.first().unwrap(), spool.pending()), (None, 0));
        add(&spool, "one");
        add(&spool, "two");
        assert_eq!(spool.first().unwrap(), spool.first().unwrap());
        assert_eq!(deliver(&spool, 1), ["one"]);
        add(&spool, "three");
        assert_eq!(spool.pending(), 2);
        assert_eq!(rest(&spool), ["two", "three"]);
    }
}

#[test]
fn a_restart_goes_on_behind_what_was_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    for notice in ["1", "2", "3"] {
        add(&spool, notice);
    }
    assert_eq!(deliver(&spool, 2), ["1", "2"]);
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(spool.pending(), 1);
    add(&spool, "4");
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(rest(&spool), ["3", "4"]);
    drop(spool);
    let spool = open(folder.path());
    assert_eq!(spool.pending(), 0);
    assert!(segments(folder.path()).is_empty());
    add(&spool, "5");
    drop(spool);
    assert_eq!(rest(&open(folder.path())), ["5"]);
}

#[test]
fn whatever_moment_a_write_is_cut_off_at_what_was_whole_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    add(&spool, "one");
    let path = segments(folder.path()).remove(0);
    let whole = fs::metadata(&path).unwrap().len();
    add(&spool, "two");
    drop(spool);
    let content = fs::read(&path).unwrap();
    for length in 0..content.len() {
        for path in segments(folder.path()) {
            fs::remove_file(path).unwrap();
        }
        fs::write(&path, &content[..length]).unwrap();
        let spool = open(folder.path());
        add(&spool, "three");
        drop(spool);
        // Now there is a torn file in the middle.
        let spool = open(folder.path());
        let expected: &[_] = if (length as u64) < whole { &["three"] } else { &["one", "three"] };
        assert_eq!((spool.pending(), spool.first().unwrap().unwrap()), (expected.len() as u64, expected[0].into()));
        fs::remove_file(folder.path().join("position")).ok();
    }
}

#[test]
fn without_a_position_rather_twice_than_never() {
    for position in ["", "x", "-1"] {
        let folder = tempfile::tempdir().unwrap();
        let spool = open(folder.path());
        add(&spool, "one");
        add(&spool, "two");
        deliver(&spool, 1);
        drop(spool);
        fs::write(folder.path().join("position"), position).unwrap();
        assert_eq!(rest(&open(folder.path())), ["one", "two"]);
    }
}

#[test]
fn a_position_beyond_what_a_power_cut_left_is_where_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    add(&spool, "one");
    drop(spool);
    position::Position { number: 7, file: 0, offset: 700 }.write(folder.path()).unwrap();
    let spool = open(folder.path());
    assert_eq!(spool.pending(), 0);
    add(&spool, "two");
    drop(spool);
    assert_eq!(rest(&open(folder.path())), ["two"]);
}

#[test]
fn files_are_bounded_and_go_when_they_are_delivered() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    let notice = "x".repeat(1024 * 1024);
    for number in 0..10 {
        add(&spool, &format!("{number}{notice}"));
    }
    assert_eq!(segments(folder.path()).len(), 3);
    deliver(&spool, 4);
    assert_eq!(segments(folder.path()).len(), 2);
    drop(spool);
    let spool = open(folder.path());
    assert!(deliver(&spool, 1)[0].starts_with('4'));
    assert!(rest(&spool)[4].starts_with('9'));
    assert_eq!(segments(folder.path()).len(), 0);
}

#[test]
fn what_is_full_takes_nothing_until_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let notice = Bytes::from_static(b"one");
    for bounds in [Bounds { events: 2, ..BOUNDS }, Bounds { bytes: 2 * record::bytes_of(&notice), ..BOUNDS }] {
        for spool in [Spool::open(folder.path(), bounds).unwrap(), Spool::in_memory(bounds)] {
            spool.append(&notice).unwrap();
            spool.append(&notice).unwrap();
            assert!(matches!(spool.append(&notice), Err(NotKept::Full)));
            deliver(&spool, 1);
            spool.append(&notice).unwrap();
            assert!(matches!(spool.append(&notice), Err(NotKept::Full)));
            assert_eq!(rest(&spool), ["one", "one"]);
        }
    }
}

#[test]
fn a_damaged_file_is_given_up_and_the_next_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    add(&spool, "one");
    drop(spool);
    let spool = open(folder.path());
    add(&spool, "two");
    let paths = segments(folder.path());
    fs::write(&paths[0], "nothing").unwrap();
    assert_eq!(spool.first().unwrap().unwrap(), "two");
    fs::remove_file(&paths[1]).unwrap();
    assert_eq!((spool.first().unwrap(), spool.pending()), (None, 0));
    add(&spool, "three");
    assert_eq!(rest(&spool), ["three"]);
}

#[tokio::test]
async fn who_waits_is_told() {
    let spool = Spool::in_memory(BOUNDS);
    add(&spool, "one");
    spool.added().await;
    let waiting = async {
        spool.added().await;
        spool.first().unwrap().unwrap()
    };
    let adding = async {
        deliver(&spool, 1).len() + {
            add(&spool, "two");
            0
        }
    };
    assert_eq!(tokio::join!(waiting, adding), ("two".into(), 1));
}

/// Ten events in a file, and what the file has in it.
fn ten(folder: &Path) -> (Vec<String>, PathBuf, Vec<u8>) {
    let notices: Vec<_> = (0..10).map(|number| format!("event\n{number}\n")).collect();
    let spool = open(folder);
    for notice in &notices {
        add(&spool, notice);
    }
    let path = segments(folder).remove(0);
    let content = fs::read(&path).unwrap();
    (notices, path, content)
}

/// What is damaged costs nothing else, whichever byte it is.
#[test]
fn around_what_is_damaged_everything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (notices, path, content) = ten(folder.path());
    let length = content.len() / 10;
    for damaged in 0..9 {
        for within in 0..length {
            fs::remove_file(folder.path().join("position")).ok();
            let mut changed = content.clone();
            changed[damaged * length + within] ^= 0x20;
            fs::write(&path, changed).unwrap();
            let spool = open(folder.path());
            assert_eq!(spool.pending(), 10);
            let told = deliver(&spool, 9);
            assert_eq!((spool.first().unwrap(), spool.pending(), spool.lost()), (None, 0, 1));
            let expected: Vec<_> = notices.iter().enumerate().filter(|(number, _)| *number != damaged).collect();
            assert!(told.iter().eq(expected.into_iter().map(|(_, notice)| notice)), "{damaged} {within}: {told:?}");
        }
    }
}

/// Several that are damaged side by side cannot be told apart.
#[test]
fn around_several_that_are_damaged_everything_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let (notices, path, content) = ten(folder.path());
    let length = content.len() / 10;
    for range in [length * 2..length * 5, length * 2 + 5..length * 4 + 80, 0..length * 9, length * 3..length * 3 + 1] {
        for filling in [0, b'\n', b'a'] {
            fs::remove_file(folder.path().join("position")).ok();
            let mut changed = content.clone();
            changed[range.clone()].fill(filling);
            fs::write(&path, changed).unwrap();
            let left = [&notices[..range.start / length], &notices[range.end.div_ceil(length)..]].concat();
            let spool = open(folder.path());
            assert_eq!(spool.pending(), left.len() as u64 + 1, "{range:?} {filling}");
            assert_eq!(deliver(&spool, left.len()), left, "{range:?} {filling}");
            assert_eq!((spool.first().unwrap(), spool.pending(), spool.lost()), (None, 0, 1));
        }
    }
}

/// It is of no more use, so it must not cost what is.
#[test]
fn what_is_delivered_may_be_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (notices, path, content) = ten(folder.path());
    let length = content.len() / 10;
    assert_eq!(deliver(&open(folder.path()), 6), notices[..6]);
    let position = fs::read(folder.path().join("position")).unwrap();
    for range in [0..1, 0..length * 6, length..length * 3, length * 5..length * 6, length * 6 - 1..length * 6] {
        let mut changed = content.clone();
        changed[range.clone()].fill(0);
        fs::write(&path, changed).unwrap();
        fs::write(folder.path().join("position"), &position).unwrap();
        let spool = open(folder.path());
        assert_eq!((rest(&spool), spool.lost()), (notices[6..].to_vec(), 0), "{range:?}");
    }
}

/// A file that has more in it than it was given changes no number of the next one.
#[test]
fn what_was_put_in_between_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (notices, path, mut content) = ten(folder.path());
    add(&open(folder.path()), "the next file");
    let length = content.len() / 10;
    content.splice(length * 4..length * 4, *b"something");
    fs::write(&path, content).unwrap();
    let spool = open(folder.path());
    assert_eq!((spool.pending(), deliver(&spool, 10)), (12, notices));
    drop(spool);
    let spool = open(folder.path());
    assert_eq!((rest(&spool), spool.lost()), (vec!["the next file".to_owned()], 0));
}

#[test]
fn a_position_that_is_damaged_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    for notice in ["1", "2", "3"] {
        add(&spool, notice);
    }
    deliver(&spool, 1);
    drop(spool);
    let position = folder.path().join("position");
    let good = fs::read_to_string(&position).unwrap();
    for (text, expected) in [(good.clone(), 2), (good.replacen('1', "2", 1), 3), ("2\n".into(), 3), (String::new(), 3)]
    {
        fs::write(&position, &text).unwrap();
        assert_eq!(open(folder.path()).pending(), expected, "{text}");
    }
}

#[test]
fn what_is_no_file_of_events_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let spool = open(folder.path());
    add(&spool, "1");
    drop(spool);
    fs::create_dir(folder.path().join("00000000000000000200.events")).unwrap();
    fs::write(folder.path().join("18446744073709551614.events"), "").unwrap();
    fs::write(folder.path().join("notes.events"), "").unwrap();
    assert_eq!(rest(&open(folder.path())), ["1"]);
    assert!(folder.path().join("18446744073709551614.events").exists());
}
