//! How far a collector is, on a terminal.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::gc::Found;

use super::amount::bytes;
use crate::command::status_line::StatusLine;

/// How far a collector is: one line that is written over again and again.
#[derive(Debug)]
pub(super) struct Progress {
    status: StatusLine,
    run: AtomicU64,
    repositories: AtomicU64,
    kept: AtomicU64,
    garbage: AtomicU64,
    garbage_bytes: AtomicU64,
}

impl Progress {
    /// Shown unless `quiet`, and only on a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        Self {
            status: StatusLine::new(quiet),
            run: AtomicU64::new(1),
            repositories: AtomicU64::new(0),
            kept: AtomicU64::new(0),
            garbage: AtomicU64::new(0),
            garbage_bytes: AtomicU64::new(0),
        }
    }

    pub(super) fn begin_later_run(&self) {
        self.run.fetch_add(1, Ordering::Relaxed);
        for counter in [&self.repositories, &self.kept] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    /// What was found so far was found by looking ahead.
    pub(super) fn restart(&self) {
        for counter in [&self.run, &self.repositories, &self.kept, &self.garbage, &self.garbage_bytes] {
            counter.store(0, Ordering::Relaxed);
        }
        self.run.store(1, Ordering::Relaxed);
    }

    pub(super) fn note(&self, found: &Found<'_>) {
        let count = |counter: &AtomicU64, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        };
        match *found {
            Found::Repository(_) => count(&self.repositories, 1),
            Found::Manifest(..) | Found::Blob(..) => count(&self.kept, 1),
            Found::GarbageBlob(_, bytes) => {
                count(&self.garbage, 1);
                count(&self.garbage_bytes, bytes);
            }
            _ => {}
        }
    }

    /// Writes the line again and again. Never ends; dropping it ends it.
    pub(super) async fn show(&self) -> Infallible {
        self.status.show(|| self.line()).await
    }

    fn line(&self) -> String {
        let [run, repositories, kept, garbage, garbage_bytes] =
            [&self.run, &self.repositories, &self.kept, &self.garbage, &self.garbage_bytes]
                .map(|counter| counter.load(Ordering::Relaxed));
        let goes = if garbage == 0 { String::new() } else { format!(", {garbage} blobs go, {}", bytes(garbage_bytes)) };
        format!("round {run}: {repositories} repositories, {kept} manifests and blobs in use{goes}")
    }

    /// Takes the line away, so that another can be written.
    pub(super) fn make_room(&self) {
        self.status.clear();
    }
}

#[cfg(test)]
mod tests {
    use registry_core::{Algorithm, Digest};

    use super::*;

    #[test]
    fn the_line_tells_how_far_it_is() {
        let progress = Progress::new(true);
        let name = "a/b".parse().unwrap();
        let digest = Digest::of(Algorithm::Sha256, b"");
        progress.note(&Found::Repository(&name));
        progress.note(&Found::Manifest(&name, &digest));
        assert_eq!(progress.line(), "round 1: 1 repositories, 1 manifests and blobs in use");
        progress.note(&Found::GarbageBlob(&digest, 2048));
        progress.begin_later_run();
        assert_eq!(progress.line(), "round 2: 0 repositories, 0 manifests and blobs in use, 1 blobs go, 2.0 KiB");
    }
}
