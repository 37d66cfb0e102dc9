//! What is kept of the last day: a few numbers for each minute.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use registry_core::Registry;

use super::latency::Latencies;

/// How many minutes are kept: a day. They take a quarter of a megabyte.
const KEPT: usize = 24 * 60;

/// What requests of the API did during the last day. Clones are handles to the same.
#[derive(Clone)]
pub(crate) struct Traffic(Arc<Inner>);

struct Inner {
    /// Whose clock tells the time.
    registry: Registry,
    begun: SystemTime,
    minutes: Mutex<Minutes>,
}

/// The last minutes, without a gap; the newest comes last.
#[derive(Debug, Default)]
struct Minutes {
    kept: VecDeque<Span>,
    /// The number of the newest, from the epoch on.
    newest: u64,
}

/// What happened in some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    /// Requests that got what they asked for, or were led elsewhere.
    pub(super) answered: u64,
    /// Requests whose client was told that it is at fault, or left before there was an answer.
    pub(super) refused: u64,
    /// Requests that this server could not answer.
    pub(super) failed: u64,
    /// Content of requests, in bytes as they came.
    pub(super) received: u64,
    /// Content of answers, in bytes as they were taken.
    pub(super) sent: u64,
    /// How long it took until answers began, to requests without content: others begin when their content has come, which
    /// says more of their clients.
    pub(super) latencies: Latencies,
}

impl Span {
    pub(super) fn requests(&self) -> u64 {
        self.answered + self.refused + self.failed
    }

    pub(super) fn add(&mut self, more: &Self) {
        self.answered += more.answered;
        self.refused += more.refused;
        self.failed += more.failed;
        self.received += more.received;
        self.sent += more.sent;
        self.latencies.add_all(&more.latencies);
    }
}

impl Minutes {
    /// The minute that is now. A clock that was set back does not bring an earlier one back.
    fn at(&mut self, now: SystemTime) -> &mut Span {
        let number = minute(now);
        let missing = if self.kept.is_empty() { 1 } else { number.saturating_sub(self.newest) };
        if missing > 0 {
            self.newest = number;
            let missing = usize::try_from(missing).unwrap_or(KEPT).min(KEPT);
            let surplus = (self.kept.len() + missing).saturating_sub(KEPT);
            self.kept.drain(..surplus);
            self.kept.extend(std::iter::repeat_n(Span::default(), missing));
        }
        let last = self.kept.len() - 1;
        &mut self.kept[last]
    }

    /// How many minutes the newest is behind the begin of its span of so many minutes.
    fn since_full(&self, minutes: usize) -> usize {
        usize::try_from(self.newest % minutes as u64).unwrap_or_default()
    }
}

/// The number of a minute, from the epoch on.
fn minute(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

impl Traffic {
    /// Nothing has happened yet.
    pub(crate) fn new(registry: Registry) -> Self {
        let begun = registry.clock().now();
        Self(Arc::new(Inner { registry, begun, minutes: Mutex::default() }))
    }

    /// A request begins.
    pub(crate) fn begin(&self, method: &Method) -> Noticed {
        let has_content = matches!(method.as_str(), "PUT" | "POST" | "PATCH");
        let begun = (!has_content).then(|| self.0.registry.clock().now());
        Noticed { traffic: self.clone(), begun, is_answered: false }
    }

    /// Since when anything is noticed.
    pub(super) fn begun(&self) -> SystemTime {
        self.0.begun
    }

    /// The last `count` spans of so many minutes each, the oldest first, and when the first begins. The last may go on.
    pub(super) fn last(&self, count: usize, minutes: usize) -> (SystemTime, Vec<Span>) {
        let now = self.0.registry.clock().now();
        let mut kept = self.minutes();
        kept.at(now);
        // Spans begin at full times, so that they stay the same from one look to the next.
        let before = (count - 1) * minutes + kept.since_full(minutes);
        let first = kept.newest.saturating_sub(before as u64);
        let whole = before + 1;
        let mut spans = vec![Span::default(); count];
        let missing = whole.saturating_sub(kept.kept.len());
        for (at, minute) in kept.kept.iter().skip(kept.kept.len().saturating_sub(whole)).enumerate() {
            spans[(missing + at) / minutes].add(minute);
        }
        (SystemTime::UNIX_EPOCH + Duration::from_secs(first * 60), spans)
    }

    fn change(&self, now: SystemTime, change: impl FnOnce(&mut Span)) {
        change(self.minutes().at(now));
    }

    fn change_now(&self, change: impl FnOnce(&mut Span)) {
        self.change(self.0.registry.clock().now(), change);
    }

    fn minutes(&self) -> MutexGuard<'_, Minutes> {
        self.0.minutes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Traffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Traffic")
    }
}

/// A request under way. It counts when its answer begins, or when it is dropped without one.
#[derive(Debug)]
pub(crate) struct Noticed {
    traffic: Traffic,
    /// When it began, if its latency counts.
    begun: Option<SystemTime>,
    is_answered: bool,
}

