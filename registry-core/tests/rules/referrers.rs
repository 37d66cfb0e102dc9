use registry_core::storage::{Fault, OperationKind};
use registry_core::{Digest, Limits, MediaType, ReferrerPage, layout};
use serde_json::{Value, json};

use crate::world::{CONFIG, World, digest_of, image, index, push_blob, push_image, put, sha256, with_subject};

async fn list(world: &World, subject: &Digest, artifact_type: Option<&str>) -> ReferrerPage {
    world.at("a").referrers().list(subject, artifact_type, None, 100).await.unwrap()
}

fn signature(number: u32, artifact_type: &str, subject: &Value) -> Value {
    let mut manifest = with_subject(image(&[]), subject);
    manifest["artifactType"] = json!(artifact_type);
    manifest["annotations"] = json!({ "number": number.to_string() });
    manifest
}

#[tokio::test]
async fn are_described_as_the_specification_says() {
    let world = World::new();
    let repository = world.at("a");
    push_image(&repository, "1").await;
    let subject = image(&[]);
    let artifact = signature(1, "application/x.sig", &subject);
    let plain = with_subject(image(&[]), &subject);
    let list_of = with_subject(index(&[]), &subject);
    for manifest in [&artifact, &plain, &list_of] {
        let pushed = put(&repository, &digest_of(manifest).to_string(), manifest).await.unwrap();
        assert_eq!(pushed.subject, Some(digest_of(&subject)));
    }
    let page = list(&world, &digest_of(&subject), None).await;
    assert_eq!(page.next, None);
    let mut found = serde_json::to_value(&page.referrers).unwrap();
    let mut expected = json!([
        { "mediaType": MediaType::OCI_MANIFEST, "digest": digest_of(&artifact), "size": artifact.to_string().len(),
          "artifactType": "application/x.sig", "annotations": { "number": "1" } },
        { "mediaType": MediaType::OCI_MANIFEST, "digest": digest_of(&plain), "size": plain.to_string().len(),
          "artifactType": "application/vnd.oci.image.config.v1+json" },
        { "mediaType": MediaType::OCI_INDEX, "digest": digest_of(&list_of), "size": list_of.to_string().len() },
    ]);
    for list in [&mut found, &mut expected] {
        list.as_array_mut().unwrap().sort_by_key(|entry| entry["digest"].to_string());
    }
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_subject_need_not_exist_and_an_unknown_one_has_none() {
    let world = World::new();
    push_blob(&world.at("a"), CONFIG).await;
    let subject = image(&[b"not here"]);
    let artifact = signature(1, "x/y", &subject);
    put(&world.at("a"), "sig", &artifact).await.unwrap();
    assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 1);
    assert_eq!(list(&world, &sha256(b"unknown"), None).await, ReferrerPage::default());
    let elsewhere = world.at("nowhere").referrers().list(&digest_of(&subject), None, None, 10).await.unwrap();
    assert_eq!(elsewhere, ReferrerPage::default());
}

#[tokio::test]
async fn are_filtered_and_paged() {
    let world = World::new();
    let repository = world.at("a");
    push_image(&repository, "1").await;
    let subject = image(&[]);
    for number in 0..10 {
        let artifact_type = if number % 2 == 0 { "x/even" } else { "x/odd" };
        put(&repository, &format!("s{number}"), &signature(number, artifact_type, &subject)).await.unwrap();
    }
    let subject = digest_of(&subject);
    let even = list(&world, &subject, Some("x/even")).await.referrers;
    assert_eq!(even.len(), 5);
    assert!(even.iter().all(|referrer| referrer.artifact_type.as_deref() == Some("x/even")));
    assert!(list(&world, &subject, Some("x/none")).await.referrers.is_empty());

    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = repository.referrers().list(&subject, None, after.as_ref(), 3).await.unwrap();
        assert!(page.referrers.len() == 3 || page.next.is_none());
        found.extend(page.referrers);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, list(&world, &subject, None).await.referrers);
    assert_eq!(found.len(), 10);
}

