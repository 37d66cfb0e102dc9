//! Objects read in parts, and while they change.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::ground::{Ground, content, span};
use crate::storage::Presigned;

pub(super) async fn spans_are_cut_to_the_object(ground: Ground) {
    let whole = content(1000, 1);
    ground.write("key", whole.clone()).await;
    for (offset, length, expected) in [
        (0, 1000, 0..1000),
        (0, 1, 0..1),
        (999, 1, 999..1000),
        (100, 300, 100..400),
        (900, 500, 900..1000),
        (0, u64::MAX, 0..1000),
        (1000, 10, 1000..1000),
        (5000, 10, 1000..1000),
        (500, 0, 500..500),
    ] {
        let read = span(ground.open("key").await, offset, length).await.unwrap();
        assert_eq!(read, whole.slice(expected), "{length} bytes from {offset}");
    }
    ground.write("empty", Bytes::new()).await;
    assert_eq!(span(ground.open("empty").await, 0, 10).await.unwrap(), Bytes::new());
}

pub(super) async fn a_large_object_comes_whole(ground: Ground) {
    let whole = content(3 * 1024 * 1024 + 17, 2);
    ground.write("key", whole.clone()).await;
    assert!(span(ground.open("key").await, 0, u64::MAX).await.unwrap() == whole);
    let middle = span(ground.open("key").await, 1_000_003, 2_000_000).await.unwrap();
    assert!(middle == whole.slice(1_000_003..3_000_003));
    assert!(ground.read("key").await.unwrap() == whole);
}

pub(super) async fn an_open_object_stays(ground: Ground) {
    let (old, new) = (content(700_000, 3), content(700_000, 4));
    let longer = content(900_000, 5);
    let stable = ground.storage.capabilities().stable_readers;
    for (name, replacement) in [("same-size", Some(&new)), ("longer", Some(&longer)), ("deleted", None)] {
        ground.write(name, old.clone()).await;
        let (first, second) = (ground.open(name).await, ground.open(name).await);
        match replacement {
            Some(replacement) => ground.write(name, replacement.clone()).await,
            None => assert!(ground.storage.delete(&ground.key(name)).await.is_ok()),
        }
        for (object, offset, length) in [(first, 0, 700_000), (second, 300_000, 100_000)] {
            let found = |whole: &Bytes, read: &Bytes| *read == whole.slice(offset..offset + length);
            match span(object, offset as u64, length as u64).await {
                Ok(read) if found(&old, &read) => {}
                Ok(read) => {
                    assert!(!stable, "{name}: an open object changed");
                    assert!(replacement.is_some_and(|new| found(new, &read)), "{name}: a mixture was read");
                }
                Err(error) => assert!(!stable, "{name}: {error:?}"),
            }
        }
    }
}

pub(super) async fn reads_are_never_torn(ground: Ground) {
    let contents = [content(300_000, 6), content(200_000, 7)];
    ground.write("key", contents[0].clone()).await;
    let mut readers = JoinSet::new();
    for _ in 0..3 {
        let (ground, contents) = (ground.clone(), contents.clone());
        readers.spawn(async move {
            for _ in 0..25 {
                let read = ground.read("key").await.unwrap();
                assert!(contents.contains(&read), "a torn object of {} bytes was read", read.len());
                let object = ground.open("key").await;
                let size = object.metadata().size;
                assert!(contents.iter().any(|content| content.len() as u64 == size));
                if let Ok(read) = span(object, 0, size).await {
                    assert!(contents.contains(&read), "a torn object of {} bytes was streamed", read.len());
                }
            }
        });
    }
    for round in 0..40 {
        ground.write("key", contents[round % 2].clone()).await;
    }
    readers.join_all().await;
}

pub(super) async fn a_signed_address_is_declared(ground: Ground) {
    ground.write("key", "content").await;
    for request in [Presigned::Get, Presigned::Head] {
        let address = ground.storage.presign(&ground.key("key"), request, Duration::from_mins(1)).await.unwrap();
        assert_eq!(address.is_some(), ground.storage.capabilities().presign);
        if let Some(address) = address {
            assert!(address.contains("://"), "{address}");
        }
    }
    let storage = Arc::clone(&ground.storage);
    assert_eq!(storage.capabilities(), ground.storage.capabilities());
}
