//! Logins by the users of a password file.

mod cache;
mod file;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use registry_core::{Blocking, Clock, SystemClock, TokioBlocking};
use tokio::sync::Semaphore;

use self::cache::Cache;
use self::file::MAX_PASSWORD_BYTES;
pub use self::file::{HtpasswdLineError, HtpasswdUsers, SkipReason, SkippedLine, htpasswd_line};
use crate::{Asked, AuthenticationError, Authenticator, Challenge, Credentials, Principal, Shortfall};

/// Logins by the users of a password file, with bcrypt.
///
/// bcrypt is slow by design, and clients send their password with every request. So credentials that were good are
/// remembered for some minutes, as a code that is useless outside of this process; at most a few are checked at once,
/// a bounded number waits, and the others are [busy](AuthenticationError::Busy). Somebody who is not in the file
/// costs as much time as the dearest of those who are: where all hashes have one cost, time does not tell who is.
///
/// ```
/// use registry_auth::{Authenticator, Credentials, Htpasswd, HtpasswdUsers, htpasswd_line};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (users, skipped) = HtpasswdUsers::parse(&htpasswd_line("ann", "secret", 4)?);
/// assert!(skipped.is_empty());
/// let logins = Htpasswd::builder("registry", users).build();
/// let credentials = Credentials::parse("Basic YW5uOnNlY3JldA==")?;
/// assert_eq!(logins.authenticate(Some(&credentials)).await?.name(), Some("ann"));
/// # Ok(())
/// # }
/// ```
pub struct Htpasswd {
    realm: String,
    users: RwLock<Arc<HtpasswdUsers>>,
    cache: Cache,
    clock: Arc<dyn Clock>,
    blocking: Arc<dyn Blocking>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
}

/// Puts a [`Htpasswd`] together.
#[derive(Debug)]
#[must_use]
pub struct HtpasswdBuilder {
    realm: String,
    users: HtpasswdUsers,
    clock: Arc<dyn Clock>,
    blocking: Arc<dyn Blocking>,
    concurrency: usize,
    queue: usize,
    cache_entries: NonZeroUsize,
    cache_ttl: Duration,
}

impl HtpasswdBuilder {
    /// Tells how long credentials have been remembered; the clock of the machine by default.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// Where passwords are checked; tokio's pool for blocking work by default.
    pub fn blocking(self, blocking: Arc<dyn Blocking>) -> Self {
        Self { blocking, ..self }
    }

    /// How many passwords are checked at once; 1 by default. Each takes one processor.
    pub fn concurrency(self, checks: usize) -> Self {
        Self { concurrency: checks.clamp(1, Semaphore::MAX_PERMITS), ..self }
    }

    /// How many requests may wait for their password to be checked; 64 by default.
    pub fn queue(self, requests: usize) -> Self {
        Self { queue: requests, ..self }
    }

    /// How many good credentials are remembered; 1024 by default.
    pub fn cache_entries(self, entries: NonZeroUsize) -> Self {
        Self { cache_entries: entries, ..self }
    }

    /// For how long good credentials are remembered; 5 minutes by default.
    pub fn cache_ttl(self, ttl: Duration) -> Self {
        Self { cache_ttl: ttl, ..self }
    }

    /// The logins.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    #[must_use]
    pub fn build(self) -> Htpasswd {
        Htpasswd {
            realm: self.realm,
            users: RwLock::new(Arc::new(self.users)),
            cache: Cache::new(self.cache_entries, self.cache_ttl),
            clock: self.clock,
            blocking: self.blocking,
            running: Arc::new(Semaphore::new(self.concurrency)),
            waiting: AtomicUsize::new(0),
            queue: self.queue,
        }
    }
}

impl Htpasswd {
    /// Begins logins of `users`. `realm` is shown to people who are asked to log in.
    pub fn builder(realm: &str, users: HtpasswdUsers) -> HtpasswdBuilder {
        const ENTRIES: NonZeroUsize = NonZeroUsize::new(1024).unwrap();
        HtpasswdBuilder {
            realm: realm.to_owned(),
            users,
            clock: Arc::new(SystemClock),
            blocking: Arc::new(TokioBlocking),
            concurrency: 1,
            queue: 64,
            cache_entries: ENTRIES,
            cache_ttl: Duration::from_mins(5),
        }
    }

    /// Takes other users in the place of those there are. Whoever is not among them is out with their next request.
    pub fn reload(&self, users: HtpasswdUsers) {
        *self.users.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(users);
        self.cache.clear();
    }

