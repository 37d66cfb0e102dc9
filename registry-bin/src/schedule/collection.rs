//! What nothing needs, while the server serves.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use futures::stream::TryStreamExt as _;
use registry_core::gc::{Amount, Collector, GcReport, Quarantine};
use registry_core::{Clock, Error, Registry};
use registry_storage::filesystem::{CollectingLock, Filesystem, LockError};
use tokio::time::{Instant, MissedTickBehavior};

use super::{CollectionCounts, FIRST, retention};
use crate::config::{GarbageCollection, RetentionConfig};
use crate::pace::Pace;

/// Takes away what nothing needs: soon after the start, and then once per interval.
#[derive(Debug)]
pub struct Collection {
    /// What is collected.
    pub registry: Registry,
    /// How.
    pub settings: GarbageCollection,
    /// Which tags stay.
    pub retention: RetentionConfig,
    /// Who else may collect it.
    pub reach: Reach,
    /// Is told what came of it.
    pub counts: Arc<CollectionCounts>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

/// Who else may collect the same content.
#[derive(Debug, Clone)]
pub enum Reach {
    /// Whoever comes to the folder first, for as long as their process lives.
    Folder(Filesystem, Claim),
    /// Nobody: it is in the memory of this process.
    Process,
    /// Anybody.
    Shared,
}

/// The claim for collecting a folder. It is taken when the first run begins, and must outlive all that a run began.
pub type Claim = Arc<OnceLock<CollectingLock>>;

/// Room on the disk that a run keeps for the next one.
const RESERVE_BYTES: usize = 1024 * 1024;
/// How much of what is left alone is named.
const NAMED: usize = 10;
/// How far the clock may be off from what has passed.
const JUMP: Duration = Duration::from_hours(1);

impl Collection {
    /// Collects by the clock. Never ends; dropping it drops the run that is under way, as a crash would.
    pub async fn run(self) {
        let interval = self.settings.interval;
        let mut ticks = tokio::time::interval_at(Instant::now() + interval.min(FIRST), interval);
        // After a long run, or when the machine slept, one run is enough.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut watch = Watch::start(&*self.clock);
        loop {
            ticks.tick().await;
            match watch.jumped(&*self.clock) {
                // What is old by a clock that jumped may be young.
                Some(by) => {
                    let by = humantime::format_duration(Duration::from_secs(by.as_secs()));
                    tracing::warn!(%by, "the clock of the machine jumped; no garbage is collected this time");
                }
                None => self.run_once().await,
            }
        }
    }

    async fn run_once(&self) {
        if !self.is_claimed().await {
            return;
        }
        let mut options = self.settings.options();
        options.alone = !matches!(self.reach, Reach::Shared);
        options.only_process = options.alone;
        if matches!(self.reach, Reach::Folder(..)) {
            options.reserve_bytes = RESERVE_BYTES;
        }
        let registry = self.registry();
        let collected = async {
            retention::retain(&registry, &self.rules(), &self.counts).await?;
            Collector::new(registry.clone(), options).run().await
        };
        match collected.await {
            Ok(report) => {
                let in_quarantine = self.in_quarantine().await;
                self.counts.ended(&report, in_quarantine, self.clock.now());
                tell(&report);
            }
            Err(error) => {
                self.counts.failed();
                tracing::error!(error = &error as &dyn std::error::Error, "garbage cannot be collected");
            }
        }
    }

    /// The rules. Where servers elsewhere may be moving tags, they only tell.
    fn rules(&self) -> RetentionConfig {
        let mut rules = self.retention.clone();
        if rules.enforce && matches!(self.reach, Reach::Shared) {
            tracing::warn!("rules of retention delete nothing in a bucket: another server may be moving the tags");
            rules.enforce = false;
        }
        rules
    }

    /// What is collected, no faster than is said.
    fn registry(&self) -> Registry {
        match self.settings.rate {
            Some(rate) => self.registry.paced(Arc::new(Pace::new(rate))),
            None => self.registry.clone(),
        }
    }

    /// Whether this process may collect. Whoever else does so goes on doing it.
    async fn is_claimed(&self) -> bool {
        let Reach::Folder(folder, claim) = &self.reach else { return true };
        if claim.get().is_some() {
            return true;
        }
        let (folder, claim) = (folder.clone(), Arc::clone(claim));
        let claimed = self.registry.blocking().run(move || folder.lock_for_collecting()).await;
        match claimed {
            // Nobody else sets it.
            Ok(Ok(lock)) => claim.set(lock).is_ok(),
            Ok(Err(held @ LockError::Held { .. })) => {
                tracing::info!("no garbage is collected this time: {held}");
                false
            }
            Ok(Err(error)) => {
                self.counts.failed();
                tracing::error!(error = &error as &dyn std::error::Error, "garbage cannot be collected");
                false
            }
            // The program is ending.
            Err(_) => false,
        }
    }

