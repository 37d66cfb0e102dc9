//! What lies in quarantine, and what people bring back out of it.

use futures::TryStreamExt as _;
use registry_core::gc::{Collector, GcOptions, Quarantine, Quarantined};
use registry_core::storage::Storage as _;
use registry_core::{Algorithm, Reference, Tag, layout};

use crate::world::{CONFIG, World, digest_of, image, push_blob, push_image, put, with_subject};

const DAY: u64 = 24 * 60 * 60;

async fn collect(world: &World) {
    world.clock.advance(DAY + 1);
    let mut options = GcOptions::default();
    options.delete_untagged = true;
    options.alone = true;
    Collector::new(world.registry.clone(), options).run().await.unwrap();
}

async fn quarantined(world: &World) -> Vec<Quarantined> {
    world.registry.quarantined().try_collect().await.unwrap()
}

#[tokio::test]
async fn all_that_runs_took_away_is_listed() {
    let world = World::new();
    let a = world.at("a/b");
    let blob = push_blob(&a, b"layer").await;
    push_blob(&a, CONFIG).await;
    let manifest = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    assert_eq!(quarantined(&world).await, []);

    collect(&world).await;
    let repository = a.name().clone();
    let found = quarantined(&world).await;
    let [layer, revision] = &found[..] else { panic!("{found:?}") };
    assert_eq!(layer.place, Quarantine::Layer { repository: repository.clone(), deleted: false });
    assert_eq!((layer.digest, layer.since()), (blob, layer.run.started_at()));
    assert_eq!(revision.place, Quarantine::Manifest { repository: repository.clone(), deleted: false });
    assert_eq!((revision.digest, revision.run), (manifest, layer.run));

    a.manifests().delete(&Reference::Digest(manifest)).await.unwrap();
    assert!(quarantined(&world).await[1].is_deleted());

    for _ in 0..2 {
        collect(&world).await;
    }
    let found = quarantined(&world).await;
    let content: Vec<_> = found.iter().filter(|item| item.place == Quarantine::Content).collect();
    assert!(content.iter().any(|item| (item.digest, item.bytes) == (blob, 5)), "{found:?}");
}

#[tokio::test]
async fn a_manifest_comes_back_with_its_referrers_and_stays_for_its_time() {
    let world = World::new();
    let a = world.at("a");
    let subject = push_image(&a, "v1").await;
    let signature = with_subject(image(&[]), &image(&[]));
    let signature = put(&a, &digest_of(&signature).to_string(), &signature).await.unwrap().digest;
    let tag: Tag = "v1".parse().unwrap();
    a.tags().delete(&tag).await.unwrap();
    collect(&world).await;
    a.manifests().delete(&Reference::Digest(signature)).await.unwrap();

    let found = quarantined(&world).await;
    assert_eq!(found.len(), 2, "{found:?}");
    for item in &found {
        assert!(world.registry.restore(item).await.unwrap());
    }
    for manifest in [subject, signature] {
        a.manifests().get(&manifest.into()).await.unwrap();
    }
    let referrers = a.referrers().list(&subject, None, None, 9).await.unwrap().referrers;
    assert_eq!(referrers.into_iter().map(|referrer| referrer.digest).collect::<Vec<_>>(), [signature]);

    // What was restored is as good as new, though the copies go now.
    world.clock.advance(DAY - 10);
    let mut options = GcOptions::default();
    options.delete_untagged = true;
    options.alone = true;
    let report = Collector::new(world.registry.clone(), options).run().await.unwrap();
    assert_eq!((report.purged_links, report.retired_manifests), (0, 0), "not over yet: {report:?}");
    collect(&world).await;
    collect(&world).await;
    assert!(quarantined(&world).await.iter().all(|item| item.run > found[0].run), "the first copies are gone");
}

#[tokio::test]
async fn what_was_purged_cannot_come_back() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"layer").await;
    for _ in 0..3 {
        collect(&world).await;
    }
    let found = quarantined(&world).await;
    let [content] = &found[..] else { panic!("{found:?}") };
    assert!(world.registry.restore(content).await.unwrap());
    assert!(world.storage.stat(&layout::blob(&blob)).await.unwrap().is_some());
    for _ in 0..3 {
        collect(&world).await;
    }
    // Nothing needs it, so it went again.
    assert!(world.storage.stat(&layout::blob(&blob)).await.unwrap().is_none());
    assert!(!world.registry.restore(content).await.unwrap());
    assert_eq!(Algorithm::Sha256, content.digest.algorithm());
}

#[tokio::test]
async fn a_directory_without_a_link_keeps_nothing() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"layer").await;
    let manifest = push_image(&a, "v1").await;
    a.tags().delete(&"v1".parse().unwrap()).await.unwrap();
    for link in [layout::revision_link(a.name(), &manifest), layout::layer_link(a.name(), &blob)] {
        world.storage.delete(&link).await.unwrap();
        // In its place something else keeps the directory, as an empty one is kept on a disk.
        world.write(&link.parent().unwrap().child("other").unwrap(), "").await;
    }
    let mut options = GcOptions::default();
    options.alone = true;
    for _ in 0..6 {
        world.clock.advance(DAY + 1);
        Collector::new(world.registry.clone(), options.clone()).run().await.unwrap();
    }
    assert_eq!(world.keys(&layout::root().child("blobs").unwrap()).await, [""; 0]);
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
}
