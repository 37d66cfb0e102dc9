use std::time::Duration;

use registry_core::storage::Storage as _;
use registry_core::{Digest, Error, TagRule, TagRules, layout};

use crate::world::{CONFIG, World, image, push_blob, push_image, put, sha256};

async fn tags(world: &World, last: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let page = world.at("a").tags().list(last, limit).await.unwrap();
    (page.tags.iter().map(ToString::to_string).collect(), page.more)
}

#[tokio::test]
async fn are_listed_in_order_page_by_page() {
    let world = World::new();
    for tag in ["b", "a", "C", "_x", "1.10", "1.9"] {
        push_image(&world.at("a"), tag).await;
    }
    let all = ["1.10", "1.9", "C", "_x", "a", "b"];
    assert_eq!(tags(&world, None, 100).await, (all.map(String::from).to_vec(), false));
    assert_eq!(tags(&world, None, 2).await, (vec!["1.10".into(), "1.9".into()], true));
    assert_eq!(tags(&world, Some("C"), 100).await.0, ["_x", "a", "b"]);
    assert_eq!(tags(&world, Some("a0"), 100).await.0, ["b"]);
    assert_eq!(tags(&world, Some("/../"), 1).await.0, ["1.10"]);
    assert_eq!(tags(&world, None, 0).await, (vec![], false));
}

