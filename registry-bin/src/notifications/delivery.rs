//! Delivering what the spool of one endpoint holds: one event after the other, each until the endpoint has it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use registry_core::{Blocking, Clock};
use tokio::sync::watch;

use super::counts::EndpointCounts;
use super::queue::Complaints;
use super::spool::Spool;
use super::transport::Transport;
use crate::config::EndpointConfig;

/// The first pause after a failure. It doubles, so that an endpoint that is down does not keep the server busy.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Delivers to one endpoint.
#[derive(Debug)]
pub(super) struct Delivery<T> {
    pub(super) name: String,
    pub(super) patience: Patience,
    pub(super) spool: Arc<Spool>,
    pub(super) counts: Arc<EndpointCounts>,
    pub(super) transport: T,
    pub(super) blocking: Arc<dyn Blocking>,
    /// What cannot be noted down is told now and then.
    pub(super) complaints: Complaints,
    pub(super) clock: Arc<dyn Clock>,
}

/// How long an endpoint is left alone after failures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    threshold: u32,
    backoff: Duration,
}

impl Patience {
    pub(super) fn new(endpoint: &EndpointConfig) -> Self {
        Self { threshold: endpoint.threshold, backoff: endpoint.backoff }
    }

    /// The pause after so many failures in a row, of which there is one at least.
    fn pause(self, failures: u32) -> Duration {
        if failures >= self.threshold {
            return self.backoff;
        }
        let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        doubled.min(self.backoff)
    }
}

/// The runtime is ending.
struct Ending;

