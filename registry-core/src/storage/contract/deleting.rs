//! Objects on their way out.

use std::time::Duration;

use bytes::Bytes;

use super::ground::{Ground, span};
use crate::storage::{Deletion, Durability, Precondition, WriteOptions};

pub(super) async fn a_deleted_object_is_gone(ground: Ground) {
    ground.write("a/key", "content").await;
    assert_eq!(ground.storage.delete(&ground.key("a/key")).await.unwrap(), Deletion::Acked);
    assert!(!ground.exists("a/key").await);
    assert_eq!(ground.read("a/key").await, None);
    assert!(ground.storage.open(&ground.key("a/key")).await.unwrap().is_none());
}

pub(super) async fn deleting_nothing_is_fine(ground: Ground) {
    for absent in ["absent", "deep/er/absent"] {
        assert_eq!(ground.storage.delete(&ground.key(absent)).await.unwrap(), Deletion::Acked);
        assert_eq!(ground.storage.delete_all(&ground.key(absent)).await.unwrap(), Deletion::Acked);
    }
    ground.write("key", "content").await;
    for _ in 0..2 {
        assert_eq!(ground.storage.delete(&ground.key("key")).await.unwrap(), Deletion::Acked);
    }
}

pub(super) async fn each_of_several_goes(ground: Ground) {
    for name in ["a/b", "a/bc", "c", "d/e/f"] {
        ground.write(name, name).await;
    }
    let keys = ["a/b", "d/e/f", "absent", "c"].map(|name| ground.key(name));
    assert_eq!(ground.storage.delete_each(&keys).await.unwrap(), Deletion::Acked);
    assert_eq!(ground.storage.delete_each(&[]).await.unwrap(), Deletion::Acked);
    for name in ["a/b", "c", "d/e/f"] {
        assert!(!ground.exists(name).await, "{name} is still there");
    }
    assert_eq!(ground.read("a/bc").await, Some("a/bc".into()));
}

pub(super) async fn a_prepared_delete_waits_until_it_is_sent(ground: Ground) {
    ground.write("key", "content").await;
    let key = ground.key("key");
    let prepare = || ground.storage.prepare_delete(&key, Duration::from_mins(5));
    let prepared = prepare().await.unwrap();
    assert_eq!(prepared.is_some(), ground.storage.capabilities().expiring_deletes);
    let Some(prepared) = prepared else { return };
    drop(prepare().await.unwrap());
    assert!(ground.exists("key").await);
    assert_eq!(prepared.await.unwrap(), Deletion::Acked);
    assert!(!ground.exists("key").await);
    assert_eq!(prepare().await.unwrap().unwrap().await.unwrap(), Deletion::Acked, "it is gone already");
}

pub(super) async fn the_objects_of_staged_bytes_are_these_bytes(ground: Ground) {
    let mut staged = ground.staged("ups/1/data", &Bytes::from("content")).await;
    staged.append(vec!["more".into()]).await.unwrap();
    staged.publish(&ground.key("blob")).await.unwrap();
    let Some(objects) = staged.objects() else { return };
    drop(staged);
    assert_eq!(ground.storage.delete_each(&objects).await.unwrap(), Deletion::Acked);
    assert_eq!(ground.staged_size("ups/1/data").await, None);
    assert_eq!(ground.read("blob").await, Some("contentmore".into()));
}

pub(super) async fn siblings_stay(ground: Ground) {
    for name in ["a/b", "a/bc", "a/b-c", "b", "a/c/b"] {
        ground.write(name, name).await;
    }
    ground.storage.delete(&ground.key("a/b")).await.unwrap();
    for name in ["a/bc", "a/b-c", "b", "a/c/b"] {
        assert_eq!(ground.read(name).await, Some(name.into()));
    }
}

pub(super) async fn a_tree_goes_and_its_siblings_stay(ground: Ground) {
    let inside = ["a/b/x", "a/b/y/z", "a/b/y/deep/er/z", "a/b/b"];
    let outside = ["a/bc", "a/bc-d/x", "a/b-/x", "a/a", "b/x", "a/c/b/x"];
    for name in inside.iter().chain(&outside) {
        ground.write(name, *name).await;
    }
    assert_eq!(ground.storage.delete_all(&ground.key("a/b")).await.unwrap(), Deletion::Acked);
    for name in inside {
        assert!(!ground.exists(name).await, "{name} is still there");
    }
    for name in outside {
        assert_eq!(ground.read(name).await, Some(name.into()), "{name} is gone");
    }
    assert_eq!(ground.names("a/b").await, [""; 0]);
    ground.write("a/b/x", "again").await;
    assert_eq!(span(ground.open("a/b/x").await, 0, 5).await.unwrap(), "again");
}

pub(super) async fn staged_bytes_go_with_the_tree(ground: Ground) {
    drop(ground.staged("ups/1/data", &Bytes::from("inside")).await);
    drop(ground.staged("ups/12/data", &Bytes::from("outside")).await);
    assert_eq!(ground.storage.delete_all(&ground.key("ups/1")).await.unwrap(), Deletion::Acked);
    assert_eq!(ground.staged_size("ups/1/data").await, None);
    assert_eq!(ground.staged_size("ups/12/data").await, Some(7));
}

pub(super) async fn a_deleted_key_can_be_created_again(ground: Ground) {
    let create = WriteOptions { precondition: Precondition::Absent, durability: Durability::Durable };
    for content in ["first", "second"] {
        ground.storage.write(&ground.key("key"), content.into(), create).await.unwrap();
        assert_eq!(ground.read("key").await, Some(content.into()));
        ground.storage.delete(&ground.key("key")).await.unwrap();
    }
}
