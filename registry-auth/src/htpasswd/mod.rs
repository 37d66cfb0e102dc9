//! Logins by the users of a password file.

mod cache;
mod file;
mod stats;
mod together;

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
use self::stats::Counts;
pub use self::stats::HtpasswdStats;
use self::together::Together;
use crate::{Asked, AuthenticationError, Authenticator, Challenge, Credentials, Principal, Shortfall};

/// Logins by the users of a password file, with bcrypt.
///
/// bcrypt is slow by design, and clients send their password with every request. So credentials that were good are
/// remembered until they have not come for some minutes, as a code that is useless outside of this process; at most a
/// few are checked at once, those that are the same only once, a bounded number waits, and the others are
/// [busy](AuthenticationError::Busy). A wrong password takes the same time whoever it is for, and whether there is such a
/// user or not: it is hashed once with each cost in the file.
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
    together: Together,
    blocking: Arc<dyn Blocking>,
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
    queue: usize,
    concurrency: usize,
    counts: Counts,
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

    /// For how long good credentials are remembered after they were used last; 5 minutes by default.
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
            cache: Cache::new(self.cache_entries, self.cache_ttl, self.clock),
            together: Together::default(),
            blocking: self.blocking,
            running: Arc::new(Semaphore::new(self.concurrency)),
            waiting: AtomicUsize::new(0),
            queue: self.queue,
            concurrency: self.concurrency,
            counts: Counts::default(),
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

    /// Takes other users in the place of those there are. Whoever is not among them, or has another hash, is out with
    /// their next request, and what was remembered of them is forgotten; the others notice nothing.
    pub fn reload(&self, users: HtpasswdUsers) {
        let fresh = Arc::new(users);
        let before = std::mem::replace(&mut *self.users.write().unwrap_or_else(PoisonError::into_inner), fresh.clone());
        self.cache.forget(|user| before.hash(user) != fresh.hash(user));
    }

    /// How many users can log in.
    #[must_use]
    pub fn users_len(&self) -> usize {
        self.users().len()
    }

    /// How busy it is, and was.
    #[must_use]
    pub fn stats(&self) -> HtpasswdStats {
        let running = self.concurrency.saturating_sub(self.running.available_permits());
        self.counts.stats(running, self.waiting.load(Ordering::Relaxed))
    }

    fn users(&self) -> Arc<HtpasswdUsers> {
        Arc::clone(&self.users.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether the credentials are remembered. With the hash in it, the code of a user who was removed meanwhile is
    /// never looked up again.
    fn remembers(&self, user: &str, password: &str) -> bool {
        let users = self.users();
        let Some(hash) = users.hash(user) else { return false };
        let has = self.cache.has(&self.cache.code(user, password, hash));
        if has {
            self.counts.remembered();
        }
        has
    }

    async fn check(&self, user: &str, password: &str) -> Result<bool, AuthenticationError> {
        if self.remembers(user, password) {
            return Ok(true);
        }
        self.counts.forgotten();
        let users = self.users();
        let hash = users.hash(user);
        // Whoever is not there takes the same steps, so that it takes the same time.
        let Some(against) = hash.or(users.stand_in()) else { return Ok(false) };
        let code = self.cache.code(user, password, against);
        let matches =
            self.together.join(code).answer(self.verify(password, against, users.other_costs(against))).await?;
        // What bcrypt leaves out must not be left out of the password.
        let good = matches && hash.is_some() && password.len() <= MAX_PASSWORD_BYTES;
        if good {
            self.cache.put(code, user);
        }
        Ok(good)
    }

    async fn verify(&self, password: &str, hash: &str, other_costs: Vec<u32>) -> Result<bool, AuthenticationError> {
        let permit = {
            let places = self.queue + self.running.available_permits();
            let waiting = Waiting::enter(&self.waiting, places);
            let _waiting = waiting.inspect_err(|_| self.counts.turned_away())?;
            let permit = Arc::clone(&self.running).acquire_owned().await;
            permit.map_err(|error| AuthenticationError::Unavailable(error.into()))?
        };
        self.counts.checked();
        let (password, hash) = (password.to_owned(), hash.to_owned());
        let checked = self.blocking.run(move || {
            // Also when nobody waits for the answer any more, the processor is taken until here.
            let _permit = permit;
            matches(password.as_bytes(), &hash, &other_costs)
        });
        let checked = checked.await.map_err(|error| AuthenticationError::Unavailable(error.into()))?;
        checked.map_err(|error| AuthenticationError::Unavailable(error.into()))
    }
}

/// Whether a password fits a hash. Where it does not, it is hashed with all other costs as well, so that this takes as
/// long as with any other hash.
fn matches(password: &[u8], hash: &str, other_costs: &[u32]) -> bcrypt::BcryptResult<bool> {
    let password = password.get(..MAX_PASSWORD_BYTES).unwrap_or(password);
    let matches = bcrypt::verify(password, hash)?;
    if !matches {
        for cost in other_costs {
            std::hint::black_box(bcrypt::bcrypt(*cost, [0; 16], password));
        }
    }
    Ok(matches)
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

    fn recall(&self, credentials: &Credentials) -> Option<Principal> {
        match credentials {
            Credentials::Basic { user, password } if self.remembers(user, password.expose()) => {
                Some(Principal::named(user))
            }
            _ => None,
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
mod tests;
