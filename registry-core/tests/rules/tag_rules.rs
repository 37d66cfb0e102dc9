//! Tags that cannot be moved, and tags that cannot be deleted.

use std::sync::Arc;

use futures::future::join_all;
use registry_core::storage::{OperationKind, Storage};
use registry_core::{Error, Reference, Registry, RegistryBuilder, TagRule, TagRules, layout};

use crate::world::{CONFIG, World, digest_of, image, index, push_blob, push_image, put, with_subject};

fn rule(repositories: &str, tags: &str) -> TagRule {
    TagRule::new(vec![repositories.parse().unwrap()], vec![tags.parse().unwrap()])
}

fn immutable(builder: RegistryBuilder) -> RegistryBuilder {
    let mut rules = TagRules::default();
    rules.immutable = vec![rule("prod/**", "v*"), rule("all/**", "*")];
    builder.tag_rules(rules)
}

fn protected(builder: RegistryBuilder) -> RegistryBuilder {
    let mut rules = TagRules::default();
    rules.protected = vec![rule("prod/**", "v*")];
    builder.tag_rules(rules)
}

fn is_immutable<T: std::fmt::Debug>(answer: Result<T, Error>, name: &str) -> bool {
    matches!(answer, Err(Error::TagImmutable { tag }) if tag.as_str() == name)
}

fn is_protected<T: std::fmt::Debug>(answer: Result<T, Error>, name: &str) -> bool {
    matches!(answer, Err(Error::TagProtected { tag }) if tag.as_str() == name)
}

#[tokio::test]
async fn an_immutable_tag_is_made_once_and_not_moved() {
    let world = World::with(immutable);
    let repository = world.at("prod/app");
    let first = push_image(&repository, "v1").await;
    push_blob(&repository, b"other").await;
    let other = image(&[b"other"]);
    let before = world.keys(&layout::root()).await;

    assert!(is_immutable(put(&repository, "v1", &other).await, "v1"));
    assert_eq!(world.keys(&layout::root()).await, before, "and nothing is left of the push");
    assert_eq!(repository.tags().resolve(&"v1".parse().unwrap()).await.unwrap(), Some(first));

    assert_eq!(put(&repository, "v1", &image(&[])).await.unwrap().digest, first, "the same again is no move");
    put(&repository, "v2", &other).await.unwrap();
    put(&repository, "latest", &image(&[])).await.unwrap();
    put(&repository, "latest", &other).await.unwrap();
    // Another repository has no such rule.
    push_image(&world.at("prod"), "v1").await;
    push_blob(&world.at("prod"), b"other").await;
    put(&world.at("prod"), "v1", &other).await.unwrap();
}

#[tokio::test]
async fn no_name_and_no_way_is_special() {
    let world = World::with(immutable);
    let repository = world.at("all/app");
    push_blob(&repository, CONFIG).await;
    push_blob(&repository, b"other").await;
    let other = image(&[b"other"]);
    for tag in ["latest", "v1", "_", "1.0", "LATEST", "sha256-abc"] {
        put(&repository, tag, &image(&[])).await.unwrap();
        assert!(is_immutable(put(&repository, tag, &other).await, tag), "{tag}");
        // A push by digest that sets the tag as well.
        let by_digest = Reference::Digest(digest_of(&other));
        let tags = ["new".parse().unwrap(), tag.parse().unwrap()];
        let pushed = repository.manifests().put(&by_digest, None, other.to_string().into(), &tags).await;
        assert!(is_immutable(pushed, tag), "{tag}");
        assert_eq!(repository.tags().resolve(&tags[0]).await.unwrap(), None, "none of the tags was set");
    }
}

#[tokio::test]
async fn an_immutable_tag_that_is_gone_can_be_made_again() {
    let world = World::with(immutable);
    let repository = world.at("prod/app");
    let first = push_image(&repository, "v1").await;
    push_blob(&repository, b"other").await;
    repository.tags().delete(&"v1".parse().unwrap()).await.unwrap();
    put(&repository, "v1", &image(&[b"other"])).await.unwrap();
    // One that points to nothing is not there either.
    let name = "prod/app".parse().unwrap();
    world.write(&layout::tag_current(&name, &"v2".parse().unwrap()), layout::link(&digest_of(&image(&[b"x"])))).await;
    assert_eq!(put(&repository, "v2", &image(&[])).await.unwrap().digest, first);
}

