//! A collector on a disk that is full to the last block.

use registry_core::gc::{Collector, GcOptions, GcReport};
use registry_core::storage::{self, Fault, OperationKind};
use registry_core::{Error, layout};

use crate::gc::{collect, digests, eager, hex};
use crate::world::{CONFIG, World, push_blob, push_image};

fn reserving() -> GcOptions {
    let mut options = eager();
    (options.lease, options.reserve_bytes) = (std::time::Duration::ZERO, 1000);
    options
}

fn exclusive() -> GcOptions {
    let mut options = eager();
    options.exclusive = true;
    (options.lease, options.quarantine) = (std::time::Duration::ZERO, std::time::Duration::ZERO);
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

async fn reserve(world: &World) -> Option<u64> {
    let keys = world.keys(&layout::gc()).await;
    let key = keys.iter().find(|key| key.ends_with("/reserve"))?;
    let found = storage::Storage::stat(&*world.storage, &key.parse().unwrap()).await.unwrap();
    found.map(|found| found.size)
}

#[tokio::test]
async fn the_room_that_a_run_kept_is_that_of_the_next_one() {
    let world = World::new();
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    let mut options = reserving();
    options.dry_run = true;
    collect(&world, options).await;
    assert_eq!(reserve(&world).await, None);
    push_image(&world.at("a"), "1").await;
    collect(&world, reserving()).await;
    assert_eq!(reserve(&world).await, Some(1000));
    for _ in 0..6 {
        world.clock.advance(crate::gc::DAY + 1);
        // The record of the run finds no room, and then what has to be copied.
        fill(&world, &[OperationKind::Write], 1);
        collect(&world, reserving()).await;
        fill(&world, &[OperationKind::Copy], 1);
        collect(&world, reserving()).await;
        world.storage.heal();
        assert_eq!(reserve(&world).await, Some(1000), "and is kept again");
    }
    assert!(!digests(&world).await.contains(&lone.hex()));
    // Less is kept where less is asked for.
    let mut less = reserving();
    less.reserve_bytes = 10;
    collect(&world, less).await;
    assert_eq!(reserve(&world).await, Some(10));
    collect(&world, eager()).await;
    assert_eq!(reserve(&world).await, None);
}

#[tokio::test]
async fn without_room_a_run_ends_and_nothing_is_lost() {
    let world = World::new();
    let config = push_blob(&world.at("a"), CONFIG).await;
    push_image(&world.at("a"), "1").await;
    let lone = push_blob(&world.at("a"), b"nobody's").await;
    let before = digests(&world).await;
    fill(&world, &[OperationKind::Write], 1);
    assert!(is_full(&attempt(&world, reserving()).await));
    assert_eq!(digests(&world).await, before);
    collect(&world, reserving()).await;
    assert!(world.at("a").blobs().stat(&lone).await.is_ok() && world.at("a").blobs().stat(&config).await.is_ok());
    // Too little.
    fill(&world, &[OperationKind::Write], 2);
    assert!(is_full(&attempt(&world, reserving()).await));
    assert_eq!(reserve(&world).await, None, "it was given back for nothing");
    collect(&world, reserving()).await;
    assert_eq!(reserve(&world).await, Some(1000));
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
