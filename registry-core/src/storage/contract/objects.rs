//! Objects written whole.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::ground::Ground;
use crate::storage::{Durability, Error, Precondition, WriteOptions};

const CREATE: WriteOptions = WriteOptions { precondition: Precondition::Absent, durability: Durability::Durable };

pub(super) async fn what_is_not_there_is_none(ground: Ground) {
    // Neither the name itself, nor one below or beside an object.
    ground.write("there", "x").await;
    for absent in ["absent", "deep/er/absent", "ther", "there-not"] {
        let (storage, key) = (&ground.storage, &ground.key(absent));
        assert_eq!(storage.stat(key).await.unwrap(), None, "{absent}");
        assert_eq!(storage.confirm(key).await.unwrap(), None, "{absent}");
        assert_eq!(storage.read(key, 10).await.unwrap(), None, "{absent}");
        assert_eq!(storage.read(key, 0).await.unwrap(), None, "{absent}");
        assert!(storage.open(key).await.unwrap().is_none(), "{absent}");
    }
}

pub(super) async fn what_was_written_is_read(ground: Ground) {
    for durability in [Durability::Durable, Durability::Volatile] {
        let (name, options) = (format!("{durability:?}"), WriteOptions { durability, ..WriteOptions::default() });
        ground.storage.write(&ground.key(&name), "content\0\n".into(), options).await.unwrap();
        assert_eq!(ground.read(&name).await, Some("content\0\n".into()));
        assert_eq!(ground.storage.confirm(&ground.key(&name)).await.unwrap().unwrap().size, 9);
    }
}

pub(super) async fn a_write_replaces(ground: Ground) {
    for content in ["first", "a longer one", "short", ""] {
        ground.write("key", content).await;
        assert_eq!(ground.read("key").await, Some(content.into()));
    }
}

pub(super) async fn an_object_may_be_empty(ground: Ground) {
    ground.write("empty", Bytes::new()).await;
    assert_eq!(ground.storage.stat(&ground.key("empty")).await.unwrap().unwrap().size, 0);
    assert_eq!(ground.storage.read(&ground.key("empty"), 0).await.unwrap(), Some(Bytes::new()));
    assert_eq!(ground.open("empty").await.metadata().size, 0);
}

pub(super) async fn stat_tells_the_size(ground: Ground) {
    for size in [1, 4095, 4096, 100_000] {
        ground.write("key", vec![7; size]).await;
        let (stat, confirmed) =
            (ground.storage.stat(&ground.key("key")).await, ground.storage.confirm(&ground.key("key")).await);
        assert_eq!(stat.unwrap().unwrap().size, size as u64);
        assert_eq!(confirmed.unwrap().unwrap().size, size as u64);
        assert_eq!(ground.open("key").await.metadata().size, size as u64);
    }
}

pub(super) async fn an_absent_key_is_written_once(ground: Ground) {
    let key = ground.key("key");
    ground.storage.write(&key, "first".into(), CREATE).await.unwrap();
    for again in ["first", "second", ""] {
        let refused = ground.storage.write(&key, again.into(), CREATE).await;
        assert!(matches!(refused, Err(Error::Exists { key: told }) if told == key));
    }
    assert_eq!(ground.read("key").await, Some("first".into()));
}

pub(super) async fn of_many_creators_one_wins(ground: Ground) {
    const CREATORS: u8 = 8;
    for round in 0..10 {
        let key = ground.key(&format!("round-{round}"));
        let barrier = Arc::new(Barrier::new(CREATORS.into()));
        let mut creators = JoinSet::new();
        for creator in 0..CREATORS {
            let (storage, key, barrier) = (Arc::clone(&ground.storage), key.clone(), Arc::clone(&barrier));
            creators.spawn(async move {
                barrier.wait().await;
                (creator, storage.write(&key, vec![creator; 3000].into(), CREATE).await)
            });
        }
        let mut winners = Vec::new();
        for (creator, outcome) in creators.join_all().await {
            match outcome {
                Ok(()) => winners.push(creator),
                Err(Error::Exists { .. }) => {}
                Err(other) => panic!("{other:?}"),
            }
        }
        let [winner] = winners[..] else { panic!("several creators won, or none: {winners:?}") };
        assert_eq!(ground.storage.read(&key, 3000).await.unwrap(), Some(vec![winner; 3000].into()));
    }
}

pub(super) async fn read_is_limited(ground: Ground) {
    let key = ground.key("key");
    ground.write("key", "12345").await;
    for limit in [5, 6, u64::MAX] {
        assert_eq!(ground.storage.read(&key, limit).await.unwrap(), Some("12345".into()));
    }
    for limit in [0, 1, 4] {
        let refused = ground.storage.read(&key, limit).await;
        assert!(
            matches!(&refused, Err(Error::TooLarge { key: told, limit_bytes }) if *told == key && *limit_bytes == limit),
            "{refused:?}"
        );
    }
}

pub(super) async fn keys_may_be_long_and_deep(ground: Ground) {
    // Names of 200 bytes are less than any filesystem takes, 900 in all less than any object store.
    let long = vec!["n".repeat(200); 4].join("/");
    let deep = vec!["d"; 200].join("/");
    for name in [&long, &deep] {
        ground.write(name, "content").await;
        assert_eq!(ground.read(name).await, Some("content".into()));
    }
    let parent = long.rsplit_once('/').unwrap().0;
    assert_eq!(ground.names(parent).await, ["n".repeat(200)]);
    assert_eq!(ground.names(&vec!["d"; 100].join("/")).await, ["d/"]);
}

pub(super) async fn names_may_be_odd(ground: Ground) {
    let odd = ["%2F", "+", "A", "a", "a b", "a%20b", "a&b=c", "ä", "#", "?x", "~", "..a", "a..", ".a"];
    for name in odd {
        ground.write(&format!("odd/{name}"), name).await;
        ground.write(&format!("odd-{name}/inside"), name).await;
    }
    for name in odd {
        assert_eq!(ground.read(&format!("odd/{name}")).await, Some(name.into()));
        assert_eq!(ground.names(&format!("odd-{name}")).await, ["inside"]);
    }
    let mut sorted = odd;
    sorted.sort_unstable();
    assert_eq!(ground.names("odd").await, sorted);
}

pub(super) async fn a_refused_write_changes_nothing(ground: Ground) {
    ground.write("prefix/object", "old").await;
    // A backend with directories cannot hold both, and must say so; another may hold both.
    let prefix = ground.storage.write(&ground.key("prefix"), "new".into(), WriteOptions::default()).await;
    assert_eq!(ground.exists("prefix").await, prefix.is_ok());
    let below = ground.storage.write(&ground.key("prefix/object/x"), "new".into(), WriteOptions::default()).await;
    assert_eq!(ground.exists("prefix/object/x").await, below.is_ok());
    assert_eq!(ground.read("prefix/object").await, Some("old".into()));
}

pub(super) async fn directories_hold_nothing(ground: Ground) {
    let directory = ground.key("one/two");
    for _ in 0..2 {
        ground.storage.create_directory(&directory).await.unwrap();
    }
    assert_eq!(ground.names("one/two").await, [""; 0]);
    assert_eq!(ground.storage.stat(&directory).await.unwrap(), None);
    assert!(ground.storage.open(&directory).await.unwrap().is_none());
    assert_eq!(ground.storage.read(&directory, 10).await.unwrap(), None);
    ground.write("one/two/three", "x").await;
    ground.storage.create_directory(&directory).await.unwrap();
    assert_eq!(ground.read("one/two/three").await, Some("x".into()));
}
