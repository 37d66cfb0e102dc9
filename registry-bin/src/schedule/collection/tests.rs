use std::sync::Mutex;
use std::time::SystemTime;

use bytes::Bytes;
use registry_core::retention::RetentionRule;
use registry_core::storage::{Fault, Faulty, Memory, OperationKind, Storage};
use registry_core::{Algorithm, Digest, TagRule};
use registry_storage::filesystem::Builder;

use registry_http::{Collect as _, CollectionEnd};
use registry_storage::filesystem::Filesystem;

use super::*;
use crate::schedule::{Claim, Outcome, Snapshot, Wishing, wishes};

/// Follows the time of the runtime, and can be set.
#[derive(Debug)]
struct Following {
    begun: Instant,
    ahead: Mutex<Duration>,
}

impl Clock for Following {
    fn now(&self) -> SystemTime {
        let passed = self.begun.elapsed() + *self.ahead.lock().unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + passed
    }
}

struct World {
    clock: Arc<Following>,
    storage: Arc<Faulty>,
    collection: Collection,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Following { begun: Instant::now(), ahead: Mutex::default() });
        let memory = Memory::with_clock(Arc::clone(&clock) as _);
        let storage = Arc::new(Faulty::new(Arc::new(memory)));
        let registry = Registry::builder(Arc::clone(&storage) as _).clock(Arc::clone(&clock) as _).build();
        let interval = Duration::from_hours(2);
        let settings = GarbageCollection { enabled: true, interval, ..GarbageCollection::default() };
        let counts = Arc::default();
        let (reach, retention) = (Reach::Process, RetentionConfig::default());
        let clock_of = Arc::clone(&clock) as _;
        let tag_rules = TagRules::default();
        let collection = Collection { registry, settings, tag_rules, retention, reach, counts, clock: clock_of };
        Self { clock, storage, collection }
    }

    fn begin(self) -> (tokio::task::JoinHandle<()>, Arc<CollectionCounts>, Arc<Following>) {
        let (running, _, counts, clock) = self.begin_asked();
        (running, counts, clock)
    }

    fn begin_asked(self) -> (tokio::task::JoinHandle<()>, Wishing, Arc<CollectionCounts>, Arc<Following>) {
        let counts = Arc::clone(&self.collection.counts);
        let (wishing, wishes) = wishes(Arc::clone(&counts), Arc::clone(&self.clock) as _);
        (tokio::spawn(self.collection.run(wishes)), wishing, counts, self.clock)
    }
}

async fn push(registry: &Registry, bytes: &'static [u8]) {
    let content = futures::stream::iter([Ok(Bytes::from_static(bytes))]);
    let repository = registry.repository(&"a/b".parse().unwrap());
    repository.uploads().push(&Digest::of(Algorithm::Sha256, bytes), Box::pin(content)).await.unwrap();
}

async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

