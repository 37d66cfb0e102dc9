use registry_core::storage::{Fault, OperationKind, Storage as _};
use registry_core::{
    Algorithm, Digest, Error, InvalidManifest, Limits, MediaType, Platforms, References, Validation, layout,
};
use serde_json::{Value, json};

use crate::world::{CONFIG, World, digest_of, image, index, layer, push_blob, push_image, put, sha256};

fn sparse() -> World {
    World::with(|builder| {
        let mut validation = Validation::default();
        validation.references = References::Sparse;
        builder.validation(validation)
    })
}

#[tokio::test]
async fn bytes_are_kept_verbatim() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let odd = format!("\n {}  \n", image(&[]).to_string().replace(',', " ,\t"));
    let pushed = repository.manifests().put(&"1".parse().unwrap(), None, odd.clone().into(), &[]).await.unwrap();
    for reference in ["1".to_owned(), pushed.digest.to_string()] {
        let manifest = repository.manifests().get(&reference.parse().unwrap()).await.unwrap();
        assert_eq!(manifest.content, odd);
        assert_eq!(manifest.digest, sha256(odd.as_bytes()));
        assert_eq!(manifest.media_type.as_str(), MediaType::OCI_MANIFEST);
    }
}

#[tokio::test]
async fn all_that_is_missing_is_named_once_and_nothing_is_left() {
    let world = World::new();
    let repository = world.at("a");
    let manifest = image(&[b"one", b"two", b"two"]);
    push_blob(&repository, b"two").await;
    let before = world.keys(&layout::root()).await;
    for reference in ["1".to_owned(), digest_of(&manifest).to_string()] {
        match put(&repository, &reference, &manifest).await {
            Err(Error::ReferencesUnknown { digests }) => {
                let mut expected = vec![sha256(CONFIG), sha256(b"one")];
                expected.sort_unstable();
                assert_eq!(digests, expected);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(world.keys(&layout::root()).await, before);
    assert!(repository.manifests().get(&digest_of(&manifest).into()).await.is_err());
}

#[tokio::test]
async fn a_blob_of_another_repository_does_not_count() {
    let world = World::new();
    push_blob(&world.at("b"), CONFIG).await;
    assert!(matches!(put(&world.at("a"), "1", &image(&[])).await, Err(Error::ReferencesUnknown { .. })));
}

#[tokio::test]
async fn an_index_needs_what_its_children_need() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let lower = push_blob(&repository, b"layer").await;
    let child = image(&[b"layer"]);
    let parent = index(&[&child]);
    let grandparent = index(&[&parent]);
    assert!(matches!(put(&repository, "1", &parent).await, Err(Error::ReferencesUnknown { .. })));
    put(&repository, &digest_of(&child).to_string(), &child).await.unwrap();
    put(&repository, "1", &parent).await.unwrap();
    put(&repository, "2", &grandparent).await.unwrap();
    repository.blobs().delete(&lower).await.unwrap();
    match put(&repository, "3", &grandparent).await {
        Err(Error::ReferencesUnknown { digests }) => assert_eq!(digests, [lower]),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_size_is_refused() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    push_blob(&repository, b"layer").await;
    let mut manifest = image(&[b"layer"]);
    manifest["layers"][0]["size"] = json!(4);
    assert!(matches!(
        put(&repository, "1", &manifest).await,
        Err(Error::ManifestInvalid(InvalidManifest::Size { stated: 4, stored: 5, .. }))
    ));
}

#[tokio::test]
async fn the_digest_of_the_reference_must_be_that_of_the_bytes() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let content = image(&[]).to_string();
    let long = Digest::of(Algorithm::Sha512, content.as_bytes());
    assert_eq!(put(&repository, &long.to_string(), &image(&[])).await.unwrap().digest, long);
    assert_eq!(repository.manifests().get(&long.into()).await.unwrap().content, content);
    for wrong in [sha256(b"x"), Digest::of(Algorithm::Sha512, b"x")] {
        assert!(matches!(put(&repository, &wrong.to_string(), &image(&[])).await, Err(Error::DigestMismatch { .. })));
    }
}

#[tokio::test]
async fn several_tags_are_set_at_once() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let tags = ["b", "a", "b", "c"].map(|tag| tag.parse().unwrap());
    let content = image(&[]).to_string();
    let pushed = repository.manifests().put(&"c".parse().unwrap(), None, content.clone().into(), &tags).await.unwrap();
    assert_eq!(pushed.tags, ["c", "b", "a"].map(|tag| tag.parse().unwrap()));
    assert_eq!(repository.tags().list(None, 10).await.unwrap().tags.len(), 3);
    let many: Vec<_> = (0..65).map(|number| format!("t{number}").parse().unwrap()).collect();
    let refused = repository.manifests().put(&pushed.digest.into(), None, content.into(), &many).await;
    assert!(matches!(refused, Err(Error::TooManyTags { limit: 64 })));
}

#[tokio::test]
async fn limits_hold() {
    let world = World::with(|builder| {
        let mut limits = Limits::default();
        (limits.manifest_bytes, limits.references, limits.nesting) = (2_000, 3, 2);
        builder.limits(limits)
    });
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let mut large = image(&[]);
    large["annotations"] = json!({ "a": "x".repeat(2_000) });
    assert!(matches!(put(&repository, "1", &large).await, Err(Error::ManifestTooLarge { limit_bytes: 2_000 })));

    let broad = image(&[b"1", b"2", b"3"]);
    let refused = put(&repository, "1", &broad).await;
    assert!(matches!(refused, Err(Error::ManifestInvalid(InvalidManifest::TooManyReferences { limit: 3 }))));

    let mut nested = index(&[]);
    for _ in 0..2 {
        put(&repository, "1", &nested).await.unwrap();
        nested = index(&[&nested]);
    }
    put(&repository, "1", &nested).await.unwrap();
    let refused = put(&repository, "1", &index(&[&nested])).await;
    assert!(matches!(refused, Err(Error::ManifestInvalid(InvalidManifest::TooDeep { limit: 2 }))));
}

#[tokio::test]
async fn a_layer_that_lies_elsewhere_need_not_be_here() {
    let world = World::with(|builder| {
        let mut validation = Validation::default();
        validation.urls = Some(std::sync::Arc::new(|url: &str| !url.contains("forbidden")));
        builder.validation(validation)
    });
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let foreign = |urls: Value| {
        let mut manifest = image(&[b"elsewhere"]);
        manifest["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
        manifest["layers"][0]["urls"] = urls;
        manifest
    };
    put(&repository, "1", &foreign(json!(["https://store.example.com/x"]))).await.unwrap();
    for bad in ["ftp://example.com/x", "https://example.com/x#y", "https://forbidden.example.com/", "javascript:x"] {
        let refused = put(&repository, "1", &foreign(json!([bad]))).await;
        assert!(matches!(refused, Err(Error::ManifestInvalid(InvalidManifest::Url { .. }))), "{bad}");
    }
    for none in [json!([]), json!(null)] {
        assert!(matches!(put(&repository, "1", &foreign(none)).await, Err(Error::ReferencesUnknown { .. })));
    }
    // An ordinary layer must be here, whatever addresses it has.
    let mut ordinary = image(&[b"elsewhere"]);
    ordinary["layers"][0]["urls"] = json!(["https://store.example.com/x"]);
    assert!(matches!(put(&repository, "1", &ordinary).await, Err(Error::ReferencesUnknown { .. })));
}

#[tokio::test]
async fn sparse_takes_what_is_not_there() {
    let world = sparse();
    put(&world.at("a"), "1", &image(&[b"nowhere"])).await.unwrap();
    put(&world.at("a"), "2", &index(&[&image(&[b"nowhere else"])])).await.unwrap();
}

#[tokio::test]
async fn only_children_for_the_wanted_platforms_must_be_there() {
    let platform = |os: &str| serde_json::from_value(json!({ "os": os, "architecture": "amd64" })).unwrap();
    let world = World::with(|builder| {
        let mut validation = Validation::default();
        validation.platforms = Platforms::Only(vec![platform("linux")]);
        builder.validation(validation)
    });
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let mut manifest = index(&[&image(&[]), &image(&[b"windows"])]);
    manifest["manifests"][0]["platform"] = json!({ "os": "linux", "architecture": "amd64" });
    manifest["manifests"][1]["platform"] = json!({ "os": "windows", "architecture": "amd64" });
    match put(&repository, "1", &manifest).await {
        Err(Error::ReferencesUnknown { digests }) => assert_eq!(digests, [digest_of(&image(&[]))]),
        other => panic!("{other:?}"),
    }
    put(&repository, "linux", &image(&[])).await.unwrap();
    put(&repository, "1", &manifest).await.unwrap();
}

#[tokio::test]
async fn deleting_takes_the_manifest_and_its_tags() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    push_image(&repository, "2").await;
    repository.manifests().delete(&digest.into()).await.unwrap();
    for reference in ["1".to_owned(), "2".to_owned(), digest.to_string()] {
        let found = repository.manifests().get(&reference.parse().unwrap()).await;
        assert!(matches!(found, Err(Error::ManifestUnknown { .. })), "{reference}");
    }
    let again = repository.manifests().delete(&digest.into()).await;
    assert!(matches!(again, Err(Error::ManifestUnknown { .. })));
}

#[tokio::test]
async fn a_corrupt_manifest_is_absent_until_it_is_pushed_again() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    let good = image(&[]).to_string();
    for bad in [String::new(), good[..good.len() - 1].to_owned(), good.replace('2', "3")] {
        world.write(&layout::blob(&digest), bad).await;
        let found = repository.manifests().get(&"1".parse().unwrap()).await;
        assert!(matches!(found, Err(Error::ManifestUnknown { .. })));
        push_image(&repository, "1").await;
        assert_eq!(repository.manifests().get(&"1".parse().unwrap()).await.unwrap().content, good);
    }
}