#[tokio::test]
async fn of_many_who_make_an_immutable_tag_at_once_one_succeeds() {
    let world = World::with(immutable);
    let repository = world.at("prod/app");
    push_blob(&repository, CONFIG).await;
    let layers: [&'static [u8]; 6] = [b"1", b"2", b"3", b"4", b"5", b"6"];
    for layer in layers {
        push_blob(&repository, layer).await;
    }
    let images = layers.map(|layer| image(&[layer]));
    let answers = join_all(images.iter().map(|image| put(&repository, "v1", image))).await;
    let made: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
    assert_eq!(made.len(), 1);
    assert!(answers.iter().filter(|answer| answer.is_err()).count() == 5);
    assert_eq!(repository.tags().resolve(&"v1".parse().unwrap()).await.unwrap(), Some(made[0].digest));
}

#[tokio::test]
async fn two_processes_do_not_both_make_an_immutable_tag() {
    let world = World::with(immutable);
    let storage = Arc::clone(&world.storage) as Arc<dyn Storage>;
    let other_process = immutable(Registry::builder(storage)).build();
    let (one, two) = (world.at("prod/app"), other_process.repository(&"prod/app".parse().unwrap()));
    push_blob(&one, CONFIG).await;
    push_blob(&one, b"other").await;
    let (first, second) = (image(&[]), image(&[b"other"]));
    let current = layout::tag_current(&"prod/app".parse().unwrap(), &"v1".parse().unwrap());
    // How many writes come before that of the tag.
    let rehearsal = World::with(immutable);
    push_blob(&rehearsal.at("prod/app"), CONFIG).await;
    let begun = rehearsal.storage.operations().len();
    put(&rehearsal.at("prod/app"), "v1", &first).await.unwrap();
    let operations = rehearsal.storage.operations().split_off(begun);
    let writes = operations.iter().filter(|operation| operation.kind == OperationKind::Write);
    let before = writes.take_while(|operation| operation.key != current).count();

    let mut push = Box::pin(put(&one, "v1", &first));
    for _ in 0..before {
        let mut gate = world.storage.hold(OperationKind::Write);
        tokio::select! {
            arrived = gate.arrived() => assert!(arrived),
            _ = &mut push => panic!("there are more writes"),
        }
        gate.open();
    }
    let mut gate = world.storage.hold(OperationKind::Write);
    tokio::select! {
        arrived = gate.arrived() => assert!(arrived),
        _ = &mut push => panic!("the tag is written last"),
    }
    let won = put(&two, "v1", &second).await.unwrap().digest;
    gate.open();
    assert!(is_immutable(push.await, "v1"));
    assert_eq!(one.tags().resolve(&"v1".parse().unwrap()).await.unwrap(), Some(won));
}

#[tokio::test]
async fn a_protected_tag_and_what_it_needs_cannot_be_deleted() {
    let world = World::with(protected);
    let repository = world.at("prod/app");
    let config = push_blob(&repository, CONFIG).await;
    let blob = push_blob(&repository, b"layer").await;
    let loose = push_blob(&repository, b"loose").await;
    let child = image(&[b"layer"]);
    let child_digest = put(&repository, &digest_of(&child).to_string(), &child).await.unwrap().digest;
    let middle = index(&[&child]);
    let middle_digest = put(&repository, &digest_of(&middle).to_string(), &middle).await.unwrap().digest;
    let top = put(&repository, "v1", &index(&[&middle])).await.unwrap().digest;
    let signature = with_subject(image(&[]), &child);
    let signature = put(&repository, &digest_of(&signature).to_string(), &signature).await.unwrap().digest;
    let before = world.keys(&layout::root()).await;

    assert!(is_protected(repository.manifests().delete(&"v1".parse().unwrap()).await, "v1"));
    for manifest in [top, middle_digest, child_digest] {
        assert!(is_protected(repository.manifests().delete(&manifest.into()).await, "v1"), "{manifest}");
    }
    for blob in [config, blob] {
        assert!(is_protected(repository.blobs().delete(&blob).await, "v1"), "{blob}");
    }
    assert_eq!(world.keys(&layout::root()).await, before);
    // The tag does not need these.
    repository.blobs().delete(&loose).await.unwrap();
    repository.manifests().delete(&signature.into()).await.unwrap();
    // When it points elsewhere, what it needed can go.
    put(&repository, "v1", &image(&[])).await.unwrap();
    repository.manifests().delete(&top.into()).await.unwrap();
    repository.manifests().delete(&middle_digest.into()).await.unwrap();
    assert!(is_protected(repository.blobs().delete(&config).await, "v1"));
    repository.blobs().delete(&blob).await.unwrap();
}

#[tokio::test]
async fn what_no_rule_protects_can_be_deleted() {
    let world = World::with(protected);
    let digest = push_image(&world.at("prod/app"), "latest").await;
    world.at("prod/app").manifests().delete(&digest.into()).await.unwrap();
    push_image(&world.at("other"), "v1").await;
    world.at("other").tags().delete(&"v1".parse().unwrap()).await.unwrap();
    // A protected tag whose manifest is gone protects nothing, and can be cleared away.
    let name = "prod/app".parse().unwrap();
    world.write(&layout::tag_current(&name, &"v9".parse().unwrap()), layout::link(&digest)).await;
    world.at("prod/app").tags().delete(&"v9".parse().unwrap()).await.unwrap();
    let missing = world.at("prod/app").tags().delete(&"v9".parse().unwrap()).await;
    assert!(matches!(missing, Err(Error::ManifestUnknown { .. })));
}
