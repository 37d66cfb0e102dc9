//! How many requests come in a time.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::Requester;

/// How many requests one principal, or one address without a login, may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    /// How many in a second, in the long run.
    pub per_second: NonZeroU32,
    /// How many at once, after a rest.
    pub burst: NonZeroU32,
}

impl RequestRate {
    /// How many wrong passwords come from an address before it has to wait: a hundred at once, then five a second. That
    /// is more than people and programs need, and a hundredth of what somebody who tries passwords would like.
    pub const WRONG_PASSWORDS: Self =
        Self { per_second: NonZeroU32::new(5).unwrap(), burst: NonZeroU32::new(100).unwrap() };

    /// How many TLS handshakes one address may begin: a thousand at once, then a hundred a second. A handshake costs some
    /// tenths of a millisecond of a processor.
    pub const HANDSHAKES: Self =
        Self { per_second: NonZeroU32::new(100).unwrap(), burst: NonZeroU32::new(1000).unwrap() };
}

/// Fewer requests than this many are forgotten never; above it those who have rested are.
const KEPT: usize = 10_000;

/// The requests of each requester.
pub(crate) struct Rates<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Requester, DashMapStateStore<Requester>, C, NoOpMiddleware<C::Instant>>,
    clock: C,
    /// At how many requesters those who have rested are forgotten next.
    next_sweep: AtomicUsize,
}

/// A request came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooFast {
    /// How long until the next may come.
    pub(crate) wait: Duration,
}

impl Rates {
    pub(crate) fn new(rate: RequestRate) -> Self {
        Self::with_clock(rate, MonotonicClock)
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(rate: RequestRate, clock: C) -> Self {
        let quota = Quota::per_second(rate.per_second).allow_burst(rate.burst);
        let limiter = RateLimiter::new(quota, DashMapStateStore::default(), clock.clone());
        Self { limiter, clock, next_sweep: AtomicUsize::new(KEPT) }
    }

    /// Counts a request.
    pub(crate) fn admit(&self, requester: &Requester) -> Result<(), TooFast> {
        self.sweep();
        let now = self.clock.now();
        let admitted = self.limiter.check_key(requester);
        admitted.map_err(|refused| TooFast { wait: refused.earliest_possible().duration_since(now).into() })
    }

    /// Forgets those who have rested, when there are twice as many as were left the last time.
    fn sweep(&self) {
        let count = self.limiter.len();
        let due = self.next_sweep.load(Ordering::Relaxed);
        if count >= due
            && self.next_sweep.compare_exchange(due, usize::MAX, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.limiter.retain_recent();
            self.next_sweep.store((self.limiter.len() * 2).max(KEPT), Ordering::Relaxed);
        }
    }
}

impl<C: Clock> fmt::Debug for Rates<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rates").field("requesters", &self.limiter.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;

    fn rates(clock: &FakeRelativeClock) -> Rates<FakeRelativeClock> {
        let rate = RequestRate { per_second: NonZeroU32::new(2).unwrap(), burst: NonZeroU32::new(3).unwrap() };
        Rates::with_clock(rate, clock.clone())
    }

    fn named(name: impl std::fmt::Display) -> Requester {
        Requester::Named(name.to_string().into())
    }

    #[test]
    fn a_burst_and_then_the_rate() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        for _ in 0..3 {
            assert_eq!(rates.admit(&named("ann")), Ok(()));
        }
        assert_eq!(rates.admit(&named("ann")), Err(TooFast { wait: Duration::from_millis(500) }));
        assert_eq!(rates.admit(&named("bob")), Ok(()));
        clock.advance(Duration::from_millis(500));
        assert_eq!(rates.admit(&named("ann")), Ok(()));
        assert!(rates.admit(&named("ann")).is_err());
    }

    #[test]
    fn who_has_rested_is_forgotten_when_there_are_many() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        for number in 0..KEPT {
            rates.admit(&named(number)).unwrap();
        }
        assert_eq!(rates.limiter.len(), KEPT);
        clock.advance(Duration::from_mins(1));
        rates.admit(&named("ann")).unwrap();
        assert_eq!(rates.limiter.len(), 1);
    }
}
