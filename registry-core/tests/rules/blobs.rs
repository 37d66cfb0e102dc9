use futures::TryStreamExt as _;
use registry_core::{Algorithm, Digest, Error, RepositoryName, Span, layout};

use crate::world::{World, content, push_blob, sha256};

#[tokio::test]
async fn a_blob_belongs_to_its_repository_alone() {
    let world = World::new();
    let digest = push_blob(&world.at("mine"), b"secret").await;
    assert_eq!(world.at("mine").blobs().stat(&digest).await.unwrap().size, 6);
    for name in ["other", "mine/below"] {
        assert!(matches!(world.at(name).blobs().stat(&digest).await, Err(Error::BlobUnknown { .. })));
        assert!(matches!(world.at(name).blobs().open(&digest).await, Err(Error::BlobUnknown { .. })));
        assert!(matches!(world.at(name).blobs().delete(&digest).await, Err(Error::BlobUnknown { .. })));
    }
}

#[tokio::test]
async fn parts_of_a_blob_are_read() {
    let world = World::new();
    let digest = push_blob(&world.at("a"), b"0123456789").await;
    let repository = world.at("a");
    for (span, expected) in [(Span::whole(10), "0123456789"), (Span::new(3, 4).unwrap(), "3456")] {
        let body = repository.blobs().open(&digest).await.unwrap().read(span).await.unwrap();
        assert_eq!(body.length(), expected.len() as u64);
        let frames: Vec<_> = body.into_stream(world.registry.blocking().clone()).try_collect().await.unwrap();
        assert_eq!(frames.concat(), expected.as_bytes());
    }
}

#[tokio::test]
async fn deleting_takes_the_link_and_leaves_the_bytes_to_others() {
    let world = World::new();
    let digest = push_blob(&world.at("a"), b"shared").await;
    push_blob(&world.at("b"), b"shared").await;
    world.at("a").blobs().delete(&digest).await.unwrap();
    assert!(world.at("a").blobs().stat(&digest).await.is_err());
    assert!(world.at("a").blobs().delete(&digest).await.is_err());
    assert_eq!(world.at("b").blobs().stat(&digest).await.unwrap().size, 6);
}

#[tokio::test]
async fn mounting_needs_the_source() {
    let world = World::new();
    let digest = push_blob(&world.at("source"), b"layer").await;
    let source: RepositoryName = "source".parse().unwrap();
    let elsewhere: RepositoryName = "elsewhere".parse().unwrap();
    let target = world.at("target");
    assert_eq!(target.blobs().mount(&digest, &elsewhere).await.unwrap(), None);
    assert_eq!(target.blobs().mount(&sha256(b"unknown"), &source).await.unwrap(), None);
    assert!(target.blobs().stat(&digest).await.is_err());
    assert_eq!(target.blobs().mount(&digest, &source).await.unwrap().unwrap().size, 5);
    assert_eq!(target.blobs().stat(&digest).await.unwrap().size, 5);
}

#[tokio::test]
async fn a_link_without_bytes_is_no_blob() {
    let world = World::new();
    let digest = push_blob(&world.at("source"), b"layer").await;
    world.storage_delete(&layout::blob(&digest)).await;
    assert!(world.at("source").blobs().stat(&digest).await.is_err());
    assert_eq!(world.at("target").blobs().mount(&digest, &"source".parse().unwrap()).await.unwrap(), None);
    // Pushing again heals it.
    push_blob(&world.at("source"), b"layer").await;
    assert!(world.at("source").blobs().stat(&digest).await.is_ok());
}

#[tokio::test]
async fn truncated_bytes_are_healed_by_pushing_again() {
    let world = World::new();
    let digest = push_blob(&world.at("a"), b"whole content").await;
    world.write(&layout::blob(&digest), "whole").await;
    push_blob(&world.at("b"), b"whole content").await;
    assert_eq!(world.at("a").blobs().stat(&digest).await.unwrap().size, 13);
}

#[tokio::test]
async fn a_torn_link_counts_as_absent() {
    let world = World::new();
    let digest = push_blob(&world.at("a"), b"layer").await;
    let name = "a".parse().unwrap();
    for torn in [String::new(), "sha256:".into(), "x".repeat(5_000), format!("{digest}\n")] {
        world.write(&layout::layer_link(&name, &digest), torn).await;
        assert!(matches!(world.at("a").blobs().stat(&digest).await, Err(Error::BlobUnknown { .. })));
    }
    push_blob(&world.at("a"), b"layer").await;
    assert!(world.at("a").blobs().stat(&digest).await.is_ok());
}

#[tokio::test]
async fn a_sha512_alias_of_another_registry_is_served_by_the_digest_asked_for() {
    let world = World::new();
    let canonical = push_blob(&world.at("a"), b"layer").await;
    let alias = Digest::of(Algorithm::Sha512, b"layer");
    world.write(&layout::layer_link(&"a".parse().unwrap(), &alias), layout::link(&canonical)).await;
    let info = world.at("a").blobs().stat(&alias).await.unwrap();
    assert_eq!((info.digest, info.size), (alias, 5));
}

#[tokio::test]
async fn sha512_content_is_kept_as_such() {
    let world = World::new();
    let digest = Digest::of(Algorithm::Sha512, b"layer");
    world.at("a").uploads().push(&digest, content("layer")).await.unwrap();
    assert_eq!(world.at("a").blobs().stat(&digest).await.unwrap().size, 5);
    assert!(world.at("a").blobs().stat(&sha256(b"layer")).await.is_err());
    assert!(world.keys(&layout::root()).await.iter().any(|key| key.contains("blobs/sha512/")));
}

#[tokio::test]
async fn holders_are_found_and_the_search_is_bounded() {
    let world = World::with(|builder| {
        let mut limits = registry_core::Limits::default();
        limits.mount_search = 2;
        builder.limits(limits)
    });
    let digest = push_blob(&world.at("b"), b"layer").await;
    push_blob(&world.at("c"), b"layer").await;
    push_blob(&world.at("a"), b"other").await;
    let holders: Vec<_> = world.registry.holders(&digest, |_| std::future::ready(true)).try_collect().await.unwrap();
    assert_eq!(holders, ["b".parse().unwrap()]);
    let unseen = |name: registry_core::RepositoryName| std::future::ready(name.as_str() != "b");
    let none: Vec<_> = world.registry.holders(&digest, unseen).try_collect().await.unwrap();
    assert!(none.is_empty());
}

impl World {
    async fn storage_delete(&self, key: &registry_core::storage::Key) {
        use registry_core::storage::Storage as _;
        self.storage.delete(key).await.unwrap();
    }
}