    fn users(&self) -> Arc<HtpasswdUsers> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn check(&self, user: &str, password: &str) -> Result<bool, AuthenticationError> {
        let users = self.users();
        let hash = users.hash(user);
        // A remembered code has the hash in it, so that of a user who was removed meanwhile is never looked up again.
        let code = hash.map(|hash| self.cache.code(user, password, hash));
        if code.is_some_and(|code| self.cache.has(&code, self.clock.now())) {
            return Ok(true);
        }
        let Some(against) = hash.or(users.stand_in()) else { return Ok(false) };
        let matches = self.verify(password, against).await?;
        // What bcrypt leaves out must not be left out of the password.
        let good = matches && hash.is_some() && password.len() <= MAX_PASSWORD_BYTES;
        if let (true, Some(code)) = (good, code) {
            self.cache.put(code, self.clock.now());
        }
        Ok(good)
    }

    async fn verify(&self, password: &str, hash: &str) -> Result<bool, AuthenticationError> {
        let permit = {
            let _waiting = Waiting::enter(&self.waiting, self.queue + self.running.available_permits())?;
            let permit = Arc::clone(&self.running).acquire_owned().await;
            permit.map_err(|error| AuthenticationError::Unavailable(error.into()))?
        };
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let checked = self.blocking.run(move || {
            // Also when nobody waits for the answer any more, the processor is taken until here.
            let _permit = permit;
            let password = password.as_bytes();
            bcrypt::verify(password.get(..MAX_PASSWORD_BYTES).unwrap_or(password), &hash)
        });
        let checked = checked.await.map_err(|error| AuthenticationError::Unavailable(error.into()))?;
        checked.map_err(|error| AuthenticationError::Unavailable(error.into()))
    }
}

