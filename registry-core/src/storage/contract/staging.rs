//! Bytes on their way in.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::ground::{Ground, content, span, staged_from};
use crate::storage::{Error, StageMode};

pub(super) async fn nothing_is_staged_until_created(ground: Ground) {
    assert!(ground.resume("up/data").await.is_none());
    assert_eq!(ground.staged_size("up/data").await, None);
    let staged = ground.create("up/data").await;
    assert_eq!(staged.size(), 0);
    if ground.storage.capabilities().exclusive_staging {
        assert_eq!(ground.staged_size("up/data").await, Some(0));
        drop(staged);
        assert_eq!(ground.staged_size("up/data").await, Some(0));
        assert_eq!(ground.resume("up/data").await.unwrap().size(), 0);
    } else {
        // What has no bytes yet may be found or not.
        assert!(ground.staged_size("up/data").await.is_none_or(|size| size == 0));
        drop(staged);
        assert!(ground.resume("up/data").await.is_none_or(|staged| staged.size() == 0));
    }
    assert_eq!(ground.create("up/data").await.size(), 0);
    assert!(ground.resume("up/data2").await.is_none());
    assert!(ground.resume("up").await.is_none());
}

pub(super) async fn bytes_come_back_in_order(ground: Ground) {
    let mut staged = ground.create("up/data").await;
    let mut size = 0;
    for batch in [&["a", "bc"][..], &[], &["", "d"], &[""], &["efg"]] {
        staged.append(batch.iter().map(|chunk| Bytes::from(*chunk)).collect()).await.unwrap();
        size += batch.concat().len() as u64;
        assert_eq!(staged.size(), size);
    }
    staged.sync().await.unwrap();
    assert_eq!(staged_from(&mut staged, 0).await, "abcdefg");
    staged.append(vec!["h".into()]).await.unwrap();
    assert_eq!(staged.size(), 8);
    assert_eq!(staged_from(&mut staged, 0).await, "abcdefgh");
    staged.append(vec!["i".into()]).await.unwrap();
    staged.sync().await.unwrap();
    staged.sync().await.unwrap();
    assert_eq!(staged_from(&mut staged, 6).await, "ghi");
    assert_eq!(ground.staged_size("up/data").await, Some(9));
}

pub(super) async fn bytes_are_read_from_an_offset(ground: Ground) {
    let whole = content(700_000, 1);
    let mut staged = ground.create("up/data").await;
    for piece in whole.chunks(100_001) {
        staged.append(vec![whole.slice_ref(piece)]).await.unwrap();
    }
    staged.sync().await.unwrap();
    for offset in [0, 1, 100_000, 100_001, 100_002, 699_999, 700_000] {
        let read = staged_from(&mut staged, offset as u64).await;
        assert!(read == whole.slice(offset..), "{} bytes from {offset}", read.len());
    }
    assert_eq!(staged_from(&mut staged, 700_001).await, Bytes::new());
}

pub(super) async fn a_dropped_writer_lets_the_next_go_on(ground: Ground) {
    let whole = content(300_000, 2);
    for (index, piece) in whole.chunks(100_000).enumerate() {
        let mode = if index == 0 { StageMode::Create } else { StageMode::Resume };
        let mut staged = ground.storage.stage(&ground.key("up/data"), mode).await.unwrap().unwrap();
        assert_eq!(staged.size(), index as u64 * 100_000);
        staged.append(vec![whole.slice_ref(piece)]).await.unwrap();
        staged.sync().await.unwrap();
    }
    // Creating what is there goes on with it as well.
    let mut staged = ground.create("up/data").await;
    assert_eq!(staged.size(), 300_000);
    assert!(staged_from(&mut staged, 0).await == whole);
}

pub(super) async fn what_was_not_synced_may_be_lost(ground: Ground) {
    let whole = content(200_000, 3);
    let mut staged = ground.staged("up/data", &whole.slice(..100_000)).await;
    staged.append(vec![whole.slice(100_000..)]).await.unwrap();
    drop(staged);
    let mut staged = ground.resume("up/data").await.unwrap();
    let size = staged.size();
    assert!((100_000..=200_000).contains(&size), "{size} bytes");
    assert_eq!(ground.staged_size("up/data").await, Some(size));
    let rest = whole.slice(usize::try_from(size).unwrap()..);
    staged.append(vec![rest]).await.unwrap();
    staged.sync().await.unwrap();
    assert!(staged_from(&mut staged, 0).await == whole);
}

pub(super) async fn one_writer_at_a_time(ground: Ground) {
    if !ground.storage.capabilities().exclusive_staging {
        return;
    }
    let key = ground.key("up/data");
    let staged = ground.create("up/data").await;
    for mode in [StageMode::Create, StageMode::Resume] {
        let refused = ground.storage.stage(&key, mode).await;
        assert!(matches!(refused, Err(Error::Busy { key: told }) if told == key));
    }
    drop(ground.create("up/other").await);
    drop(staged);
    let staged = ground.resume("up/data").await.unwrap();
    assert!(matches!(ground.storage.stage(&key, StageMode::Resume).await, Err(Error::Busy { .. })));
    staged.discard().await.unwrap();
    drop(ground.create("up/data").await);
}

