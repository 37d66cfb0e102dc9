//! Questions that may be asked twice, asked again when they fail.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ::opendal::Operator;
use ::opendal::layers::RetryLayer;
use bytes::Bytes;
use futures::future;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use registry_core::storage::{Error, Key};
use registry_core::{Random, SystemRandom};

/// How often, and after which pause, what a service failed to do is asked for again.
///
/// Only what may be done twice is: looks, reads, lists, copies, writes that need not find their place empty, and pieces of
/// content on its way in. A delete is never repeated, nor is the creation of what must be new.
///
/// Each repetition of a question takes from a budget that answers fill again, one for ten: where most of what is asked fails, little is asked
/// again, so that a service that is too busy is not made busier.
///
/// A small question that is not answered as soon as nearly all are is asked a second time while the first goes on, out of the same
/// budget; the first good answer counts.
#[derive(Debug, Clone)]
pub struct Retries {
    most: u32,
    pause: Duration,
    deadline: Duration,
    hedge: Option<Duration>,
    budget: Arc<Budget>,
    random: Arc<dyn Random>,
}

/// The pause doubles from one to the next, up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

impl Default for Retries {
    /// Four times; the first after 50 ms, more or less; 20 s for each. A small question is asked twice after 300 ms.
    fn default() -> Self {
        Self::new(4, Duration::from_millis(50), Duration::from_secs(20)).hedging(Duration::from_millis(300))
    }
}

impl Retries {
    /// At most `most` repetitions, the first after about `pause`, each later one after twice as much. What was not begun to be
    /// answered within `deadline` counts as failed; it does not hold for copies and for content on its way in.
    #[must_use]
    pub fn new(most: u32, pause: Duration, deadline: Duration) -> Self {
        Self { most, pause, deadline, hedge: None, budget: Arc::default(), random: Arc::new(SystemRandom) }
    }

    /// None: what fails once has failed.
    #[must_use]
    pub fn none() -> Self {
        Self::new(0, Duration::ZERO, Duration::MAX)
    }

    /// Asks a small question a second time when it was not answered for so long: longer than the service takes for nearly all.
    #[must_use]
    pub fn hedging(mut self, after: Duration) -> Self {
        self.hedge = Some(after);
        self
    }

    /// Decides by how much pauses differ, which they must so that not all come again at once.
    #[must_use]
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Asks, and asks again while the service cannot answer.
    pub(super) async fn ask<T, F>(&self, key: &Key, question: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        self.repeat(|| self.in_time(key, question())).await
    }

    /// The same for what changes nothing, and whose answer is small.
    pub(super) async fn look<T, F>(&self, key: &Key, question: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let question = &question;
        self.ask(key, || self.hedged(question)).await
    }

    async fn hedged<T, F>(&self, question: &impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let Some(after) = self.hedge else { return question().await };
        let mut first = pin!(question());
        if let Ok(answer) = tokio::time::timeout(after, first.as_mut()).await {
            return answer;
        }
        if !self.budget.take() {
            return first.await;
        }
        let second = pin!(question());
        let (answer, _) = future::select_ok([first, second]).await?;
        Ok(answer)
    }

    /// The operator for content on its way in, of which nobody but the writer has the pieces. A piece or an object that was
    /// created all the same, when the answer to the first request was lost, shows as one of somebody else.
    pub(super) fn for_writers(&self, operator: &Operator) -> Operator {
        let layer = RetryLayer::new().with_jitter().with_min_delay(self.pause).with_max_delay(LONGEST_PAUSE);
        match usize::try_from(self.most) {
            Ok(most) if most > 0 => operator.clone().layer(layer.with_max_times(most)),
            _ => operator.clone(),
        }
    }

    async fn in_time<T>(&self, key: &Key, answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        match tokio::time::timeout(self.deadline, answer).await {
            Ok(answer) => answer,
            Err(late) => Err(Error::Unavailable { key: key.clone(), source: late.into() }),
        }
    }

    /// The same for what takes as long as it takes.
    pub(super) async fn repeat<T, F>(&self, question: impl Fn() -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut repeated = 0;
        loop {
            match question().await {
                Err(failed @ Error::Unavailable { .. }) => {
                    if !self.again(repeated).await {
                        return Err(failed);
                    }
                    tracing::debug!(error = ?failed, "asked again");
                    repeated += 1;
                }
                answer => {
                    self.budget.fill();
                    return answer;
                }
            }
        }
    }