#[tokio::test]
async fn deleting_one_leaves_its_siblings_and_the_manifest() {
    let world = World::new();
    let digest = push_image(&world.at("a"), "1").await;
    push_image(&world.at("a"), "2").await;
    world.at("a").manifests().delete(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(tags(&world, None, 10).await.0, ["2"]);
    assert!(world.at("a").manifests().get(&digest.into()).await.is_ok());
    let again = world.at("a").manifests().delete(&"1".parse().unwrap()).await;
    assert!(matches!(again, Err(Error::ManifestUnknown { .. })));
    let left = world.keys(&layout::tags(&"a".parse().unwrap())).await;
    assert!(left.iter().all(|key| key.contains("tags/2/")), "{left:?}");
}

#[tokio::test]
async fn deleting_a_manifest_takes_only_its_own_tags() {
    let world = World::new();
    let repository = world.at("a");
    let first = push_image(&repository, "moved").await;
    push_image(&repository, "kept-elsewhere").await;
    push_blob(&repository, b"layer").await;
    let second = put(&repository, "moved", &image(&[b"layer"])).await.unwrap().digest;
    repository.manifests().delete(&first.into()).await.unwrap();
    assert_eq!(tags(&world, None, 10).await.0, ["moved"]);
    assert_eq!(repository.manifests().get(&"moved".parse().unwrap()).await.unwrap().digest, second);
}

#[tokio::test]
async fn one_whose_manifest_is_gone_is_not_there() {
    let world = World::new();
    let repository = world.at("a");
    push_image(&repository, "good").await;
    let name = "a".parse().unwrap();
    world.write(&layout::tag_current(&name, &"dangling".parse().unwrap()), layout::link(&sha256(CONFIG))).await;
    world.write(&layout::tag_current(&name, &"torn".parse().unwrap()), "").await;
    world.write(&layout::tags(&name).child("a-stray-file").unwrap(), "x").await;
    assert_eq!(tags(&world, None, 1).await, (vec!["good".into()], false));
    for tag in ["dangling", "torn", "a-stray-file"] {
        let found = repository.manifests().get(&tag.parse().unwrap()).await;
        assert!(matches!(found, Err(Error::ManifestUnknown { .. })), "{tag}");
    }
    // What is torn can be cleared away.
    repository.manifests().delete(&"torn".parse().unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_repository_without_manifests_is_not_known() {
    let world = World::new();
    push_blob(&world.at("a"), CONFIG).await;
    assert!(matches!(world.at("a").tags().list(None, 10).await, Err(Error::NameUnknown { .. })));
    let digest = put(&world.at("a"), "1", &image(&[])).await.unwrap().digest;
    world.at("a").manifests().delete(&"1".parse().unwrap()).await.unwrap();
    assert!(world.at("a").tags().list(None, 10).await.unwrap().tags.is_empty());
    world.at("a").manifests().delete(&digest.into()).await.unwrap();
    assert!(matches!(world.at("a").tags().list(None, 10).await, Err(Error::NameUnknown { .. })));
}

/// A world that lets answers about tags count for five seconds.
fn remembering() -> World {
    World::with(|builder| builder.tag_cache(64 * 1024, Duration::from_secs(5)).manifest_cache(64 * 1024))
}

/// Pushes an image of its own to the tag.
async fn push_of(world: &World, tag: &str, layer: &'static [u8]) -> Digest {
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    push_blob(&repository, layer).await;
    put(&repository, tag, &image(&[layer])).await.unwrap().digest
}

async fn pulled(world: &World, tag: &str) -> Option<Digest> {
    world.at("a").manifests().get(&tag.parse().unwrap()).await.ok().map(|manifest| manifest.digest)
}

async fn listed(world: &World) -> Vec<String> {
    let page = world.at("a").tags().list(None, 100).await.unwrap();
    page.tags.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn where_an_answer_may_count_for_a_while_nobody_is_asked() {
    let world = remembering();
    let digest = push_image(&world.at("a"), "1").await;
    assert_eq!(pulled(&world, "1").await, Some(digest));
    let before = world.storage.operations().len();
    for _ in 0..10 {
        assert_eq!(pulled(&world, "1").await, Some(digest));
    }
    assert_eq!(world.storage.operations().len(), before);
    assert_eq!(listed(&world).await, ["1"]);
    let before = world.storage.operations().len();
    assert_eq!(listed(&world).await, ["1"]);
    assert_eq!(world.storage.operations().len(), before);
    world.clock.advance(5);
    assert_eq!((pulled(&world, "1").await, listed(&world).await), (Some(digest), vec!["1".to_owned()]));
    assert!(world.storage.operations().len() > before + 3);
}

#[tokio::test]
async fn own_changes_of_tags_show_at_once_and_others_after_a_while() {
    let world = remembering();
    let first = push_of(&world, "1", b"first").await;
    let other = push_of(&world, "other", b"other").await;
    assert_eq!(pulled(&world, "1").await, Some(first));
    let second = push_of(&world, "1", b"second").await;
    assert_ne!(first, second);
    assert_eq!(pulled(&world, "1").await, Some(second));
    world.at("a").manifests().delete(&second.into()).await.unwrap();
    assert_eq!((pulled(&world, "1").await, listed(&world).await), (None, vec!["other".to_owned()]));
    let third = push_of(&world, "1", b"third").await;
    assert_eq!(pulled(&world, "1").await, Some(third));
    world.at("a").tags().delete(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(pulled(&world, "1").await, None);

    // Another process moves the one and deletes the other.
    let moved = push_of(&world, "moved", b"moved").await;
    assert_eq!(pulled(&world, "other").await, Some(other));
    let current = layout::tag_current(&"a".parse().unwrap(), &"other".parse().unwrap());
    world.write(&current, layout::link(&moved)).await;
    assert_eq!(pulled(&world, "other").await, Some(other));
    // What is listed is never put together from what was remembered: it is not older than what is pulled.
    assert_eq!(listed(&world).await, ["moved", "other"]);
    world.clock.advance(4);
    world.storage.delete_all(&layout::tag(&"a".parse().unwrap(), &"moved".parse().unwrap())).await.unwrap();
    assert_eq!(listed(&world).await, ["moved", "other"]);
    world.clock.advance(1);
    assert_eq!(listed(&world).await, ["other"]);
    assert_eq!(pulled(&world, "other").await, Some(moved));
    world.storage.delete(&layout::revision_link(&"a".parse().unwrap(), &moved)).await.unwrap();
    assert_eq!(pulled(&world, "other").await, Some(moved));
    world.clock.advance(5);
    assert_eq!(pulled(&world, "other").await, None);
}

#[tokio::test]
async fn what_a_push_depends_on_is_never_remembered() {
    let mut rules = TagRules::default();
    rules.immutable = vec![TagRule::new(vec!["**".parse().unwrap()], vec!["*".parse().unwrap()])];
    let world = World::with(|builder| builder.tag_cache(64 * 1024, Duration::from_secs(5)).tag_rules(rules));
    let digest = push_of(&world, "1", b"first").await;
    assert_eq!(pulled(&world, "1").await, Some(digest));
    // Another process deletes it: it can be made anew at once.
    world.storage.delete_all(&layout::tag(&"a".parse().unwrap(), &"1".parse().unwrap())).await.unwrap();
    let again = push_of(&world, "1", b"second").await;
    assert_eq!(pulled(&world, "1").await, Some(again));
}
