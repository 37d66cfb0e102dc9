//! Credentials that were good a moment ago.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lru::LruCache;
use registry_core::Clock;
use sha2::Sha256;

/// Credentials that were good a moment ago, by a code that only this process can make.
pub(super) struct Cache {
    /// Whoever reads the memory of the cache alone cannot try passwords on it.
    key: [u8; 32],
    ttl: Duration,
    clock: Arc<dyn Clock>,
    entries: Mutex<LruCache<Code, Entry>>,
}

/// What stands for a user, a password and the hash that it was checked against.
pub(super) type Code = [u8; 32];

struct Entry {
    user: Box<str>,
    used: SystemTime,
}

impl Cache {
    /// # Panics
    /// If the operating system has no randomness to give.
    pub(super) fn new(entries: NonZeroUsize, ttl: Duration, clock: Arc<dyn Clock>) -> Self {
        let mut key = [0; 32];
        #[expect(clippy::expect_used, reason = "a code that can be guessed is worse than none")]
        getrandom::fill(&mut key).expect("randomness of the operating system");
        Self { key, ttl, clock, entries: Mutex::new(LruCache::new(entries)) }
    }

    /// With the hash in it, a changed password is another code.
    pub(super) fn code(&self, user: &str, password: &str, hash: &str) -> Code {
        #[expect(clippy::expect_used, reason = "a key may have any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("a key of any length");
        // None of them has a NUL, so none runs into the next.
        for part in [user, password, hash] {
            mac.update(part.as_bytes());
            mac.update(&[0]);
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether these credentials were good, and used lately enough. That is a use of them: a flood of logins does not
    /// turn away those who come all the time.
    pub(super) fn has(&self, code: &Code) -> bool {
        let mut entries = self.lock();
        // Under the lock, or the time of another request could be later than this one's.
        let now = self.clock.now();
        let Some(entry) = entries.get_mut(code) else { return false };
        // A clock that went backwards makes nothing last longer.
        let fresh = now.duration_since(entry.used).is_ok_and(|age| age < self.ttl);
        if fresh {
            entry.used = now;
        } else {
            entries.pop(code);
        }
        fresh
    }

    pub(super) fn put(&self, code: Code, user: &str) {
        let mut entries = self.lock();
        let now = self.clock.now();
        entries.put(code, Entry { user: user.into(), used: now });
    }

    /// Drops what was remembered of these users.
    pub(super) fn forget(&self, is_stale: impl Fn(&str) -> bool) {
        let mut entries = self.lock();
        let stale: Vec<_> = entries.iter().filter(|(_, entry)| is_stale(&entry.user)).map(|(code, _)| *code).collect();
        for code in stale {
            entries.pop(&code);
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<Code, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
