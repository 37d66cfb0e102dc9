//! The thread that writes what happened down, for each endpoint that wants to hear of it.

use std::sync::Arc;

use bytes::Bytes;
use registry_core::Event;
use uuid::Uuid;

use super::Endpoint;
use super::envelope::{self, Source};
use super::queue::{Complaints, Message, Waiting};

/// How many events are written before they are made to survive a power cut.
const BATCH: usize = 256;

/// Writes events down.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) endpoints: Arc<[Endpoint]>,
    pub(super) source: Source,
    pub(super) complaints: Complaints,
}

impl Writer {
    /// Writes until the end. Blocks.
    pub(super) fn run(&self, mut waiting: Waiting) {
        let mut message = waiting.next();
        while let Message::Event(first) = message {
            self.write(&first);
            let mut written = 1;
            let mut time = first.time;
            let mut next = waiting.at_once();
            while let (Some(Message::Event(event)), true) = (&next, written < BATCH) {
                self.write(event);
                time = event.time;
                written += 1;
                next = waiting.at_once();
            }
            for endpoint in self.endpoints.iter() {
                if let Err(error) = endpoint.spool.sync()
                    && self.complaints.is_due(time)
                {
                    let endpoint = &endpoint.name;
                    tracing::error!(endpoint, %error, "notifications may not survive a power cut");
                }
            }
            message = next.unwrap_or_else(|| waiting.next());
        }
    }

    /// Writes an event down, for all with the same identity.
    fn write(&self, event: &Event) {
        let notice = match envelope::render(event, Uuid::new_v4(), &self.source) {
            Ok(json) => Bytes::from(json),
            Err(error) => {
                tracing::error!(%error, "an event cannot be told");
                return;
            }
        };
        for endpoint in self.endpoints.iter().filter(|endpoint| endpoint.filter.passes(event)) {
            endpoint.counts.event();
            if let Err(error) = endpoint.spool.append(&notice) {
                endpoint.counts.dropped();
                if self.complaints.is_due(event.time) {
                    let (name, pending) = (&endpoint.name, endpoint.spool.pending());
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(endpoint = name, error, pending, "notifications are dropped");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use registry_core::{EventAction, EventSink as _};

    use super::*;
    use crate::notifications::queue::Queue;
    use crate::notifications::sample;

    #[tokio::test]
    async fn everything_that_waits_is_written_before_the_end() {
        let endpoints: Arc<[Endpoint]> = Arc::new([sample::endpoint(&[]), sample::endpoint(&["pull"])]);
        let (queue, waiting) = Queue::new(Arc::clone(&endpoints), false);
        for _ in 0..=BATCH {
            queue.record(sample::blob(EventAction::Pull));
        }
        queue.record(sample::blob(EventAction::Push));
        queue.end().await;
        let source = Source { addr: "a".into(), instance_id: "b".into() };
        let writer = Writer { endpoints: Arc::clone(&endpoints), source, complaints: Complaints::default() };
        std::thread::spawn(move || writer.run(waiting)).join().unwrap();
        let told = |index: usize| (endpoints[index].counted().events, endpoints[index].counted().pending);
        assert_eq!((told(0), told(1)), ((258, 258), (1, 1)));

        // The last one has the same identity for both.
        for _ in 0..257 {
            endpoints[0].spool.done(&endpoints[0].spool.first().unwrap().unwrap()).unwrap();
        }
        assert_eq!(endpoints[0].spool.first().unwrap(), endpoints[1].spool.first().unwrap());
    }

    #[tokio::test]
    async fn what_does_not_fit_in_the_spool_is_counted() {
        let endpoints: Arc<[Endpoint]> = Arc::new([sample::endpoint(&[])]);
        let (queue, waiting) = Queue::new(Arc::clone(&endpoints), false);
        for _ in 0..1005 {
            queue.record(sample::blob(EventAction::Pull));
        }
        drop(queue);
        let source = Source { addr: "a".into(), instance_id: "b".into() };
        let writer = Writer { endpoints: Arc::clone(&endpoints), source, complaints: Complaints::default() };
        std::thread::spawn(move || writer.run(waiting)).join().unwrap();
        let told = endpoints[0].counted();
        assert_eq!((told.events, told.pending, told.dropped), (1005, 1000, 5));
    }
}
