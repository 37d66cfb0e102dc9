//! Second places for objects.

use bytes::Bytes;

use super::ground::Ground;
use crate::storage::Deletion;

pub(super) async fn a_copy_has_the_content(ground: Ground) {
    for size in [0, 1, 3_000_000] {
        let content = Bytes::from(vec![7; size]);
        let place = format!("deep/{size}/to");
        let (from, to) = (ground.key("from"), ground.key(&place));
        ground.write("from", content.clone()).await;
        let copied = ground.storage.copy(&from, &to).await.unwrap().unwrap();
        assert_eq!(copied.size, size as u64);
        assert_eq!(ground.read(&place).await, Some(content.clone()));
        assert_eq!(ground.read("from").await, Some(content));
        assert_eq!(ground.names(&format!("deep/{size}")).await, ["to"]);
    }
}

pub(super) async fn what_is_not_there_is_not_copied(ground: Ground) {
    ground.write("kept", "content").await;
    for to in ["to", "kept", "deep/er/to"] {
        assert_eq!(ground.storage.copy(&ground.key("absent"), &ground.key(to)).await.unwrap(), None);
    }
    ground.write("a/b", "a directory, or a prefix").await;
    assert_eq!(ground.storage.copy(&ground.key("a"), &ground.key("to")).await.unwrap(), None);
    assert!(!ground.exists("to").await);
    assert_eq!(ground.read("kept").await, Some("content".into()));
}

pub(super) async fn a_copy_replaces_nothing(ground: Ground) {
    ground.write("from", "content").await;
    for (to, expected) in [("same", "CONTENT"), ("other", "con")] {
        ground.write(to, expected).await;
        let found = ground.storage.copy(&ground.key("from"), &ground.key(to)).await.unwrap().unwrap();
        assert_eq!(found.size, expected.len() as u64);
        assert_eq!(ground.read(to).await, Some(expected.into()));
    }
}

pub(super) async fn a_copy_outlives_the_other_place(ground: Ground) {
    ground.write("one", "first").await;
    ground.storage.copy(&ground.key("one"), &ground.key("two")).await.unwrap();
    ground.write("one", "another").await;
    assert_eq!(ground.read("two").await, Some("first".into()), "a write to one place changed the other");
    ground.storage.copy(&ground.key("two"), &ground.key("three")).await.unwrap();
    assert_eq!(ground.storage.delete(&ground.key("two")).await.unwrap(), Deletion::Acked);
    assert_eq!(ground.read("three").await, Some("first".into()));
    assert_eq!(ground.read("two").await, None);
}

pub(super) async fn a_published_object_can_be_copied_and_deleted(ground: Ground) {
    let mut staged = ground.staged("up/data", &Bytes::from("published")).await;
    staged.publish(&ground.key("blob")).await.unwrap();
    ground.storage.copy(&ground.key("blob"), &ground.key("aside")).await.unwrap().unwrap();
    ground.storage.delete(&ground.key("blob")).await.unwrap();
    staged.publish(&ground.key("blob")).await.unwrap();
    staged.discard().await.unwrap();
    for place in ["blob", "aside"] {
        assert_eq!(ground.read(place).await, Some("published".into()), "{place}");
    }
}

pub(super) async fn a_directory_goes_when_it_is_empty(ground: Ground) {
    ground.write("a/b/key", "content").await;
    ground.storage.remove_directory(&ground.key("a/b")).await.unwrap();
    assert_eq!(ground.read("a/b/key").await, Some("content".into()));
    ground.storage.delete(&ground.key("a/b/key")).await.unwrap();
    for empty in ["a/b", "a", "absent", "absent/too"] {
        assert!(ground.storage.remove_directory(&ground.key(empty)).await.unwrap(), "{empty}");
    }
    assert_eq!(ground.names("a").await, [""; 0]);
    ground.write("a/b/key", "again").await;
    assert_eq!(ground.read("a/b/key").await, Some("again".into()));
}
