//! What a verifier finds, what it repairs, and what it leaves alone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use registry_core::gc::{Collector, GcOptions};
use registry_core::storage::{Fault, Key, OperationKind, Storage as _};
use registry_core::verify::{Damage, Finding, Pacer, Remedy, Verifier, VerifyOptions, VerifyReport};
use registry_core::{Digest, Error, Registry, Repository, layout};

use crate::world::{CONFIG, World, digest_of, image, index, push_blob, push_image, put, sha256, with_subject};

const DAY: u64 = 24 * 60 * 60;

async fn run(registry: &Registry, repair: bool) -> Result<VerifyReport, Error> {
    let mut options = VerifyOptions::default();
    options.repair = repair;
    Verifier::new(registry.clone(), options).run().await
}

async fn verify(world: &World) -> VerifyReport {
    run(&world.registry, false).await.unwrap()
}

async fn repair(world: &World) -> VerifyReport {
    run(&world.registry, true).await.unwrap()
}

/// The only finding.
#[track_caller]
fn only(report: &VerifyReport) -> &Finding {
    let [finding] = &report.findings[..] else { panic!("{report:#?}") };
    assert_eq!((report.findings_total, report.counts[finding.damage.name()]), (1, 1));
    finding
}

fn names(report: &VerifyReport) -> Vec<&'static str> {
    report.findings.iter().map(|finding| finding.damage.name()).collect()
}

#[track_caller]
fn assert_clean(report: &VerifyReport) {
    assert!(report.is_sound() && report.findings.is_empty(), "{report:#?}");
}

/// An index with a nested image, tagged `v1`, and the image alone, tagged `v2`.
async fn push_all(repository: &Repository) -> [Digest; 3] {
    let blob = push_blob(repository, b"layer").await;
    push_blob(repository, CONFIG).await;
    let image = image(&[b"layer"]);
    let child = put(repository, "v2", &image).await.unwrap().digest;
    let top = put(repository, "v1", &index(&[&image])).await.unwrap().digest;
    [blob, child, top]
}

#[tokio::test]
async fn what_is_whole_is_clean() {
    let world = World::new();
    let a = world.at("a");
    push_all(&a).await;
    push_image(&world.at("b/c"), "v1").await;
    let report = verify(&world).await;
    assert_clean(&report);
    assert_eq!((report.repositories, report.tags, report.manifests), (2, 3, 3));
    assert_eq!((report.sound.count, report.links), (5, 6), "{report:?}");
    let operations = world.storage.operations();
    repair(&world).await;
    let changes = [OperationKind::Write, OperationKind::Delete, OperationKind::Copy];
    let after = world.storage.operations();
    assert!(after[operations.len()..].iter().all(|done| !changes.contains(&done.kind)), "nothing was changed");
}

#[tokio::test]
async fn what_a_collector_has_in_hand_is_clean() {
    let world = World::new();
    let a = world.at("a");
    push_all(&a).await;
    let signature = with_subject(image(&[]), &image(&[b"layer"]));
    put(&a, &digest_of(&signature).to_string(), &signature).await.unwrap();
    push_blob(&a, b"another").await;
    let idle = image(&[b"another"]);
    put(&a, &digest_of(&idle).to_string(), &idle).await.unwrap();
    push_image(&world.at("b"), "v1").await;
    for _ in 0..8 {
        world.clock.advance(DAY + 1);
        let mut options = GcOptions::default();
        (options.delete_untagged, options.max_condemned, options.alone) = (true, None, true);
        Collector::new(world.registry.clone(), options).run().await.unwrap();
        assert_clean(&verify(&world).await);
        assert_clean(&repair(&world).await);
    }
    assert!(a.manifests().get(&digest_of(&idle).into()).await.is_err(), "and it did its work");
}

