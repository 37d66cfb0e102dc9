//! What a collector takes away, what it leaves, and what can be brought back.

use registry_core::gc::{Collector, GcOptions, GcReport};
use registry_core::storage::{OperationKind, Storage as _};
use registry_core::{Algorithm, Digest, Error, Reference, Repository, layout};

use crate::world::{
    CONFIG, World, content, digest_of, image, index, layer, push_blob, push_image, put, sha256, with_subject,
};

pub(crate) const DAY: u64 = 24 * 60 * 60;

/// Nothing is spared for its age, and everything may go.
pub(crate) fn eager() -> GcOptions {
    let mut options = GcOptions::default();
    options.delete_untagged = true;
    options.max_condemned = None;
    options.alone = true;
    options.only_process = true;
    options
}

pub(crate) async fn collect(world: &World, options: GcOptions) -> GcReport {
    Collector::new(world.registry.clone(), options).run().await.unwrap()
}

/// So many runs that everything goes that nothing needs.
pub(crate) async fn collect_all(world: &World) {
    for _ in 0..12 {
        world.clock.advance(DAY + 1);
        collect(world, eager()).await;
    }
}

pub(crate) async fn digests(world: &World) -> Vec<String> {
    let keys = world.keys(&layout::root().child("blobs").unwrap()).await;
    keys.iter().map(|key| key.rsplit('/').nth(1).unwrap().to_owned()).collect()
}

pub(crate) fn hex(digests: &[Digest]) -> Vec<String> {
    let mut hex: Vec<String> = digests.iter().map(Digest::hex).collect();
    hex.sort();
    hex
}

pub(crate) async fn readable(repository: &Repository, reference: impl Into<Reference>) -> bool {
    match repository.manifests().get(&reference.into()).await {
        Ok(_) => true,
        Err(Error::ManifestUnknown { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_tags_reach_stays_and_the_rest_goes() {
    let world = World::new();
    let a = world.at("a");
    let (kept, gone) = (push_blob(&a, b"kept").await, push_blob(&a, b"gone").await);
    let config = push_blob(&a, CONFIG).await;
    let child = put(&a, &digest_of(&image(&[b"kept"])).to_string(), &image(&[b"kept"])).await.unwrap().digest;
    let nested = index(&[&image(&[b"kept"])]);
    let middle = put(&a, &digest_of(&nested).to_string(), &nested).await.unwrap().digest;
    let top = put(&a, "v1", &index(&[&nested])).await.unwrap().digest;
    let signature = with_subject(image(&[]), &image(&[b"kept"]));
    let signature = put(&a, &digest_of(&signature).to_string(), &signature).await.unwrap().digest;
    let untagged = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;

    collect_all(&world).await;

    assert_eq!(digests(&world).await, hex(&[kept, config, child, middle, top, signature]));
    assert!(!readable(&a, untagged).await);
    assert!(matches!(a.blobs().stat(&gone).await, Err(Error::BlobUnknown { .. })));
    for manifest in [child, middle, top, signature] {
        assert!(readable(&a, manifest).await, "{manifest}");
    }
    assert_eq!(a.referrers().list(&child, None, None, 9).await.unwrap().referrers.len(), 1);
    assert_eq!(world.keys(&layout::gc()).await, [""; 0], "and nothing is left of the runs");
}

#[tokio::test]
async fn untagged_manifests_stay_unless_they_are_to_go() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let untagged = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    world.clock.advance(30 * DAY);
    let mut options = eager();
    options.delete_untagged = false;
    assert!(collect(&world, options.clone()).await.is_idle());
    options.delete_untagged = true;
    options.untagged_grace = std::time::Duration::from_secs(31 * DAY);
    assert!(collect(&world, options.clone()).await.is_idle());
    options.untagged_grace = std::time::Duration::from_secs(29 * DAY);
    assert_eq!(collect(&world, options).await.retired_manifests, 1);
    assert!(readable(&a, untagged).await, "for the time of the quarantine");
}

#[tokio::test]
async fn what_was_just_pushed_stays_for_the_lease() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"layer").await;
    world.clock.advance(DAY - 10);
    assert!(collect(&world, eager()).await.is_idle());
    // Pushed again by somebody who found that it is there.
    push_blob(&a, b"layer").await;
    world.clock.advance(DAY - 10);
    assert!(collect(&world, eager()).await.is_idle());
    world.clock.advance(20);
    let report = collect(&world, eager()).await;
    assert_eq!((report.retired_layers, report.quarantined.count), (1, 0), "{report:?}");
    assert_eq!(a.blobs().stat(&blob).await.unwrap().size, 5);
}

#[tokio::test]
async fn a_manifest_can_be_built_on_what_is_in_quarantine() {
    let world = World::new();
    let a = world.at("a");
    let blobs = [push_blob(&a, b"layer").await, push_blob(&a, CONFIG).await];
    for _ in 0..2 {
        world.clock.advance(DAY / 2 + 1);
        collect(&world, eager()).await;
    }
    // The links were taken away; one more run takes the content, once these are purged.
    for _ in 0..2 {
        world.clock.advance(DAY + 1);
        collect(&world, eager()).await;
    }
    assert_eq!(digests(&world).await, [""; 0], "all of it is in quarantine");
    let b = world.at("b");
    for blob in &blobs {
        // The link is gone for good by now, so the client pushes or mounts; here it pushes the small one again.
        assert!(a.blobs().stat(blob).await.is_err());
    }
    for bytes in [&b"layer"[..], CONFIG] {
        b.uploads().push(&sha256(bytes), content(bytes)).await.unwrap();
    }
    let pushed = put(&b, "v1", &image(&[b"layer"])).await.unwrap().digest;
    collect_all(&world).await;
    assert!(readable(&b, pushed).await);
    assert_eq!(digests(&world).await, hex(&[blobs[0], blobs[1], pushed]));
}

#[tokio::test]
async fn a_link_in_quarantine_is_found_and_brought_back_by_a_push() {
    let world = World::new();
    let a = world.at("a");
    let blobs = [push_blob(&a, b"layer").await, push_blob(&a, CONFIG).await];
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.retired_layers, 2);
    for blob in &blobs {
        assert!(world.storage.stat(&layout::layer_link(a.name(), blob)).await.unwrap().is_none());
        assert!(a.blobs().stat(blob).await.is_ok(), "a client that looks is told that it is there");
    }
    assert!(world.registry.quarantine_hits() >= 2);
    assert!(world.at("b").blobs().mount(&blobs[0], a.name()).await.unwrap().is_some(), "and can be mounted");
    let pushed = put(&a, "v1", &image(&[b"layer"])).await.unwrap().digest;
    for blob in &blobs {
        assert!(world.storage.stat(&layout::layer_link(a.name(), blob)).await.unwrap().is_some());
    }
    collect_all(&world).await;
    assert!(readable(&a, pushed).await);
}