    /// Waits for the next repetition; `false` if there is none.
    async fn again(&self, repeated: u32) -> bool {
        if repeated >= self.most || !self.budget.take() {
            return false;
        }
        tokio::time::sleep(self.pause_before(repeated)).await;
        true
    }

    /// Between half and all of the pause, which doubles.
    fn pause_before(&self, repeated: u32) -> Duration {
        let whole = self.pause.saturating_mul(2_u32.saturating_pow(repeated)).min(LONGEST_PAUSE);
        let chance = u32::from(self.random.bytes()[0]);
        (whole / 2).saturating_add(whole / 2 * chance / 255)
    }

    /// `length` bytes of what lies at `key`, from streams that `open` opens at an offset: where one breaks off, the next goes on.
    pub(super) fn stream<F>(self, key: Key, length: u64, open: impl Fn(u64) -> F + Send + 'static) -> Frames
    where
        F: Future<Output = Result<Frames, Error>> + Send + 'static,
    {
        let reading = Reading { retries: self, key, open, length, offset: 0, frames: None };
        stream::try_unfold(reading, |mut reading| async move {
            let mut repeated = 0;
            loop {
                match reading.next().await {
                    Ok(frame) => return Ok(frame.map(|frame| (frame, reading))),
                    Err(failed @ Error::Unavailable { .. }) if reading.retries.again(repeated).await => {
                        tracing::debug!(error = ?failed, offset = reading.offset, "read on from where it broke off");
                        repeated += 1;
                        reading.frames = None;
                    }
                    Err(failed) => return Err(failed),
                }
            }
        })
        .boxed()
    }
}

type Frames = BoxStream<'static, Result<Bytes, Error>>;

struct Reading<O> {
    retries: Retries,
    key: Key,
    open: O,
    length: u64,
    offset: u64,
    frames: Option<Frames>,
}

impl<O, F> Reading<O>
where
    O: Fn(u64) -> F,
    F: Future<Output = Result<Frames, Error>>,
{
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.frames.is_none() && self.offset == self.length {
            return Ok(None);
        }
        let mut frames = match self.frames.take() {
            Some(frames) => frames,
            None => self.retries.in_time(&self.key, (self.open)(self.offset)).await?,
        };
        let frame = self.retries.in_time(&self.key, frames.try_next()).await?;
        self.offset += frame.as_ref().map_or(0, |frame| frame.len() as u64);
        self.frames = Some(frames);
        Ok(frame)
    }
}

/// Tenths of repetitions that may still be made.
#[derive(Debug)]
struct Budget(AtomicU32);

impl Budget {
    const MOST: u32 = 500;
    const REPETITION: u32 = 10;

