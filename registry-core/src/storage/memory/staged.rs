//! Bytes on their way in, in memory.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};

use super::pieces::Pieces;
use super::{Place, State, Stored, Upload, lock};
use crate::Clock;
use crate::storage::{Error, Key, Staged};

pub(super) struct StagedMemory {
    pub(super) state: Arc<Mutex<State>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) key: Key,
    pub(super) writer: u64,
    pub(super) size: u64,
}

impl StagedMemory {
    fn with<T>(&self, work: impl FnOnce(&mut Upload) -> T) -> Result<T, Error> {
        lock(&self.state)
            .staged
            .get_mut(&Place::of(&self.key))
            .filter(|upload| upload.writer == Some(self.writer))
            .map(work)
            .ok_or_else(|| Error::Failed { key: self.key.clone(), source: Gone.into() })
    }
}

/// Somebody deleted the prefix below which they lay.
#[derive(Debug, thiserror::Error)]
#[error("the staged bytes were deleted")]
struct Gone;

#[async_trait]
impl Staged for StagedMemory {
    fn size(&self) -> u64 {
        self.size
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        self.size = self.with(|upload| {
            upload.size += batch.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
            upload.chunks.extend(batch.into_iter().filter(|chunk| !chunk.is_empty()));
            upload.size
        })?;
        Ok(())
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.with(|_| ())
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let chunks = self.with(|upload| upload.chunks.clone())?;
        let mut skip = offset;
        let rest = chunks.into_iter().filter_map(move |mut chunk| {
            let cut = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= cut as u64;
            let rest = chunk.split_off(cut);
            (!rest.is_empty()).then_some(Ok(rest))
        });
        Ok(stream::iter(rest).boxed())
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        let chunks = self.with(|upload| upload.chunks.clone())?;
        let content = Pieces::new(chunks);
        self.with(|upload| upload.chunks = content.as_slice().to_vec())?;
        let modified = self.clock.now();
        let mut state = lock(&self.state);
        let kept = state.objects.get(&Place::of(key)).is_some_and(|object| object.content.size() == content.size());
        if !kept {
            state.objects.insert(Place::of(key), Stored { content, modified });
        }
        Ok(())
    }

    async fn discard(self: Box<Self>) -> Result<(), Error> {
        self.with(|_| ())?;
        lock(&self.state).staged.remove(&Place::of(&self.key));
        Ok(())
    }
}

impl Drop for StagedMemory {
    fn drop(&mut self) {
        // Nothing to let go of if the staged bytes were deleted; whoever holds them now is another.
        self.with(|upload| upload.writer = None).ok();
    }
}

impl fmt::Debug for StagedMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StagedMemory({}, {} bytes)", self.key, self.size)
    }
}
