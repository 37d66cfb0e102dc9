//! Which tags rules let go, and what is noted of pulls.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use registry_core::retention::{ExpiredTag, Retention, RetentionObserver, RetentionReport, RetentionRule};
use registry_core::storage::{Fault, OperationKind};
use registry_core::{EventAction, PullTimes, Reference, Repository, TagRule, TagRules, layout};

use crate::gc::{DAY, collect_all, readable};
use crate::world::{CONFIG, World, image, push_blob, push_image, put};

const HOUR: u64 = 60 * 60;

fn rule(repositories: &str, tags: &str) -> RetentionRule {
    RetentionRule::new(TagRule::new(vec![repositories.parse().unwrap()], vec![tags.parse().unwrap()]))
}

fn newest(count: usize) -> RetentionRule {
    let mut rule = rule("ci/**", "*");
    rule.keep_newest = Some(count);
    rule
}

fn pulled_within(days: u64) -> RetentionRule {
    let mut rule = rule("ci/**", "*");
    rule.keep_pulled_within = Some(Duration::from_secs(days * DAY));
    rule
}

async fn enforce(world: &World, rules: &[RetentionRule]) -> RetentionReport {
    Retention::new(world.registry.clone(), rules.to_vec()).enforce(true).run().await.unwrap()
}

async fn tags(repository: &Repository) -> Vec<String> {
    let page = repository.tags().list(None, 100).await.unwrap();
    page.tags.iter().map(ToString::to_string).collect()
}

