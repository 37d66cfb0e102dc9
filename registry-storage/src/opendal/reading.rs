//! Objects on their way out.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use ::opendal::options::ReaderOptions;
use ::opendal::{Buffer, BufferStream, ErrorKind, Operator};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};
use registry_core::Span;
use registry_core::storage::{Error, Key, Object, ReadRange};

use super::ahead::{Pieces, ReadAhead, after_trial};
use super::parts::Part;
use super::retries::Retries;
use super::{Opendal, error, metadata, path};

/// Reads a small object with one request, which ends as soon as there are too many bytes.
pub(super) async fn read_small(operator: &Operator, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
    match read_up_to(operator, path(key)?, limit_bytes).await {
        Ok(Some(content)) => Ok(Some(content)),
        Ok(None) => Err(Error::TooLarge { key: key.clone(), limit_bytes }),
        Err(error) if error::is_absent(&error) => Ok(None),
        Err(error) => Err(error::of(key, error)),
    }
}

async fn read_up_to(operator: &Operator, path: &str, limit_bytes: u64) -> ::opendal::Result<Option<Bytes>> {
    let mut frames = operator.reader(path).await?.into_stream(..).await?;
    let promised = begin(&mut frames).await?.map(|found| found.content_length());
    if promised.is_some_and(|size| size > limit_bytes) {
        return Ok(None);
    }
    let (mut content, mut size) = (Vec::new(), 0);
    while let Some(frame) = frames.try_next().await? {
        size += frame.len() as u64;
        if size > limit_bytes {
            return Ok(None);
        }
        content.push(frame);
    }
    if promised.is_some_and(|promised| promised != size) {
        return Err(::opendal::Error::new(ErrorKind::Unexpected, "the object ended early").set_temporary());
    }
    Ok(Some(content.into_iter().flatten().collect::<Buffer>().to_bytes()))
}