#[tokio::test]
async fn corrupt_content_is_found_with_all_that_it_breaks() {
    let world = World::new();
    let [blob, child, top] = push_all(&world.at("a")).await;
    world.write(&layout::blob(&blob), "laYer").await;
    let report = verify(&world).await;
    let finding = only(&report);
    assert_eq!(finding.damage, Damage::CorruptContent { digest: blob, computed: sha256(b"laYer"), bytes: 5 });
    assert_eq!(finding.place, layout::blob(&blob).to_string());
    let mut broken: Vec<_> = finding.breaks.iter().map(|it| (it.manifest, it.tags[0].to_string())).collect();
    broken.sort();
    let mut expected = vec![(child, "v2".to_owned()), (top, "v1".to_owned())];
    expected.sort();
    assert_eq!(broken, expected);
    assert_eq!((report.broken_manifests, report.broken_tags, report.unmended), (2, 2, 1));
    assert!(!report.is_sound() && finding.remedy.is_none());
}

#[tokio::test]
async fn corrupt_content_is_set_aside_and_the_next_push_heals_it() {
    let world = World::new();
    let a = world.at("a");
    let [blob, ..] = push_all(&a).await;
    world.write(&layout::blob(&blob), "laYer").await;
    push_blob(&a, b"layer").await;
    assert!(!verify(&world).await.is_sound(), "a push keeps what has the right size");
    let report = repair(&world).await;
    let finding = only(&report);
    assert_eq!((finding.remedy, finding.breaks_total), (Some(Remedy::SetAside), 2));
    let aside: Key = finding.aside.clone().unwrap().parse().unwrap();
    assert_eq!(world.storage.read(&aside, 10).await.unwrap().unwrap(), "laYer");
    assert!(!report.is_sound(), "something is still missing");
    assert!(matches!(a.blobs().open(&blob).await, Err(Error::BlobUnknown { .. })));
    assert_eq!(names(&verify(&world).await), ["missing-content"]);
    push_blob(&a, b"layer").await;
    assert_clean(&verify(&world).await);
    assert!(world.storage.stat(&aside).await.unwrap().is_some(), "what was set aside stays");
}

#[tokio::test]
async fn what_nothing_needs_is_set_aside_for_good() {
    let world = World::new();
    let blob = push_blob(&world.at("a"), b"layer").await;
    world.write(&layout::blob(&blob), "").await;
    let report = repair(&world).await;
    assert_eq!(only(&report).remedy, Some(Remedy::SetAside));
    assert!(report.is_sound());
    assert_clean(&repair(&world).await);
}

#[tokio::test]
async fn a_good_copy_heals_at_once_and_a_corrupt_one_goes() {
    let world = World::new();
    let [blob, ..] = push_all(&world.at("a")).await;
    let run_id = |last: u8| format!("00000000-0000-7000-8000-00000000000{last}").parse().unwrap();
    let (bad, good) = (layout::fossil(&blob, &run_id(1)), layout::fossil(&blob, &run_id(2)));
    world.write(&layout::blob(&blob), "lay").await;
    world.write(&bad, "laYer").await;
    world.write(&good, "layer").await;
    let found = verify(&world).await;
    assert_eq!((found.findings_total, found.broken_tags), (2, 2), "readers find what lies in its place: {found:#?}");
    let report = repair(&world).await;
    let remedies: Vec<_> = report.findings.iter().map(|finding| finding.remedy).collect();
    assert_eq!(remedies, [Some(Remedy::Restored), Some(Remedy::SetAside)]);
    assert!(report.is_sound(), "{report:#?}");
    assert_eq!(world.storage.read(&layout::blob(&blob), 10).await.unwrap().unwrap(), "layer");
    assert_eq!(world.storage.stat(&bad).await.unwrap(), None);
    assert_clean(&verify(&world).await);
}

#[tokio::test]
async fn content_and_links_that_are_missing_are_found() {
    let world = World::new();
    let a = world.at("a");
    let [blob, child, top] = push_all(&a).await;
    world.storage.delete(&layout::blob(&blob)).await.unwrap();
    world.storage.delete(&layout::layer_link(a.name(), &sha256(CONFIG))).await.unwrap();
    let report = repair(&world).await;
    assert_eq!(names(&report), ["missing-content", "missing-link"], "{report:#?}");
    assert_eq!((report.broken_manifests, report.broken_tags, report.unmended), (2, 2, 2));

    let world = World::new();
    let a = world.at("a");
    push_all(&a).await;
    world.storage.delete(&layout::revision_link(a.name(), &child)).await.unwrap();
    let report = verify(&world).await;
    let dead = Damage::DeadTag { repository: a.name().clone(), tag: "v2".parse().unwrap(), digest: child };
    let damages: Vec<_> = report.findings.iter().map(|finding| &finding.damage).collect();
    assert!(damages.contains(&&dead) && damages.len() == 2, "{report:#?}");
    let lacking = report.findings.iter().find(|finding| finding.damage != dead).unwrap();
    assert_eq!((lacking.damage.name(), lacking.breaks[0].manifest), ("missing-link", top));
    assert_eq!((report.broken_manifests, report.broken_tags), (1, 2));
}

