use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::TryStreamExt as _;
use proptest::prelude::*;
use registry_core::gc::Quarantine;
use registry_core::storage::{Memory, OperationKind, Storage};
use registry_core::{Registry, layout};

use crate::gc::{collect, eager};
use crate::world::{World, push_blob, push_image, sha256};

async fn names(world: &World, last: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let page = world.registry.catalog(last, limit).await.unwrap();
    (page.repositories.iter().map(ToString::to_string).collect(), page.more)
}

#[tokio::test]
async fn pages_follow_each_other_depth_first() {
    let world = World::new();
    for name in ["b", "a-b", "a/b/c", "a", "a/b", "a.c", "a/0"] {
        push_image(&world.at(name), "latest").await;
    }
    let all = ["a", "a/0", "a/b", "a/b/c", "a-b", "a.c", "b"];
    assert_eq!(names(&world, None, 100).await, (all.map(String::from).to_vec(), false));
    for limit in 1..=all.len() {
        let mut found = Vec::new();
        loop {
            let (page, more) = names(&world, found.last().map(String::as_str), limit).await;
            found.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
}

#[tokio::test]
async fn a_crafted_last_has_its_place_in_the_order() {
    let world = World::new();
    for name in ["a/b", "c"] {
        push_image(&world.at(name), "latest").await;
    }
    for (last, expected) in [
        ("", vec!["a/b", "c"]),
        ("a", vec!["a/b", "c"]),
        ("a/a", vec!["a/b", "c"]),
        ("a/b", vec!["c"]),
        ("a/b/zz", vec!["c"]),
        ("a/c", vec!["c"]),
        ("a/../b", vec!["a/b", "c"]),
        ("a/_manifests/x", vec!["a/b", "c"]),
        ("../../etc", vec!["a/b", "c"]),
        ("c", vec![]),
        ("zzz", vec![]),
        ("\u{10ffff}", vec![]),
    ] {
        assert_eq!(names(&world, Some(last), 10).await.0, expected, "behind {last:?}");
    }
}

#[tokio::test]
async fn a_repository_is_listed_as_long_as_it_has_a_manifest() {
    let world = World::new();
    push_blob(&world.at("blobs-only"), b"layer").await;
    let digest = push_image(&world.at("a"), "1").await;
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    world.at("a").manifests().delete(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    world.at("a").manifests().delete(&digest.into()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_repository_is_passed_over() {
    let world = World::new();
    push_image(&world.at("a"), "1").await;
    let link = layout::link(&sha256(b""));
    for odd in ["UPPER/_manifests/revisions", "a/_odd/x", "x..y/_manifests/z", "file"] {
        world.write(&layout::repositories().child(odd).unwrap(), link.clone()).await;
    }
    assert_eq!(names(&world, None, 10).await, (vec!["a".to_owned()], false));
    assert_eq!(names(&world, None, 0).await, (vec![], false));
}

/// A world whose catalog remembers.
fn remembering() -> World {
    World::with(|builder| builder.catalog_cache(64 * 1024, Duration::from_secs(5)))
}

/// How often a page asks the storage.
async fn looks(world: &World) -> usize {
    let before = world.storage.operations().len();
    names(world, None, 10).await;
    world.storage.operations().len() - before
}

#[tokio::test]
async fn a_page_that_is_known_asks_for_no_repository() {
    let world = remembering();
    for name in ["a", "b", "group/c"] {
        push_image(&world.at(name), "1").await;
    }
    push_blob(&world.at("blobs-only"), b"layer").await;
    let first = names(&world, None, 10).await;
    assert_eq!(first.0, ["a", "b", "group/c"]);
    // The root, and the group.
    assert_eq!(looks(&world).await, 2);
    assert_eq!(names(&world, None, 10).await, first);
    assert_eq!(names(&world, Some("a"), 1).await, (vec!["b".to_owned()], true));

    // Layers that come do not concern it.
    push_blob(&world.at("a"), b"another").await;
    assert_eq!(looks(&world).await, 2);

    world.clock.advance(5);
    assert!(looks(&world).await > 10);
    assert_eq!(looks(&world).await, 2);
}

#[tokio::test]
async fn own_changes_show_at_once_and_others_after_a_while() {
    let world = remembering();
    let digest = push_image(&world.at("a"), "1").await;
    push_image(&world.at("b"), "1").await;
    assert_eq!(names(&world, None, 10).await.0, ["a", "b"]);
    push_image(&world.at("a/below"), "1").await;
    assert_eq!(names(&world, None, 10).await.0, ["a", "a/below", "b"]);
    world.at("a").manifests().delete(&digest.into()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, ["a/below", "b"]);
    push_image(&world.at("a"), "1").await;
    assert_eq!(names(&world, None, 10).await.0, ["a", "a/below", "b"]);

    let link = layout::revision_link(&"b/other".parse().unwrap(), &digest);
    world.write(&link, layout::link(&digest)).await;
    let gone = layout::revision_link(&"a".parse().unwrap(), &digest);
    world.storage.delete(&gone).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, ["a", "a/below", "b"]);
    world.clock.advance(5);
    assert_eq!(names(&world, None, 10).await.0, ["a/below", "b", "b/other"]);
}

#[tokio::test]
async fn what_a_collector_takes_and_gives_back_shows_at_once() {
    let world = remembering();
    let digest = push_image(&world.at("a"), "1").await;
    world.at("a").tags().delete(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    world.clock.advance(30 * 24 * 3600);
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    let mut options = eager();
    options.delete_untagged = true;
    let report = collect(&world, options).await;
    assert_eq!(report.retired_manifests, 1, "{report:?}");
    assert_eq!(names(&world, None, 10).await.0, Vec::<String>::new());

    let taken: Vec<_> = world.registry.quarantined().try_collect().await.unwrap();
    let taken = taken.iter().find(|item| item.digest == digest && matches!(item.place, Quarantine::Manifest { .. }));
    assert!(world.registry.restore(taken.unwrap()).await.unwrap());
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
}

/// Repositories in a storage that lists all keys in order; of each the number of layers and of manifests.
async fn in_order(repositories: &[(String, usize, usize)]) -> World {
    let world = World::over(Memory::scanning, |builder| builder);
    for (name, layers, manifests) in repositories {
        let name = name.parse().unwrap();
        let digests = |what: &str, count: usize| {
            (0..count).map(|number| sha256(format!("{what}{number}").as_bytes())).collect::<Vec<_>>()
        };
        for layer in digests("layer", *layers) {
            world.write(&layout::layer_link(&name, &layer), layout::link(&layer)).await;
        }
        for manifest in digests("manifest", *manifests) {
            world.write(&layout::revision_link(&name, &manifest), layout::link(&manifest)).await;
        }
    }
    world
}

#[tokio::test]
async fn a_page_of_large_repositories_does_not_go_through_all_their_keys() {
    let repositories: Vec<_> = (0..40).map(|number| (format!("group/app-{number:02}"), 300, 40)).collect();
    let world = in_order(&repositories).await;
    let before = world.storage.operations().len();
    let (page, more) = names(&world, None, 20).await;
    assert_eq!((page.len(), more, page.first().unwrap().as_str()), (20, true, "group/app-00"));
    let operations = world.storage.operations().split_off(before);
    let stretches =
        operations.iter().filter(|operation| operation.kind == OperationKind::Scan && operation.key == layout::root());
    assert_eq!(stretches.count(), 1, "{operations:?}");
    // The root, the group; of each repository what lies below it, and its first manifest.
    assert!(operations.len() <= 1 + 2 + 2 * 22, "{}: {operations:?}", operations.len());
}

#[tokio::test]
async fn a_page_of_small_repositories_takes_a_few_looks_at_many() {
    let repositories: Vec<_> = (0..300).map(|number| (format!("group/app-{number:03}"), 6, 2)).collect();
    let world = in_order(&repositories).await;
    for (last, first) in [(None, "group/app-000"), (Some("group/app-099"), "group/app-100")] {
        let before = world.storage.operations().len();
        let (page, more) = names(&world, last, 100).await;
        assert_eq!((page.len(), more, page.first().unwrap().as_str()), (100, true, first));
        let operations = world.storage.operations().split_off(before);
        assert!(operations.len() <= 5, "{}: {operations:?}", operations.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn however_large_repositories_are_pages_say_the_same(
        repositories in prop::collection::vec((name(), prop::sample::select(vec![0_usize, 1, 5, 60, 150]), 0..3_usize), 0..14),
        limit in 1..8_usize,
        last in prop::option::of(name()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut expected = BTreeMap::new();
            for (name, _, manifests) in &repositories {
                // In the order of components.
                *expected.entry(name.split('/').map(str::to_owned).collect::<Vec<_>>()).or_insert(0) += manifests;
            }
            let behind: Option<Vec<String>> = last.as_ref().map(|last| last.split('/').map(str::to_owned).collect());
            let expected = expected.into_iter().filter(|(name, manifests)| *manifests > 0 && behind.as_ref().is_none_or(|last| name > last));
            let expected: Vec<String> = expected.map(|(name, _)| name.join("/")).collect();
            let world = in_order(&repositories).await;
            let remembering = Registry::builder(Arc::clone(&world.storage) as Arc<dyn Storage>);
            let remembering = remembering.catalog_cache(64 * 1024, Duration::from_hours(1)).build();
            for registry in [world.registry.clone(), remembering] {
                for _ in 0..2 {
                    let mut found = Vec::new();
                    let mut after = last.clone();
                    loop {
                        let page = registry.catalog(after.as_deref(), limit).await.unwrap();
                        found.extend(page.repositories.iter().map(ToString::to_string));
                        assert!(!page.more || page.repositories.len() == limit);
                        if !page.more {
                            break;
                        }
                        after = found.last().cloned();
                    }
                    assert_eq!(found, expected);
                }
            }
        });
    }
}

/// Names of which one is the beginning of another, with what sorts before and after the slash and the underscore.
fn name() -> impl Strategy<Value = String> {
    let component = prop::sample::select(vec!["a", "a-b", "a.b", "a0", "0", "9", "b", "z"]);
    prop::collection::vec(component, 1..4).prop_map(|components| components.join("/"))
}