impl Noticed {
    /// Is to be told of the bytes of the content as they come.
    pub(crate) fn receiving(&self) -> impl Fn(u64) + Send + use<> {
        let traffic = self.traffic.clone();
        move |bytes| traffic.change_now(|span| span.received += bytes)
    }

    /// The answer begins.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.is_answered = true;
        let now = self.traffic.0.registry.clock().now();
        // A clock that was set back meanwhile makes it nothing.
        let took = self.begun.map(|begun| now.duration_since(begun).unwrap_or_default());
        self.traffic.change(now, |span| {
            let count = if status.is_server_error() {
                &mut span.failed
            } else if status.is_client_error() {
                &mut span.refused
            } else {
                &mut span.answered
            };
            *count += 1;
            if let Some(took) = took {
                span.latencies.add(took);
            }
        });
    }

    /// Further bytes of the answer were taken.
    pub(crate) fn sent(&self, bytes: u64) {
        self.traffic.change_now(|span| span.sent += bytes);
    }
}

impl Drop for Noticed {
    fn drop(&mut self) {
        if !self.is_answered {
            self.traffic.change_now(|span| span.refused += 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use registry_core::Clock;
    use registry_core::storage::Memory;

    use super::*;

    /// A clock to set.
    #[derive(Debug)]
    struct Set(Mutex<SystemTime>);

    impl Clock for Set {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    const MINUTE: Duration = Duration::from_mins(1);

    fn traffic() -> (Traffic, Arc<Set>, SystemTime) {
        // Seven minutes past a full quarter of an hour.
        let begun = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + 7 * MINUTE;
        let clock = Arc::new(Set(Mutex::new(begun)));
        let registry = Registry::builder(Arc::new(Memory::new())).clock(Arc::clone(&clock) as _).build();
        (Traffic::new(registry), clock, begun)
    }

    fn answer(traffic: &Traffic, status: u16) {
        traffic.begin(&Method::GET).answered(StatusCode::from_u16(status).unwrap());
    }

    #[test]
    fn requests_count_by_what_became_of_them() {
        let (traffic, clock, begun) = traffic();
        for status in [200, 304, 307, 404, 429, 503] {
            answer(&traffic, status);
        }
        drop(traffic.begin(&Method::GET));
        let mut slow = traffic.begin(&Method::HEAD);
        let receiving = traffic.begin(&Method::PATCH).receiving();
        *clock.0.lock().unwrap() = begun + Duration::from_millis(50);
        slow.answered(StatusCode::OK);
        slow.sent(70);
        receiving(50);
        let (_, spans) = traffic.last(1, 1);
        let span = spans[0];
        assert_eq!((span.answered, span.refused, span.failed, span.requests()), (4, 4, 1, 9));
        assert_eq!((span.received, span.sent), (50, 70));
        assert!(span.latencies.percentile(100).unwrap() >= Duration::from_millis(50));
        assert!(span.latencies.percentile(50).unwrap() < Duration::from_millis(1));
    }

    #[test]
    fn minutes_are_put_together_by_full_times() {
        let (traffic, clock, begun) = traffic();
        for minutes in 0..20 {
            *clock.0.lock().unwrap() = begun + minutes * MINUTE;
            answer(&traffic, 200);
        }
        let counts = |count, minutes| {
            let (first, spans) = traffic.last(count, minutes);
            (first, spans.iter().map(Span::requests).collect::<Vec<_>>())
        };
        // From :07 to :26, so two quarters and some minutes.
        assert_eq!(counts(4, 15), (begun - 37 * MINUTE, vec![0, 0, 8, 12]));
        assert_eq!(counts(2, 5), (begun + 13 * MINUTE, vec![5, 2]));
        assert_eq!(counts(3, 1), (begun + 17 * MINUTE, vec![1, 1, 1]));
        *clock.0.lock().unwrap() = begun + 22 * MINUTE;
        assert_eq!(counts(3, 1).1, [0, 0, 0], "nothing happened since");
        assert_eq!(traffic.begun(), begun);
    }

    #[test]
    fn what_is_older_than_a_day_is_forgotten() {
        let (traffic, clock, begun) = traffic();
        let sum = || traffic.last(96, 15).1.iter().map(Span::requests).sum::<u64>();
        answer(&traffic, 200);
        *clock.0.lock().unwrap() = begun + Duration::from_hours(23);
        answer(&traffic, 200);
        assert_eq!(sum(), 2);
        *clock.0.lock().unwrap() = begun + Duration::from_hours(24);
        assert_eq!(sum(), 1);
        assert_eq!(traffic.minutes().kept.len(), KEPT);
        // A clock that jumps far leaves nothing, and one that is set back keeps what there is.
        *clock.0.lock().unwrap() = begun + Duration::from_hours(24 * 365 * 100);
        assert_eq!(sum(), 0);
        answer(&traffic, 200);
        *clock.0.lock().unwrap() = begun;
        answer(&traffic, 200);
        assert_eq!((sum(), traffic.minutes().kept.len()), (2, KEPT));
    }
}
