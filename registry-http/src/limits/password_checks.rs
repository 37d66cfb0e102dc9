//! How many passwords each address may try.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock, Reference};
use registry_auth::Credentials;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{RequestRate, Requester, TooFast};

/// How many passwords of one address are checked at once. With as many as there are places to wait, one address would
/// keep everybody out.
const AT_ONCE: usize = 8;
/// How many more of one address may wait for that.
const WAITING: usize = 64;
/// How many logins of one address are known to be its own.
const ACCEPTED: usize = 64;
/// An address that nothing came from for so long is forgotten.
const FORGOTTEN: Duration = Duration::from_mins(10);
/// Fewer addresses than this many are never forgotten.
const KEPT: usize = 10_000;
/// An address that is kept out is told of once in this time.
const TOLD_AGAIN: Duration = Duration::from_mins(1);

/// The passwords that are being checked, and those that were wrong, of each address.
///
/// Wrong passwords use up a budget. While it is empty no password of that address is looked at, but those that were good
/// from there before, so that nobody learns by trying on whether another one would be right.
pub(crate) struct PasswordChecks<C: Clock = MonotonicClock> {
    /// `None` for as many wrong ones as come.
    wrong: Option<RequestRate>,
    clock: C,
    hasher: RandomState,
    state: Mutex<State<C::Instant>>,
}

struct State<I> {
    addresses: HashMap<Requester, Address<I>>,
    /// At how many addresses those that have rested are forgotten next.
    next_sweep: usize,
}

struct Address<I> {
    /// How many wrong passwords may come at this time, which is `counted_at`.
    left: f64,
    counted_at: I,
    /// The checks that are running or wait, and how many requests each is for.
    running: HashMap<Mark, usize>,
    places: Arc<Semaphore>,
    /// The logins that were good from here, the latest last.
    accepted: Vec<Mark>,
    told_at: Option<I>,
}

/// What stands for credentials. Two could have one by chance, which helps nobody who does not know the key.
type Mark = u64;

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
        let state = State { addresses: HashMap::new(), next_sweep: KEPT };
        Self { wrong, clock, hasher: RandomState::new(), state: Mutex::new(state) }
    }

    /// Whether these credentials, which are known to be good, may be so from this address.
    pub(crate) fn admit_known(&self, address: &Requester, credentials: &Credentials) -> Result<(), TooFast> {
        let Some(mark) = self.mark(address, credentials) else { return Ok(()) };
        let mut state = self.lock();
        let now = self.clock.now();
        let known = state.of(address, now, self.wrong);
        if !known.accepted.contains(&mark) {
            self.refill(known, now)?;
            known.accept(mark);
        }
        Ok(())
    }

    /// Begins a check, when there is a place for it. It counts as wrong until it is said to have been something else.
    pub(crate) async fn begin(
        &self,
        address: &Requester,
        credentials: &Credentials,
    ) -> Result<Running<'_, C>, Unchecked> {
        let Some(mark) = self.mark(address, credentials) else {
            return Ok(Running { checks: self, counted: None, place: None });
        };
        let (counted, places) = self.take(address, mark)?;
        let mut running = Running { checks: self, counted: Some(counted), place: None };
        // It is never closed.
        running.place = places.acquire_owned().await.ok();
        Ok(running)
    }

    /// Takes part of the budget, and a place among those that wait. One and the same password needs them only once.
    fn take(&self, address: &Requester, mark: Mark) -> Result<(Counted, Arc<Semaphore>), Unchecked> {
        let mut state = self.lock();
        let now = self.clock.now();
        let known = state.of(address, now, self.wrong);
        let is_first = !known.running.contains_key(&mark);
        if is_first {
            self.refill(known, now).map_err(Unchecked::TooFast)?;
            if known.running.len() >= AT_ONCE + WAITING {
                return Err(Unchecked::Busy);
            }
            known.left -= 1.0;
        }
        *known.running.entry(mark).or_default() += 1;
        // Those who wait for the check of others need no place.
        let places = if is_first { Arc::clone(&known.places) } else { Arc::new(Semaphore::new(1)) };
        Ok((Counted { address: address.clone(), mark, has_paid: is_first }, places))
    }

    /// Brings the budget of an address up to now; fails while it is empty.
    fn refill(&self, known: &mut Address<C::Instant>, now: C::Instant) -> Result<(), TooFast> {
        let Some(rate) = self.wrong else {
            known.left = 1.0;
            return Ok(());
        };
        let per_second = f64::from(rate.per_second.get());
        let passed: Duration = now.duration_since(known.counted_at).into();
        known.left = (known.left + passed.as_secs_f64() * per_second).min(f64::from(rate.burst.get()));
        known.counted_at = now;
        if known.left >= 1.0 {
            return Ok(());
        }
        Err(TooFast { wait: Duration::from_secs_f64((1.0 - known.left) / per_second) })
    }

    /// Whether it is to be told that an address is kept out.
    pub(crate) fn is_worth_telling(&self, address: &Requester) -> bool {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(known) = state.addresses.get_mut(address) else { return false };
        let since = known.told_at.map(|told_at| Duration::from(now.duration_since(told_at)));
        let is_due = since.is_none_or(|since| since >= TOLD_AGAIN);
        if is_due {
            known.told_at = Some(now);
        }
        is_due
    }

    /// `None` where nothing is counted.
    fn mark(&self, address: &Requester, credentials: &Credentials) -> Option<Mark> {
        match credentials {
            Credentials::Basic { user, password } if address.is_remote() => {
                Some(self.hasher.hash_one((user, password.expose())))
            }
            _ => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<C::Instant>> {
        // Nothing between lock and unlock panics, so there is no half change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I: Reference> State<I> {
    fn of(&mut self, address: &Requester, now: I, wrong: Option<RequestRate>) -> &mut Address<I> {
        if self.addresses.len() >= self.next_sweep {
            self.addresses.retain(|_, known| !known.has_rested(now));
            self.next_sweep = (self.addresses.len() * 2).max(KEPT);
        }
        self.addresses.entry(address.clone()).or_insert_with(|| Address {
            left: wrong.map_or(1.0, |rate| f64::from(rate.burst.get())),
            counted_at: now,
            running: HashMap::new(),
            places: Arc::new(Semaphore::new(AT_ONCE)),
            accepted: Vec::new(),
            told_at: None,
        })
    }
}

impl<I: Reference> Address<I> {
    /// Its budget is full again by then, unless it comes very slowly.
    fn has_rested(&self, now: I) -> bool {
        self.running.is_empty() && Duration::from(now.duration_since(self.counted_at)) >= FORGOTTEN
    }

    fn accept(&mut self, mark: Mark) {
        self.accepted.retain(|known| *known != mark);
        if self.accepted.len() >= ACCEPTED {
            self.accepted.remove(0);
        }
        self.accepted.push(mark);
    }
}

/// A password that is being checked, or waits for that.
pub(crate) struct Running<'a, C: Clock + Clone = MonotonicClock> {
    checks: &'a PasswordChecks<C>,
    /// `None` where nothing is counted.
    counted: Option<Counted>,
    /// Free again when this is dropped.
    place: Option<OwnedSemaphorePermit>,
}

struct Counted {
    address: Requester,
    mark: Mark,
    /// Whether it took part of the budget.
    has_paid: bool,
}

impl<C: Clock + Clone> Running<'_, C> {
    /// It was right.
    pub(crate) fn was_right(&mut self) {
        self.give_back();
        let Some(counted) = &self.counted else { return };
        if let Some(known) = self.checks.lock().addresses.get_mut(&counted.address) {
            known.accept(counted.mark);
        }
    }

    /// Nobody knows what it was, and whoever sent it learnt nothing.
    pub(crate) fn give_back(&mut self) {
        let Some(counted) = &mut self.counted else { return };
        if std::mem::take(&mut counted.has_paid)
            && let Some(known) = self.checks.lock().addresses.get_mut(&counted.address)
        {
            known.left += 1.0;
        }
    }
}

