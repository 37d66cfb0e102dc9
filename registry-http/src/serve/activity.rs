//! What goes on on a connection, as far as its timeouts depend on it.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// The requests of one connection.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    begun: AtomicUsize,
    running: AtomicUsize,
    /// When a request began or ended last, in milliseconds after `start`.
    changed: AtomicU64,
    /// Whether the rest of a request's body was not wanted.
    has_left_over: AtomicBool,
    answers: Mutex<Vec<Weak<Answer>>>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            start: Instant::now(),
            begun: AtomicUsize::new(0),
            running: AtomicUsize::new(0),
            changed: AtomicU64::new(0),
            has_left_over: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }

    /// Counts a request as running until what this gives, and all that was made of it, is dropped.
    pub(super) fn begin(self: &Arc<Self>) -> Arc<Answer> {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        self.note_change();
        let answer = Arc::new(Answer {
            activity: Arc::clone(self),
            moved: AtomicU64::new(0),
            waits_for_client: AtomicBool::new(false),
        });
        let mut answers = self.answers();
        answers.retain(|answer| answer.strong_count() > 0);
        answers.push(Arc::downgrade(&answer));
        answer
    }

    /// How many requests there have been.
    pub(super) fn begun(&self) -> usize {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether a request is being answered. It is until the last byte of its answer is written.
    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Relaxed) > 0
    }

    /// For how long no request has begun or ended.
    pub(super) fn rest(&self) -> Duration {
        self.since(&self.changed)
    }

    /// Whether there is an answer of which the client has taken nothing for so long.
    pub(super) fn has_stalled(&self, timeout: Duration) -> bool {
        let answers = self.answers();
        answers
            .iter()
            .filter_map(Weak::upgrade)
            .any(|answer| answer.waits_for_client.load(Ordering::Relaxed) && self.since(&answer.moved) >= timeout)
    }

    /// The rest of a request's body was not wanted.
    pub(super) fn leave_over(&self) {
        self.has_left_over.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending what nobody wants.
    pub(super) fn has_left_over(&self) -> bool {
        self.has_left_over.load(Ordering::Relaxed)
    }

    fn note_change(&self) {
        self.note(&self.changed);
    }

    fn note(&self, time: &AtomicU64) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        time.store(now, Ordering::Relaxed);
    }

    fn since(&self, time: &AtomicU64) -> Duration {
        self.start.elapsed().saturating_sub(Duration::from_millis(time.load(Ordering::Relaxed)))
    }

    fn answers(&self) -> MutexGuard<'_, Vec<Weak<Answer>>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answer {
    activity: Arc<Activity>,
    /// When the client took something last, in milliseconds after the start of the connection.
    moved: AtomicU64,
    /// Whether it is for the client to go on, and not for the service.
    waits_for_client: AtomicBool,
}

impl Answer {
    /// The service has answered. The request runs as long as the answer is there.
    pub(super) fn with<B: Body>(self: Arc<Self>, body: B) -> Tracked<B> {
        self.has_moved();
        self.waits_for_client(true);
        Tracked { body: Box::pin(body), answer: self }
    }

    fn has_moved(&self) {
        self.activity.note(&self.moved);
    }

    fn waits_for_client(&self, waits: bool) {
        self.waits_for_client.store(waits, Ordering::Relaxed);
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.activity.running.fetch_sub(1, Ordering::Relaxed);
        self.activity.note_change();
    }
}

/// The body of an answer under way.
#[derive(Debug)]
pub(super) struct Tracked<B> {
    body: Pin<Box<B>>,
    answer: Arc<Answer>,
}

impl<B: Body<Data = Bytes>> Body for Tracked<B> {
    type Data = Taken;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Taken>, B::Error>>> {
        let frame = self.body.as_mut().poll_frame(cx);
        self.answer.waits_for_client(frame.is_ready());
        if frame.is_ready() {
            self.answer.has_moved();
        }
        let answer = &self.answer;
        frame.map_ok(|frame| frame.map_data(|bytes| Taken { bytes, answer: Arc::clone(answer) }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes of an answer, until they are written.
#[derive(Debug)]
pub(super) struct Taken {
    bytes: Bytes,
    answer: Arc<Answer>,
}

impl Buf for Taken {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.bytes
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.answer.has_moved();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full, StreamBody};

    use super::*;

    const TIMEOUT: Duration = Duration::from_mins(1);

    async fn wait(seconds: u64) {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_runs_until_its_last_byte_is_written() {
        let activity = Arc::new(Activity::new());
        let mut body = activity.begin().with(Full::new(Bytes::from_static(b"answer")));
        let mut taken = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert!(activity.is_running());
        wait(59).await;
        taken.advance(3);
        wait(59).await;
        assert!(!activity.has_stalled(TIMEOUT));
        wait(1).await;
        assert!(activity.has_stalled(TIMEOUT));
        drop(taken);
        assert!(!activity.is_running() && !activity.has_stalled(TIMEOUT));
        assert_eq!(activity.rest(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_the_clients_fault_that_the_service_is_slow() {
        let activity = Arc::new(Activity::new());
        let answer = activity.begin();
        wait(100).await;
        assert!(!activity.has_stalled(TIMEOUT));
        let frames = futures::stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
        let mut body = answer.with(StreamBody::new(frames));
        assert!(futures::poll!(body.frame()).is_pending());
        wait(100).await;
        assert!(!activity.has_stalled(TIMEOUT));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_at_all_has_stalled() {
        let activity = Arc::new(Activity::new());
        let _body = activity.begin().with(Full::new(Bytes::from_static(b"answer")));
        wait(60).await;
        assert!(activity.has_stalled(TIMEOUT));
    }
}
