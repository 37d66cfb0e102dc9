//! Content on its way in: batched, hashed and staged; and content that is hashed once more.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _};

use crate::storage::{Key, Staged};
use crate::{Algorithm, BodyError, Digest, Error, Hasher, Registry, Span};

/// Content that a client sends, in frames of any size.
pub type ContentStream<'a> = BoxStream<'a, Result<Bytes, BodyError>>;

/// Large enough that the hop to the thread that writes vanishes beside its work. At most two are in memory for each upload.
const BATCH_BYTES: usize = 256 * 1024;

/// Takes a tenth of a millisecond.
const HASH_AT_ONCE_BYTES: usize = 128 * 1024;

/// Smaller frames are copied together: each that is kept has a price that does not depend on its bytes.
const SMALL_BYTES: usize = 4 * 1024;

/// Content on its way into staged bytes.
pub(crate) struct Intake<'a> {
    content: ContentStream<'a>,
    /// What came and is not staged yet.
    batch: Option<Batch>,
}

/// Frames that belong together, and how it goes on behind them.
#[derive(Default)]
struct Batch {
    frames: Vec<Bytes>,
    small: BytesMut,
    bytes: usize,
    end: Option<Result<(), BodyError>>,
}

/// How staging came to a stop.
pub(crate) enum Stop {
    /// There is more to come; this is a moment to note how far it is.
    Pause,
    /// The content has ended, or broken off. What came is staged.
    End(Result<(), BodyError>),
}

impl<'a> Intake<'a> {
    pub(crate) fn new(content: ContentStream<'a>) -> Self {
        Self { content, batch: None }
    }

    /// Stages what comes, until it ends or `pause_bytes` are staged: while one batch is written it is hashed, and the next
    /// one comes in. Gives the hash of all that is staged.
    ///
    /// # Errors
    /// If the storage fails; then there is no hash to go on with.
    pub(crate) async fn stage(
        &mut self,
        staged: &mut dyn Staged,
        mut hasher: Hasher,
        pause_bytes: u64,
    ) -> Result<(Hasher, Stop), Error> {
        let begin = staged.size();
        let mut batch = match self.batch.take() {
            Some(batch) => batch,
            None => fill(&mut self.content).await,
        };
        loop {
            // A clone of a frame shares its bytes.
            let (frames, end) = (batch.frames.clone(), batch.end.take());
            let append = async { if frames.is_empty() { Ok(()) } else { staged.append(frames).await } };
            // The write begins first, and goes on in another thread while this one computes.
            let hash = hash(&mut hasher, &batch.frames);
            if let Some(end) = end {
                let (appended, ()) = futures::join!(append, hash);
                appended?;
                return Ok((hasher, Stop::End(end)));
            }
            let (appended, (), next) = futures::join!(append, hash, fill(&mut self.content));
            appended?;
            batch = next;
            if staged.size() - begin >= pause_bytes {
                self.batch = Some(batch);
                return Ok((hasher, Stop::Pause));
            }
        }
    }
}

impl Batch {
    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        if frame.len() < SMALL_BYTES {
            self.small.extend_from_slice(&frame);
        } else {
            self.join();
            self.frames.push(frame);
        }
    }

    /// Makes one frame of the small ones.
    fn join(&mut self) {
        if !self.small.is_empty() {
            self.frames.push(self.small.split().freeze());
        }
    }
}

async fn fill(content: &mut ContentStream<'_>) -> Batch {
    let mut batch = Batch::default();
    while batch.bytes < BATCH_BYTES {
        match content.next().await {
            Some(Ok(frame)) => batch.push(frame),
            Some(Err(error)) => {
                batch.end = Some(Err(error));
                break;
            }
            None => {
                batch.end = Some(Ok(()));
                break;
            }
        }
    }
    batch.join();
    batch
}

/// Takes frames into a hash, on the spot: a hop to another thread and back would take as long as a good part of a batch, and
/// the bytes would have to come out of another processor's cache. Others get their turn in between.
pub(crate) async fn hash(hasher: &mut Hasher, frames: &[Bytes]) {
    let mut since = 0;
    for piece in frames.iter().flat_map(|frame| frame.chunks(HASH_AT_ONCE_BYTES)) {
        if since >= HASH_AT_ONCE_BYTES {
            since = 0;
            tokio::task::yield_now().await;
        }
        hasher.update(piece);
        since += piece.len();
    }
}

/// The digest of bytes that are in memory.
pub(crate) async fn digest(algorithm: Algorithm, content: &Bytes) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hash(&mut hasher, std::slice::from_ref(content)).await;
    hasher.finish()
}

/// Hashes what was staged earlier, from `offset` on.
pub(crate) async fn rehash(staged: &mut dyn Staged, offset: u64, mut hasher: Hasher) -> Result<Hasher, Error> {
    let mut frames = staged.read(offset).await?;
    while let Some(frame) = frames.next().await {
        hash(&mut hasher, &[frame?]).await;
    }
    Ok(hasher)
}

/// The digest of an object, read from its beginning to its end; `None` if there is none.
pub(crate) async fn digest_of(registry: &Registry, key: &Key, algorithm: Algorithm) -> Result<Option<Digest>, Error> {
    let Some(object) = registry.storage().open(key).await? else { return Ok(None) };
    let whole = Span::whole(object.metadata().size);
    let mut frames = object.read(whole).await?.into_stream(Arc::clone(registry.blocking()));
    let mut hasher = Hasher::new(algorithm);
    while let Some(frame) = frames.next().await {
        hash(&mut hasher, &[frame?]).await;
    }
    Ok(Some(hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;

    #[tokio::test]
    async fn small_frames_are_put_together() {
        let small = stream::repeat_with(|| Ok(Bytes::from_static(b"x"))).take(10_000);
        let large = stream::once(async { Ok(Bytes::from(vec![0; SMALL_BYTES])) });
        let after = stream::repeat_with(|| Ok(Bytes::from_static(b"y"))).take(10);
        let batch = fill(&mut small.chain(large).chain(after).boxed()).await;
        let lengths: Vec<_> = batch.frames.iter().map(Bytes::len).collect();
        assert_eq!(lengths, [10_000, SMALL_BYTES, 10]);
        assert_eq!(batch.bytes, 10_010 + SMALL_BYTES);
        assert!(matches!(batch.end, Some(Ok(()))));
    }

    #[tokio::test]
    async fn others_get_their_turn_while_much_is_hashed() {
        let frames = [Bytes::from(vec![1; HASH_AT_ONCE_BYTES + 1]), Bytes::from(vec![2; 2 * HASH_AT_ONCE_BYTES])];
        let mut hasher = Hasher::new(Algorithm::Sha256);
        let mut turns = 0;
        let mut hashing = Box::pin(hash(&mut hasher, &frames));
        while futures::poll!(&mut hashing).is_pending() {
            turns += 1;
        }
        drop(hashing);
        assert_eq!(turns, 2);
        assert_eq!(hasher.finish(), Digest::of(Algorithm::Sha256, &frames.concat()));
    }

    #[tokio::test]
    async fn a_batch_is_bounded() {
        let mut endless = stream::repeat_with(|| Ok(Bytes::from(vec![0; 100_000]))).boxed();
        let batch = fill(&mut endless).await;
        assert!(batch.end.is_none() && batch.bytes < BATCH_BYTES + 100_000);
    }
}
