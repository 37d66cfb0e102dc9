//! What a run did, or would do.

use std::time::Duration;

use serde::Serialize;

use super::RunId;
use crate::{Digest, RepositoryName, Tag};

/// What a run of the collector did, or with a dry run would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct GcReport {
    /// The run.
    pub run: RunId,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// How long it took, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
    /// How many repositories there are.
    pub repositories: u64,
    /// How many manifests there are, each counted once.
    pub manifests: u64,
    /// How many links make something a member of a repository.
    pub links: u64,
    /// How many contents are needed, manifests among them.
    pub marked: u64,
    /// How many contents there are, those of manifests among them.
    pub blobs: u64,
    /// Links of manifests that were taken away.
    pub retired_manifests: u64,
    /// Links of blobs that were taken away.
    pub retired_layers: u64,
    /// Tags of manifests that are gone.
    pub dead_tags: u64,
    /// Contents that were taken away, to be purged after the quarantine.
    pub quarantined: Amount,
    /// Contents of earlier runs that were purged: so many bytes became free.
    pub purged: Amount,
    /// Links of earlier runs that were purged.
    pub purged_links: u64,
    /// Contents that earlier runs had taken away, and that were brought back because they are needed.
    pub restored: u64,
    /// Links that earlier runs had taken away, and that were brought back.
    pub restored_links: u64,
    /// Directories of repositories that are gone.
    pub removed_repositories: u64,
    /// Why the run took nothing away, if it would have taken too much.
    pub braked: Option<Brake>,
    /// Whether nothing that the run deleted can still be deleted later. Only then will what it took away be purged.
    pub resolved: bool,
    /// Earlier runs of which it is not known whether their deletes are done; what they took away stays.
    pub unresolved_runs: u64,
    /// What could not be understood, and was therefore left alone; a thousand at most.
    pub skipped: Vec<Skipped>,
    /// How much was left alone.
    pub skipped_total: u64,
}

/// So many things of so many bytes together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Amount {
    /// How many.
    pub count: u64,
    /// How many bytes they have together.
    pub bytes: u64,
}

impl Amount {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.count += 1;
        self.bytes += bytes;
    }
}

/// More would have gone than one run may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Brake {
    /// How many contents would have gone.
    pub condemned: u64,
    /// How many there are.
    pub blobs: u64,
    /// How many percent may go.
    pub max_percent: u8,
}

/// So few may always go, however large their share.
const ALWAYS: u64 = 100;

impl Brake {
    /// Whether `condemned` of `blobs` are too much where `max_percent` may go. Too much at once is more likely a mistake
    /// than garbage: a folder that was not mounted, a clock that jumped. A hundred may always go.
    #[must_use]
    pub fn on(condemned: u64, blobs: u64, max_percent: u8) -> Option<Self> {
        let is_too_much =
            condemned > ALWAYS && u128::from(condemned) * 100 > u128::from(blobs) * u128::from(max_percent);
        is_too_much.then_some(Self { condemned, blobs, max_percent })
    }
}

/// Something that was left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Where it lies.
    pub place: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

/// How many of them are listed.
const LISTED: usize = 1_000;

impl GcReport {
    pub(super) fn new(run: RunId, dry_run: bool) -> Self {
        Self {
            run,
            dry_run,
            took: Duration::ZERO,
            repositories: 0,
            manifests: 0,
            links: 0,
            marked: 0,
            blobs: 0,
            retired_manifests: 0,
            retired_layers: 0,
            dead_tags: 0,
            quarantined: Amount::default(),
            purged: Amount::default(),
            purged_links: 0,
            restored: 0,
            restored_links: 0,
            removed_repositories: 0,
            braked: None,
            resolved: true,
            unresolved_runs: 0,
            skipped: Vec::new(),
            skipped_total: 0,
        }
    }

    /// Whether the run changed anything, or with a dry run would.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let changes = [
            self.retired_manifests,
            self.retired_layers,
            self.dead_tags,
            self.quarantined.count,
            self.purged.count,
            self.purged_links,
            self.restored,
            self.restored_links,
            self.removed_repositories,
        ];
        changes.iter().all(|count| *count == 0)
    }

    /// Takes in what a run did that came after this one: what was done is added up, and what there is afterwards is as the
    /// later one tells it. How much there was of everything stays as it is here.
    pub fn absorb(&mut self, later: Self) {
        for (total, more) in [
            (&mut self.retired_manifests, later.retired_manifests),
            (&mut self.retired_layers, later.retired_layers),
            (&mut self.dead_tags, later.dead_tags),
            (&mut self.purged_links, later.purged_links),
            (&mut self.restored, later.restored),
            (&mut self.restored_links, later.restored_links),
            (&mut self.removed_repositories, later.removed_repositories),
        ] {
            *total += more;
        }
        for (total, more) in [(&mut self.quarantined, later.quarantined), (&mut self.purged, later.purged)] {
            total.count += more.count;
            total.bytes += more.bytes;
        }
        self.run = later.run;
        self.took += later.took;
        self.marked = later.marked;
        self.braked = later.braked;
        self.resolved &= later.resolved;
        self.unresolved_runs = later.unresolved_runs;
        self.skipped = later.skipped;
        self.skipped_total = later.skipped_total;
    }

    pub(super) fn skip(&mut self, place: &impl ToString, reason: &'static str) {
        self.skipped_total += 1;
        let place = place.to_string();
        // Whoever runs the collector tells it from the report; a run that follows would say the same once more.
        tracing::debug!(%place, reason, "the collector leaves something alone");
        if self.skipped.len() < LISTED {
            self.skipped.push(Skipped { place, reason });
        }
    }
}

pub(crate) fn as_seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Is told what a run finds while it is at work.
pub trait GcObserver: std::fmt::Debug + Send + Sync + 'static {
    /// Something was found.
    fn found(&self, found: &Found<'_>);
}

/// What a run finds.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Found<'a> {
    /// It begins to look through a repository.
    Repository(&'a RepositoryName),
    /// A manifest that is kept.
    Manifest(&'a RepositoryName, &'a Digest),
    /// Content that a manifest which is kept needs. It is told once, of the repository that comes first.
    Blob(&'a RepositoryName, &'a Digest),
    /// A manifest that is to go, and all tags of its repository.
    GarbageManifest(&'a RepositoryName, &'a Digest, &'a [Tag]),
    /// A link of a blob that is to go.
    GarbageLayer(&'a RepositoryName, &'a Digest),
    /// A tag that is to go, because its manifest is gone.
    GarbageTag(&'a RepositoryName, &'a Tag),
    /// Everything was looked through.
    Marked(&'a GcReport),
    /// Content that is to go, and how many bytes it has.
    GarbageBlob(&'a Digest, u64),
}
