//! How far a transfer is, on a terminal.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use registry_core::transfer::{Moved, TransferObserver};

use crate::command::garbage_collect::bytes;
use crate::command::status_line::StatusLine;

/// How far a transfer is: one line with a bar for the repository that it is at, written over again and again.
#[derive(Debug)]
pub(super) struct Progress {
    status: StatusLine,
    repositories: AtomicU64,
    bytes: AtomicU64,
    /// Of the repository that it is at.
    all: AtomicU64,
    done: AtomicU64,
}

const BAR: u64 = 30;

impl Progress {
    /// Shown unless `quiet`, and only on a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        let [repositories, bytes, all, done] = std::array::from_fn(|_| AtomicU64::new(0));
        Self { status: StatusLine::new(quiet), repositories, bytes, all, done }
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
        let [repositories, copied, all, done] =
            [&self.repositories, &self.bytes, &self.all, &self.done].map(|counter| counter.load(Ordering::Relaxed));
        let full = (done * BAR).checked_div(all).unwrap_or_default().min(BAR);
        let bar: String = (0..BAR).map(|at| if at < full { '#' } else { '.' }).collect();
        format!("repository {repositories} [{bar}] {done} of {all}; {} copied", bytes(copied))
    }
}

impl TransferObserver for Progress {
    fn saw(&self, seen: &Moved<'_>) {
        match seen {
            Moved::Repository(_, all) => {
                self.repositories.fetch_add(1, Ordering::Relaxed);
                self.done.store(0, Ordering::Relaxed);
                self.all.store(*all, Ordering::Relaxed);
            }
            Moved::Bytes(more) => {
                self.bytes.fetch_add(*more, Ordering::Relaxed);
            }
            Moved::Done => {
                self.done.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_what_is_done() {
        let progress = Progress::new(true);
        assert_eq!(progress.line(), format!("repository 0 [{}] 0 of 0; 0 bytes copied", ".".repeat(30)));
        let name = "a".parse().unwrap();
        for seen in [Moved::Repository(&name, 3), Moved::Bytes(2048), Moved::Done] {
            progress.saw(&seen);
        }
        let bar = format!("{}{}", "#".repeat(10), ".".repeat(20));
        assert_eq!(progress.line(), format!("repository 1 [{bar}] 1 of 3; 2.0 KiB copied"));
        progress.saw(&Moved::Repository(&name, 2));
        assert!(progress.line().contains("0 of 2"));
    }
}