/// Pushes an image of its own for each tag, an hour after the one before.
async fn push_all(world: &World, name: &str, tags: &[&'static str]) -> Repository {
    let repository = world.at(name);
    push_blob(&repository, CONFIG).await;
    for tag in tags {
        world.clock.advance(HOUR);
        push_blob(&repository, tag.as_bytes()).await;
        put(&repository, tag, &image(&[tag.as_bytes()])).await.unwrap();
    }
    repository
}

fn noting() -> (World, Arc<PullTimes>) {
    let pulls = Arc::new(PullTimes::default());
    (World::with(|builder| builder.events(pulls.clone())), pulls)
}

#[derive(Debug, Default)]
struct Gone(Mutex<Vec<String>>);

impl RetentionObserver for Gone {
    fn expired(&self, tag: &ExpiredTag) {
        self.0.lock().unwrap().push(format!("{}:{}@{}", tag.repository, tag.tag, tag.digest));
    }
}

#[tokio::test]
async fn tags_go_where_rules_are_enforced_and_their_manifests_with_the_collector() {
    let world = World::new();
    let repository = push_all(&world, "ci/app", &["1", "2", "3"]).await;
    let other = push_all(&world, "other", &["1", "2", "3"]).await;
    let first = repository.tags().resolve(&"1".parse().unwrap()).await.unwrap().unwrap();
    let before = world.keys(&layout::root()).await;
    world.journal.take();

    let gone = Arc::new(Gone::default());
    let dry = Retention::new(world.registry.clone(), vec![newest(1)]).observed_by(gone.clone()).run().await.unwrap();
    assert_eq!((dry.dry_run, dry.repositories, dry.tags, dry.expired), (true, 1, 3, 2));
    assert_eq!(world.keys(&layout::root()).await, before);
    assert_eq!(gone.0.lock().unwrap().len(), 2);
    assert_eq!(gone.0.lock().unwrap()[0], format!("ci/app:1@{first}"));

    let done = enforce(&world, &[newest(1)]).await;
    assert_eq!((done.dry_run, done.expired, done.moved, done.protected), (false, 2, 0, 0));
    assert_eq!((tags(&repository).await, tags(&other).await.len()), (vec!["3".to_owned()], 3));
    let told = world.journal.take();
    let deleted = |tag: &str| {
        let is_of = |tag: &str| told.iter().any(|event| event.tag.as_ref().is_some_and(|of| of.as_str() == tag));
        is_of(tag) && told.iter().all(|event| event.action == EventAction::Delete)
    };
    assert!(deleted("1") && deleted("2"), "{told:?}");
    assert!(readable(&repository, first).await, "and can be tagged again");
    assert_eq!(enforce(&world, &[newest(1)]).await.expired, 0);
    collect_all(&world).await;
    assert!(!readable(&repository, first).await);
}

#[tokio::test]
async fn a_tag_that_is_pushed_again_is_new() {
    let world = World::new();
    let repository = push_all(&world, "ci/app", &["1", "2", "3"]).await;
    world.clock.advance(HOUR);
    put(&repository, "1", &image(&[b"1"])).await.unwrap();
    enforce(&world, &[newest(1)]).await;
    assert_eq!(tags(&repository).await, ["1"]);
}

#[tokio::test]
async fn a_push_that_comes_between_the_look_and_the_delete_stays() {
    let world = World::new();
    let repository = push_all(&world, "ci/app", &["1"]).await;
    let retention = Retention::new(world.registry.clone(), vec![newest(0)]).enforce(true);
    // The first looks are those at the tags; the next one is that right before the delete.
    let begun = world.storage.operations().len();
    Retention::new(world.registry.clone(), vec![newest(0)]).run().await.unwrap();
    let looks = |from: usize| {
        let operations = world.storage.operations().split_off(from);
        operations.iter().filter(|operation| operation.kind == OperationKind::Stat).count()
    };
    let mut run = Box::pin(retention.run());
    for _ in 0..looks(begun) {
        let mut gate = world.storage.hold(OperationKind::Stat);
        tokio::select! {
            arrived = gate.arrived() => assert!(arrived),
            _ = &mut run => panic!("there are more looks"),
        }
        gate.open();
    }
    let mut gate = world.storage.hold(OperationKind::Stat);
    tokio::select! {
        arrived = gate.arrived() => assert!(arrived),
        _ = &mut run => panic!("nothing goes without another look"),
    }
    world.clock.advance(HOUR);
    let tag = "1".parse().unwrap();
    let digest = repository.tags().resolve(&tag).await.unwrap().unwrap();
    world.write(&layout::tag_current(repository.name(), &tag), layout::link(&digest)).await;
    gate.open();
    let report = run.await.unwrap();
    assert_eq!((report.expired, report.moved), (0, 1));
    assert_eq!(tags(&repository).await, ["1"]);
}

#[tokio::test]
async fn protected_tags_stay_and_dead_ones_are_not_counted() {
    let mut rules = TagRules::default();
    rules.protected = vec![TagRule::new(vec!["**".parse().unwrap()], vec!["v*".parse().unwrap()])];
    let world = World::with(|builder| builder.tag_rules(rules));
    let repository = push_all(&world, "ci/app", &["v1", "2", "3"]).await;
    let dangling = layout::tag_current(repository.name(), &"dangling".parse().unwrap());
    world.clock.advance(HOUR);
    world.write(&dangling, layout::link(&registry_core::Digest::of(registry_core::Algorithm::Sha256, b"x"))).await;
    let report = enforce(&world, &[newest(1)]).await;
    assert_eq!((report.tags, report.expired, report.protected), (3, 1, 1));
    assert_eq!(tags(&repository).await, ["3", "v1"]);
}

#[tokio::test]
async fn what_is_pulled_stays() {
    let (world, pulls) = noting();
    let repository = push_all(&world, "ci/app", &["1", "2", "3"]).await;
    pulls.write(&world.registry).await.unwrap();
    let digest = repository.tags().resolve(&"2".parse().unwrap()).await.unwrap().unwrap();
    let pull = async |reference: Reference| drop(repository.manifests().get(&reference).await.unwrap());
    for day in 0..10 {
        world.clock.advance(DAY - HOUR);
        if day == 5 {
            pull("1".parse().unwrap()).await;
        }
        if day == 7 {
            pull(digest.into()).await;
        }
        pulls.write(&world.registry).await.unwrap();
    }
    let report = enforce(&world, &[pulled_within(20)]).await;
    assert_eq!((report.expired, report.pulls_unknown), (0, false), "nothing is noted for so long");
    enforce(&world, &[pulled_within(6)]).await;
    assert_eq!(tags(&repository).await, ["1", "2"]);
    enforce(&world, &[pulled_within(3)]).await;
    assert_eq!(tags(&repository).await, ["2"]);
    enforce(&world, &[pulled_within(1)]).await;
    let notes = world.keys(&layout::root().child("_pulled").unwrap()).await;
    assert_eq!(notes.len(), 4, "since, until, and two manifests without a tag: {notes:?}");
    // What is taken out of the repository is forgotten, what is taken away by a collector is when it is purged.
    repository.manifests().delete(&digest.into()).await.unwrap();
    assert_eq!(PullTimes::forget_gone(&world.registry).await.unwrap(), 1);
    assert_eq!(world.keys(&layout::root().child("_pulled").unwrap()).await.len(), 3);
    assert_eq!(PullTimes::forget_gone(&world.registry).await.unwrap(), 0);
    // Should it come back within the hour, its pull is noted anew.
    push_image(&repository, "2").await;
    pull("2".parse().unwrap()).await;
    pulls.write(&world.registry).await.unwrap();
    assert_eq!(world.keys(&layout::root().child("_pulled").unwrap()).await.len(), 4);
}

#[tokio::test]
async fn as_long_as_pulls_are_not_noted_they_keep_everything() {
    let (mut world, pulls) = noting();
    let repository = push_all(&world, "ci/app", &["1"]).await;
    world.clock.advance(100 * DAY);
    let report = enforce(&world, &[pulled_within(1)]).await;
    assert_eq!((report.expired, report.pulls_unknown), (0, true));
    // It begins now.
    pulls.write(&world.registry).await.unwrap();
    assert_eq!(enforce(&world, &[pulled_within(1)]).await.expired, 0);
    // Another process goes on with it if it comes soon, and begins anew if it does not.
    world.restart();
    world.clock.advance(20 * HOUR);
    PullTimes::default().write(&world.registry).await.unwrap();
    world.clock.advance(23 * HOUR);
    let old = Retention::new(world.registry.clone(), vec![pulled_within(1)]).run().await.unwrap();
    assert_eq!((old.expired, old.pulls_unknown), (1, false));
    world.clock.advance(2 * HOUR);
    assert!(enforce(&world, &[pulled_within(1)]).await.pulls_unknown, "nobody has noted for a day");
    PullTimes::default().write(&world.registry).await.unwrap();
    let report = enforce(&world, &[pulled_within(1)]).await;
    assert_eq!((report.expired, report.pulls_unknown), (0, false));
    assert_eq!(tags(&repository).await, ["1"]);
}

#[tokio::test]
async fn one_note_in_an_hour_is_enough_and_none_is_lost_by_a_failure() {
    let (world, pulls) = noting();
    let repository = world.at("ci/app");
    push_image(&repository, "1").await;
    let pull = async || drop(repository.manifests().get(&"1".parse().unwrap()).await.unwrap());
    let write = async || pulls.write(&world.registry).await;
    pull().await;
    pull().await;
    assert_eq!(write().await.unwrap(), 1);
    pull().await;
    assert_eq!(write().await.unwrap(), 0);
    world.clock.advance(HOUR);
    pull().await;
    write().await.unwrap();
    world.clock.advance(HOUR);
    pull().await;
    // The first write tells that pulls are noted.
    world.clock.advance(HOUR / 2);
    let begun = world.storage.operations().len();
    world.storage.fail_at(begun + 1, Fault::Before);
    write().await.unwrap_err();
    assert_eq!(write().await.unwrap(), 1, "what was not written is written the next time");
}
