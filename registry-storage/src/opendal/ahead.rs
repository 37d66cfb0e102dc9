//! Reading large objects in several pieces at once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use registry_core::storage::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How large objects are read: one connection to a service of the large clouds gives some 100 MB in a second at most, several give
/// several times as much. Where one is quicker than that, more of them only cost.
///
/// The first two pieces come over one connection. If they were waited for longer than that, the rest comes in pieces, of which a
/// reader holds as many as come at once in memory. When as many readers do so as may, further ones go on over one connection.
#[derive(Debug, Clone)]
pub struct ReadAhead {
    pieces: usize,
    piece_bytes: usize,
    readers: Arc<Semaphore>,
}

impl Default for ReadAhead {
    /// Four pieces of 4 MiB for each of four readers.
    fn default() -> Self {
        Self::new(4, 4 * 1024 * 1024, 4)
    }
}

impl ReadAhead {
    /// `pieces` of `piece_bytes` at once, for at most so many `readers`.
    #[must_use]
    pub fn new(pieces: usize, piece_bytes: usize, readers: usize) -> Self {
        Self { pieces, piece_bytes, readers: Arc::new(Semaphore::new(readers)) }
    }

    /// How many of so many bytes come over one connection, to see how quick that is; `None` if all should.
    pub(super) fn trial(&self, bytes: u64) -> Option<u64> {
        let trial = 2 * self.piece_bytes as u64;
        (bytes >= 2 * trial).then_some(trial)
    }

    /// Leave to read ahead, if there is room.
    fn begin(&self) -> Option<Pieces> {
        let permit = Arc::clone(&self.readers).try_acquire_owned().ok()?;
        Some(Pieces { at_once: self.pieces, bytes: self.piece_bytes, _permit: permit })
    }
}

/// Leave to read ahead, for as long as it lives.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) at_once: usize,
    pub(super) bytes: usize,
    _permit: OwnedSemaphorePermit,
}

/// What one connection may take for each MiB before several are worth it.
const SLOW: Duration = Duration::from_millis(10);

type Frames = BoxStream<'static, Result<Bytes, Error>>;

/// The frames of a trial, and then those of the rest, which `rest` opens with leave to read ahead if the trial was slow.
pub(super) fn after_trial<F>(
    ahead: ReadAhead,
    trial: Frames,
    rest: impl FnOnce(Option<Pieces>) -> F + Send + 'static,
) -> Frames
where
    F: Future<Output = Result<Frames, Error>> + Send + 'static,
{
    let trial = Trial { frames: trial, bytes: 0, waited: Duration::ZERO };
    let begun = stream::try_unfold((trial, Some((ahead, rest))), |(mut trial, mut next)| async move {
        if let Some(frame) = trial.next().await? {
            return Ok(Some((stream::iter([Ok(frame)]).boxed(), (trial, next))));
        }
        let Some((ahead, rest)) = next.take() else { return Ok(None) };
        let pieces = if trial.is_slow() { ahead.begin() } else { None };
        Ok::<_, Error>(Some((rest(pieces).await?, (trial, None))))
    });
    begun.try_flatten().boxed()
}

/// Frames, and how long they were waited for: not how long it took the reader to come for them.
struct Trial {
    frames: Frames,
    bytes: u64,
    waited: Duration,
}

impl Trial {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let begun = Instant::now();
        let frame = self.frames.try_next().await?;
        self.waited += begun.elapsed();
        self.bytes += frame.as_ref().map_or(0, |frame| frame.len() as u64);
        Ok(frame)
    }

    fn is_slow(&self) -> bool {
        let mebibytes = u32::try_from(self.bytes >> 20).unwrap_or(u32::MAX);
        self.waited > SLOW * mebibytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_read_much_ahead() {
        let ahead = ReadAhead::new(3, 1000, 2);
        let (first, second) = (ahead.begin(), ahead.begin());
        assert!(first.is_some() && second.is_some() && ahead.begin().is_none());
        drop(first);
        assert!(ahead.begin().is_some());
        assert_eq!((ahead.trial(3999), ahead.trial(4000)), (None, Some(2000)));
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_is_slow_comes_in_pieces() {
        for (pause, reader_pause, in_pieces) in [(9, 0, false), (9, 500, false), (11, 0, true), (11, 500, true)] {
            let trial = stream::iter(0..4).then(move |_| async move {
                tokio::time::sleep(Duration::from_millis(pause)).await;
                Ok(Bytes::from(vec![1; 1 << 20]))
            });
            let (told, asked) = tokio::sync::oneshot::channel();
            let rest = move |pieces: Option<Pieces>| async move {
                told.send(pieces.is_some()).unwrap();
                Ok(stream::iter([Ok(Bytes::from_static(b"rest"))]).boxed())
            };
            let mut frames = after_trial(ReadAhead::default(), trial.boxed(), rest);
            let mut bytes = 0;
            while let Some(frame) = frames.try_next().await.unwrap() {
                bytes += frame.len();
                tokio::time::sleep(Duration::from_millis(reader_pause)).await;
            }
            assert_eq!((bytes, asked.await), ((4 << 20) + 4, Ok(in_pieces)), "{pause} ms");
        }
    }
}
