//! What came of the runs of the collector, for those who watch the server.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use registry_core::gc::{Amount, GcReport};
use registry_core::retention::RetentionReport;

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

    /// A run failed.
    pub(super) fn failed(&self) {
        self.change(|snapshot| snapshot.runs[Outcome::Failed as usize] += 1);
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