impl<C: Clock + Clone> Drop for Running<'_, C> {
    fn drop(&mut self) {
        drop(self.place.take());
        let Some(counted) = &self.counted else { return };
        let mut state = self.checks.lock();
        let Some(known) = state.addresses.get_mut(&counted.address) else { return };
        if let Some(requests) = known.running.get_mut(&counted.mark) {
            *requests -= 1;
            if *requests == 0 {
                known.running.remove(&counted.mark);
            }
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

    use base64::Engine as _;
    use futures::FutureExt as _;
    use governor::clock::FakeRelativeClock;

    use super::*;

    type Checks = PasswordChecks<FakeRelativeClock>;

    fn checks(clock: &FakeRelativeClock) -> Checks {
        let rate = RequestRate { per_second: NonZeroU32::new(2).unwrap(), burst: NonZeroU32::new(3).unwrap() };
        PasswordChecks::with_clock(Some(rate), clock.clone())
    }

    fn address(text: &str) -> Requester {
        Requester::Address(text.parse().unwrap())
    }

    fn password(password: impl fmt::Display) -> Credentials {
        let text = base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}"));
        Credentials::parse(&format!("Basic {text}")).unwrap()
    }

    /// A check that begins at once.
    fn begin<'a>(
        checks: &'a Checks,
        address: &Requester,
        credentials: &Credentials,
    ) -> Result<Running<'a, FakeRelativeClock>, Unchecked> {
        checks.begin(address, credentials).now_or_never().expect("a place")
    }

    /// A wrong password, if it was looked at at all.
    fn wrong(checks: &Checks, address: &Requester) -> Result<(), Unchecked> {
        begin(checks, address, &password("wrong")).map(drop)
    }

    #[test]
    fn wrong_passwords_have_a_budget_and_right_ones_cost_nothing() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        for _ in 0..10 {
            begin(&checks, &there, &password("right")).unwrap().was_right();
            begin(&checks, &there, &password("busy")).unwrap().give_back();
        }
        for _ in 0..3 {
            assert_eq!(wrong(&checks, &there), Ok(()));
        }
        let half = Duration::from_millis(500);
        for _ in 0..3 {
            assert_eq!(wrong(&checks, &there), Err(Unchecked::TooFast(TooFast { wait: half })));
        }
        assert!(wrong(&checks, &address("192.0.2.2")).is_ok(), "another address has a budget of its own");
        clock.advance(half);
        assert_eq!(wrong(&checks, &there), Ok(()));
        assert!(wrong(&checks, &there).is_err(), "one came back, and one was used");
        clock.advance(Duration::from_secs(10));
        assert_eq!(wrong(&checks, &there), Ok(()));
    }

    #[test]
    fn many_at_once_have_no_more_than_one_after_the_other() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        let running: Vec<_> = (0..9).map(|number| begin(&checks, &there, &password(number))).collect();
        assert_eq!(running.iter().filter(|running| running.is_ok()).count(), 3);
    }

    /// While an address is kept out it learns nothing of the passwords of others, also if those are known already.
    #[test]
    fn what_is_known_from_elsewhere_is_not_known_from_here() {
        let clock = FakeRelativeClock::default();
        let (checks, here, there) = (checks(&clock), address("192.0.2.1"), address("192.0.2.2"));
        checks.admit_known(&here, &password("hers")).unwrap();
        for attacked in [&here, &there] {
            while wrong(&checks, attacked).is_ok() {}
        }
        assert!(checks.admit_known(&there, &password("hers")).is_err());
        checks.admit_known(&here, &password("hers")).unwrap();
        begin(&checks, &address("192.0.2.3"), &password("his")).unwrap().was_right();
        assert!(checks.admit_known(&here, &password("his")).is_err());
        clock.advance(Duration::from_secs(1));
        checks.admit_known(&there, &password("hers")).unwrap();
    }

    #[test]
    fn one_and_the_same_password_takes_one_place() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        let same: Vec<_> = (0..100).map(|_| begin(&checks, &there, &password("same")).unwrap()).collect();
        assert!(begin(&checks, &there, &password("another")).is_ok());
        drop(same);
        assert!(checks.lock().addresses[&there].running.is_empty());
    }

    #[test]
    fn one_address_leaves_places_to_the_others() {
        let clock = FakeRelativeClock::default();
        let there = address("192.0.2.1");
        let checks = PasswordChecks::with_clock(None, clock.clone());
        let credentials: Vec<_> = (0..=AT_ONCE + WAITING).map(password).collect();
        let mut all: Vec<_> = credentials.iter().map(|one| Box::pin(checks.begin(&there, one))).collect();
        let outcomes: Vec<_> = all.iter_mut().map(|begun| begun.as_mut().now_or_never()).collect();
        let count = |wanted: fn(&Option<Result<(), Unchecked>>) -> bool| {
            outcomes
                .iter()
                .map(|outcome| outcome.as_ref().map(|begun| begun.as_ref().map(drop).map_err(|error| *error)))
                .filter(wanted)
                .count()
        };
        assert_eq!(count(|outcome| matches!(outcome, Some(Ok(())))), AT_ONCE);
        assert_eq!(count(Option::is_none), WAITING);
        assert_eq!(count(|outcome| matches!(outcome, Some(Err(Unchecked::Busy)))), 1);
        assert!(begin(&checks, &address("192.0.2.2"), &password("x")).is_ok());
        drop(outcomes);
        drop(all);
        assert!(checks.lock().addresses[&there].running.is_empty());
    }

    #[test]
    fn this_machine_is_not_counted_as_one() {
        let clock = FakeRelativeClock::default();
        let checks = checks(&clock);
        for requester in [address("127.0.0.1"), address("::1"), Requester::Unknown] {
            let running: Vec<_> =
                (0..100).map(|number| begin(&checks, &requester, &password(number)).unwrap()).collect();
            drop(running);
        }
        assert!(checks.lock().addresses.is_empty());
    }

    #[test]
    fn addresses_that_have_rested_are_forgotten_when_there_are_many() {
        let clock = FakeRelativeClock::default();
        let checks = checks(&clock);
        for number in 0..u32::try_from(KEPT).unwrap() {
            let there = Requester::Address(std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).into());
            wrong(&checks, &there).unwrap();
        }
        clock.advance(FORGOTTEN);
        wrong(&checks, &address("192.0.2.1")).unwrap();
        assert_eq!(checks.lock().addresses.len(), 1);
    }

    #[test]
    fn who_is_kept_out_is_told_of_once_in_a_minute() {
        let clock = FakeRelativeClock::default();
        let (checks, there) = (checks(&clock), address("192.0.2.1"));
        wrong(&checks, &there).unwrap();
        let told = || checks.is_worth_telling(&there);
        assert_eq!([told(), told()], [true, false]);
        clock.advance(TOLD_AGAIN);
        assert!(told());
    }
}
