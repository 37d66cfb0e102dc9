//! The bodies of answers.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::stream::{BoxStream, Stream as _};
use http_body::{Body, Frame, SizeHint};
use registry_core::Blocking;
use registry_core::storage::{self, Error, FileFrames};

use crate::limits::Place;
#[cfg(any(feature = "metrics", feature = "ui"))]
use crate::observer::Running;

/// The longest frame of what is in memory. A connection may copy a frame; what is not in frames yet, it does not.
const FRAME_BYTES: usize = 256 * 1024;

/// The body of an answer: nothing, bytes in memory, a part of a file, or a stream.
///
/// It has exactly as many bytes as it says, if it says. When its source has fewer, or fails, it ends with an error, so
/// that the connection is cut and nobody takes a part for the whole.
#[derive(Debug)]
pub struct ResponseBody {
    inner: Inner,
    /// The place of the request among those that are being answered.
    place: Option<Place>,
    /// The request that is counted when this is dropped.
    #[cfg(any(feature = "metrics", feature = "ui"))]
    running: Option<Box<Running>>,
}

enum Inner {
    Bytes(Bytes),
    File(FileFrames),
    Stream { frames: BoxStream<'static, Result<Bytes, Error>>, remaining: u64 },
    Unmeasured(BoxStream<'static, Result<Bytes, Error>>),
    Done,
}

impl ResponseBody {
    fn new(inner: Inner) -> Self {
        Self {
            inner,
            place: None,
            #[cfg(any(feature = "metrics", feature = "ui"))]
            running: None,
        }
    }

    /// The request is being answered as long as this is there.
    pub(crate) fn hold(&mut self, place: Place) {
        self.place = Some(place);
    }

    /// Counts the request when the answer is at its end.
    #[cfg(any(feature = "metrics", feature = "ui"))]
    pub(crate) fn observe(&mut self, running: Box<Running>) {
        self.running = Some(running);
    }

    pub(crate) fn empty() -> Self {
        Self::new(Inner::Done)
    }

    /// Content from the storage; what has to be read from a file is read through `blocking`, so much at a time.
    pub(crate) fn from_storage(content: storage::Body, blocking: &Arc<dyn Blocking>, frame_bytes: u64) -> Self {
        Self::new(match content {
            storage::Body::Bytes(bytes) => Inner::Bytes(bytes),
            storage::Body::File(span) => Inner::File(FileFrames::new(span, Arc::clone(blocking), frame_bytes)),
            storage::Body::Stream { length, frames } => Inner::Stream { frames, remaining: length },
        })
    }

    /// Frames that have as many bytes as they have.
    pub(crate) fn unmeasured(frames: BoxStream<'static, Result<Bytes, Error>>) -> Self {
        Self::new(Inner::Unmeasured(frames))
    }

    /// The connection may hold the last frame for much longer than the body is there.
    fn keep_place(&mut self, frame: Bytes) -> Bytes {
        if self.remaining() != Some(0) {
            return frame;
        }
        match self.place.take() {
            Some(place) => place.held_by(frame),
            None => frame,
        }
    }

    /// How many bytes are still to come, if that is known.
    fn remaining(&self) -> Option<u64> {
        match &self.inner {
            Inner::Bytes(bytes) => Some(bytes.len() as u64),
            Inner::File(frames) => Some(frames.remaining()),
            Inner::Stream { remaining, .. } => Some(*remaining),
            Inner::Unmeasured(_) => None,
            Inner::Done => Some(0),
        }
    }

    #[cfg(test)]
    pub(crate) fn in_memory(&self) -> Option<&[u8]> {
        match &self.inner {
            Inner::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }
}

impl<T: Into<Bytes>> From<T> for ResponseBody {
    fn from(bytes: T) -> Self {
        Self::new(Inner::Bytes(bytes.into()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.remaining() == Some(0) {
            self.inner = Inner::Done;
            return Poll::Ready(None);
        }
        let frame = match &mut self.inner {
            Inner::Bytes(bytes) => Some(Ok(bytes.split_to(bytes.len().min(FRAME_BYTES)))),
            Inner::File(frames) => Some(ready!(frames.poll_frame(cx))),
            Inner::Stream { frames, remaining } => {
                Some(ready!(Pin::new(frames).poll_next(cx)).unwrap_or(Err(ends_early())).and_then(|frame| {
                    *remaining = remaining.checked_sub(frame.len() as u64).ok_or_else(runs_over)?;
                    Ok(frame)
                }))
            }
            Inner::Unmeasured(frames) => ready!(Pin::new(frames).poll_next(cx)),
            Inner::Done => None,
        };
        if let Some(Err(error)) = &frame {
            tracing::error!(%error, "an answer broke off");
            self.inner = Inner::Done;
        }
        #[cfg(any(feature = "metrics", feature = "ui"))]
        if let (Some(Ok(frame)), Some(running)) = (&frame, &mut self.running) {
            running.sent(frame.len() as u64);
        }
        Poll::Ready(frame.map(|frame| frame.map(|frame| Frame::data(self.keep_place(frame)))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining().map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

fn ends_early() -> Error {
    Error::Unsupported { capability: "give as many bytes as it said" }
}

fn runs_over() -> Error {
    Error::Unsupported { capability: "stop at as many bytes as it said" }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self {
            Self::Bytes(_) => "Bytes",
            Self::File(_) => "File",
            Self::Stream { .. } => "Stream",
            Self::Unmeasured(_) => "Unmeasured",
            Self::Done => "Done",
        };
        f.write_str(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt as _;
    use http_body_util::BodyExt as _;
    use registry_core::TokioBlocking;

    fn streamed(length: u64, frames: Vec<&'static [u8]>) -> ResponseBody {
        let frames = futures::stream::iter(frames).map(|frame| Ok(Bytes::from_static(frame))).boxed();
        let blocking: Arc<dyn Blocking> = Arc::new(TokioBlocking);
        ResponseBody::from_storage(storage::Body::Stream { length, frames }, &blocking, 1024)
    }

    #[tokio::test]
    async fn a_stream_gives_what_it_said() {
        let body = streamed(5, vec![b"he", b"llo"]);
        assert_eq!(body.size_hint().exact(), Some(5));
        assert_eq!(body.collect().await.unwrap().to_bytes(), "hello");
    }

    #[tokio::test]
    async fn a_stream_that_gives_other_than_it_said_is_cut() {
        assert!(streamed(6, vec![b"he", b"llo"]).collect().await.is_err());
        assert!(streamed(4, vec![b"he", b"llo"]).collect().await.is_err());
    }

    #[tokio::test]
    async fn what_is_not_measured_ends_with_its_frames_or_its_error() {
        let body = |frames: Vec<Result<&'static [u8], Error>>| {
            let frames = futures::stream::iter(frames).map(|frame| frame.map(Bytes::from_static));
            ResponseBody::unmeasured(frames.boxed())
        };
        assert_eq!(body(vec![Ok(b"he"), Ok(b"llo")]).size_hint().exact(), None);
        assert_eq!(body(vec![Ok(b"he"), Ok(b"llo")]).collect().await.unwrap().to_bytes(), "hello");
        assert!(body(vec![Ok(b"he"), Err(ends_early())]).collect().await.is_err());
    }

    #[tokio::test]
    async fn what_is_in_memory_is_cut_into_frames() {
        let content: Vec<u8> = (0..251).cycle().take(FRAME_BYTES + 1).collect();
        let mut body = ResponseBody::from(content.clone());
        let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!((first.len(), body.size_hint().exact()), (FRAME_BYTES, Some(1)));
        assert_eq!([&first[..], &body.collect().await.unwrap().to_bytes()].concat(), content);
    }

    #[tokio::test]
    async fn nothing_has_no_frames() {
        assert!(ResponseBody::empty().is_end_stream());
        assert!(ResponseBody::from("").is_end_stream());
        assert!(ResponseBody::from("").frame().await.is_none());
        assert_eq!(ResponseBody::from("abc").collect().await.unwrap().to_bytes(), "abc");
    }
}
