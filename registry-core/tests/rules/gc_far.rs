//! Collectors over a storage whose deletes may come late, but not later than they were made ready for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use registry_core::gc::{Collector, GcOptions, GcReport};
use registry_core::storage::{Fault, OperationKind};
use registry_core::{Clock, Digest, Registry, Repository, Tag, layout};

use crate::gc::{DAY, digests, hex, readable};
use crate::world::{CONFIG, ManualClock, World, digest_of, image, push_blob, put, sha256};

const HOUR: u64 = 60 * 60;

/// One of several.
fn options() -> GcOptions {
    let mut options = GcOptions::default();
    options.delete_untagged = true;
    options.max_condemned = None;
    options
}

async fn collect(world: &World) -> GcReport {
    Collector::new(world.registry.clone(), options()).run().await.unwrap()
}

fn far() -> World {
    World::far(|builder| builder)
}

/// A blob that nothing needs, old enough to go.
async fn garbage(world: &World) -> Digest {
    let blob = push_blob(&world.at("a"), b"garbage").await;
    for (retired, purged) in [(1, 0), (0, 1)] {
        // Its link goes first, and then what is kept of it.
        world.clock.advance(DAY + 1);
        let report = collect(world).await;
        assert_eq!((report.retired_layers, report.purged_links, report.quarantined.count), (retired, purged, 0));
    }
    blob
}

async fn push_image_of(repository: &Repository, layer: &'static [u8]) {
    push_blob(repository, layer).await;
    push_blob(repository, CONFIG).await;
    put(repository, "v1", &image(&[layer])).await.unwrap();
}

/// Until nothing is left to do for anybody.
async fn collect_all(world: &World) {
    for _ in 0..6 {
        world.clock.advance(DAY + 2 * HOUR + 1);
        collect(world).await;
    }
}

#[tokio::test]
async fn what_was_not_answered_is_purged_when_it_cannot_come_any_more() {
    let world = far();
    push_blob(&world.at("a"), b"garbage").await;
    world.clock.advance(DAY + 1);
    // The link, of which the delete is done and not answered.
    world.storage.fail_next(OperationKind::Delete, Fault::After);
    let report = collect(&world).await;
    assert!(!report.resolved && report.retired_layers == 1, "{report:?}");
    for (seconds, purged) in [(DAY, 0), (HOUR, 0), (HOUR + 1, 1)] {
        world.clock.advance(seconds);
        let report = collect(&world).await;
        assert_eq!((report.purged_links, report.unresolved_runs), (purged, 0), "{seconds} s later");
    }
    collect_all(&world).await;
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
}

#[tokio::test]
async fn a_run_that_is_cut_off_anywhere_leaves_nothing_for_good() {
    for number in 0.. {
        let world = far();
        let a = world.at("a");
        push_image_of(&a, b"kept").await;
        push_blob(&a, b"garbage").await;
        put(&a, &digest_of(&image(&[])).to_string(), &image(&[])).await.unwrap();
        world.clock.advance(DAY + 1);
        collect(&world).await;
        world.clock.advance(DAY + 1);
        let before = world.storage.operations().len();
        world.storage.fail_from(before + number, Fault::After);
        let is_cut = Collector::new(world.registry.clone(), options()).run().await.is_err();
        let was_long = world.storage.operations().len() > before + number;
        world.storage.heal();
        collect_all(&world).await;
        assert!(readable(&a, "v1".parse::<Tag>().unwrap()).await, "cut off at {number}");
        let kept = [sha256(b"kept"), sha256(CONFIG), digest_of(&image(&[b"kept"]))];
        assert_eq!(digests(&world).await, hex(&kept), "cut off at {number}");
        assert_eq!(world.keys(&layout::gc()).await, [""; 0], "cut off at {number}");
        if !is_cut && !was_long {
            assert!(number > 30, "{number}");
            break;
        }
    }
}

/// Stops a run before its delete, for so long that others purge its copy, which somebody needs by then.
#[tokio::test]
async fn a_run_that_sleeps_before_its_delete_deletes_nothing() {
    let world = far();
    let blob = garbage(&world).await;
    world.clock.advance(1);
    let mut gate = world.storage.hold(OperationKind::Delete);
    let asleep = Collector::new(world.registry.clone(), options());
    let asleep = tokio::spawn(async move { asleep.run().await });
    assert!(gate.arrived().await);
    assert_eq!(world.keys(&layout::fossils(&blob)).await.len(), 1, "it stands before the delete of the blob");

    push_image_of(&world.at("b"), b"garbage").await;
    world.clock.advance(DAY + 2 * HOUR + 1);
    collect(&world).await;
    assert_eq!(world.keys(&layout::fossils(&blob)).await, [""; 0], "the copy is gone");
    drop(gate);
    asleep.await.unwrap().unwrap_err();
    assert!(world.at("b").blobs().stat(&blob).await.is_ok());
    assert!(digests(&world).await.contains(&blob.hex()), "it is in its place");
}

#[derive(Debug)]
struct Ahead(Arc<ManualClock>);

impl Clock for Ahead {
    fn now(&self) -> SystemTime {
        self.0.now() + Duration::from_mins(10)
    }
}

#[tokio::test]
async fn a_machine_that_is_ahead_of_the_storage_takes_nothing_away() {
    let world = far();
    let blob = garbage(&world).await;
    let ahead: Arc<dyn Clock> = Arc::new(Ahead(Arc::clone(&world.clock)));
    let registry = Registry::builder(world.storage.clone()).clock(ahead).build();
    world.clock.advance(2 * DAY);
    let report = Collector::new(registry, options()).run().await.unwrap();
    assert_eq!(report.quarantined.count, 0);
    assert_eq!(digests(&world).await, [blob.hex()]);
    assert_eq!(world.keys(&layout::fossils(&blob)).await, [""; 0], "there is no copy without need");
}

#[tokio::test]
async fn a_copy_that_a_slow_run_made_late_has_its_own_time() {
    let world = far();
    let blob = garbage(&world).await;
    let mut gate = world.storage.hold(OperationKind::Copy);
    let slow = Collector::new(world.registry.clone(), options());
    let slow = tokio::spawn(async move { slow.run().await });
    assert!(gate.arrived().await, "the record is written, and the copy is not made");
    world.clock.advance(DAY);
    drop(gate);
    slow.await.unwrap().unwrap_err();
    // The record is old enough, and the copy is not.
    world.clock.advance(2 * HOUR + 1);
    collect(&world).await;
    assert_eq!(world.keys(&layout::fossils(&blob)).await.len(), 2, "that of the slow run, and that of this one");
    world.clock.advance(DAY);
    collect(&world).await;
    assert_eq!(digests(&world).await, [""; 0]);
    collect_all(&world).await;
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
}
