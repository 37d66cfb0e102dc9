//! How many passwords each address may try.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};

use super::{Rates, RequestRate, Requester, TooFast};

/// How many passwords of one address are checked at once. With as many as there are places to wait, one address would
/// keep everybody out.
const AT_ONCE: usize = 8;
/// Fewer addresses than this many are forgotten only when their checks end.
const KEPT: usize = 10_000;

/// The passwords that are being checked, and those that were wrong, of each address.
///
/// Wrong passwords use up a budget. While it is empty, no password of that address is looked at, so that nobody learns
/// by trying on whether one would be right.
pub(crate) struct PasswordChecks<C: Clock = MonotonicClock> {
    wrong: Option<Wrong<C>>,
    clock: C,
    state: Mutex<State<C::Instant>>,
}

struct State<I> {
    addresses: HashMap<Requester, Address<I>>,
    /// At how many addresses those that are of no interest any more are forgotten next.
    next_sweep: usize,
}

struct Wrong<C: Clock> {
    rates: Rates<C>,
    /// How long until one more may come.
    interval: Duration,
}

struct Address<I> {
    running: usize,
    /// No password is looked at before this.
    closed_until: Option<I>,
}

/// Why a password is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unchecked {
    /// Too many were wrong.
    TooFast(TooFast),
    /// Too many are being checked.
    Busy,
}

impl PasswordChecks {
    /// Wrong passwords come at most at this rate; at any without it.
    pub(crate) fn new(wrong: Option<RequestRate>) -> Self {
        Self::with_clock(wrong, MonotonicClock)
    }
}

impl<C: Clock + Clone> PasswordChecks<C> {
    fn with_clock(wrong: Option<RequestRate>, clock: C) -> Self {
        let wrong = wrong.map(|rate| Wrong {
            interval: Duration::from_secs(1) / rate.per_second.get(),
            rates: Rates::with_clock(rate, clock.clone()),
        });
        let state = State { addresses: HashMap::new(), next_sweep: KEPT };
        Self { wrong, clock, state: Mutex::new(state) }
    }

    /// Counts a check until what this gives is dropped.
    pub(crate) fn begin(&self, address: &Requester) -> Result<Running<'_, C>, Unchecked> {
        if !address.is_remote() {
            return Ok(Running { checks: self, address: None });
        }
        let now = self.clock.now();
        let mut state = self.lock();
        state.sweep(now);
        let known = state.addresses.entry(address.clone()).or_insert(Address { running: 0, closed_until: None });
        let wait = known.wait(now);
        if wait > Duration::ZERO {
            return Err(Unchecked::TooFast(TooFast { wait }));
        }
        if known.running >= AT_ONCE {
            return Err(Unchecked::Busy);
        }
        known.running += 1;
        Ok(Running { checks: self, address: Some(address.clone()) })
    }

    fn lock(&self) -> MutexGuard<'_, State<C::Instant>> {
        // Nothing between lock and unlock panics, so there is no half change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Reference> State<I> {
    fn sweep(&mut self, now: I) {
        if self.addresses.len() >= self.next_sweep {
            self.addresses.retain(|_, known| known.running > 0 || known.wait(now) > Duration::ZERO);
            self.next_sweep = (self.addresses.len() * 2).max(KEPT);
        }
    }
}

impl<I: Reference> Address<I> {
    fn wait(&self, now: I) -> Duration {
        self.closed_until.map(|until| until.duration_since(now).into()).unwrap_or_default()
    }
}

/// A password that is being checked.
pub(crate) struct Running<'a, C: Clock + Clone = MonotonicClock> {
    checks: &'a PasswordChecks<C>,
    /// `None` where nothing is counted.
    address: Option<Requester>,
}

impl<C: Clock + Clone> Running<'_, C> {
    /// It was wrong. The last one of the budget closes the door.
    pub(crate) fn was_wrong(&self) {
        let (Some(wrong), Some(address)) = (&self.checks.wrong, &self.address) else { return };
        let wait = match wrong.rates.admit(address) {
            Ok(1..) => return,
            Ok(0) => wrong.interval,
            Err(TooFast { wait }) => wait,
        };
        if let Some(known) = self.checks.lock().addresses.get_mut(address) {
            known.closed_until = Some(self.checks.clock.now() + wait.into());
        }
    }
}

impl<C: Clock + Clone> Drop for Running<'_, C> {
    fn drop(&mut self) {
        let Some(address) = &self.address else { return };
        let now = self.checks.clock.now();
        let mut state = self.checks.lock();
        let Some(known) = state.addresses.get_mut(address) else { return };
        known.running -= 1;
        if known.running == 0 && known.wait(now) == Duration::ZERO {
            state.addresses.remove(address);
        }
    }
}

impl<C: Clock + Clone> fmt::Debug for PasswordChecks<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordChecks").field("addresses", &self.lock().addresses.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn checks(clock: &FakeRelativeClock) -> PasswordChecks<FakeRelativeClock> {
        let rate = RequestRate { per_second: NonZeroU32::new(2).unwrap(), burst: NonZeroU32::new(3).unwrap() };
        PasswordChecks::with_clock(Some(rate), clock.clone())
    }

    fn address(text: &str) -> Requester {
        Requester::Address(text.parse().unwrap())
    }

    /// A wrong password, if it was looked at at all.
    fn wrong(checks: &PasswordChecks<FakeRelativeClock>, address: &Requester) -> Result<(), Unchecked> {
        checks.begin(address).map(|running| running.was_wrong())
    }

    #[test]
    fn wrong_passwords_have_a_budget_and_right_ones_cost_nothing() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        for _ in 0..10 {
            drop(checks.begin(&there).unwrap());
        }
        for _ in 0..3 {
            assert_eq!(wrong(&checks, &there), Ok(()));
        }
        let half = Duration::from_millis(500);
        for _ in 0..3 {
            assert_eq!(checks.begin(&there).map(drop), Err(Unchecked::TooFast(TooFast { wait: half })));
            assert!(wrong(&checks, &address("192.0.2.2")).is_ok(), "another address has a budget of its own");
        }
        clock.advance(half);
        assert_eq!(wrong(&checks, &there), Ok(()));
        assert!(wrong(&checks, &there).is_err(), "one came back, and one was used");
        clock.advance(Duration::from_secs(10));
        assert_eq!(wrong(&checks, &there), Ok(()));
    }

    #[test]
    fn one_address_leaves_places_to_the_others() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        let running: Vec<_> = (0..AT_ONCE).map(|_| checks.begin(&there).unwrap()).collect();
        assert_eq!(checks.begin(&there).map(drop), Err(Unchecked::Busy));
        assert!(checks.begin(&address("192.0.2.2")).is_ok());
        drop(running);
        assert!(checks.begin(&there).is_ok());
        assert!(checks.lock().addresses.is_empty(), "nobody is kept for ever");
    }

    #[test]
    fn this_machine_is_not_counted_as_one() {
        let clock = FakeRelativeClock::default();
        let checks = checks(&clock);
        for requester in [address("127.0.0.1"), address("::1"), Requester::Unknown] {
            let running: Vec<_> = (0..AT_ONCE * 2).map(|_| checks.begin(&requester).unwrap()).collect();
            running.iter().for_each(Running::was_wrong);
        }
    }
}