#[tokio::test(start_paused = true)]
async fn soon_after_the_start_and_then_once_per_interval() {
    let (running, counts, _) = World::new().begin();
    pass(Duration::from_secs(59)).await;
    assert_eq!(counts.snapshot(), Snapshot::default());
    pass(Duration::from_secs(2)).await;
    assert_eq!(counts.snapshot().runs(Outcome::Ok), 1);
    pass(Duration::from_hours(6)).await;
    assert_eq!(counts.snapshot().runs(Outcome::Ok), 4);
    assert!(counts.snapshot().last_success.is_some());
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn what_nothing_needs_goes_in_its_time() {
    let world = World::new();
    push(&world.collection.registry, b"some bytes").await;
    let (running, counts, _) = world.begin();
    // The link goes after the lease, the content after the quarantine of the link, and is purged after its own.
    pass(Duration::from_hours(25 + 26)).await;
    let snapshot = counts.snapshot();
    let some = Amount { count: 1, bytes: 10 };
    assert_eq!((snapshot.quarantined, snapshot.in_quarantine), (some, Some(some)), "{snapshot:?}");
    pass(Duration::from_hours(26)).await;
    let snapshot = counts.snapshot();
    assert_eq!((snapshot.purged, snapshot.in_quarantine), (some, Some(Amount::default())), "{snapshot:?}");
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_makes_nothing_old() {
    let world = World::new();
    push(&world.collection.registry, b"some bytes").await;
    let (running, counts, clock) = world.begin();
    pass(Duration::from_hours(3)).await;
    let runs = counts.snapshot().runs(Outcome::Ok);
    *clock.ahead.lock().unwrap() = Duration::from_hours(24 * 400);
    pass(Duration::from_hours(2)).await;
    assert_eq!(counts.snapshot().runs(Outcome::Ok), runs, "this one is left out");
    pass(Duration::from_hours(2)).await;
    assert_eq!(counts.snapshot().runs(Outcome::Ok), runs + 1);
    running.abort();
}

#[tokio::test]
async fn rules_let_tags_go_only_where_nobody_else_moves_them() {
    let mut world = World::new();
    let about = TagRule::new(vec!["**".parse().unwrap()], vec!["*".parse().unwrap()]);
    world.collection.retention = RetentionConfig { enforce: true, rules: vec![RetentionRule::new(about)] };
    world.collection.reach = Reach::Shared;
    let repository = world.collection.registry.repository(&"a/b".parse().unwrap());
    let index = Bytes::from_static(
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    );
    repository.manifests().put(&"1".parse().unwrap(), None, index, &[]).await.unwrap();
    world.collection.run_once(false).await;
    assert_eq!(world.collection.counts.snapshot().tags_to_expire, 1);
    assert_eq!(repository.tags().list(None, 9).await.unwrap().tags.len(), 1);
    world.collection.reach = Reach::Process;
    world.collection.run_once(false).await;
    assert_eq!(world.collection.counts.snapshot().expired_tags, 1);
    assert!(repository.tags().list(None, 9).await.unwrap().tags.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_fails_is_counted_and_the_next_one_tries_again() {
    let world = World::new();
    world.storage.fail_next(OperationKind::List, Fault::Before);
    let (running, counts, _) = world.begin();
    pass(Duration::from_hours(3)).await;
    let snapshot = counts.snapshot();
    assert_eq!((snapshot.runs(Outcome::Failed), snapshot.runs(Outcome::Ok)), (1, 1));
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_gets_a_look_or_a_run() {
    let mut world = World::new();
    world.collection.settings.enabled = false;
    push(&world.collection.registry, b"some bytes").await;
    let registry = world.collection.registry.clone();
    let (running, wishing, counts, _) = world.begin_asked();
    pass(Duration::from_hours(24 * 3)).await;
    assert_eq!(counts.snapshot(), Snapshot::default(), "nobody asked, and it is not enabled");
    assert!(wishing.begin(true, None));
    assert!(!wishing.begin(false, None), "one is enough");
    assert!(counts.snapshot().under_way.is_some_and(|run| run.dry_run));
    pass(Duration::from_secs(1)).await;
    // A look takes no link, without which the content would be needed by nothing.
    let (snapshot, left) = (counts.snapshot(), registry.repository(&"a/b".parse().unwrap()));
    assert_eq!((snapshot.under_way, snapshot.runs(Outcome::Ok)), (None, 0));
    let found = snapshot.reclaimable.unwrap();
    assert_eq!((found.blobs, found.bytes), (1, 10));
    assert!(snapshot.last_run.is_some_and(|run| run.dry_run));
    left.blobs().stat(&Digest::of(Algorithm::Sha256, b"some bytes")).await.unwrap();
    assert!(wishing.begin(false, Some("ann")));
    pass(Duration::from_secs(1)).await;
    let snapshot = counts.snapshot();
    assert_eq!(snapshot.runs(Outcome::Ok), 1);
    assert_eq!(snapshot.reclaimable, None, "what was seen is seen no more");
    assert!(matches!(snapshot.last_run.unwrap().end, CollectionEnd::Collected { links: 1, .. }));
    running.abort();
    while !running.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(!wishing.begin(true, None), "nobody hears it");
    assert_eq!(counts.snapshot().under_way, None);
}

#[tokio::test]
async fn who_collects_only_when_asked_leaves_it_to_others_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let collection = |enabled| {
        let storage = Builder::open(Filesystem::builder(folder.path())).unwrap();
        let reach = Reach::Folder(storage.clone(), Claim::default());
        let registry = Registry::builder(Arc::new(storage) as Arc<dyn Storage>).build();
        let mut collection = Collection { registry, reach, ..World::new().collection };
        collection.settings.enabled = enabled;
        collection
    };
    let (asked, by_the_clock) = (collection(false), collection(true));
    let end = |collection: &Collection| collection.counts.snapshot().last_run.unwrap().end;
    asked.run_once(false).await;
    by_the_clock.run_once(false).await;
    asked.run_once(false).await;
    let done = CollectionEnd::Collected { links: 0, blobs: 0, bytes: 0, freed_bytes: 0 };
    assert_eq!((end(&by_the_clock), end(&asked)), (done, CollectionEnd::Elsewhere));
}

#[tokio::test]
async fn one_process_collects_a_folder_until_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Builder::open(Filesystem::builder(folder.path())).unwrap();
    let collection = |claim: &Claim| {
        let storage = open();
        let reach = Reach::Folder(storage.clone(), claim.clone());
        let registry = Registry::builder(Arc::new(storage) as Arc<dyn Storage>).build();
        Collection { registry, reach, ..World::new().collection }
    };
    let (first, second) = (Claim::default(), Claim::default());
    let (one, other) = (collection(&first), collection(&second));
    one.run_once(false).await;
    other.run_once(false).await;
    let runs = |collection: &Collection| collection.counts.snapshot().runs(Outcome::Ok);
    assert_eq!((runs(&one), runs(&other)), (1, 0));
    // The run is over and gone, and the claim stays.
    drop(one);
    other.run_once(false).await;
    assert_eq!(runs(&other), 0);
    drop(first);
    other.run_once(false).await;
    assert_eq!(runs(&other), 1);
}