#[tokio::test]
async fn links_that_are_torn_are_written_again() {
    let world = World::new();
    let a = world.at("a");
    let [blob, child, _] = push_all(&a).await;
    let tag = layout::tag_current(a.name(), &"v1".parse().unwrap());
    let links = [layout::layer_link(a.name(), &blob), layout::revision_link(a.name(), &child), tag];
    for link in &links {
        world.write(link, "").await;
    }
    let report = verify(&world).await;
    assert_eq!(report.counts.clone().into_iter().collect::<Vec<_>>(), [("torn-link", 2), ("torn-tag", 1)]);
    assert_eq!((report.broken_manifests, report.broken_tags, report.unmended), (2, 2, 3), "{report:#?}");
    assert_eq!(world.storage.read(&links[0], 100).await.unwrap().unwrap(), "", "nothing was changed");
    let report = repair(&world).await;
    assert!(report.is_sound() && report.mended == 3, "{report:#?}");
    assert_clean(&verify(&world).await);
    assert!(a.manifests().get(&"v1".parse::<registry_core::Tag>().unwrap().into()).await.is_ok());
}

#[tokio::test]
async fn what_may_mean_two_things_is_left_alone() {
    let world = World::new();
    let a = world.at("a");
    let [blob, child, top] = push_all(&a).await;
    put(&a, "v1", &image(&[b"layer"])).await.unwrap();
    let tag = layout::tag_current(a.name(), &"v1".parse().unwrap());
    world.write(&tag, "sha256:").await;
    let report = repair(&world).await;
    assert_eq!((only(&report).damage.name(), only(&report).remedy, report.broken_tags), ("torn-tag", None, 1));
    a.manifests().delete(&top.into()).await.unwrap();
    let report = repair(&world).await;
    assert_eq!(only(&report).remedy, Some(Remedy::Rewritten), "one of the two is gone");
    assert_eq!(a.tags().resolve(&"v1".parse().unwrap()).await.unwrap(), Some(child));

    world.storage.delete(&layout::blob(&blob)).await.unwrap();
    world.write(&layout::layer_link(a.name(), &blob), "").await;
    let report = repair(&world).await;
    assert_eq!(report.unmended, 2, "a link to nothing is not written: {report:#?}");
}

#[tokio::test]
async fn links_that_point_elsewhere_are_found_and_aliases_are_not() {
    let world = World::new();
    let a = world.at("a");
    let [blob, child, _] = push_all(&a).await;
    let alias = Digest::of(registry_core::Algorithm::Sha512, b"layer");
    world.write(&layout::layer_link(a.name(), &alias), blob.to_string()).await;
    assert_clean(&verify(&world).await);
    let wrong = Digest::of(registry_core::Algorithm::Sha512, b"other");
    world.write(&layout::layer_link(a.name(), &wrong), blob.to_string()).await;
    world.write(&layout::layer_link(a.name(), &blob), child.to_string()).await;
    let report = verify(&world).await;
    assert_eq!(report.counts["misdirected-link"], 2, "{report:#?}");
    assert!(!report.is_sound());
}

