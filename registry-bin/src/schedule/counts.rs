//! What came of the runs of the collector, for those who watch the server.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use registry_core::gc::{Amount, GcReport};
use registry_core::retention::RetentionReport;
use registry_http::{CollectionEnd, CollectionRun, Reclaimable, RunUnderWay};

/// What came of the runs so far.
#[derive(Debug, Default)]
pub struct CollectionCounts(Mutex<Snapshot>);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what there was to do.
    Ok,
    /// It took nothing away, because it would have been too much.
    Braked,
    /// The storage failed.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Ok, Self::Braked, Self::Failed];

    /// The word for it in the numbers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Braked => "braked",
            Self::Failed => "failed",
        }
    }
}

/// What came of the runs up to some moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Snapshot {
    runs: [u64; Outcome::ALL.len()],
    /// When the last run that ended well did so.
    pub last_success: Option<SystemTime>,
    /// How long the last run took.
    pub last_took: Option<Duration>,
    /// What was taken away by all runs together.
    pub quarantined: Amount,
    /// What was purged by all runs together.
    pub purged: Amount,
    /// What lies in quarantine since the last run.
    pub in_quarantine: Option<Amount>,
    /// How much the last run did not understand.
    pub skipped: u64,
    /// The run that is under way.
    pub under_way: Option<RunUnderWay>,
    /// How the last one ended, be it a dry one.
    pub last_run: Option<CollectionRun>,
    /// What the last dry run found, if none took anything since.
    pub reclaimable: Option<Reclaimable>,
    /// How many tags rules let go.
    pub expired_tags: u64,
    /// How many tags the last dry run of the rules would have let go.
    pub tags_to_expire: u64,
}

impl Snapshot {
    /// How many runs ended so.
    #[must_use]
    pub fn runs(&self, outcome: Outcome) -> u64 {
        self.runs[outcome as usize]
    }

    fn is_over(&mut self, dry_run: bool, end: CollectionEnd, now: SystemTime) {
        self.under_way = None;
        self.last_run = Some(CollectionRun { dry_run, ended: now, end });
    }
}

fn end(report: &GcReport, dry_run: bool) -> CollectionEnd {
    let (taken, freed) = (report.quarantined, report.purged);
    match report.braked {
        Some(brake) => CollectionEnd::Braked { blobs: brake.condemned, of: brake.blobs },
        // What is imagined is done to its end.
        None if dry_run => CollectionEnd::Looked { blobs: freed.count, bytes: freed.bytes },
        None => CollectionEnd::Collected {
            links: report.retired_manifests + report.retired_layers,
            blobs: taken.count,
            bytes: taken.bytes,
            freed_bytes: freed.bytes,
        },
    }
}

impl CollectionCounts {
    /// Up to now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes that somebody asks for a run, unless one is under way already; tells whether it is noted.
    pub(super) fn begin(&self, dry_run: bool, now: SystemTime) -> bool {
        let mut snapshot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_free = snapshot.under_way.is_none();
        if is_free {
            snapshot.under_way = Some(RunUnderWay { dry_run, begun: now });
        }
        is_free
    }

    /// There will be no such run.
    pub(super) fn give_up(&self) {
        self.change(|snapshot| snapshot.under_way = None);
    }

    /// A run begins.
    pub(super) fn start(&self, dry_run: bool, now: SystemTime) {
        self.change(|snapshot| snapshot.under_way = Some(RunUnderWay { dry_run, begun: now }));
    }

    /// A run failed.
    pub(super) fn failed(&self, dry_run: bool, now: SystemTime) {
        self.change(|snapshot| {
            snapshot.runs[Outcome::Failed as usize] += 1;
            snapshot.is_over(dry_run, CollectionEnd::Failed, now);
        });
    }

    /// There was no run, for a reason that is in the log.
    pub(super) fn skipped(&self, dry_run: bool, now: SystemTime) {
        self.change(|snapshot| snapshot.is_over(dry_run, CollectionEnd::Failed, now));
    }

    /// There was no run, as others collect.
    pub(super) fn left_to_others(&self, dry_run: bool, now: SystemTime) {
        self.change(|snapshot| snapshot.is_over(dry_run, CollectionEnd::Elsewhere, now));
    }

    /// A dry run came to its end at `now`.
    pub(super) fn looked(&self, report: &GcReport, now: SystemTime) {
        let Amount { count: blobs, bytes } = report.purged;
        self.change(|snapshot| {
            snapshot.reclaimable = Some(Reclaimable { seen: now, blobs, bytes });
            snapshot.is_over(true, end(report, true), now);
        });
    }

    /// Rules looked at the tags.
    pub(super) fn retained(&self, report: &RetentionReport) {
        self.change(|snapshot| {
            if report.dry_run {
                snapshot.tags_to_expire = report.expired;
            } else {
                snapshot.expired_tags += report.expired;
            }
        });
    }

    /// A run came to its end at `now`.
    pub(super) fn ended(&self, report: &GcReport, in_quarantine: Option<Amount>, now: SystemTime) {
        self.change(|snapshot| {
            let outcome = if report.braked.is_some() { Outcome::Braked } else { Outcome::Ok };
            snapshot.runs[outcome as usize] += 1;
            if outcome == Outcome::Ok {
                snapshot.last_success = Some(now);
            }
            snapshot.last_took = Some(report.took);
            snapshot.reclaimable = snapshot.reclaimable.filter(|_| outcome == Outcome::Braked);
            snapshot.is_over(false, end(report, false), now);
            for (total, more) in
                [(&mut snapshot.quarantined, report.quarantined), (&mut snapshot.purged, report.purged)]
            {
                total.count += more.count;
                total.bytes += more.bytes;
            }
            snapshot.in_quarantine = in_quarantine.or(snapshot.in_quarantine);
            snapshot.skipped = report.skipped_total;
        });
    }
}
