//! What happens in a registry, for those who watch.

mod page;
mod stream;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use registry_core::{Digest, Event, EventAction, EventSink, RepositoryName, Tag};
use tokio::sync::broadcast;

pub(super) use page::show;
pub(super) use stream::watch;

/// What was pushed and deleted lately, for the [pages](super::Ui::activity). Clones are handles to the same.
///
/// It is an [`EventSink`] of the registry that it tells of, and keeps the last events in memory; pulls are none of them.
///
/// ```
/// use std::sync::Arc;
/// use registry_core::{Registry, storage::Memory};
/// use registry_http::{Activity, Ui};
///
/// let activity = Activity::new();
/// let registry = Registry::builder(Arc::new(Memory::new())).events(Arc::new(activity.clone())).build();
/// let ui = Ui::new().activity(activity);
/// ```
#[derive(Clone)]
pub struct Activity(Arc<Inner>);

struct Inner {
    recent: Mutex<VecDeque<Happening>>,
    /// `None` when it is over.
    watchers: Mutex<Option<broadcast::Sender<RepositoryName>>>,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub(super) struct Happening {
    pub(super) time: SystemTime,
    pub(super) action: EventAction,
    pub(super) repository: RepositoryName,
    pub(super) tag: Option<Tag>,
    pub(super) digest: Option<Digest>,
    pub(super) who: Option<String>,
}

/// How many events are kept.
const KEPT: usize = 200;

/// How many a watcher may be behind before it misses some, which it is told of by the next.
const BEHIND: usize = 64;

impl Activity {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new() -> Self {
        let (watchers, _) = broadcast::channel(BEHIND);
        Self(Arc::new(Inner { recent: Mutex::default(), watchers: Mutex::new(Some(watchers)) }))
    }

    /// Ends the streams of those who watch, and begins no further ones: they would keep a server from ending.
    pub fn close(&self) {
        self.watchers().take();
    }

    /// The last events, the newest first.
    pub(super) fn recent(&self) -> Vec<Happening> {
        self.0.recent.lock().unwrap_or_else(PoisonError::into_inner).iter().rev().cloned().collect()
    }

    /// Where things happen from now on; `None` when it is over.
    pub(super) fn subscribe(&self) -> Option<broadcast::Receiver<RepositoryName>> {
        self.watchers().as_ref().map(broadcast::Sender::subscribe)
    }

    fn watchers(&self) -> MutexGuard<'_, Option<broadcast::Sender<RepositoryName>>> {
        self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Activity")
    }
}

impl EventSink for Activity {
    fn wants(&self, action: EventAction) -> bool {
        matches!(action, EventAction::Push | EventAction::Delete)
    }

    /// Layers come and go by the dozen; what people look for is images and tags.
    fn record(&self, event: Event) {
        if event.action == EventAction::Push && event.media_type.is_none() {
            return;
        }
        let happening = Happening {
            time: event.time,
            action: event.action,
            repository: event.repository.clone(),
            tag: event.tag,
            digest: event.digest,
            who: event.caller.principal.clone(),
        };
        {
            let mut recent = self.0.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.len() == KEPT {
                recent.pop_front();
            }
            recent.push_back(happening);
        }
        if let Some(watchers) = &*self.watchers() {
            // Without watchers there is nobody to tell.
            let _ = watchers.send(event.repository);
        }
    }
}

#[cfg(test)]
mod tests {
    use registry_core::Caller;

    use super::*;

    fn event(action: EventAction, number: u64) -> Event {
        let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(number);
        Event::new(action, time, "a".parse().unwrap(), Arc::new(Caller::default()))
    }

    #[test]
    fn the_last_ones_are_kept() {
        let activity = Activity::new();
        for number in 0..KEPT as u64 + 5 {
            activity.record(event(EventAction::Delete, number));
        }
        // A layer.
        activity.record(event(EventAction::Push, 1_000));
        let recent = activity.recent();
        assert_eq!(recent.len(), KEPT);
        assert_eq!(recent[0].time, SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(KEPT as u64 + 4));
        assert!(activity.wants(EventAction::Push) && !activity.wants(EventAction::Pull));
    }

    #[test]
    fn watchers_are_told_until_it_is_over() {
        let activity = Activity::new();
        let mut watcher = activity.subscribe().unwrap();
        activity.record(event(EventAction::Delete, 1));
        assert_eq!(watcher.try_recv().unwrap().as_str(), "a");
        activity.close();
        assert_eq!(watcher.try_recv(), Err(broadcast::error::TryRecvError::Closed));
        assert!(activity.subscribe().is_none());
    }
}
