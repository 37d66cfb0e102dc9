//! What became of notifications, in numbers.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;

use super::spool::Spool;

/// So many different answers of one endpoint are counted apart.
const STATUSES: usize = 32;

/// What became of the notifications of all endpoints. Clones read the same numbers.
#[derive(Debug, Clone)]
pub struct NotificationCounts(Arc<[Counted]>);

#[derive(Debug)]
pub(super) struct Counted {
    pub(super) endpoint: String,
    pub(super) counts: Arc<EndpointCounts>,
    pub(super) spool: Arc<Spool>,
}

/// What became of the notifications of one endpoint since the start of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSnapshot {
    /// The name of the endpoint.
    pub endpoint: String,
    /// Events that were for it.
    pub events: u64,
    /// Attempts that it took well.
    pub successes: u64,
    /// Attempts that it answered with another status than 2xx or 3xx.
    pub failures: u64,
    /// Attempts that it did not answer.
    pub errors: u64,
    /// Events that it does not have yet, also from before the start.
    pub pending: u64,
    /// Events that it never gets, because there was no room for them, or they could not be written or read.
    pub dropped: u64,
    /// How often it answered what, such as `200 OK`.
    pub statuses: BTreeMap<String, u64>,
}

impl Counted {
    fn snapshot(&self) -> EndpointSnapshot {
        let mut snapshot = self.counts.snapshot(&self.endpoint, self.spool.pending());
        snapshot.dropped += self.spool.lost();
        snapshot
    }
}

impl NotificationCounts {
    pub(super) fn new(counted: impl IntoIterator<Item = Counted>) -> Self {
        Self(counted.into_iter().collect())
    }

    /// The numbers now, in the order of the configuration.
    #[must_use]
    pub fn snapshot(&self) -> Vec<EndpointSnapshot> {
        self.0.iter().map(Counted::snapshot).collect()
    }
}

/// The numbers of one endpoint.
#[derive(Debug, Default)]
pub(super) struct EndpointCounts {
    events: AtomicU64,
    successes: AtomicU64,
    failures: AtomicU64,
    errors: AtomicU64,
    dropped: AtomicU64,
    /// Only touched by answers, one at a time.
    statuses: Mutex<BTreeMap<StatusCode, u64>>,
}

impl EndpointCounts {
    /// There is an event for the endpoint.
    pub(super) fn event(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// It never gets one.
    pub(super) fn dropped(&self) {
        self.dropped.fetch_add(1, Ordering::Relaxed);
    }

    /// It did not answer.
    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// It answered.
    pub(super) fn answer(&self, status: StatusCode, is_good: bool) {
        let count = if is_good { &self.successes } else { &self.failures };
        count.fetch_add(1, Ordering::Relaxed);
        let mut statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        if statuses.len() < STATUSES || statuses.contains_key(&status) {
            *statuses.entry(status).or_default() += 1;
        }
    }

    pub(super) fn snapshot(&self, endpoint: &str, pending: u64) -> EndpointSnapshot {
        let statuses = self.statuses.lock().unwrap_or_else(PoisonError::into_inner);
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        EndpointSnapshot {
            endpoint: endpoint.to_owned(),
            events: count(&self.events),
            successes: count(&self.successes),
            failures: count(&self.failures),
            errors: count(&self.errors),
            pending,
            dropped: count(&self.dropped),
            statuses: statuses.iter().map(|(status, count)| (text(*status), *count)).collect(),
        }
    }
}

/// As Go writes it. An unknown number stands alone.
fn text(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(reason) => format!("{} {reason}", status.as_u16()),
        None => status.as_u16().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_apart_up_to_a_bound() {
        let counts = EndpointCounts::default();
        counts.event();
        counts.error();
        counts.dropped();
        counts.answer(StatusCode::OK, true);
        for number in 500..600 {
            counts.answer(StatusCode::from_u16(number).unwrap(), false);
        }
        counts.answer(StatusCode::OK, true);
        let told = counts.snapshot("a", 7);
        assert_eq!((told.events, told.errors, told.dropped, told.pending), (1, 1, 1, 7));
        assert_eq!((told.successes, told.failures, told.statuses.len()), (2, 100, STATUSES));
        assert_eq!((told.statuses["200 OK"], told.statuses["503 Service Unavailable"]), (2, 1));
        assert_eq!(told.statuses["512"], 1);
    }
}
