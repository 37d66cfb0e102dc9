//! Whether the clock of the machine can be believed.

use std::time::{Duration, SystemTime};

use registry_core::Clock;
use tokio::time::Instant;

/// How far the clock may be off from what has passed.
const JUMP: Duration = Duration::from_hours(1);

/// Compares the clock of the machine with the time that passes.
#[derive(Debug)]
pub(super) struct Jumps {
    wall: SystemTime,
    passed: Instant,
}

impl Jumps {
    pub(super) fn start(clock: &dyn Clock) -> Self {
        Self { wall: clock.now(), passed: Instant::now() }
    }

    /// By how much the clock jumped since the last look, if that is too much.
    pub(super) fn jumped(&mut self, clock: &dyn Clock) -> Option<Duration> {
        let now = Self::start(clock);
        let expected = self.wall + now.passed.duration_since(self.passed);
        let off = now.wall.duration_since(expected).unwrap_or_else(|behind| behind.duration());
        *self = now;
        Some(off).filter(|off| *off > JUMP)
    }
}
