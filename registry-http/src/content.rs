//! The bodies of requests: content on its way in.

use std::error::Error as StdError;

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use http_body::Body;
use http_body_util::BodyExt as _;
use registry_core::{BodyError, ContentStream, Error};

use crate::budget::{Exhausted, Share};
use crate::error::Refusal;

/// The body of a request.
pub(crate) struct Content {
    frames: BoxStream<'static, Result<Bytes, BodyError>>,
    /// How many bytes there are, where the sender said so.
    length: Option<u64>,
}

impl Content {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
    {
        let length = body.size_hint().exact();
        Self { frames: body.into_data_stream().map_err(|error| broken(error.into())).boxed(), length }
    }

    /// How many bytes there are, where the sender said so.
    pub(crate) fn length(&self) -> Option<u64> {
        self.length
    }

    /// Whether it is known that there are no bytes.
    pub(crate) fn is_empty(&self) -> bool {
        self.length == Some(0)
    }

    /// The same content, and `seen` is told the length of each frame as it comes.
    pub(crate) fn inspect(self, seen: impl Fn(u64) + Send + 'static) -> Self {
        let frames = self.frames.inspect_ok(move |frame| seen(frame.len() as u64)).boxed();
        Self { frames, length: self.length }
    }

    /// The same content, of which no more than this may come.
    pub(crate) fn at_most(self, limit_bytes: u64) -> Result<Self, Refusal> {
        if self.length.is_some_and(|length| length > limit_bytes) {
            return Err(Refusal::too_large(limit_bytes));
        }
        let frames = self.frames.scan(limit_bytes, |left, frame| {
            let counted = frame.and_then(|frame| {
                *left = left.checked_sub(frame.len() as u64).ok_or(BodyError::TooLarge)?;
                Ok(frame)
            });
            std::future::ready(Some(counted))
        });
        Ok(Self { frames: frames.boxed(), length: self.length })
    }

    /// The bytes as they come.
    pub(crate) fn into_stream(self) -> ContentStream<'static> {
        self.frames
    }

    /// The bytes as they come, of which there must be `length`.
    pub(crate) fn exactly(self, length: u64) -> ContentStream<'static> {
        let end = futures::stream::once(async { Ok(None) });
        let frames = self.frames.map_ok(Some).chain(end);
        let counted = frames.scan(length, |left, frame| {
            let counted = frame.and_then(|frame| match frame {
                Some(frame) => match left.checked_sub(frame.len() as u64) {
                    Some(rest) => {
                        *left = rest;
                        Ok(frame)
                    }
                    None => Err(BodyError::Length),
                },
                None if *left == 0 => Ok(Bytes::new()),
                None => Err(BodyError::Length),
            });
            std::future::ready(Some(counted))
        });
        counted.boxed()
    }

    /// All bytes in memory, of which there may be `limit_bytes`. No more than that is ever held, and none that `share`
    /// does not have.
    pub(crate) async fn into_memory(mut self, limit_bytes: u64, share: &mut Share) -> Result<Bytes, Refusal> {
        let too_large = || Error::ManifestTooLarge { limit_bytes };
        if self.length.is_some_and(|length| length > limit_bytes) {
            return Err(too_large().into());
        }
        let mut all = BytesMut::new();
        while let Some(frame) = self.frames.try_next().await.map_err(Error::from)? {
            if (all.len() + frame.len()) as u64 > limit_bytes {
                return Err(too_large().into());
            }
            share.take(frame.len() as u64).map_err(|Exhausted| Refusal::too_many())?;
            all.extend_from_slice(&frame);
        }
        Ok(all.freeze())
    }
}

/// Marks an error of a body as the sender being too slow.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("too little content came for too long")]
pub(crate) struct TooSlow;

fn broken(error: Box<dyn StdError + Send + Sync>) -> BodyError {
    let mut next: Option<&(dyn StdError + 'static)> = Some(&*error);
    while let Some(cause) = next {
        if cause.is::<TooSlow>() {
            return BodyError::TimedOut;
        }
        next = cause.source();
    }
    BodyError::Aborted(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use http_body_util::{Full, StreamBody};

    fn streamed(frames: Vec<&'static [u8]>) -> Content {
        let frames = futures::stream::iter(frames)
            .map(|frame| Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(frame))));
        Content::new(StreamBody::new(frames))
    }

    async fn collect(content: ContentStream<'static>) -> Result<Vec<u8>, BodyError> {
        content.map_ok(|frame| frame.to_vec()).try_concat().await
    }

    #[tokio::test]
    async fn the_length_that_was_said_must_come() {
        let content = || streamed(vec![b"he", b"llo"]);
        assert_eq!(collect(content().exactly(5)).await.unwrap(), b"hello");
        assert!(matches!(collect(content().exactly(4)).await, Err(BodyError::Length)));
        assert!(matches!(collect(content().exactly(6)).await, Err(BodyError::Length)));
        assert!(!content().is_empty() && Content::new(Full::new(Bytes::new())).is_empty());
    }

    #[tokio::test]
    async fn a_body_may_have_a_limit() {
        let known = || Content::new(Full::new(Bytes::from_static(b"hello")));
        assert!(known().at_most(5).is_ok());
        assert_eq!(known().at_most(4).err().unwrap().into_response().status(), 413);
        let chunked = |limit| streamed(vec![b"he", b"llo"]).at_most(limit).unwrap().into_stream();
        assert_eq!(collect(chunked(5)).await.unwrap(), b"hello");
        assert!(matches!(collect(chunked(4)).await, Err(BodyError::TooLarge)));
    }

    #[tokio::test]
    async fn no_more_than_the_limit_is_held() {
        let share = || Budget::new(100_000).share();
        assert_eq!(streamed(vec![b"he", b"llo"]).into_memory(5, &mut share()).await.unwrap(), "hello");
        for content in [streamed(vec![b"he", b"llo"]), Content::new(Full::new(Bytes::from_static(b"hello")))] {
            assert_eq!(content.into_memory(4, &mut share()).await.unwrap_err().into_response().status(), 413);
        }
        let endless = futures::stream::repeat_with(|| {
            Ok::<_, std::io::Error>(http_body::Frame::data(Bytes::from_static(&[0; 1024])))
        });
        let endless = Content::new(StreamBody::new(endless)).into_memory(10_000, &mut share()).await;
        assert_eq!(endless.unwrap_err().into_response().status(), 413);
        let (budget, content) = (Budget::new(4), streamed(vec![b"he", b"llo"]));
        let unaffordable = content.into_memory(5, &mut budget.share()).await;
        assert_eq!(unaffordable.unwrap_err().into_response().status(), 429);
    }

    #[tokio::test]
    async fn slowness_is_told_from_breaking_off() {
        let failing = |error: Box<dyn StdError + Send + Sync>| {
            let frames = futures::stream::once(async { Err::<http_body::Frame<Bytes>, _>(error) });
            collect(Content::new(StreamBody::new(frames)).into_stream())
        };
        assert!(matches!(failing(Box::new(TooSlow)).await, Err(BodyError::TimedOut)));
        assert!(matches!(failing("reset".into()).await, Err(BodyError::Aborted(_))));
    }
}
