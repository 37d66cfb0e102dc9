//! The way from a request to the thread that writes: a push into a bounded queue, and never more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use registry_core::{Event, EventSink};
use tokio::sync::mpsc;

use super::Endpoint;

/// How many events may wait to be written.
const WAITING: usize = 4096;

/// How many bytes of manifests may wait with them.
const WAITING_BYTES: u64 = 64 * 1024 * 1024;

/// Who hears what happens.
#[derive(Debug)]
pub(super) struct Queue {
    sender: mpsc::Sender<Message>,
    endpoints: Arc<[Endpoint]>,
    include_references: bool,
    waiting_bytes: Arc<AtomicU64>,
    complaints: Complaints,
}

/// What the writing thread gets.
#[derive(Debug)]
pub(super) enum Message {
    /// Something happened.
    Event(Box<Event>),
    /// Nothing comes any more.
    End,
}

/// Where the writing thread gets it from.
#[derive(Debug)]
pub(super) struct Waiting {
    receiver: mpsc::Receiver<Message>,
    bytes: Arc<AtomicU64>,
}

impl Queue {
    pub(super) fn new(endpoints: Arc<[Endpoint]>, include_references: bool) -> (Self, Waiting) {
        let (sender, receiver) = mpsc::channel(WAITING);
        let bytes = Arc::<AtomicU64>::default();
        let waiting = Waiting { receiver, bytes: Arc::clone(&bytes) };
        let complaints = Complaints::default();
        (Self { sender, endpoints, include_references, waiting_bytes: bytes, complaints }, waiting)
    }

    /// Says that nothing comes any more, as soon as there is room to say it.
    pub(super) async fn end(&self) {
        // Nobody hears it if the thread is gone.
        let _ = self.sender.send(Message::End).await;
    }

    /// Whether there is room for it.
    fn push(&self, event: Event) -> Result<(), Box<Event>> {
        let bytes = manifest_bytes(&event);
        let event = Box::new(event);
        if self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) > WAITING_BYTES {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            return Err(event);
        }
        let refused = match self.sender.try_send(Message::Event(event)) {
            Ok(()) => return Ok(()),
            Err(refused) => refused.into_inner(),
        };
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        match refused {
            Message::Event(event) => Err(event),
            Message::End => Ok(()),
        }
    }
}

impl EventSink for Queue {
    fn record(&self, mut event: Event) {
        if !self.include_references {
            event.manifest = None;
        }
        if !self.endpoints.iter().any(|endpoint| endpoint.filter.passes(&event)) {
            return;
        }
        let Err(event) = self.push(event) else { return };
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.filter.passes(&event)) {
            endpoint.counts.event();
            endpoint.counts.dropped();
        }
        if self.complaints.is_due(event.time) {
            tracing::warn!("events come faster than they can be written; some are not notified of");
        }
    }
}

fn manifest_bytes(event: &Event) -> u64 {
    event.manifest.as_ref().map_or(0, |manifest| manifest.len() as u64)
}

impl Waiting {
    /// Waits for the next message. Blocks.
    pub(super) fn next(&mut self) -> Message {
        let next = self.receiver.blocking_recv().unwrap_or(Message::End);
        self.taken(next)
    }

    /// The next message, if there is one already.
    pub(super) fn at_once(&mut self) -> Option<Message> {
        let next = self.receiver.try_recv().ok()?;
        Some(self.taken(next))
    }

    fn taken(&self, message: Message) -> Message {
        if let Message::Event(event) = &message {
            self.bytes.fetch_sub(manifest_bytes(event), Ordering::Relaxed);
        }
        message
    }
}

/// Keeps the log readable: one complaint in a minute.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Option<SystemTime>>);

impl Complaints {
    const PAUSE: Duration = Duration::from_mins(1);

    /// Whether to complain at this time. A clock that was set back counts as a minute.
    pub(super) fn is_due(&self, now: SystemTime) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last).map_or(true, |passed| passed >= Self::PAUSE));
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use registry_core::EventAction;

    use super::*;
    use crate::notifications::sample;

    #[test]
    fn what_has_no_room_is_dropped_and_counted() {
        let endpoints: Arc<[Endpoint]> = Arc::new([sample::endpoint(&[]), sample::endpoint(&["push"])]);
        let (queue, mut waiting) = Queue::new(Arc::clone(&endpoints), false);
        for _ in 0..=WAITING {
            queue.record(sample::blob(EventAction::Push));
        }
        let dropped = |index: usize| endpoints[index].counted().dropped;
        assert_eq!((dropped(0), dropped(1)), (1, 0));
        for _ in 0..WAITING {
            assert!(matches!(waiting.next(), Message::Event(_)));
        }
        assert!(waiting.at_once().is_none());
        queue.record(sample::blob(EventAction::Push));
        assert!(matches!(waiting.at_once(), Some(Message::Event(_))));
        drop(waiting);
        queue.record(sample::blob(EventAction::Push));
        assert_eq!(dropped(0), 2);
    }

    #[test]
    fn manifests_wait_only_for_references_and_up_to_a_bound() {
        let endpoints: Arc<[Endpoint]> = Arc::new([sample::endpoint(&[])]);
        let mut large = sample::manifest(EventAction::Push);
        large.manifest = Some(Bytes::from(vec![b' '; usize::try_from(WAITING_BYTES / 2).unwrap()]));
        let (queue, mut waiting) = Queue::new(Arc::clone(&endpoints), true);
        for _ in 0..3 {
            queue.record(large.clone());
        }
        assert_eq!(endpoints[0].counted().dropped, 1);
        assert!(matches!(waiting.next(), Message::Event(event) if event.manifest == large.manifest));
        queue.record(large.clone());
        assert_eq!(endpoints[0].counted().dropped, 1);

        let (queue, mut waiting) = Queue::new(endpoints, false);
        queue.record(large);
        assert!(matches!(waiting.next(), Message::Event(event) if event.manifest.is_none()));
    }

    #[test]
    fn one_complaint_in_a_minute() {
        let complaints = Complaints::default();
        let at = |seconds| sample::time() + Duration::from_secs(seconds);
        assert_eq!([0, 59, 60, 61, 10].map(|seconds| complaints.is_due(at(seconds))), [true, false, true, false, true]);
    }
}