#[tokio::test]
async fn a_signed_schema_1_manifest_of_an_old_volume_is_served() {
    let world = World::new();
    let old = r#"{"schemaVersion":1,"name":"a","signatures":[]}"#;
    let (name, digest) = ("a".parse().unwrap(), sha256(old.as_bytes()));
    world.write(&layout::blob(&digest), old).await;
    world.write(&layout::revision_link(&name, &digest), layout::link(&digest)).await;
    let manifest = world.at("a").manifests().get(&digest.into()).await.unwrap();
    assert_eq!(manifest.media_type.as_str(), MediaType::DOCKER_SCHEMA_1);
    assert_eq!(manifest.content, old);
}

/// Whatever write fails, and whether it took effect or not: no tag points to what cannot be read, and the next push
/// succeeds.
#[tokio::test]
async fn a_failure_at_any_step_leaves_no_tag_without_its_manifest() {
    let mut failures = 0;
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let repository = world.at("a");
            push_blob(&repository, CONFIG).await;
            push_blob(&repository, b"layer").await;
            let manifest = image(&[b"layer"]);
            world.storage.fail_at(world.storage.operations().len() + number, fault);
            let outcome = put(&repository, "1", &manifest).await;
            world.storage.heal();
            match repository.tags().resolve(&"1".parse().unwrap()).await.unwrap() {
                Some(digest) => assert_eq!(repository.manifests().get(&digest.into()).await.unwrap().digest, digest),
                None => assert!(outcome.is_err()),
            }
            put(&repository, "1", &manifest).await.unwrap();
            if outcome.is_ok() {
                break;
            }
            failures += 1;
        }
    }
    assert!(failures > 20, "only {failures} steps failed");
}

