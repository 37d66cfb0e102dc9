//! What a collector makes of damage, of what it does not understand, and of being cut off.

use registry_core::gc::Collector;
use registry_core::storage::{Fault, Storage as _};
use registry_core::{Algorithm, Reference, layout};

use crate::gc::{DAY, collect, collect_all, digests, eager, hex, readable};
use crate::world::{CONFIG, World, digest_of, image, index, push_blob, push_image, put, sha256, with_subject};

#[tokio::test]
async fn what_cannot_be_understood_is_left_alone() {
    let world = World::new();
    let a = world.at("a");
    let needed = push_blob(&a, b"layer of an old image").await;
    let (stray, other) = (push_blob(&a, b"stray").await, push_blob(&world.at("b"), b"other").await);
    let old = format!(r#"{{"schemaVersion":1,"fsLayers":[{{"blobSum":"{needed}"}}]}}"#);
    let old_digest = sha256(old.as_bytes());
    world.write(&layout::blob(&old_digest), old).await;
    for name in ["a", "c"] {
        let name = name.parse().unwrap();
        world.write(&layout::revision_link(&name, &old_digest), layout::link(&old_digest)).await;
    }
    world.write(&layout::revisions(a.name(), Algorithm::Sha256).child("stray").unwrap(), "x").await;
    world.write(&layout::tags(a.name()).child("stray").unwrap(), "x").await;
    world.clock.advance(DAY + 1);
    let mut options = eager();
    options.delete_untagged = false;
    let report = collect(&world, options.clone()).await;
    assert_eq!((report.retired_manifests, report.retired_layers), (0, 2), "{report:?}");
    assert_eq!(report.skipped_total, 2, "{report:?}");

    // A manifest whose bytes are not its own: what it needs could be anything in its repository.
    push_blob(&a, b"stray").await;
    world.write(&layout::blob(&old_digest), "torn").await;
    for _ in 0..6 {
        world.clock.advance(DAY + 1);
        let report = collect(&world, options.clone()).await;
        assert!(report.skipped.iter().any(|skipped| skipped.place.contains(&old_digest.hex())), "{report:?}");
    }
    assert!(a.blobs().stat(&stray).await.is_ok());
    assert!(a.blobs().stat(&needed).await.is_ok());
    assert!(world.at("b").blobs().stat(&other).await.is_err(), "other repositories are collected");
    assert!(world.storage.stat(&layout::blob(&other)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_torn_tag_takes_no_manifest_with_it() {
    let world = World::new();
    let a = world.at("a");
    push_image(&a, "v1").await;
    world.write(&layout::tag_current(a.name(), &"v1".parse().unwrap()), "").await;
    world.clock.advance(DAY + 1);
    let report = collect(&world, eager()).await;
    assert!(report.is_idle() && report.skipped_total == 1, "{report:?}");
}

#[tokio::test]
async fn too_much_at_once_stops_the_run() {
    let world = World::new();
    let a = world.at("a");
    for number in 0..150_u32 {
        let bytes = number.to_be_bytes().to_vec();
        let digest = sha256(&bytes);
        world.write(&layout::blob(&digest), bytes).await;
    }
    let kept = push_image(&a, "v1").await;
    world.clock.advance(DAY + 1);
    let mut options = eager();
    options.max_condemned = Some(30);
    let report = collect(&world, options.clone()).await;
    let brake = report.braked.unwrap();
    assert_eq!((brake.condemned, brake.blobs), (150, 152));
    assert_eq!(digests(&world).await.len(), 152);
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
    options.max_condemned = None;
    assert_eq!(collect(&world, options).await.quarantined.count, 150);
    assert!(readable(&a, kept).await);
}

#[tokio::test]
async fn a_run_may_be_cut_off_anywhere() {
    for number in 0.. {
        let world = World::new();
        let a = world.at("a");
        let kept = push_image(&a, "v1").await;
        push_blob(&a, b"gone").await;
        put(&a, &digest_of(&index(&[])).to_string(), &index(&[])).await.unwrap();
        let again = with_subject(image(&[]), &index(&[]));
        put(&a, &digest_of(&again).to_string(), &again).await.unwrap();
        for _ in 0..3 {
            world.clock.advance(DAY + 1);
            collect(&world, eager()).await;
        }
        push_blob(&a, b"more").await;
        world.clock.advance(DAY + 1);
        let at = world.storage.operations().len() + number;
        let fault = [Fault::Before, Fault::After][number % 2];
        world.storage.fail_at(at, fault);
        let outcome = Collector::new(world.registry.clone(), eager()).run().await;
        let reached = world.storage.operations().len() > at;
        world.storage.heal();
        assert!(readable(&a, kept).await && readable(&a, "v1".parse::<Reference>().unwrap()).await);
        collect_all(&world).await;
        assert!(readable(&a, kept).await);
        assert_eq!(digests(&world).await, hex(&[sha256(CONFIG), kept]), "fault {number}");
        assert_eq!(world.keys(&layout::gc()).await, [""; 0], "fault {number}: {outcome:?}");
        if !reached {
            assert!(number > 20, "the fault never came");
            break;
        }
    }
}

#[tokio::test]
async fn a_run_that_is_not_alone_leaves_what_another_may_still_be_at() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"gone").await;
    a.blobs().delete(&blob).await.unwrap();
    world.clock.advance(DAY + 1);
    // The first run is cut off after it took the content away.
    let mut shared = eager();
    shared.alone = false;
    let before = world.storage.operations().len();
    assert_eq!(collect(&world, shared.clone()).await.quarantined.count, 1);
    let deleted = world.storage.operations()[before..]
        .iter()
        .rposition(|operation| operation.key == layout::blob(&blob))
        .unwrap();
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"gone").await;
    a.blobs().delete(&blob).await.unwrap();
    world.clock.advance(DAY + 1);
    world.storage.fail_at(world.storage.operations().len() + deleted + 1, Fault::Before);
    assert!(Collector::new(world.registry.clone(), shared.clone()).run().await.is_err());
    for _ in 0..3 {
        world.clock.advance(10 * DAY);
        let report = collect(&world, shared.clone()).await;
        assert_eq!((report.unresolved_runs, report.purged.count), (1, 0));
    }
    world.clock.advance(DAY);
    assert_eq!(collect(&world, eager()).await.purged.count, 0, "the quarantine begins when it is certain to be over");
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.purged.count, 1);
}