#[tokio::test]
async fn who_is_told_that_something_is_there_can_build_on_it_after_the_quarantine() {
    let world = World::new();
    let a = world.at("a");
    let blobs = [push_blob(&a, b"layer").await, push_blob(&a, CONFIG).await];
    let child = image(&[b"layer"]);
    let digest = put(&a, &digest_of(&child).to_string(), &child).await.unwrap().digest;
    let stray = push_blob(&a, b"stray").await;
    world.clock.advance(DAY + 1);
    let report = collect(&world, eager()).await;
    assert_eq!((report.retired_manifests, report.retired_layers), (1, 1));
    // The last moment of the quarantine.
    world.clock.advance(DAY - 1);
    assert!(readable(&a, digest).await);
    for blob in blobs.iter().chain([&stray]) {
        assert!(a.blobs().stat(blob).await.is_ok());
    }
    for _ in 0..3 {
        world.clock.advance(DAY / 4);
        collect(&world, eager()).await;
    }
    put(&a, "v1", &index(&[&child])).await.unwrap();
    put(&a, "v2", &image(&[b"stray"])).await.unwrap();
    collect_all(&world).await;
    assert!(readable(&a, digest).await);
}

#[tokio::test]
async fn a_registry_that_is_read_only_brings_nothing_back() {
    let mut world = World::new();
    let stray = push_blob(&world.at("a"), b"stray").await;
    world.clock.advance(DAY + 1);
    collect(&world, eager()).await;
    world.restart_read_only();
    let before = world.keys(&layout::root()).await;
    assert!(world.at("a").blobs().stat(&stray).await.is_ok());
    assert_eq!(world.keys(&layout::root()).await, before);
}

#[tokio::test]
async fn a_tag_put_on_a_manifest_in_quarantine_keeps_it() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let digest = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.retired_manifests, 1);
    // Written behind the registry's back: as by a writer whose own look came before the link went.
    world.write(&layout::tag_current(a.name(), &"v1".parse().unwrap()), layout::link(&digest)).await;
    assert!(readable(&a, "v1".parse::<Reference>().unwrap()).await);
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.restored_links, 1);
    collect_all(&world).await;
    assert!(readable(&a, "v1".parse::<Reference>().unwrap()).await);
}

