//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use registry_core::storage::{Error, StageMode, Storage as _};
use registry_storage::filesystem::{Filesystem, SyncMode};

use super::{ABSENT, DURABLE, Ground, key};

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_many_creators_exactly_one_wins() {
    let ground = Ground::new();
    let other = Filesystem::builder(ground.directory.path()).durability(SyncMode::Os).open().unwrap();
    for round in 0..100 {
        let at = key(&format!("a/{}/{round}", round % 7));
        let creators = (0..8).map(|number: u8| {
            let (storage, at) = (if number.is_multiple_of(2) { &ground.storage } else { &other }.clone(), at.clone());
            tokio::spawn(async move { (number, storage.write(&at, vec![number; 100].into(), ABSENT).await) })
        });
        let mut winners = Vec::new();
        for creator in futures::future::join_all(creators).await {
            match creator.unwrap() {
                (number, Ok(())) => winners.push(number),
                (_, Err(Error::Exists { .. })) => {}
                (_, Err(error)) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}");
        assert_eq!(ground.storage.read(&at, 100).await.unwrap().unwrap(), vec![winners[0]; 100]);
    }
    assert_eq!(ground.left_on_the_way(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn no_write_fails_because_somebody_prunes() {
    for mode in [SyncMode::Os, SyncMode::Strict, SyncMode::Group] {
        let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let storage = Filesystem::builder(directory.path()).durability(mode).open().unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let pruners: Vec<_> = (0..2)
            .map(|number| {
                let (storage, done) = (storage.clone(), Arc::clone(&done));
                tokio::spawn(async move {
                    while !done.load(Ordering::Relaxed) {
                        // A sibling comes and goes, and with it, each time that it is alone, the directory.
                        let sibling = key(&format!("r/x/y/sibling{number}"));
                        storage.write(&sibling, "1".into(), DURABLE).await.unwrap();
                        storage.delete(&sibling).await.unwrap();
                        storage.delete_all(&key("r/x/z")).await.unwrap();
                    }
                })
            })
            .collect();
        let writers: Vec<_> = (0..4)
            .map(|number| {
                let storage = storage.clone();
                tokio::spawn(async move { write_and_delete(&storage, number).await })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
        done.store(true, Ordering::Relaxed);
        for pruner in pruners {
            pruner.await.unwrap();
        }
    }
}

async fn write_and_delete(storage: &Filesystem, number: usize) {
    for round in 0..300 {
        let own = key(&format!("r/x/y/own{number}"));
        let options = if round % 2 == 0 { DURABLE } else { ABSENT };
        storage.write(&own, "1".into(), options).await.unwrap();
        assert!(storage.confirm(&own).await.unwrap().is_some());
        storage.delete(&own).await.unwrap();
        assert!(storage.stat(&own).await.unwrap().is_none());

        // Below a tree that is deleted again and again a write may vanish, but it does not fail.
        storage.write(&key(&format!("r/x/z/{number}/deep/er")), "1".into(), DURABLE).await.unwrap();
        storage.create_directory(&key(&format!("r/x/z/{number}/made"))).await.unwrap();
        let at = key(&format!("r/x/z/{number}/staged"));
        let mut staged = storage.stage(&at, StageMode::Create).await.unwrap().unwrap();
        staged.append(vec!["1".into()]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn lists_go_on_while_entries_come_and_go() {
    let ground = Ground::new();
    for number in (0..200).step_by(2) {
        ground.storage.write(&key(&format!("l/{number:03}")), "1".into(), DURABLE).await.unwrap();
    }
    let storage = ground.storage.clone();
    let churn = tokio::spawn(async move {
        for number in (1..200).step_by(2) {
            let at = key(&format!("l/{number:03}"));
            storage.write(&at, "1".into(), DURABLE).await.unwrap();
            storage.delete(&at).await.unwrap();
        }
    });
    while !churn.is_finished() {
        let mut steady = 0;
        let mut after: Option<String> = None;
        loop {
            let page = ground.storage.list(&key("l"), after.as_deref(), 7).await.unwrap();
            assert!(page.entries.is_sorted() && page.entries.len() <= 7);
            steady += page.entries.iter().filter(|entry| entry.name.parse::<u32>().unwrap() % 2 == 0).count();
            after = page.entries.last().map(|entry| entry.name.clone());
            if !page.more {
                break;
            }
        }
        assert_eq!(steady, 100);
    }
    churn.await.unwrap();
}