    async fn in_quarantine(&self) -> Option<Amount> {
        let content = self.registry.quarantined().try_fold(Amount::default(), |mut amount, item| async move {
            if item.place == Quarantine::Content {
                amount.count += 1;
                amount.bytes += item.bytes;
            }
            Ok::<_, Error>(amount)
        });
        match content.await {
            Ok(amount) => Some(amount),
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the quarantine cannot be counted");
                None
            }
        }
    }
}

/// One line for each run, and one for each thing that somebody has to look at.
fn tell(report: &GcReport) {
    tracing::info!(
        run = %report.run,
        seconds = report.took.as_secs_f64(),
        repositories = report.repositories,
        manifests = report.manifests,
        blobs = report.blobs,
        untagged_manifests = report.retired_manifests,
        layer_links = report.retired_layers,
        dead_tags = report.dead_tags,
        quarantined_blobs = report.quarantined.count,
        quarantined_bytes = report.quarantined.bytes,
        purged_blobs = report.purged.count,
        purged_bytes = report.purged.bytes,
        restored = report.restored + report.restored_links,
        "garbage was collected"
    );
    if let Some(brake) = report.braked {
        tracing::warn!(
            condemned = brake.condemned,
            blobs = brake.blobs,
            percent = brake.max_percent,
            "so much would have gone that nothing was taken away; look with registry garbage-collect --dry-run, and let \
             it go with --force"
        );
    }
    for skipped in report.skipped.iter().take(NAMED) {
        tracing::warn!(place = skipped.place, reason = skipped.reason, "the collector leaves something alone");
    }
    if report.skipped_total > NAMED as u64 {
        tracing::warn!(count = report.skipped_total, "the collector leaves more alone than is named here");
    }
    if report.unresolved_runs > 0 {
        tracing::warn!(
            runs = report.unresolved_runs,
            "of some runs it is not known whether they are over; what they took away stays"
        );
    }
}

/// Compares the clock of the machine with the time that passes.
#[derive(Debug)]
struct Watch {
    wall: SystemTime,
    passed: Instant,
}

impl Watch {
    fn start(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), passed: Instant::now() }
    }

    /// By how much the clock jumped since the last look, if that is too much.
    fn jumped(&mut self, clock: &dyn Clock) -> Option<Duration> {
        let now = Self::start(clock);
        let expected = self.wall + now.passed.duration_since(self.passed);
        let off = now.wall.duration_since(expected).unwrap_or_else(|behind| behind.duration());
        *self = now;
        Some(off).filter(|off| *off > JUMP)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use registry_core::retention::RetentionRule;
    use registry_core::storage::{Fault, Faulty, Memory, OperationKind, Storage};
    use registry_core::{Algorithm, Digest, TagRule};
    use registry_storage::filesystem::Builder;

    use super::*;
    use crate::schedule::{Outcome, Snapshot};

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
            let settings = GarbageCollection { interval: Duration::from_hours(2), ..GarbageCollection::default() };
            let counts = Arc::default();
            let (reach, retention) = (Reach::Process, RetentionConfig::default());
            let clock_of = Arc::clone(&clock) as _;
            let collection = Collection { registry, settings, retention, reach, counts, clock: clock_of };
            Self { clock, storage, collection }
        }

        fn begin(self) -> (tokio::task::JoinHandle<()>, Arc<CollectionCounts>, Arc<Following>) {
            let counts = Arc::clone(&self.collection.counts);
            (tokio::spawn(self.collection.run()), counts, self.clock)
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
        world.collection.run_once().await;
        assert_eq!(world.collection.counts.snapshot().tags_to_expire, 1);
        assert_eq!(repository.tags().list(None, 9).await.unwrap().tags.len(), 1);
        world.collection.reach = Reach::Process;
        world.collection.run_once().await;
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

    #[tokio::test]
    async fn one_process_collects_a_folder_until_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Builder::open(Filesystem::builder(folder.path())).unwrap();
        let collection = |claim: &Claim| {
            let storage = open();
            let reach = Reach::Folder(storage.clone(), Arc::clone(claim));
            let registry = Registry::builder(Arc::new(storage) as Arc<dyn Storage>).build();
            Collection { registry, reach, ..World::new().collection }
        };
        let (first, second) = (Claim::default(), Claim::default());
        let (one, other) = (collection(&first), collection(&second));
        one.run_once().await;
        other.run_once().await;
        let runs = |collection: &Collection| collection.counts.snapshot().runs(Outcome::Ok);
        assert_eq!((runs(&one), runs(&other)), (1, 0));
        // The run is over and gone, and the claim stays.
        drop(one);
        other.run_once().await;
        assert_eq!(runs(&other), 0);
        drop(first);
        other.run_once().await;
        assert_eq!(runs(&other), 1);
    }
}