#[tokio::test]
async fn content_that_is_missing_for_one_run_takes_nothing_with_it() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let mut untagged = Vec::new();
    for number in 0..120 {
        let mut manifest = image(&[]);
        manifest["annotations"] = serde_json::json!({ "n": number.to_string() });
        untagged.push(put(&a, &digest_of(&manifest).to_string(), &manifest).await.unwrap().digest);
    }
    let mut options = eager();
    options.delete_untagged = false;
    // A folder that is not mounted: each place is empty, and comes back as it was.
    let mut content = Vec::new();
    for digest in untagged.iter().chain([&sha256(CONFIG)]) {
        let place = layout::blob(digest);
        content.push((place.clone(), world.storage.read(&place, 1 << 20).await.unwrap().unwrap()));
        world.storage.delete(&place).await.unwrap();
    }
    for _ in 0..4 {
        world.clock.advance(DAY + 1);
        let report = collect(&world, options.clone()).await;
        assert!(report.is_idle() && report.skipped_total == 120, "{report:?}");
    }
    for (place, bytes) in content {
        world.write(&place, bytes).await;
    }
    for digest in untagged {
        assert!(readable(&a, digest).await, "{digest}");
    }
}

#[tokio::test]
async fn torn_content_is_not_taken_for_the_content_that_heals_it() {
    let world = World::new();
    let a = world.at("a");
    let digest = sha256(b"whole");
    world.write(&layout::blob(&digest), "tor").await;
    world.clock.advance(DAY + 1);
    let report = collect(&world, eager()).await;
    assert_eq!((report.quarantined.count, report.skipped_total), (0, 1), "{report:?}");
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
    push_blob(&a, b"whole").await;
    collect_all(&world).await;
    assert!(a.blobs().stat(&digest).await.is_err(), "healed content goes as any other");
}

#[tokio::test]
async fn a_torn_link_does_not_stop_its_copy_from_coming_back() {
    let world = World::new();
    let a = world.at("a");
    push_blob(&a, CONFIG).await;
    let digest = put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap().digest;
    world.clock.advance(DAY + 1);
    assert_eq!(collect(&world, eager()).await.retired_manifests, 1);
    put(&a, "v1", &image(&[])).await.unwrap();
    // A power cut under a storage that is not durable.
    world.write(&layout::revision_link(a.name(), &digest), "").await;
    collect_all(&world).await;
    assert!(readable(&a, "v1".parse::<Reference>().unwrap()).await);
}

#[tokio::test]
async fn a_name_that_is_no_repository_keeps_all_content() {
    let world = World::new();
    let a = world.at("a");
    let blob = push_blob(&a, b"stray").await;
    world.write(&layout::repositories().child("Upper/_layers/x/link").unwrap(), "x").await;
    for _ in 0..6 {
        world.clock.advance(DAY + 1);
        let report = collect(&world, eager()).await;
        assert_eq!((report.quarantined.count, report.skipped_total), (0, 1));
    }
    assert!(world.storage.stat(&layout::blob(&blob)).await.unwrap().is_some());
}
