//! How far a verifier is, on a terminal.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::verify::{Seen, VerifyObserver};

use crate::command::garbage_collect::bytes;
use crate::command::status_line::StatusLine;

/// How far a verifier is: one line that is written over again and again.
#[derive(Debug)]
pub(super) struct Progress {
    status: StatusLine,
    listed: AtomicU64,
    read: AtomicU64,
    bytes: AtomicU64,
    repositories: AtomicU64,
    findings: AtomicU64,
}

impl Progress {
    /// Shown unless `quiet`, and only on a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        let [listed, read, bytes, repositories, findings] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { status: StatusLine::new(quiet), listed, read, bytes, repositories, findings }
    }

    /// Writes the line again and again. Never ends; dropping it ends it.
    pub(super) async fn show(&self) -> Infallible {
        self.status.show(|| self.line()).await
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        self.status.clear();
    }

    fn line(&self) -> String {
        let [listed, read, read_bytes, repositories, findings] =
            [&self.listed, &self.read, &self.bytes, &self.repositories, &self.findings]
                .map(|counter| counter.load(Ordering::Relaxed));
        format!("{read} of {listed} contents, {}; {repositories} repositories; {findings} findings", bytes(read_bytes))
    }
}

impl VerifyObserver for Progress {
    fn saw(&self, seen: &Seen<'_>) {
        let (counter, more) = match seen {
            Seen::Listed(count) => (&self.listed, *count),
            Seen::Bytes(count) => (&self.bytes, *count),
            Seen::Content(_) => (&self.read, 1),
            Seen::Repository(_) => (&self.repositories, 1),
            Seen::Finding(_) => (&self.findings, 1),
            _ => return,
        };
        counter.fetch_add(more, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is() {
        let progress = Progress::new(true);
        let name = "a".parse().unwrap();
        for seen in [Seen::Listed(3), Seen::Bytes(2048), Seen::Repository(&name)] {
            progress.saw(&seen);
        }
        assert_eq!(progress.line(), "0 of 3 contents, 2.0 KiB; 1 repositories; 0 findings");
    }
}
