//! The rules of the registry, over a storage in memory.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod blobs;
mod catalog;
mod events;
mod gc;
mod gc_damage;
mod gc_far;
mod gc_full;
mod looks;
mod manifests;
mod model;
mod quarantine;
mod referrers;
mod retention;
mod tag_rules;
mod tags;
mod transfer;
mod uploads;
mod verify;
mod world;
