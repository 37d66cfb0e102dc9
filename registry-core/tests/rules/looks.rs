use std::time::Duration;

use registry_core::{Cleared, Error, EventAction, TagRule, TagRules, layout};

use crate::world::{CONFIG, World, image, push_blob, push_image, put, sha256};

#[tokio::test]
async fn who_looks_pulls_nothing() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    world.journal.take();
    let seen = repository.manifests().peek(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(seen.digest, digest);
    assert_eq!(repository.blobs().peek(&sha256(CONFIG)).await.unwrap().info().size, CONFIG.len() as u64);
    assert_eq!(world.journal.take().len(), 0);
    repository.manifests().get(&"1".parse().unwrap()).await.unwrap();
    repository.blobs().open(&sha256(CONFIG)).await.unwrap();
    let pulls = world.journal.take();
    assert_eq!(pulls.iter().filter(|event| event.action == EventAction::Pull).count(), 2);
    let missing = repository.manifests().peek(&"2".parse().unwrap()).await;
    assert!(matches!(missing, Err(Error::ManifestUnknown { .. })));
    assert!(matches!(repository.blobs().peek(&sha256(b"none")).await, Err(Error::BlobUnknown { .. })));
}

#[tokio::test]
async fn a_tag_tells_since_when() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    let tag = "1".parse().unwrap();
    let first = repository.tags().info(&tag).await.unwrap().unwrap();
    assert_eq!(first.digest, digest);
    world.clock.advance(60);
    push_image(&repository, "1").await;
    let second = repository.tags().info(&tag).await.unwrap().unwrap();
    assert_eq!(second.pushed.unwrap(), first.pushed.unwrap() + Duration::from_mins(1));
    assert_eq!(repository.manifests().pushed(&digest).await.unwrap(), second.pushed);
    assert_eq!(repository.tags().info(&"2".parse().unwrap()).await.unwrap(), None);
    assert_eq!(repository.manifests().pushed(&sha256(b"none")).await.unwrap(), None);
    assert_eq!(repository.manifests().pulled(&digest).await.unwrap(), None, "nobody notes pulls");
}

#[tokio::test]
async fn names_of_tags_are_those_of_the_directory() {
    let world = World::new();
    let repository = world.at("a");
    for tag in ["b", "a", "c"] {
        push_image(&repository, tag).await;
    }
    let tags = layout::tags(repository.name());
    world.write(&tags.child("stray").unwrap(), "x").await;
    world
        .write(&layout::tag_current(repository.name(), &"dead".parse().unwrap()), layout::link(&sha256(b"gone")))
        .await;
    let names = async |last, limit| {
        let page = repository.tags().names(last, limit).await.unwrap();
        (page.tags.iter().map(ToString::to_string).collect::<Vec<_>>(), page.more)
    };
    assert_eq!(names(None, 10).await, (["a", "b", "c", "dead"].map(String::from).to_vec(), false));
    assert_eq!(names(None, 2).await, (["a", "b"].map(String::from).to_vec(), true));
    assert_eq!(names(Some("b"), 2).await, (["c", "dead"].map(String::from).to_vec(), false));
    assert_eq!(world.at("none").tags().names(None, 2).await.unwrap().tags, []);
}

#[tokio::test]
async fn manifests_are_listed_page_by_page() {
    let world = World::new();
    let repository = world.at("a");
    let mut pushed = vec![push_image(&repository, "1").await];
    for layer in [b"one", b"two"] {
        push_blob(&repository, layer).await;
        let content = image(&[layer]);
        pushed.push(
            put(&repository, &sha256(content.to_string().as_bytes()).to_string(), &content).await.unwrap().digest,
        );
    }
    pushed.sort_unstable();
    let all = repository.manifests().list(None, 10).await.unwrap();
    assert_eq!((all.digests, all.more), (pushed.clone(), false));
    let first = repository.manifests().list(None, 2).await.unwrap();
    assert_eq!((&first.digests[..], first.more), (&pushed[..2], true));
    let rest = repository.manifests().list(Some(&pushed[1]), 2).await.unwrap();
    assert_eq!((&rest.digests[..], rest.more), (&pushed[2..], false));
    assert_eq!(world.at("b").manifests().list(None, 10).await.unwrap().digests, []);
}

#[tokio::test]
async fn what_has_a_tag_is_not_deleted_as_untagged() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    assert!(!repository.manifests().delete_untagged(&digest).await.unwrap());
    repository.tags().delete(&"1".parse().unwrap()).await.unwrap();
    assert!(repository.manifests().delete_untagged(&digest).await.unwrap());
    let again = repository.manifests().delete_untagged(&digest).await;
    assert!(matches!(again, Err(Error::ManifestUnknown { .. })));
}

#[tokio::test]
async fn a_repository_is_cleared_of_all_it_has() {
    let world = World::new();
    let repository = world.at("a");
    for tag in ["1", "2"] {
        push_image(&repository, tag).await;
    }
    push_blob(&repository, b"layer").await;
    let content = image(&[b"layer"]);
    put(&repository, &sha256(content.to_string().as_bytes()).to_string(), &content).await.unwrap();
    push_image(&world.at("a/b"), "1").await;
    world.journal.take();
    assert_eq!(repository.clear().await.unwrap(), Cleared { tags: 2, manifests: 2 });
    let deletes = world.journal.take();
    assert_eq!(deletes.iter().filter(|event| event.action == EventAction::Delete).count(), 4);
    assert_eq!(repository.manifests().list(None, 10).await.unwrap().digests, []);
    assert!(matches!(repository.tags().list(None, 10).await, Err(Error::NameUnknown { .. })));
    let left = world.registry.catalog(None, 10).await.unwrap().repositories;
    assert_eq!(left, ["a/b".parse().unwrap()]);
    assert_eq!(repository.clear().await.unwrap(), Cleared::default());
}

#[tokio::test]
async fn a_protected_tag_keeps_all_of_its_repository() {
    let mut rules = TagRules::default();
    rules.protected.push(TagRule::new(vec!["**".parse().unwrap()], vec!["kept".parse().unwrap()]));
    let world = World::with(|builder| builder.tag_rules(rules));
    let repository = world.at("a");
    for tag in ["1", "kept", "z"] {
        push_image(&repository, tag).await;
    }
    assert!(matches!(repository.clear().await, Err(Error::TagProtected { .. })));
    assert_eq!(repository.tags().list(None, 10).await.unwrap().tags.len(), 3);
}