#[tokio::test]
async fn wrong_sizes_are_found_and_names_that_do_not_belong_harm_nothing() {
    let world = World::new();
    let a = world.at("a");
    push_all(&a).await;
    let mut lying = image(&[b"layer"]);
    lying["layers"][0]["size"] = 6.into();
    let digest = digest_of(&lying);
    world.write(&layout::blob(&digest), lying.to_string()).await;
    world.write(&layout::revision_link(a.name(), &digest), digest.to_string()).await;
    let text = sha256(b"no manifest");
    world.write(&layout::blob(&text), "no manifest").await;
    world.write(&layout::revision_link(a.name(), &text), text.to_string()).await;
    for stray in ["blobs/sha256/zz/x/data", "blobs/sha256/y", "repositories/a/_layers/sha256/x/link"] {
        let key: Key = format!("{}/{stray}", layout::root()).parse().unwrap();
        world.write(&key, "").await;
    }
    let report = verify(&world).await;
    let counts: Vec<_> = report.counts.clone().into_iter().collect();
    assert_eq!(counts, [("not-a-manifest", 1), ("stray-name", 3), ("wrong-size", 1)], "{report:#?}");
    assert_eq!((report.unmended, report.broken_manifests, report.broken_tags), (2, 2, 0));
    world.storage.delete(&layout::revision_link(a.name(), &text)).await.unwrap();
    world.storage.delete(&layout::revision_link(a.name(), &digest)).await.unwrap();
    let report = verify(&world).await;
    assert!(report.is_sound() && report.findings_total == 3, "{report:#?}");
}

#[tokio::test]
async fn what_a_push_heals_meanwhile_stays() {
    for kind in [OperationKind::Copy, OperationKind::Delete] {
        let world = World::new();
        let a = world.at("a");
        let [blob, ..] = push_all(&a).await;
        world.write(&layout::blob(&blob), "lay").await;
        // The last look before the delete is the second one at the place; the push comes in front of it.
        let stop = if kind == OperationKind::Copy { OperationKind::Copy } else { OperationKind::Stat };
        if kind == OperationKind::Delete {
            // The first look of the kind is at the place before the copy.
            let first = world.storage.hold(stop);
            first.open();
        }
        let mut gate = world.storage.hold(stop);
        let registry = world.registry.clone();
        let repairing = tokio::spawn(async move { run(&registry, true).await.unwrap() });
        assert!(gate.arrived().await);
        push_blob(&a, b"layer").await;
        gate.open();
        let report = repairing.await.unwrap();
        assert!(report.is_sound() && report.findings.is_empty(), "{kind:?}: {report:#?}");
        assert_eq!(world.storage.read(&layout::blob(&blob), 10).await.unwrap().unwrap(), "layer", "{kind:?}");
    }
}

#[tokio::test]
async fn a_storage_that_fails_loses_nothing() {
    for fault in [Fault::Before, Fault::After, Fault::Cut] {
        for number in 0.. {
            let world = World::new();
            let a = world.at("a");
            let [blob, child, _] = push_all(&a).await;
            world.write(&layout::blob(&blob), "laYer").await;
            let run_id = "00000000-0000-7000-8000-000000000002".parse().unwrap();
            world.write(&layout::fossil(&blob, &run_id), "layer").await;
            world.write(&layout::blob(&sha256(CONFIG)), "{").await;
            world.write(&layout::revision_link(a.name(), &child), "").await;
            let begun = world.storage.operations().len();
            world.storage.fail_at(begun + number, fault);
            let failed = run(&world.registry, true).await;
            let is_past = world.storage.operations().len() <= begun + number;
            world.storage.heal();
            let kept = world.keys(&layout::root()).await;
            let contents = kept.iter().filter(|key| key.contains("/blobs/") || key.contains("/_gc/corrupt/"));
            assert!(contents.count() >= 4, "{fault:?} at {number}: {kept:#?}");
            if failed.is_ok_and(|report| report.unmended == 0) {
                assert_eq!(names(&verify(&world).await), ["missing-content"], "{fault:?} at {number}");
            }
            repair(&world).await;
            push_blob(&a, CONFIG).await;
            assert_clean(&verify(&world).await);
            assert_eq!(a.blobs().stat(&blob).await.unwrap().size, 5, "{fault:?} at {number}");
            if is_past {
                assert!(number > 40, "{number}");
                break;
            }
        }
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

#[async_trait]
impl Pacer for Counting {
    async fn pace(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn every_byte_is_paced() {
    let world = World::new();
    push_all(&world.at("a")).await;
    let pacer = Arc::new(Counting::default());
    let mut options = VerifyOptions::default();
    options.pacer = Some(Arc::clone(&pacer) as Arc<dyn Pacer>);
    let report = Verifier::new(world.registry.clone(), options).run().await.unwrap();
    assert_eq!(pacer.0.load(Ordering::Relaxed), report.sound.bytes);
    assert!(report.sound.bytes > 300);
}
