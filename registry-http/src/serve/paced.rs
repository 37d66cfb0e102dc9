//! Bodies of requests that must not stand still, nor trickle.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::ServeOptions;
use super::activity::Activity;
use crate::content::TooSlow;

/// The body of a request as [`serve`](super::serve) hands it to the service. It fails if too little comes for too long
/// while it is waited for.
#[derive(Debug)]
pub struct RequestBody {
    body: Paced<Incoming>,
    has_ended: bool,
    activity: Arc<Activity>,
}

impl RequestBody {
    pub(super) fn new(body: Incoming, activity: Arc<Activity>, options: &ServeOptions) -> Self {
        Self { has_ended: body.is_end_stream(), body: Paced::new(body, options), activity }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if !self.has_ended && !self.body.is_end_stream() {
            self.activity.leave_over();
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.has_ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A body of which a quota has to come in each window of time. The next window begins as soon as the quota is there, so
/// neither a pause nor a rate is held against what came before.
#[derive(Debug)]
struct Paced<B> {
    body: B,
    window: Duration,
    quota_bytes: u64,
    /// What came in this window.
    came_bytes: u64,
    /// How long the body was waited for in this window. While nobody asks for the next frame, no time passes.
    waited: Duration,
    waiting: Option<Waiting>,
}

/// A frame is waited for.
#[derive(Debug)]
struct Waiting {
    since: Instant,
    /// Runs until the end of the window.
    timer: Pin<Box<Sleep>>,
}

impl<B> Paced<B> {
    fn new(body: B, options: &ServeOptions) -> Self {
        let window = options.body_timeout;
        let milliseconds = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
        let quota_bytes = options.body_rate_bytes_per_second.saturating_mul(milliseconds) / 1000;
        Self { body, window, quota_bytes, came_bytes: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Some bytes came.
    fn has_come(&mut self, bytes: usize) {
        if let Some(waiting) = self.waiting.take() {
            self.waited += waiting.since.elapsed();
        }
        self.came_bytes += bytes as u64;
        if self.came_bytes >= self.quota_bytes {
            self.came_bytes = 0;
            self.waited = Duration::ZERO;
        }
    }

    /// Nothing is there: ready when that lasted too long.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let rest = self.window.saturating_sub(self.waited);
        let waiting =
            self.waiting.get_or_insert_with(|| Waiting { since: Instant::now(), timer: Box::pin(sleep(rest)) });
        waiting.timer.as_mut().poll(cx)
    }
}

impl<B> Body for Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
            self.has_come(data.map_or(0, Bytes::len));
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        self.poll_patience(cx).map(|()| Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream::{self, StreamExt as _};
    use http_body_util::{BodyExt as _, StreamBody};

    /// A body that comes as `frames` say: after so many seconds, so many bytes.
    fn paced(frames: Vec<(u64, usize)>, rate: u64) -> Paced<impl Body<Data = Bytes, Error = std::io::Error> + Unpin> {
        let frames = stream::iter(frames).then(async |(seconds, bytes)| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Ok(Frame::data(Bytes::from(vec![0; bytes])))
        });
        let options = ServeOptions { body_rate_bytes_per_second: rate, ..ServeOptions::default() };
        Paced::new(StreamBody::new(frames.boxed()), &options)
    }

    /// How many bytes came, or after how many seconds the body failed.
    async fn outcome(frames: Vec<(u64, usize)>, rate: u64) -> Result<usize, u64> {
        let start = Instant::now();
        match paced(frames, rate).collect().await {
            Ok(all) => Ok(all.to_bytes().len()),
            Err(error) => {
                assert!(error.is::<TooSlow>(), "{error}");
                Err(start.elapsed().as_secs())
            }
        }
    }

    const KIB: usize = 1024;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_cut_at_the_end_of_the_window() {
        assert_eq!(outcome(vec![(29, 1); 10], 1024).await, Err(30));
        assert_eq!(outcome(vec![(1, 1); 100], 1024).await, Err(30));
        assert_eq!(outcome(vec![(1, 1000); 100], 1024).await, Err(30));
        assert_eq!(outcome(vec![(0, 29 * KIB), (31, 1)], 1024).await, Err(30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_comes_at_its_rate_comes_whole() {
        assert_eq!(outcome(vec![(1, 1024 + 64); 1000], 1024).await, Ok(1000 * 1088));
        assert_eq!(outcome(vec![(29, 30 * KIB); 10], 1024).await, Ok(300 * KIB));
        assert_eq!(outcome(vec![(29, 1)], 1024).await, Ok(1), "the end does not have to make up a quota");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_is_not_longer_because_much_came_before() {
        assert_eq!(outcome(vec![(5, 1000 * KIB), (29, 1000 * KIB)], 1024).await, Ok(2000 * KIB));
        assert_eq!(outcome(vec![(5, 1000 * KIB), (31, 1000 * KIB)], 1024).await, Err(35));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_something_has_to_come() {
        assert_eq!(outcome(vec![(29, 1); 10], 0).await, Ok(10));
        assert_eq!(outcome(vec![(29, 1), (31, 1)], 0).await, Err(59));
    }

    #[tokio::test(start_paused = true)]
    async fn time_in_which_nobody_asks_does_not_count() {
        let mut body = paced(vec![(1, 1); 20], 1024);
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_mins(1)).await;
            body.frame().await.unwrap().unwrap();
        }
        assert!(body.frame().await.is_none());
    }
}