#[tokio::test]
async fn what_a_client_deletes_is_not_found_among_the_copies() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, CONFIG).await;
    let digest = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    let stray = push_blob(&a, b"stray").await;
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.retired_manifests, 1);
    a.manifests().delete(&digest.into()).await.unwrap();
    assert!(!readable(&a, digest).await);
    assert!(matches!(a.manifests().delete(&digest.into()).await, Err(Error::ManifestUnknown { .. })));
    a.blobs().delete(&stray).await.unwrap();
    assert!(matches!(a.blobs().stat(&stray).await, Err(Error::BlobUnknown { .. })));
    assert!(matches!(put(&a, "v1", &image(&[b"stray"])).await, Err(Error::ReferencesUnknown { .. })));
    assert!(a.blobs().stat(&blob).await.is_ok());
    // A push of the same is a new one.
    put(&a, "v1", &image(&[])).await.unwrap();
    collect_all(&world).await;
    assert!(readable(&a, digest).await);
    a.manifests().delete(&digest.into()).await.unwrap();
    collect_all(&world).await;
    assert_eq!(digests(&world).await, [""; 0]);
    assert_eq!(world.keys(&layout::root()).await, [""; 0]);
}

#[tokio::test]
async fn an_index_that_was_refused_halfway_goes_after_the_lease() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let bytes = image(&[b"never pushed"]).to_string();
    let digest = sha256(bytes.as_bytes());
    world.write(&layout::blob(&digest), bytes).await;
    world.write(&layout::revision_link(a.name(), &digest), layout::link(&digest)).await;
    let mut options = eager();
    options.delete_untagged = false;
    assert_eq!(collect(&world, options.clone()).await.retired_manifests, 0, "somebody may be finishing it");
    world.clock.advance(DAY + 1);
    let report = collect(&world, options).await;
    assert_eq!(report.retired_manifests, 1, "{report:?}");
}

#[tokio::test]
async fn sha512_content_counts_and_a_link_to_another_digest_is_followed() {
    let world = World::new();
    let a = world.at("a");
    let bytes = b"by its long name";
    let long = Digest::of(Algorithm::Sha512, bytes);
    a.uploads().push(&long, content(&bytes[..])).await.unwrap();
    let (alias, target) = (Digest::of(Algorithm::Sha512, b"alias"), sha256(b"alias"));
    world.write(&layout::blob(&target), &b"alias"[..]).await;
    world.write(&layout::layer_link(a.name(), &alias), layout::link(&target)).await;
    push_blob(&a, CONFIG).await;
    let mut manifest = image(&[]);
    for (digest, size) in [(long, bytes.len()), (alias, 5)] {
        let mut named = layer(bytes);
        named["digest"] = digest.to_string().into();
        named["size"] = size.into();
        manifest["layers"].as_array_mut().unwrap().push(named);
    }
    let pushed = put(&a, "v1", &manifest).await.unwrap().digest;
    collect_all(&world).await;
    assert!(readable(&a, pushed).await);
    for digest in [long, alias] {
        assert!(a.blobs().stat(&digest).await.is_ok(), "{digest}");
    }
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, b"gone").await;
    push_image(&a, "v1").await;
    put(&a, &digest_of(&index(&[])).to_string(), &index(&[])).await.unwrap();
    for _ in 0..6 {
        world.clock.advance(DAY + 1);
        let before = world.keys(&layout::root()).await;
        let mut options = eager();
        options.dry_run = true;
        let told = collect(&world, options).await;
        assert_eq!(world.keys(&layout::root()).await, before);
        let done = collect(&world, eager()).await;
        let counts = |report: &GcReport| {
            let links = [report.retired_layers, report.retired_manifests, report.purged_links, report.restored_links];
            (links, report.quarantined, report.purged, report.restored, report.marked, report.blobs)
        };
        assert_eq!(counts(&told), counts(&done));
    }
}

#[tokio::test]
async fn what_is_deleted_and_pushed_again_while_its_link_is_taken_away_stays() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let digest = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    let stray = push_blob(&a, b"stray").await;
    world.clock.advance(DAY + 1);
    // The collector has its copy and stands before the delete.
    let mut gate = world.storage.hold(OperationKind::Delete);
    let collector = Collector::new(world.registry.clone(), eager());
    let client = async {
        assert!(gate.arrived().await);
        a.manifests().delete(&digest.into()).await.unwrap();
        a.blobs().delete(&stray).await.unwrap();
        push_blob(&a, b"stray").await;
        put(&a, &digest.to_string(), &image(&[])).await.unwrap();
        gate.open();
    };
    let (report, ()) = futures::join!(collector.run(), client);
    assert_eq!(report.unwrap().retired_manifests, 1);
    assert!(readable(&a, digest).await);
    assert!(a.blobs().stat(&stray).await.is_ok());
}