/// Sends the request, so that its failure shows now; tells the size of the object if the service does.
async fn begin(frames: &mut BufferStream) -> ::opendal::Result<Option<::opendal::Metadata>> {
    match frames.metadata().await {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// The object that was found. Its readers fail when they find another, as far as the service tells them apart.
pub(super) fn object(storage: &Opendal, key: &Key, found: &::opendal::Metadata) -> Object {
    let seen = Seen { size: found.content_length(), etag: found.etag().map(str::to_owned) };
    let Opendal { operator, retries, ahead, .. } = storage.clone();
    let remote = Remote { operator, key: key.clone(), seen, retries, ahead };
    Object::from_reader(Arc::new(remote), metadata(found))
}

#[derive(Debug)]
struct Remote {
    operator: Operator,
    key: Key,
    seen: Seen,
    retries: Retries,
    ahead: Option<ReadAhead>,
}

#[async_trait]
impl ReadRange for Remote {
    async fn read(&self, span: Span) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        let (operator, key, seen) = (self.operator.clone(), self.key.clone(), self.seen.clone());
        let ahead = self.ahead.clone();
        let open = move |offset| {
            let (operator, key, seen) = (operator.clone(), key.clone(), seen.clone());
            // What broke off is read on in one piece: pieces that take too long would all be in vain.
            let ahead = ahead.clone().filter(|_| offset == 0);
            let range = span.offset() + offset..span.end();
            async move {
                let trial = ahead.and_then(|ahead| ahead.trial(span.length()).map(|bytes| (ahead, bytes)));
                let Some((ahead, bytes)) = trial else {
                    return frames(&operator, &key, path(&key)?, seen, range, None).await;
                };
                let (first, rest) = (range.start..range.start + bytes, range.start + bytes..range.end);
                let trial = frames(&operator, &key, path(&key)?, seen.clone(), first, None).await?;
                Ok(after_trial(ahead, trial, move |pieces| async move {
                    frames(&operator, &key, path(&key)?, seen, rest, pieces).await
                }))
            }
        };
        // A first failure is told before there is a status.
        let mut frames = self.retries.clone().stream(self.key.clone(), span.length(), open).peekable();
        match Pin::new(&mut frames).next_if(Result::is_err).await {
            Some(Err(failed)) => Err(failed),
            _ => Ok(frames.boxed()),
        }
    }
}

/// What was known of an object before it is read.
#[derive(Debug, Clone)]
struct Seen {
    size: u64,
    etag: Option<String>,
}

impl Seen {
    fn is(&self, found: &::opendal::Metadata) -> bool {
        // Google tells the tag of what it describes without the quotes that the tag of an answer has.
        let bare = |tag: &str| tag.trim_matches('"').to_owned();
        let same_tag = self.etag.as_deref().zip(found.etag()).is_none_or(|(seen, found)| bare(seen) == bare(found));
        same_tag && self.size == found.content_length()
    }
}

/// The bytes in `range` of what lies at `path`, which is or belongs to `key`.
async fn frames(
    operator: &Operator,
    key: &Key,
    path: &str,
    seen: Seen,
    range: Range<u64>,
    pieces: Option<Pieces>,
) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
    if range.is_empty() {
        return Ok(stream::empty().boxed());
    }
    let guarded = operator.info().capability().read_with_if_match;
    let mut options = ReaderOptions { if_match: seen.etag.clone().filter(|_| guarded), ..ReaderOptions::default() };
    if let Some(pieces) = &pieces {
        (options.concurrent, options.chunk) = (pieces.at_once, Some(pieces.bytes));
    }
    let opened = async {
        let reader = operator.reader_options(path, options).await?;
        let mut frames = reader.into_stream(range.clone()).await?;
        let found = begin(&mut frames).await?;
        Ok((frames, found))
    };
    let (frames, found) = opened.await.map_err(|error| error::of(key, error))?;
    if found.is_some_and(|found| !seen.is(&found)) {
        return Err(Error::Failed { key: key.clone(), source: OtherObject.into() });
    }
    let frames = exactly(key.clone(), range.end - range.start, frames);
    // The leave ends with the frames.
    Ok(frames.inspect(move |_| _ = &pieces).boxed())
}

/// The bytes of the parts from `offset` on, each part opened when the one before it is read.
pub(super) fn joined(
    operator: &Operator,
    key: &Key,
    staged: &[Part],
    offset: u64,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let staged = staged.to_vec();
    let rest = staged.into_iter().filter_map(move |part| {
        let skip = offset.saturating_sub(part.offset).min(part.size);
        let range = Some(skip..part.size).filter(|range| !range.is_empty())?;
        Some((part.path, Seen { size: part.size, etag: None }, range))
    });
    let (operator, key) = (operator.clone(), key.clone());
    let opened = stream::iter(rest).then(move |(path, seen, range)| {
        let (operator, key) = (operator.clone(), key.clone());
        async move { frames(&operator, &key, &path, seen, range, None).await }
    });
    opened.try_flatten().boxed()
}

/// The stream's bytes, as many as promised: fewer or more are a failure.
fn exactly(key: Key, length: u64, frames: BufferStream) -> BoxStream<'static, Result<Bytes, Error>> {
    let frames = frames.map_ok(|frame| stream::iter(Iterator::map(frame, Ok))).try_flatten();
    stream::try_unfold((key, length, frames), |(key, left, mut frames)| async move {
        match frames.try_next().await {
            Ok(Some(frame)) if frame.len() as u64 <= left => {
                let left = left - frame.len() as u64;
                Ok(Some((frame, (key, left, frames))))
            }
            Ok(None) if left == 0 => Ok(None),
            Ok(_) => Err(Error::Failed { key, source: OtherObject.into() }),
            Err(error) => Err(error::of(&key, error)),
        }
    })
    .boxed()
}

#[derive(Debug, thiserror::Error)]
#[error("it is not the object any more that it was when it was opened")]
struct OtherObject;
