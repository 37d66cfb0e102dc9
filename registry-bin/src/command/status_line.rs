//! One line on a terminal that is written over again and again.

use std::convert::Infallible;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One line on standard error that is written over again and again.
#[derive(Debug)]
pub(super) struct StatusLine {
    is_shown: bool,
    /// Whether the line stands there.
    is_drawn: AtomicBool,
}

/// How often it is written anew.
const EVERY: Duration = Duration::from_millis(200);
/// Goes to the begin of a line and clears it.
const CLEAR: &str = "\r\x1b[K";

impl StatusLine {
    /// Shown unless `quiet`, and only on a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        Self { is_shown: !quiet && io::stderr().is_terminal(), is_drawn: AtomicBool::new(false) }
    }

    /// Writes what `line` says again and again. Never ends; dropping it ends it.
    pub(super) async fn show(&self, line: impl Fn() -> String) -> Infallible {
        if !self.is_shown {
            return std::future::pending().await;
        }
        let mut ticks = tokio::time::interval(EVERY);
        loop {
            ticks.tick().await;
            self.is_drawn.store(true, Ordering::Relaxed);
            // Where standard error is closed there is nobody to show it to.
            let _ = write!(io::stderr(), "{CLEAR}{}", line());
        }
    }

    /// Takes the line away, so that another can be written.
    pub(super) fn clear(&self) {
        if self.is_drawn.swap(false, Ordering::Relaxed) {
            let _ = write!(io::stderr(), "{CLEAR}");
        }
    }
}
