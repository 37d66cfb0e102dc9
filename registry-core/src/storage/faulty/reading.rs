//! Objects and streams that break in the middle.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};

use super::plan::unavailable;
use crate::storage::{Error, Key, Object, ReadRange};
use crate::{Span, TokioBlocking};

/// The object, whose bodies give half of their bytes and then fail.
pub(super) fn cut(key: &Key, object: Object) -> Object {
    let metadata = object.metadata();
    let half = Half { key: key.clone(), object: Mutex::new(Some(object)) };
    Object::from_reader(Arc::new(half), metadata)
}

/// The first `keep` bytes of the stream, then a failure.
pub(super) fn cut_stream(
    key: &Key,
    frames: BoxStream<'static, Result<Bytes, Error>>,
    keep: u64,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let mut left = keep;
    let kept = frames.map(move |frame| {
        frame.map(|mut frame| {
            frame.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= frame.len() as u64;
            frame
        })
    });
    let kept = kept.filter(|frame| std::future::ready(!matches!(frame, Ok(frame) if frame.is_empty())));
    let broken = Err(unavailable(key));
    kept.chain(stream::once(std::future::ready(broken))).boxed()
}

struct Half {
    key: Key,
    object: Mutex<Option<Object>>,
}

#[deny(clippy::missing_trait_methods)]
#[async_trait]
impl ReadRange for Half {
    async fn read(&self, span: Span) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        // Reading consumes the object that wraps this, so there is one read at most.
        let object = self.object.lock().unwrap_or_else(PoisonError::into_inner).take();
        let object = object.ok_or_else(|| unavailable(&self.key))?;
        let body = object.read(span).await?;
        let keep = body.length() / 2;
        Ok(cut_stream(&self.key, body.into_stream(Arc::new(TokioBlocking)), keep))
    }
}

impl fmt::Debug for Half {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Half({})", self.key)
    }
}