pub(super) async fn of_two_writers_one_goes_on(ground: Ground) {
    const WRITERS: u8 = 4;
    drop(ground.staged("up/data", &Bytes::from("common")).await);
    let barrier = Arc::new(Barrier::new(WRITERS.into()));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (ground, barrier) = (ground.clone(), Arc::clone(&barrier));
        writers.spawn(async move {
            barrier.wait().await;
            let opened = ground.storage.stage(&ground.key("up/data"), StageMode::Resume).await;
            // All have tried before the first lets go.
            barrier.wait().await;
            let written = match opened {
                Ok(staged) => {
                    let mut staged = staged.unwrap();
                    match staged.append(vec![vec![writer; 5000].into()]).await {
                        Ok(()) => staged.sync().await,
                        refused => refused,
                    }
                }
                Err(refused) => Err(refused),
            };
            match written {
                Ok(()) => Some(writer),
                Err(Error::Busy { .. }) => None,
                Err(other) => panic!("{other:?}"),
            }
        });
    }
    let winners: Vec<u8> = writers.join_all().await.into_iter().flatten().collect();
    let [winner] = winners[..] else { panic!("several writers won, or none: {winners:?}") };
    let mut staged = ground.resume("up/data").await.unwrap();
    assert_eq!(staged.size(), 5006);
    assert_eq!(staged_from(&mut staged, 0).await, [&b"common"[..], &[winner; 5000]].concat());
}

pub(super) async fn the_size_is_told_while_held(ground: Ground) {
    let mut staged = ground.create("up/data").await;
    for round in 1..=3 {
        staged.append(vec!["12345".into()]).await.unwrap();
        staged.sync().await.unwrap();
        assert_eq!(ground.staged_size("up/data").await, Some(round * 5));
    }
    assert_eq!(ground.staged_size("up/dat").await, None);
}

pub(super) async fn staged_bytes_are_no_object(ground: Ground) {
    let mut staged = ground.staged("up/data", &Bytes::from("content")).await;
    assert!(!ground.exists("blob").await);
    staged.publish(&ground.key("blob")).await.unwrap();
    assert!(ground.exists("blob").await);
}

pub(super) async fn publishing_makes_the_object(ground: Ground) {
    let whole = content(1_500_000, 4);
    let mut staged = ground.staged("up/data", &whole).await;
    staged.publish(&ground.key("deep/er/blob")).await.unwrap();
    let object = ground.open("deep/er/blob").await;
    assert_eq!(object.metadata().size, 1_500_000);
    assert!(span(object, 0, 1_500_000).await.unwrap() == whole);
    assert_eq!(ground.names("deep/er").await, ["blob"]);
    assert_eq!(ground.storage.confirm(&ground.key("deep/er/blob")).await.unwrap().unwrap().size, 1_500_000);
}

pub(super) async fn publishing_twice_is_harmless(ground: Ground) {
    let mut staged = ground.staged("up/data", &Bytes::from("content")).await;
    for name in ["blob", "blob", "other"] {
        staged.publish(&ground.key(name)).await.unwrap();
        assert_eq!(ground.read(name).await, Some("content".into()));
        assert_eq!(staged.size(), 7);
        assert_eq!(staged_from(&mut staged, 0).await, "content");
    }
    drop(staged);
    // Another writer finds the bytes and publishes them once more, as after a crash.
    let mut staged = ground.resume("up/data").await.unwrap();
    assert_eq!(staged.size(), 7);
    staged.publish(&ground.key("third")).await.unwrap();
    assert_eq!(ground.read("third").await, Some("content".into()));
    assert_eq!(ground.read("blob").await, Some("content".into()));
}

pub(super) async fn published_bytes_stay_when_discarded(ground: Ground) {
    let mut staged = ground.staged("up/data", &Bytes::from("content")).await;
    staged.publish(&ground.key("blob")).await.unwrap();
    staged.discard().await.unwrap();
    assert_eq!(ground.read("blob").await, Some("content".into()));
    assert_eq!(ground.staged_size("up/data").await, None);
    // The next upload at the same place has nothing to do with what was published.
    ground.staged("up/data", &Bytes::from("other")).await;
    assert_eq!(ground.read("blob").await, Some("content".into()));
}

pub(super) async fn what_has_the_same_size_is_kept(ground: Ground) {
    ground.write("blob", "kept...").await;
    let mut staged = ground.staged("up/data", &Bytes::from("content")).await;
    staged.publish(&ground.key("blob")).await.unwrap();
    assert_eq!(ground.read("blob").await, Some("kept...".into()));
}

pub(super) async fn what_has_another_size_is_replaced(ground: Ground) {
    for (name, torn) in [("shorter", "cont"), ("longer", "contentcontent"), ("empty", "")] {
        ground.write(name, torn).await;
        let mut staged = ground.staged(&format!("up/{name}"), &Bytes::from("content")).await;
        staged.publish(&ground.key(name)).await.unwrap();
        assert_eq!(ground.read(name).await, Some("content".into()));
    }
}