    fn take(&self) -> bool {
        let taken = |left: u32| left.checked_sub(Self::REPETITION);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, taken).is_ok()
    }

    fn fill(&self) {
        let filled = |left: u32| (left < Self::MOST).then_some(left + 1);
        // A full one stays as it is.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, filled);
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self(AtomicU32::new(Self::MOST))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;
    use std::sync::atomic::AtomicUsize;

    use tokio::time::Instant;

    use super::*;

    fn key() -> Key {
        "key".parse().unwrap()
    }

    fn unavailable() -> Error {
        Error::Unavailable { key: key(), source: io::Error::other("busy").into() }
    }

    #[derive(Debug)]
    struct Always(u8);

    impl Random for Always {
        fn bytes(&self) -> [u8; 10] {
            [self.0; 10]
        }
    }

    fn retries(chance: u8) -> Retries {
        Retries::new(3, Duration::from_millis(100), Duration::from_secs(5)).random(Arc::new(Always(chance)))
    }

    /// Fails so often, then answers; tells how often it was asked.
    async fn asked(retries: &Retries, failures: usize, failure: fn() -> Error) -> (bool, usize) {
        let asked = AtomicUsize::new(0);
        let question =
            || async { if asked.fetch_add(1, Ordering::Relaxed) < failures { Err(failure()) } else { Ok(()) } };
        let answer = retries.ask(&key(), question).await;
        (answer.is_ok(), asked.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_is_asked_again_after_pauses_that_double() {
        for (chance, millis) in [(0, 50 + 100 + 200), (255, 100 + 200 + 400)] {
            let begin = Instant::now();
            assert_eq!(asked(&retries(chance), 3, unavailable).await, (true, 4));
            assert_eq!(begin.elapsed().as_millis(), millis);
        }
        assert_eq!(asked(&retries(0), 4, unavailable).await, (false, 4));
        assert_eq!(asked(&Retries::none(), 1, unavailable).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_is_not_asked_again() {
        let refused = || Error::Failed { key: key(), source: io::Error::other("no").into() };
        assert_eq!(asked(&retries(0), 1, refused).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_has_failed_when_the_time_is_over() {
        let begin = Instant::now();
        let answer: Result<(), Error> = retries(255).ask(&key(), futures::future::pending).await;
        assert!(matches!(answer, Err(Error::Unavailable { .. })));
        assert_eq!(begin.elapsed(), Duration::from_millis(4 * 5000 + 700));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_is_asked_a_second_time() {
        let retries = Retries::none().hedging(Duration::from_millis(300));
        // Of each question: when it is answered, in milliseconds; and whether well.
        let asked = async |answers: [(u64, bool); 2]| {
            let (begin, asked) = (Instant::now(), AtomicUsize::new(0));
            let question = || async {
                let number = asked.fetch_add(1, Ordering::Relaxed);
                let (millis, is_good) = answers[number];
                tokio::time::sleep(Duration::from_millis(millis)).await;
                if is_good { Ok(number) } else { Err(unavailable()) }
            };
            let answer = retries.look(&key(), question).await.ok();
            (answer, begin.elapsed().as_millis(), asked.into_inner())
        };
        assert_eq!(asked([(299, true), (0, true)]).await, (Some(0), 299, 1));
        assert_eq!(asked([(299, false), (0, true)]).await, (None, 299, 1));
        assert_eq!(asked([(5000, true), (20, true)]).await, (Some(1), 320, 2));
        assert_eq!(asked([(310, true), (5000, true)]).await, (Some(0), 310, 2));
        assert_eq!(asked([(310, false), (5000, true)]).await, (Some(1), 5300, 2));
        assert_eq!(asked([(5000, true), (20, false)]).await, (Some(0), 5000, 2));
        assert_eq!(asked([(5000, false), (20, false)]).await, (None, 5000, 2));

        // Where all are slow few are asked twice.
        let mut twice = 0;
        for _ in 0..1000 {
            twice += asked([(400, true), (1000, true)]).await.2 - 1;
        }
        assert!((100..=150).contains(&twice), "{twice}");
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_fails_little_is_asked_again() {
        let retries = retries(0);
        let mut repeated = 0;
        for _ in 0..1000 {
            repeated += asked(&retries, usize::MAX, unavailable).await.1 - 1;
        }
        assert_eq!(repeated, 50);
        for _ in 0..10 {
            asked(&retries, 0, unavailable).await;
        }
        assert_eq!(asked(&retries, 1, unavailable).await, (true, 2));
        assert_eq!(asked(&retries, 1, unavailable).await, (false, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn what_breaks_off_goes_on_where_it_was() {
        let content = Bytes::from_static(b"all of these bytes");
        let opened = Arc::new(Mutex::new(Vec::new()));
        let opens = Arc::clone(&opened);
        let whole = content.clone();
        let frames = retries(0).stream(key(), content.len() as u64, move |offset| {
            opens.lock().unwrap().push(offset);
            let rest = whole.slice(usize::try_from(offset).unwrap()..);
            // Each stream gives four bytes and breaks off, unless it has the last ones.
            let is_last = rest.len() <= 4;
            let first = stream::iter([Ok(rest.slice(..rest.len().min(4)))]);
            let end = stream::iter((!is_last).then(|| Err(unavailable())));
            async move { Ok(first.chain(end).boxed()) }
        });
        assert_eq!(frames.try_collect::<Vec<_>>().await.unwrap().concat(), content);
        assert_eq!(*opened.lock().unwrap(), [0, 4, 8, 12, 16]);
        let mut broken = retries(0).stream(key(), 3, |_| async { Err(unavailable()) });
        assert!(matches!(broken.try_next().await, Err(Error::Unavailable { .. })));
    }
}