#[tokio::test]
async fn tags_are_written_after_all_that_they_promise() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    let before = world.storage.operations().len();
    let digest = put(&repository, "1", &image(&[])).await.unwrap().digest;
    let name = "a".parse().unwrap();
    let operations = world.storage.operations().split_off(before);
    let last = |kind, key| operations.iter().rposition(|op| op.kind == kind && op.key == key).expect("it happens");
    let first = |kind, key| operations.iter().position(|op| op.kind == kind && op.key == key).expect("it happens");
    let order = [
        last(OperationKind::Write, layout::blob(&digest)),
        first(OperationKind::Write, layout::revision_link(&name, &digest)),
        first(OperationKind::Confirm, layout::blob(&sha256(CONFIG))),
        first(OperationKind::Write, layout::tag_index(&name, &"1".parse().unwrap(), &digest)),
        first(OperationKind::Write, layout::tag_current(&name, &"1".parse().unwrap())),
        last(OperationKind::Read, layout::revision_link(&name, &digest)),
    ];
    assert!(order.is_sorted(), "{order:?} in {operations:?}");
}

#[tokio::test]
async fn a_delete_in_the_middle_of_a_push_does_not_undo_it() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    let mut gate = world.storage.hold(OperationKind::Confirm);
    let push = tokio::spawn({
        let repository = repository.clone();
        async move { put(&repository, "2", &image(&[])).await }
    });
    assert!(gate.arrived().await);
    repository.manifests().delete(&digest.into()).await.unwrap();
    gate.open();
    push.await.unwrap().unwrap();
    assert_eq!(repository.manifests().get(&"2".parse().unwrap()).await.unwrap().digest, digest);
    assert!(repository.manifests().get(&digest.into()).await.is_ok());
}

