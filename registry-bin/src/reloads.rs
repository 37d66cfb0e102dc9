//! Whether a file that is followed could be taken over.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::SystemTime;

use registry_core::{Clock, SystemClock};

/// What became of a file that is followed, as its last change left it.
#[derive(Debug)]
pub struct Reloads {
    failed: AtomicBool,
    loaded_at: AtomicU64,
    clock: Box<dyn Clock>,
}

impl Default for Reloads {
    /// The file was just taken over.
    fn default() -> Self {
        let reloads =
            Self { failed: AtomicBool::new(false), loaded_at: AtomicU64::new(0), clock: Box::new(SystemClock) };
        reloads.note(true);
        reloads
    }
}

impl Reloads {
    /// The file was looked at again: whether it was taken over.
    pub fn note(&self, is_good: bool) {
        self.failed.store(!is_good, Ordering::Relaxed);
        if is_good {
            self.loaded_at.store(seconds(self.clock.now()), Ordering::Relaxed);
        }
    }

    /// Whether what the file holds is not what is in force.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// When it was last taken over, in seconds since 1970.
    #[must_use]
    pub fn loaded_at(&self) -> u64 {
        self.loaded_at.load(Ordering::Relaxed)
    }
}

/// Seconds since 1970; what was before that is 0.
#[must_use]
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_leaves_the_time_of_what_is_in_force() {
        let reloads = Reloads::default();
        let loaded_at = reloads.loaded_at();
        assert!(!reloads.failed() && loaded_at > 1_000_000_000);
        reloads.loaded_at.store(5, Ordering::Relaxed);
        reloads.note(false);
        assert!(reloads.failed() && reloads.loaded_at() == 5);
        reloads.note(true);
        assert!(!reloads.failed() && reloads.loaded_at() >= loaded_at);
    }
}