impl<T: Transport> Delivery<T> {
    /// Delivers until `stop` becomes true, at the latest after the attempt that is on its way then. What is left stays
    /// in the spool. Dropping the future may leave an event both delivered and in the spool.
    pub(super) async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut failures = 0;
        loop {
            let Ok(next) = self.first().await else { return };
            let wait = match next {
                Ok(Some(notice)) if *stop.borrow() => return drop(notice),
                Ok(Some(notice)) if self.attempt(&notice, failures).await => {
                    failures = 0;
                    if self.done(notice).await.is_err() {
                        return;
                    }
                    continue;
                }
                Ok(Some(_)) => {
                    failures += 1;
                    Some(self.patience.pause(failures))
                }
                Ok(None) => None,
                Err(error) => {
                    tracing::error!(endpoint = self.name, %error, "notifications cannot be read; they are tried again");
                    Some(self.patience.backoff)
                }
            };
            let waiting = async {
                match wait {
                    Some(pause) => tokio::time::sleep(pause).await,
                    None => self.spool.added().await,
                }
            };
            tokio::select! {
                biased;
                // Nobody is left to say it, or it is said.
                _ = stop.wait_for(|stop| *stop) => return,
                () = waiting => {}
            }
        }
    }

    /// Sends one event; whether the endpoint has it.
    async fn attempt(&self, notice: &Bytes, failures: u32) -> bool {
        let problem = match self.transport.send(notice.clone()).await {
            Ok(status) => {
                // A redirect is taken for success, and not followed.
                let is_good = status.is_success() || status.is_redirection();
                self.counts.answer(status, is_good);
                if is_good {
                    if failures > 0 {
                        tracing::info!(endpoint = self.name, failures, "notifications are delivered again");
                    }
                    return true;
                }
                format!("it answered {status}")
            }
            Err(error) => {
                self.counts.error();
                error.to_string()
            }
        };
        // Not each time: this may go on for days.
        if failures == 0 || failures + 1 == self.patience.threshold {
            let pending = self.spool.pending();
            tracing::warn!(endpoint = self.name, problem, pending, "a notification is not delivered, and tried again");
        }
        false
    }

    async fn first(&self) -> Result<io::Result<Option<Bytes>>, Ending> {
        let spool = Arc::clone(&self.spool);
        self.blocking.run(move || spool.first()).await.map_err(|_| Ending)
    }

    async fn done(&self, notice: Bytes) -> Result<(), Ending> {
        let spool = Arc::clone(&self.spool);
        let noted = self.blocking.run(move || spool.done(&notice)).await.map_err(|_| Ending)?;
        if let Err(error) = noted
            && self.complaints.is_due(self.clock.now())
        {
            tracing::warn!(
                endpoint = self.name, %error,
                "cannot note down that a notification is delivered; after a restart it is delivered again"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Mutex;

    use http::StatusCode;
    use registry_core::InlineBlocking;
    use tokio::time::Instant;

    use super::*;
    use crate::notifications::spool::Bounds;
    use crate::notifications::transport::Unanswered;

    /// Answers as told, then always well; 0 is no answer. Notes when it was asked what.
    #[derive(Debug, Clone, Default)]
    struct Scripted {
        answers: Arc<Mutex<VecDeque<u16>>>,
        asked: Arc<Mutex<Vec<(Instant, Bytes)>>>,
        asked_once: Arc<tokio::sync::Notify>,
    }

    impl Scripted {
        fn new(answers: &[u16]) -> Self {
            Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), ..Self::default() }
        }

        /// The texts, and how many milliseconds each came after the one before.
        fn asked(&self) -> Vec<(String, u128)> {
            let asked = self.asked.lock().unwrap();
            let mut last = asked.first().unwrap().0;
            let told = asked.iter().map(|(time, notice)| {
                let pause = time.duration_since(std::mem::replace(&mut last, *time));
                (String::from_utf8(notice.to_vec()).unwrap(), pause.as_millis())
            });
            told.collect()
        }
    }

    impl Transport for Scripted {
        async fn send(&self, notice: Bytes) -> Result<StatusCode, Unanswered> {
            self.asked.lock().unwrap().push((Instant::now(), notice));
            self.asked_once.notify_one();
            match self.answers.lock().unwrap().pop_front().unwrap_or(200) {
                0 => Err(Unanswered("refused".into())),
                status => Ok(StatusCode::from_u16(status).unwrap()),
            }
        }
    }

    fn spool(notices: &[&str]) -> Arc<Spool> {
        let spool = Spool::in_memory(Bounds { events: 100, bytes: 1_000_000 });
        for notice in notices {
            spool.append(&Bytes::copy_from_slice(notice.as_bytes())).unwrap();
        }
        Arc::new(spool)
    }

    fn delivery(spool: &Arc<Spool>, transport: &Scripted) -> Delivery<Scripted> {
        Delivery {
            name: "a".into(),
            patience: Patience { threshold: 4, backoff: Duration::from_secs(30) },
            spool: Arc::clone(spool),
            counts: Arc::default(),
            transport: transport.clone(),
            blocking: Arc::new(InlineBlocking),
            complaints: Complaints::default(),
            clock: Arc::new(registry_core::SystemClock),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_after_the_other_until_the_endpoint_has_it() {
        let (spool, transport) = (spool(&["1", "2", "3"]), Scripted::new(&[0, 500, 204, 302, 404, 0, 503, 0, 0]));
        let delivery = delivery(&spool, &transport);
        let counts = Arc::clone(&delivery.counts);
        let (_sender, stop) = watch::channel(false);
        // It goes on forever.
        assert!(tokio::time::timeout(Duration::from_hours(1), delivery.run(stop)).await.is_err());
        let expected = [
            ("1", 0),
            ("1", 100),
            ("1", 200),
            ("2", 0),
            ("3", 0),
            ("3", 100),
            ("3", 200),
            ("3", 400),
            // Four failures: from here on it is left alone.
            ("3", 30_000),
            ("3", 30_000),
        ];
        assert_eq!(transport.asked(), expected.map(|(text, pause)| (text.to_owned(), pause)));
        assert_eq!((spool.pending(), spool.first().unwrap()), (0, None));
        let told = crate::notifications::counts::NotificationCounts::new([crate::notifications::counts::Counted {
            endpoint: "a".into(),
            counts,
            spool,
        }])
        .snapshot();
        assert_eq!((told[0].successes, told[0].failures, told[0].errors), (3, 3, 4));
        assert_eq!((told[0].statuses["204 No Content"], told[0].statuses["302 Found"]), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_added_later_is_delivered() {
        let (spool, transport) = (spool(&[]), Scripted::default());
        let (_sender, stop) = watch::channel(false);
        let running = tokio::spawn(delivery(&spool, &transport).run(stop));
        for notice in ["1", "2"] {
            spool.append(&Bytes::from_static(notice.as_bytes())).unwrap();
            transport.asked_once.notified().await;
        }
        running.abort();
        assert_eq!(transport.asked().len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_between_two_attempts_and_leaves_the_rest() {
        let (spool, transport) = (spool(&["1", "2"]), Scripted::new(&[200, 0]));
        let (sender, stop) = watch::channel(false);
        let running = tokio::spawn(delivery(&spool, &transport).run(stop));
        transport.asked_once.notified().await;
        transport.asked_once.notified().await;
        sender.send(true).unwrap();
        running.await.unwrap();
        assert_eq!((spool.pending(), spool.first().unwrap().unwrap()), (1, "2".into()));

        let (sender, stop) = watch::channel(true);
        delivery(&spool, &transport).run(stop.clone()).await;
        assert_eq!(transport.asked().len(), 2);
        drop(sender);
        delivery(&spool, &transport).run(stop).await;
    }

    #[test]
    fn pauses_double_up_to_the_backoff() {
        let pauses = |threshold, backoff| {
            let patience = Patience { threshold, backoff: Duration::from_millis(backoff) };
            [1, 2, 3, 4, 5, u32::MAX].map(|failures| patience.pause(failures).as_millis())
        };
        assert_eq!(pauses(10, 1000), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(pauses(2, 60_000), [100, 60_000, 60_000, 60_000, 60_000, 60_000]);
        assert_eq!(pauses(1, 5), [5; 6]);
        assert_eq!(pauses(u32::MAX, 300), [100, 200, 300, 300, 300, 300]);
    }
}
