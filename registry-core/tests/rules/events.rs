use registry_core::EventAction::{Delete, Mount, Pull, Push};

use crate::world::{CONFIG, World, content, image, push_blob, put};

#[tokio::test]
async fn what_happens_is_told_in_order_with_who_did_it() {
    let world = World::new();
    let repository = world.at_as("a", "alice");
    let config = push_blob(&repository, CONFIG).await;
    let pushed = put(&repository, "1", &image(&[])).await.unwrap();
    repository.blobs().stat(&config).await.unwrap();
    repository.manifests().get(&"1".parse().unwrap()).await.unwrap();
    world.at("b").blobs().mount(&config, repository.name()).await.unwrap();
    repository.manifests().delete(&"1".parse().unwrap()).await.unwrap();
    repository.manifests().delete(&pushed.digest.into()).await.unwrap();
    repository.blobs().delete(&config).await.unwrap();

    let events = world.journal.take();
    let actions: Vec<_> = events.iter().map(|event| event.action).collect();
    assert_eq!(actions, [Push, Push, Pull, Pull, Mount, Delete, Delete, Delete]);
    let push = &events[1];
    assert_eq!(push.digest, Some(pushed.digest));
    assert_eq!(push.tag, Some("1".parse().unwrap()));
    assert_eq!(push.size, Some(image(&[]).to_string().len() as u64));
    assert_eq!(push.manifest, Some(image(&[]).to_string().into()));
    assert_eq!(push.manifest, events[3].manifest);
    assert_eq!(push.caller.principal.as_deref(), Some("alice"));
    assert_eq!(events[4].from_repository, Some("a".parse().unwrap()));
    assert_eq!(events[5].tag, Some("1".parse().unwrap()));
    assert_eq!(events[5].digest, None);
}

#[tokio::test]
async fn each_tag_of_a_push_is_told() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    world.journal.take();
    let tags = ["2".parse().unwrap(), "3".parse().unwrap()];
    let content: bytes::Bytes = image(&[]).to_string().into();
    let manifests = repository.manifests();
    let pushed = manifests.put(&"1".parse().unwrap(), None, content.clone(), &tags).await.unwrap();
    manifests.put(&pushed.digest.into(), None, content, &[]).await.unwrap();
    let told = world.journal.take().into_iter().map(|event| event.tag.map(|tag| tag.to_string()));
    assert_eq!(told.collect::<Vec<_>>(), [Some("1".into()), Some("2".into()), Some("3".into()), None]);
}

/// Whoever mirrors tags has to learn that they are gone.
#[tokio::test]
async fn a_delete_of_a_manifest_tells_of_its_tags() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let pushed = put(&repository, "1", &image(&[])).await.unwrap();
    put(&repository, "2", &image(&[])).await.unwrap();
    world.journal.take();
    repository.manifests().delete(&pushed.digest.into()).await.unwrap();
    let told = world.journal.take();
    assert!(told.iter().all(|event| event.action == Delete));
    let told: Vec<_> = told.into_iter().map(|event| (event.digest, event.tag.map(|tag| tag.to_string()))).collect();
    assert_eq!(told, [(Some(pushed.digest), None), (None, Some("1".into())), (None, Some("2".into()))]);
}

#[tokio::test]
async fn what_is_refused_is_not_told() {
    let world = World::new();
    let repository = world.at("a");
    put(&repository, "1", &image(&[])).await.unwrap_err();
    repository.uploads().push(&crate::world::sha256(b"x"), content("y")).await.unwrap_err();
    repository.blobs().stat(&crate::world::sha256(b"x")).await.unwrap_err();
    assert!(world.journal.take().is_empty());
}
