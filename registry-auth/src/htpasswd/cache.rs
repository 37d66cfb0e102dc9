//! Credentials that were good a moment ago.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use hmac::{Hmac, KeyInit as _, Mac as _};
use lru::LruCache;
use sha2::Sha256;

/// Credentials that were good a moment ago, by a code that only this process can make.
pub(super) struct Cache {
    /// Whoever reads the memory of the cache alone cannot try passwords on it.
    key: [u8; 32],
    ttl: Duration,
    codes: Mutex<LruCache<Code, SystemTime>>,
}

/// What stands for a user, a password and the hash that it was checked against.
pub(super) type Code = [u8; 32];

impl Cache {
    /// # Panics
    /// If the operating system has no randomness to give.
    pub(super) fn new(entries: NonZeroUsize, ttl: Duration) -> Self {
        let mut key = [0; 32];
        #[expect(clippy::expect_used, reason = "a code that can be guessed is worse than none")]
        getrandom::fill(&mut key).expect("randomness of the operating system");
        Self { key, ttl, codes: Mutex::new(LruCache::new(entries)) }
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

    /// Whether these credentials were good, and lately enough.
    pub(super) fn has(&self, code: &Code, now: SystemTime) -> bool {
        let mut codes = self.codes.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that went backwards makes nothing last longer.
        let fresh = codes.get(code).is_some_and(|since| now.duration_since(*since).is_ok_and(|age| age < self.ttl));
        if !fresh {
            codes.pop(code);
        }
        fresh
    }

    pub(super) fn put(&self, code: Code, now: SystemTime) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).put(code, now);
    }

    pub(super) fn clear(&self) {
        self.codes.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