pub(super) async fn nothing_can_be_published(ground: Ground) {
    ground.create("up/data").await.publish(&ground.key("blob")).await.unwrap();
    assert_eq!(ground.read("blob").await, Some(Bytes::new()));
    ground.write("torn", "x").await;
    let mut staged = ground.create("up/synced").await;
    staged.append(vec![Bytes::new()]).await.unwrap();
    staged.sync().await.unwrap();
    staged.publish(&ground.key("torn")).await.unwrap();
    assert_eq!(ground.read("torn").await, Some(Bytes::new()));
}

pub(super) async fn discarded_bytes_are_gone(ground: Ground) {
    ground.staged("up/data", &Bytes::from("content")).await.discard().await.unwrap();
    assert_eq!(ground.staged_size("up/data").await, None);
    assert!(ground.resume("up/data").await.is_none());
    let mut staged = ground.create("up/data").await;
    assert_eq!(staged.size(), 0);
    staged.append(vec!["new".into()]).await.unwrap();
    staged.sync().await.unwrap();
    assert_eq!(staged_from(&mut staged, 0).await, "new");
    // What was appended and never synced goes as well.
    staged.append(vec!["er".into()]).await.unwrap();
    staged.discard().await.unwrap();
    assert_eq!(ground.staged_size("up/data").await, None);
}

pub(super) async fn a_resumed_upload_is_published(ground: Ground) {
    let whole = content(250_000, 5);
    drop(ground.staged("up/data", &whole.slice(..100_000)).await);
    let mut staged = ground.resume("up/data").await.unwrap();
    staged.append(vec![whole.slice(100_000..)]).await.unwrap();
    // Publishing implies that all of it is durable, synced or not.
    staged.publish(&ground.key("blob")).await.unwrap();
    assert!(ground.read("blob").await.unwrap() == whole);
    staged.discard().await.unwrap();
}

pub(super) async fn two_may_publish_the_same(ground: Ground) {
    const WRITERS: usize = 4;
    let whole = content(400_000, 6);
    for round in 0..5 {
        let barrier = Arc::new(Barrier::new(WRITERS));
        let mut writers = JoinSet::new();
        for writer in 0..WRITERS {
            let (ground, barrier, whole) = (ground.clone(), Arc::clone(&barrier), whole.clone());
            writers.spawn(async move {
                let mut staged = ground.staged(&format!("up-{round}/{writer}"), &whole).await;
                barrier.wait().await;
                staged.publish(&ground.key(&format!("blob-{round}"))).await.unwrap();
                assert!(ground.read(&format!("blob-{round}")).await.unwrap() == whole);
                staged.discard().await.unwrap();
            });
        }
        writers.join_all().await;
        assert!(ground.read(&format!("blob-{round}")).await.unwrap() == whole);
    }
}

pub(super) async fn publishing_shows_no_part(ground: Ground) {
    let whole = content(2_000_000, 7);
    let mut staged = ground.staged("up/data", &whole).await;
    let publish = {
        let key = ground.key("blob");
        tokio::spawn(async move { staged.publish(&key).await })
    };
    loop {
        let done = publish.is_finished();
        let (read, stat) = (ground.read("blob").await, ground.storage.stat(&ground.key("blob")).await.unwrap());
        assert!(read.is_none_or(|read| read == whole), "a part was read");
        assert!(stat.is_none_or(|stat| stat.size == 2_000_000), "a part was told");
        if done {
            break;
        }
        tokio::task::yield_now().await;
    }
    publish.await.unwrap().unwrap();
    assert!(ground.read("blob").await.unwrap() == whole);
}

pub(super) async fn many_small_batches(ground: Ground) {
    let whole = content(20_000, 8);
    let mut staged = ground.create("up/data").await;
    for piece in whole.chunks(17) {
        staged.append(vec![whole.slice_ref(piece)]).await.unwrap();
    }
    assert_eq!(staged.size(), 20_000);
    staged.sync().await.unwrap();
    staged.publish(&ground.key("blob")).await.unwrap();
    assert_eq!(ground.read("blob").await, Some(whole));
}

pub(super) async fn large_batches(ground: Ground) {
    // Above what any backend sends in one piece, in sessions of uneven sizes with small ones between.
    let whole = content(21_000_000, 9);
    let mut at = 0;
    for length in [6_000_000, 100, 9_000_000, 7, 5_999_893] {
        let mut staged = ground.create("up/data").await;
        assert_eq!(staged.size(), at as u64);
        let piece = whole.slice(at..at + length);
        let batch = piece.chunks(999_999).map(|chunk| piece.slice_ref(chunk)).collect();
        staged.append(batch).await.unwrap();
        staged.sync().await.unwrap();
        at += length;
    }
    let mut staged = ground.resume("up/data").await.unwrap();
    assert!(staged_from(&mut staged, 0).await == whole);
    assert!(staged_from(&mut staged, 15_000_050).await == whole.slice(15_000_050..));
    staged.publish(&ground.key("blob")).await.unwrap();
    assert!(ground.read("blob").await.unwrap() == whole);
    staged.discard().await.unwrap();
}
