//! Content on its way in: batched, hashed and staged.

use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};

use crate::storage::{self, Staged};
use crate::{Blocking, BodyError, Error, Hasher, Stopped};

/// Content that a client sends, in frames of any size.
pub type ContentStream<'a> = BoxStream<'a, Result<Bytes, BodyError>>;

/// Large enough that the hop to another thread vanishes beside the work. At most two are in memory for each upload.
const BATCH_BYTES: usize = 1024 * 1024;

/// Less than this is hashed where it is: the hop would cost more.
const HASH_INLINE_BYTES: usize = 32 * 1024;

/// Frames that belong together, and how it goes on behind them.
struct Batch {
    frames: Vec<Bytes>,
    bytes: usize,
    end: Option<Result<(), BodyError>>,
}

/// Stages all of `content`, hashing it on the way: while one batch is hashed and written the next one comes in.
///
/// Gives the hash of all that is staged. When the content breaks off, what came is staged and hashed, and the error
/// says so by its `Some`; when the storage fails there is no hash to go on with.
pub(crate) async fn stage(
    mut content: ContentStream<'_>,
    staged: &mut dyn Staged,
    mut hasher: Hasher,
    blocking: &Arc<dyn Blocking>,
) -> (Option<Hasher>, Result<(), Error>) {
    let mut batch = fill(&mut content).await;
    loop {
        if let Some(end) = batch.end.take() {
            return match process(staged, hasher, batch.frames, batch.bytes, blocking).await {
                Ok(hasher) => (Some(hasher), end.map_err(Error::from)),
                Err(error) => (None, Err(error)),
            };
        }
        let next = fill(&mut content);
        let (processed, next) = futures::join!(process(staged, hasher, batch.frames, batch.bytes, blocking), next);
        match processed {
            Ok(processed) => hasher = processed,
            Err(error) => return (None, Err(error)),
        }
        batch = next;
    }
}

async fn fill(content: &mut ContentStream<'_>) -> Batch {
    let mut batch = Batch { frames: Vec::new(), bytes: 0, end: None };
    while batch.bytes < BATCH_BYTES {
        match content.next().await {
            Some(Ok(frame)) => {
                batch.bytes += frame.len();
                batch.frames.push(frame);
            }
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
    batch
}

async fn process(
    staged: &mut dyn Staged,
    hasher: Hasher,
    frames: Vec<Bytes>,
    bytes: usize,
    blocking: &Arc<dyn Blocking>,
) -> Result<Hasher, Error> {
    if bytes == 0 {
        return Ok(hasher);
    }
    // A clone of a frame shares its bytes.
    let hash = hash(hasher, frames.clone(), bytes, blocking);
    let (hasher, appended) = futures::join!(hash, staged.append(frames));
    appended?;
    Ok(hasher?)
}

async fn hash(
    mut hasher: Hasher,
    frames: Vec<Bytes>,
    bytes: usize,
    blocking: &Arc<dyn Blocking>,
) -> Result<Hasher, Stopped> {
    let update = move || {
        for frame in &frames {
            hasher.update(frame);
        }
        hasher
    };
    if bytes <= HASH_INLINE_BYTES { Ok(update()) } else { blocking.run(update).await }
}

/// Hashes what was staged earlier, from `offset` on.
pub(crate) async fn rehash(
    staged: &mut dyn Staged,
    offset: u64,
    mut hasher: Hasher,
    blocking: &Arc<dyn Blocking>,
) -> Result<Hasher, Error> {
    let mut frames = staged.read(offset).await?;
    while let Some(frame) = frames.next().await {
        let frame: Result<Bytes, storage::Error> = frame;
        let frame = frame?;
        let bytes = frame.len();
        hasher = hash(hasher, vec![frame], bytes, blocking).await?;
    }
    Ok(hasher)
}
