//! The seams for time and randomness, so that tests decide both.

use std::fmt;
use std::time::SystemTime;

/// Tells the time.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Gives random bytes, for the identities of uploads.
pub trait Random: fmt::Debug + Send + Sync + 'static {
    /// Ten bytes that nobody can guess.
    fn bytes(&self) -> [u8; 10];
}

/// The randomness of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    /// # Panics
    /// If the operating system has no randomness to give, which leaves nothing safe to do.
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        #[expect(clippy::expect_used, reason = "an upload that can be guessed is worse than none")]
        getrandom::fill(&mut bytes).expect("randomness of the operating system");
        bytes
    }
}
