//! Collections that somebody asks for, besides those by the clock.

use std::sync::Arc;

use registry_core::Clock;
use registry_http::Collect;
use tokio::sync::mpsc;

use super::CollectionCounts;

/// Asks for collections.
#[derive(Debug)]
pub struct Wishing {
    wishes: mpsc::Sender<Wish>,
    counts: Arc<CollectionCounts>,
    clock: Arc<dyn Clock>,
}

/// The collections that were asked for.
#[derive(Debug)]
pub struct Wishes {
    heard: mpsc::Receiver<Wish>,
    counts: Arc<CollectionCounts>,
}

/// A collection that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Whether it shall only look.
    pub(super) dry_run: bool,
}

/// Both ends. One wish is under way at a time, and nothing is while a collection by the clock is.
#[must_use]
pub fn wishes(counts: Arc<CollectionCounts>, clock: Arc<dyn Clock>) -> (Wishing, Wishes) {
    let (wishes, heard) = mpsc::channel(1);
    let heard = Wishes { heard, counts: Arc::clone(&counts) };
    (Wishing { wishes, counts, clock }, heard)
}

impl Collect for Wishing {
    fn begin(&self, dry_run: bool, _principal: Option<&str>) -> bool {
        if !self.counts.begin(dry_run, self.clock.now()) {
            return false;
        }
        let is_heard = self.wishes.try_send(Wish { dry_run }).is_ok();
        if !is_heard {
            self.counts.give_up();
        }
        is_heard
    }
}

impl Wishes {
    /// Where it is told what came of them, and of all other collections.
    #[must_use]
    pub fn counts(&self) -> &Arc<CollectionCounts> {
        &self.counts
    }

    /// The next wish. Never comes when nobody can have one any more.
    pub(super) async fn next(&mut self) -> Wish {
        match self.heard.recv().await {
            Some(wish) => wish,
            None => std::future::pending().await,
        }
    }
}