#[tokio::test]
async fn a_page_is_bounded_in_bytes() {
    let world = World::with(|builder| {
        let mut limits = Limits::default();
        limits.referrers_page_bytes = 3_000;
        builder.limits(limits)
    });
    let repository = world.at("a");
    push_image(&repository, "1").await;
    let subject = image(&[]);
    for number in 0..4 {
        let mut large = signature(number, "x/y", &subject);
        large["annotations"]["large"] = json!("x".repeat(2_000));
        put(&repository, &format!("s{number}"), &large).await.unwrap();
    }
    let page = list(&world, &digest_of(&subject), None).await;
    assert_eq!(page.referrers.len(), 1);
    assert_eq!(page.next, Some(page.referrers[0].digest));
}

#[tokio::test]
async fn a_page_looks_through_a_bounded_amount() {
    let world = World::with(|builder| {
        let mut limits = Limits::default();
        limits.referrers_search_bytes = 1_500;
        builder.limits(limits)
    });
    let repository = world.at("a");
    push_image(&repository, "1").await;
    let subject = image(&[]);
    for number in 0..9 {
        let artifact_type = if number == 4 { "x/rare" } else { "x/frequent" };
        put(&repository, &format!("s{number}"), &signature(number, artifact_type, &subject)).await.unwrap();
    }
    let (mut found, mut after, mut pages) = (0, None, 0);
    loop {
        let page = repository.referrers().list(&digest_of(&subject), Some("x/rare"), after.as_ref(), 10).await.unwrap();
        found += page.referrers.len();
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(found, 1);
    assert!(pages > 1 && pages < 9, "{pages} pages");
}

#[tokio::test]
async fn a_read_only_registry_writes_nothing() {
    let world = World::with(|builder| builder.read_only(true));
    let subject = image(&[]);
    push_behind(&world, &signature(1, "x/y", &subject)).await;
    let before = world.keys(&layout::root()).await;
    for _ in 0..2 {
        assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 1);
    }
    assert_eq!(world.keys(&layout::root()).await, before);
}

#[tokio::test]
async fn a_deleted_referrer_is_gone() {
    let world = World::new();
    let repository = world.at("a");
    push_image(&repository, "1").await;
    let artifact = signature(1, "x/y", &image(&[]));
    let digest = put(&repository, "sig", &artifact).await.unwrap().digest;
    repository.manifests().delete(&digest.into()).await.unwrap();
    assert!(list(&world, &digest_of(&image(&[])), None).await.referrers.is_empty());
}

/// Writes a manifest as a registry that knows nothing of referrers does.
async fn push_behind(world: &World, manifest: &Value) {
    let (name, digest) = ("a".parse().unwrap(), digest_of(manifest));
    world.write(&layout::blob(&digest), manifest.to_string()).await;
    world.write(&layout::revision_link(&name, &digest), layout::link(&digest)).await;
}

#[tokio::test]
async fn those_that_another_registry_left_are_found() {
    let mut world = World::new();
    let subject = image(&[]);
    let first = signature(1, "x/y", &subject);
    push_behind(&world, &first).await;
    push_behind(&world, &index(&[&first])).await;
    for _ in 0..2 {
        assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 1);
    }
    // The volume went to the other registry and came back.
    push_behind(&world, &signature(2, "x/y", &subject)).await;
    world.restart();
    assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 2);
}

#[tokio::test]
async fn an_index_that_cannot_be_written_hides_nothing() {
    let world = World::new();
    let subject = image(&[]);
    push_behind(&world, &signature(1, "x/y", &subject)).await;
    for _ in 0..2 {
        world.storage.fail_next(OperationKind::Write, Fault::Before);
        assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 1);
    }
    world.storage.heal();
    assert_eq!(list(&world, &digest_of(&subject), None).await.referrers.len(), 1);
}

#[tokio::test]
async fn an_entry_that_lies_is_passed_over() {
    let world = World::new();
    let repository = world.at("a");
    let image_digest = push_image(&repository, "1").await;
    let (name, subject) = ("a".parse().unwrap(), sha256(b"subject"));
    for referrer in [image_digest, sha256(b"gone")] {
        world.write(&layout::referrer_link(&name, &subject, &referrer), layout::link(&referrer)).await;
    }
    assert!(list(&world, &subject, None).await.referrers.is_empty());
}
