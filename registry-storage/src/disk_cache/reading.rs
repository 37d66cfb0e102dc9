//! Reading what is not kept yet.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use registry_core::storage::{Error, Key, Metadata, Object, ReadRange, Storage};
use registry_core::{Digest, Span};

use super::filling::{Beyond, Filling};
use super::shelf::{Begun, Known, Shelf};

type Frames = BoxStream<'static, Result<Bytes, Error>>;

/// A blob that is not kept. Whoever reads all of it brings it into the cache, or reads with those who do.
#[derive(Debug)]
pub(super) struct Unkept {
    pub(super) inner: Arc<dyn Storage>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) key: Key,
    pub(super) digest: Digest,
    pub(super) size: u64,
    /// As the storage opened it; taken by the first that reads it.
    pub(super) object: Mutex<Option<Object>>,
}

#[async_trait]
impl ReadRange for Unkept {
    async fn read(&self, span: Span) -> Result<Frames, Error> {
        // It may have come since it was opened.
        if let Known::Kept { size } = self.shelf.look(&self.digest)
            && size == self.size
            && let Some(file) = self.shelf.open(self.digest).await
        {
            let metadata = Metadata { size, modified: None };
            return frames(&self.shelf, Object::from_file(self.key.clone(), Arc::new(file), metadata), span).await;
        }
        let object = self.object().await?;
        if span != Span::whole(self.size) || self.size == 0 {
            self.shelf.misses.fetch_add(1, Ordering::Relaxed);
            return frames(&self.shelf, object, span).await;
        }
        match self.shelf.fill(self.digest, object) {
            Ok((filling, begun)) => {
                let counter = if begun == Begun::Now { &self.shelf.misses } else { &self.shelf.hits };
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(self.following(filling))
            }
            Err(object) => {
                self.shelf.misses.fetch_add(1, Ordering::Relaxed);
                frames(&self.shelf, object, span).await
            }
        }
    }
}

impl Unkept {
    async fn object(&self) -> Result<Object, Error> {
        let opened = self.object.lock().unwrap_or_else(PoisonError::into_inner).take();
        match opened {
            Some(object) => Ok(object),
            None => reopen(&self.inner, &self.key, self.size).await,
        }
    }

    fn following(&self, filling: Arc<Filling>) -> Frames {
        let follower = Follower {
            inner: Arc::clone(&self.inner),
            shelf: Arc::clone(&self.shelf),
            key: self.key.clone(),
            filling,
            position: 0,
            at_hand: AtHand::Nothing,
        };
        stream::try_unfold(
            follower,
            |mut follower| async move { Ok(follower.next().await?.map(|frame| (frame, follower))) },
        )
        .boxed()
    }
}

async fn frames(shelf: &Shelf, object: Object, span: Span) -> Result<Frames, Error> {
    Ok(object.read(span).await?.into_stream(Arc::clone(&shelf.blocking)))
}

/// The object, from the storage, as it was when it was opened first.
async fn reopen(inner: &Arc<dyn Storage>, key: &Key, size: u64) -> Result<Object, Error> {
    let object = inner.open(key).await?.filter(|object| object.metadata().size == size);
    object.ok_or_else(|| Error::Failed { key: key.clone(), source: Gone.into() })
}

#[derive(Debug, thiserror::Error)]
#[error("it is not there any more as it was when it was opened")]
struct Gone;

/// Reads a blob on its way.
struct Follower {
    inner: Arc<dyn Storage>,
    shelf: Arc<Shelf>,
    key: Key,
    filling: Arc<Filling>,
    position: u64,
    at_hand: AtHand,
}

/// Where the next bytes are had from.
enum AtHand {
    Nothing,
    /// A step that was waited for.
    Frames(std::vec::IntoIter<Bytes>),
    /// The file, as far as it was written.
    File(Frames),
    /// The storage: the rest, when the blob cannot be kept.
    Storage(Frames),
}

impl Follower {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.position < self.filling.size() {
            let frame = match &mut self.at_hand {
                AtHand::Nothing => None,
                AtHand::Frames(frames) => frames.next(),
                AtHand::Storage(frames) => match frames.next().await {
                    Some(frame) => Some(frame?),
                    None => return Ok(None),
                },
                AtHand::File(frames) => match frames.next().await {
                    Some(Err(error)) => {
                        tracing::warn!(key = %self.key, %error, "the cache cannot be read");
                        self.at_hand = self.rest().await?;
                        continue;
                    }
                    frame => frame.transpose()?,
                },
            };
            if let Some(frame) = frame {
                self.position += frame.len() as u64;
                return Ok(Some(frame));
            }
            self.at_hand = self.find().await?;
        }
        Ok(None)
    }

    async fn find(&mut self) -> Result<AtHand, Error> {
        match self.filling.beyond(self.position) {
            Beyond::Written(file, end) => {
                let metadata = Metadata { size: end, modified: None };
                let object = Object::from_file(self.key.clone(), file, metadata);
                Ok(AtHand::File(frames(&self.shelf, object, Span::rest(self.position, end)).await?))
            }
            Beyond::Coming => Ok(match self.filling.next().await {
                Some(step) if step.offset == self.position => AtHand::Frames(step.frames.clone().into_iter()),
                // It is on the disk by now, or will not come.
                _ => AtHand::Nothing,
            }),
            Beyond::Nothing => self.rest().await,
        }
    }

    async fn rest(&mut self) -> Result<AtHand, Error> {
        let size = self.filling.size();
        let object = reopen(&self.inner, &self.key, size).await?;
        Ok(AtHand::Storage(frames(&self.shelf, object, Span::rest(self.position, size)).await?))
    }
}