/// A request that waits; it leaves when it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize, places: usize) -> Result<Self, AuthenticationError> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= places {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(AuthenticationError::Busy);
        }
        Ok(Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Authenticator for Htpasswd {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match credentials {
            None | Some(Credentials::Certificate { .. }) => Err(AuthenticationError::Missing),
            Some(Credentials::Basic { user, password }) if self.check(user, password.expose()).await? => {
                Ok(Principal::named(user))
            }
            Some(_) => Err(AuthenticationError::Rejected),
        }
    }

    /// Who has logged in gets no further by logging in again.
    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge> {
        (asked.shortfall != Shortfall::Insufficient).then(|| Challenge::basic(&self.realm))
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Htpasswd").field("realm", &self.realm).field("users", &self.users()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;
    use std::time::SystemTime;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    /// Counts the checks, and holds them back if told to.
    #[derive(Default)]
    struct Held {
        count: AtomicUsize,
        hold: bool,
        work: Mutex<VecDeque<Box<dyn FnOnce() + Send>>>,
    }

    impl fmt::Debug for Held {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Held")
        }
    }

    impl Blocking for Held {
        fn execute(&self, work: Box<dyn FnOnce() + Send>) {
            self.count.fetch_add(1, Ordering::Relaxed);
            if self.hold { self.work.lock().unwrap().push_back(work) } else { work() }
        }
    }

    #[derive(Debug)]
    struct Settable(Mutex<SystemTime>);

    impl Clock for Settable {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn users(names: &[&str]) -> HtpasswdUsers {
        let lines: Vec<_> = names.iter().map(|name| htpasswd_line(name, "secret", 4).unwrap()).collect();
        HtpasswdUsers::parse(&lines.join("\n")).0
    }

    fn credentials(user: &str, password: &str) -> Credentials {
        Credentials::parse(&format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))).unwrap()
    }

    async fn login(logins: &Htpasswd, user: &str, password: &str) -> Result<Principal, AuthenticationError> {
        logins.authenticate(Some(&credentials(user, password))).await
    }

    #[tokio::test]
    async fn good_credentials_are_checked_once() {
        let held = Arc::new(Held::default());
        let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_secs(1000))));
        let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
        let logins = builder.clock(Arc::clone(&clock) as _).cache_ttl(Duration::from_secs(10)).build();
        for _ in 0..3 {
            assert_eq!(login(&logins, "ann", "secret").await.unwrap(), Principal::named("ann"));
        }
        assert_eq!(held.count.load(Ordering::Relaxed), 1);
        *clock.0.lock().unwrap() += Duration::from_secs(10);
        assert!(login(&logins, "ann", "secret").await.is_ok());
        assert_eq!(held.count.load(Ordering::Relaxed), 2);
        // A clock that was set back makes nothing last longer.
        *clock.0.lock().unwrap() -= Duration::from_secs(100);
        assert!(login(&logins, "ann", "secret").await.is_ok());
        assert_eq!(held.count.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn wrong_ones_cost_a_check_each_and_so_do_strangers() {
        let held = Arc::new(Held::default());
        let logins = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _).build();
        for (user, password) in [("ann", "wrong"), ("ann", "wrong"), ("bob", "secret"), ("ann", "")] {
            let refused = login(&logins, user, password).await;
            assert!(matches!(refused, Err(AuthenticationError::Rejected)), "{user} {password}: {refused:?}");
        }
        assert_eq!(held.count.load(Ordering::Relaxed), 4);
        let bearer = Credentials::parse("Bearer x").unwrap();
        assert!(matches!(logins.authenticate(Some(&bearer)).await, Err(AuthenticationError::Rejected)));
        assert!(matches!(logins.authenticate(None).await, Err(AuthenticationError::Missing)));
    }

    #[tokio::test]
    async fn nothing_is_cut_off_a_long_password() {
        let long = "x".repeat(72);
        let (users, _) = HtpasswdUsers::parse(&htpasswd_line("ann", &long, 4).unwrap());
        let logins = Htpasswd::builder("r", users).build();
        assert!(login(&logins, "ann", &long).await.is_ok());
        assert!(matches!(login(&logins, "ann", &format!("{long}y")).await, Err(AuthenticationError::Rejected)));
    }

    #[tokio::test]
    async fn whoever_is_removed_is_out_and_whoever_changes_is_new() {
        let logins = Htpasswd::builder("r", users(&["ann", "bob"])).build();
        assert!(login(&logins, "ann", "secret").await.is_ok() && login(&logins, "bob", "secret").await.is_ok());
        let line = htpasswd_line("bob", "other", 4).unwrap();
        logins.reload(HtpasswdUsers::parse(&line).0);
        for (user, password, good) in [("ann", "secret", false), ("bob", "secret", false), ("bob", "other", true)] {
            assert_eq!(login(&logins, user, password).await.is_ok(), good, "{user}");
        }
        logins.reload(HtpasswdUsers::default());
        assert!(matches!(login(&logins, "bob", "other").await, Err(AuthenticationError::Rejected)));
    }

    #[tokio::test]
    async fn a_check_that_began_before_a_reload_lets_nobody_back_in() {
        let held = Arc::new(Held { hold: true, ..Held::default() });
        let logins = Arc::new(Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _).build());
        let early = tokio::spawn({
            let logins = Arc::clone(&logins);
            async move { login(&logins, "ann", "secret").await }
        });
        while held.count.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        logins.reload(users(&["bob"]));
        let work = held.work.lock().unwrap().pop_front().unwrap();
        work();
        assert!(early.await.unwrap().is_ok(), "it began while ann was known");
        let late = tokio::spawn(async move { login(&logins, "ann", "secret").await });
        while held.count.load(Ordering::Relaxed) == 1 {
            tokio::task::yield_now().await;
        }
        let work = held.work.lock().unwrap().pop_front().unwrap();
        work();
        assert!(matches!(late.await.unwrap(), Err(AuthenticationError::Rejected)));
    }

    #[tokio::test]
    async fn a_flood_is_busy_and_those_who_gave_up_take_no_place() {
        let held = Arc::new(Held { hold: true, ..Held::default() });
        let builder = Htpasswd::builder("r", users(&["ann"])).blocking(Arc::clone(&held) as _);
        let logins = Arc::new(builder.concurrency(1).queue(1).build());
        let spawn = || {
            let logins = Arc::clone(&logins);
            tokio::spawn(async move { login(&logins, "ann", "wrong").await })
        };
        let (first, second) = (spawn(), spawn());
        while logins.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(login(&logins, "ann", "wrong").await, Err(AuthenticationError::Busy)));
        second.abort();
        assert!(second.await.unwrap_err().is_cancelled());
        assert_eq!(logins.waiting.load(Ordering::Relaxed), 0);
        let third = spawn();
        while logins.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        for task in [first, third] {
            let work = loop {
                if let Some(work) = held.work.lock().unwrap().pop_front() {
                    break work;
                }
                tokio::task::yield_now().await;
            };
            work();
            assert!(matches!(task.await.unwrap(), Err(AuthenticationError::Rejected)));
        }
        assert_eq!(held.count.load(Ordering::Relaxed), 2);
    }
}
