//! How much work logins are.

use std::sync::atomic::{AtomicU64, Ordering};

/// How busy an [`Htpasswd`](super::Htpasswd) is, and was since it was built.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct HtpasswdStats {
    /// Passwords that are being checked.
    pub running: usize,
    /// Requests that wait until their password can be checked.
    pub waiting: usize,
    /// Passwords that were checked, or are.
    pub checks: u64,
    /// Requests whose credentials were remembered.
    pub cache_hits: u64,
    /// Requests whose credentials were not remembered.
    pub cache_misses: u64,
    /// Requests that were turned away because too many waited.
    pub turned_away: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    checks: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    turned_away: AtomicU64,
}

impl Counts {
    pub(super) fn remembered(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn forgotten(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn checked(&self) {
        self.checks.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, running: usize, waiting: usize) -> HtpasswdStats {
        HtpasswdStats {
            running,
            waiting,
            checks: self.checks.load(Ordering::Relaxed),
            cache_hits: self.hits.load(Ordering::Relaxed),
            cache_misses: self.misses.load(Ordering::Relaxed),
            turned_away: self.turned_away.load(Ordering::Relaxed),
        }
    }
}
