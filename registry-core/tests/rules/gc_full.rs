//! A collector on a disk that is full to the last block.

use std::time::Duration;

use registry_core::gc::{Collector, GcOptions, GcReport};
use registry_core::storage::{self, Fault, OperationKind};
use registry_core::{Error, layout};

use crate::gc::{collect, digests, eager, hex};
use crate::world::{CONFIG, World, push_blob, push_image};

/// In the reserve.
const PIECES: usize = 3;

fn reserving() -> GcOptions {
    let mut options = eager_now();
    options.reserve_bytes = PIECES * 64 * 1024;
    options
}

fn eager_now() -> GcOptions {
    let mut options = eager();
    options.lease = Duration::ZERO;
    options
}

fn exclusive() -> GcOptions {
    let mut options = eager_now();
    (options.exclusive, options.quarantine) = (true, Duration::ZERO);
    options
}

async fn attempt(world: &World, options: GcOptions) -> Result<GcReport, Error> {
    Collector::new(world.registry.clone(), options).run().await
}

fn is_full(answer: &Result<GcReport, Error>) -> bool {
    matches!(answer, Err(Error::Storage(storage::Error::NoSpace { .. })))
}

/// The next so many operations of these kinds find no room.
fn fill(world: &World, kinds: &[OperationKind], count: usize) {
    for kind in kinds {
        for _ in 0..count {
            world.storage.fail_next(*kind, Fault::NoSpace);
        }
    }
}

/// How many pieces are kept.
async fn reserve(world: &World) -> usize {
    world.keys(&layout::gc()).await.iter().filter(|key| key.contains("/reserve/")).count()
}

#[tokio::test]
async fn the_room_that_a_run_kept_is_that_of_the_next_one() {
    let world = World::new();
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    let mut options = reserving();
    options.dry_run = true;
    collect(&world, options).await;
    assert_eq!(reserve(&world).await, 0);
    push_image(&world.at("a"), "1").await;
    collect(&world, reserving()).await;
    assert_eq!(reserve(&world).await, PIECES);
    for _ in 0..6 {
        world.clock.advance(crate::gc::DAY + 1);
        // The record of the run finds no room, and then what has to be copied.
        fill(&world, &[OperationKind::Write], 1);
        collect(&world, reserving()).await;
        fill(&world, &[OperationKind::Copy], 1);
        collect(&world, reserving()).await;
        world.storage.heal();
        assert_eq!(reserve(&world).await, PIECES, "and is kept again");
    }
    assert!(!digests(&world).await.contains(&lone.hex()));
    collect(&world, eager()).await;
    assert_eq!(reserve(&world).await, 0);
}

#[tokio::test]
async fn without_room_a_run_ends_and_nothing_is_lost() {
    let world = World::new();
    let config = push_blob(&world.at("a"), CONFIG).await;
    push_image(&world.at("a"), "1").await;
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    let before = digests(&world).await;
    // Neither at the beginning nor when there is something to take away.
    fill(&world, &[OperationKind::Write], 2);
    assert!(is_full(&attempt(&world, reserving()).await));
    assert_eq!(digests(&world).await, before);
    assert!(world.at("a").blobs().stat(&lone).await.is_ok() && world.at("a").blobs().stat(&config).await.is_ok());
    collect(&world, reserving()).await;
    assert_eq!(reserve(&world).await, PIECES);
    // All that was kept is too little.
    push_blob(&world.at("a"), b"nobody's either").await;
    world.clock.advance(1);
    fill(&world, &[OperationKind::Write], 2 * (PIECES + 1));
    assert!(is_full(&attempt(&world, reserving()).await));
    assert_eq!(reserve(&world).await, 0, "it was given back for nothing");
    collect(&world, reserving()).await;
    assert_eq!(reserve(&world).await, PIECES);
}

#[tokio::test]
async fn a_run_without_room_purges_what_it_can() {
    let world = World::new();
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    // The link, the copy of the link, the content.
    for _ in 0..3 {
        collect(&world, eager_now()).await;
        world.clock.advance(crate::gc::DAY + 1);
    }
    assert!(!digests(&world).await.contains(&lone.hex()), "it lies in quarantine");
    fill(&world, &[OperationKind::Write, OperationKind::Copy], 100);
    assert_eq!(collect(&world, eager_now()).await.purged.count, 1);
    // With nothing to do, nothing is missing.
    assert!(collect(&world, eager_now()).await.is_idle());
    // One that cannot know that it is alone needs its record.
    let mut options = eager_now();
    options.alone = false;
    assert!(is_full(&attempt(&world, options).await));
}

#[tokio::test]
async fn where_nobody_else_has_the_storage_things_go_without_a_copy() {
    let world = World::new();
    let config = push_blob(&world.at("a"), CONFIG).await;
    let manifest = push_image(&world.at("a"), "1").await;
    for lone in [&b"1"[..], b"2", b"3"] {
        push_blob(&world.at("a"), lone).await;
    }
    fill(&world, &[OperationKind::Write, OperationKind::Copy], 100);
    // The links go, and then the content.
    let first = collect(&world, exclusive()).await;
    assert_eq!((first.retired_layers, first.purged.count), (3, 0));
    let second = collect(&world, exclusive()).await;
    assert_eq!((second.quarantined.count, second.purged.count, second.purged.bytes), (3, 3, 3));
    assert_eq!(digests(&world).await, hex(&[config, manifest]));
    assert!(crate::gc::readable(&world.at("a"), manifest).await);
    world.storage.heal();
    collect(&world, exclusive()).await;
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
}

#[tokio::test]
async fn what_a_run_without_a_record_left_is_gone_through_by_the_next() {
    let world = World::new();
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    // Records find no room, and copies do.
    fill(&world, &[OperationKind::Write], 100);
    for _ in 0..4 {
        collect(&world, exclusive()).await;
    }
    world.storage.heal();
    assert!(!digests(&world).await.contains(&lone.hex()));
    assert_eq!(world.keys(&layout::gc()).await, [""; 0]);
}