#[tokio::test]
async fn a_delete_that_was_cut_off_ends_when_it_is_asked_for_again() {
    let world = World::new();
    let repository = world.at("a");
    let digest = push_image(&repository, "1").await;
    put(&repository, "2", &image(&[])).await.unwrap();
    // The link of the manifest goes, and then no list shows which tags go with it.
    world.storage.fail_next(OperationKind::List, Fault::Before);
    assert!(matches!(repository.manifests().delete(&digest.into()).await, Err(Error::Storage(_))));
    let current = layout::tag_current(repository.name(), &"2".parse().unwrap());
    assert!(world.storage.stat(&current).await.unwrap().is_some());
    repository.manifests().delete(&digest.into()).await.unwrap();
    assert!(world.storage.stat(&current).await.unwrap().is_none());
    let again = repository.manifests().delete(&digest.into()).await;
    assert!(matches!(again, Err(Error::ManifestUnknown { .. })), "{again:?}");
}

#[tokio::test]
async fn a_push_in_the_middle_of_a_delete_is_not_undone() {
    let world = World::new();
    let repository = world.at("a");
    push_image(&repository, "subject").await;
    let manifest = crate::world::with_subject(image(&[]), &image(&[]));
    let digest = put(&repository, "1", &manifest).await.unwrap().digest;
    // The delete has taken the link away and begins to look for tags.
    let mut gate = world.storage.hold(OperationKind::List);
    let delete = tokio::spawn({
        let repository = repository.clone();
        async move { repository.manifests().delete(&digest.into()).await }
    });
    assert!(gate.arrived().await);
    let push = tokio::spawn({
        let (repository, manifest) = (repository.clone(), manifest.clone());
        async move { put(&repository, "2", &manifest).await }
    });
    let link = layout::revision_link(repository.name(), &digest);
    while world.storage.stat(&link).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    gate.open();
    delete.await.unwrap().unwrap();
    push.await.unwrap().unwrap();
    assert_eq!(repository.manifests().get(&"2".parse().unwrap()).await.unwrap().digest, digest);
    assert!(repository.manifests().get(&"1".parse().unwrap()).await.is_err());
    let referrers = repository.referrers().list(&digest_of(&image(&[])), None, None, 10).await.unwrap().referrers;
    assert_eq!(referrers.len(), 1);
}

#[tokio::test]
async fn a_manifest_with_many_layers_is_taken() {
    let world = World::new();
    let repository = world.at("a");
    push_blob(&repository, CONFIG).await;
    push_blob(&repository, b"layer").await;
    let mut manifest = image(&[]);
    manifest["layers"] = Value::Array(vec![layer(b"layer"); 10_000]);
    put(&repository, "1", &manifest).await.unwrap();
    assert!(world.storage.stat(&layout::layers(&"a".parse().unwrap())).await.unwrap().is_none());
}

#[tokio::test]
async fn what_is_kept_in_memory_is_not_read_again_and_is_gone_with_the_manifest() {
    let world = World::with(|builder| builder.manifest_cache(64 * 1024));
    let repository = world.at("a");
    let manifest = image(&[]);
    push_image(&repository, "1").await;
    let digest = digest_of(&manifest);
    let blob = layout::blob(&digest);
    let reads = || world.storage.operations().iter().filter(|operation| operation.key == blob).count();
    let pushed = reads();
    let first = repository.manifests().get(&"1".parse().unwrap()).await.unwrap();
    let second = repository.manifests().get(&digest.into()).await.unwrap();
    assert_eq!((&first, first.content.clone()), (&second, manifest.to_string().into()));
    assert_eq!(reads() - pushed, 1);

    let other = world.at("b");
    assert!(matches!(other.manifests().get(&digest.into()).await, Err(Error::ManifestUnknown { .. })));
    repository.manifests().delete(&digest.into()).await.unwrap();
    for reference in ["1".parse().unwrap(), digest.into()] {
        assert!(matches!(repository.manifests().get(&reference).await, Err(Error::ManifestUnknown { .. })));
    }
}
