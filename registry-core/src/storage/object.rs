//! Objects that are being read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream, StreamExt as _};

use super::{Error, FileFrames, Key};
use crate::{Blocking, Span};

/// What a storage tells of an object without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    /// How many bytes it has.
    pub size: u64,
    /// When it was last written, by the storage's own clock; `None` if the storage does not tell.
    pub modified: Option<SystemTime>,
}

/// An object opened for reading. What it reads is the content as of opening, also if the key is deleted meanwhile,
/// as far as the backend can hold it.
#[derive(Debug)]
pub struct Object {
    metadata: Metadata,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Pieces(Vec<Bytes>),
    File { key: Key, file: Arc<File> },
    Remote(Arc<dyn ReadRange>),
}

/// Reads runs of bytes of one object, from wherever it lies.
#[async_trait]
pub trait ReadRange: fmt::Debug + Send + Sync + 'static {
    /// The bytes of `span`, in frames of any size.
    ///
    /// # Errors
    /// [`Error::Unavailable`] or [`Error::Failed`], here or as the last item of the stream. A stream that ends early
    /// without an error does not occur.
    async fn read(&self, span: Span) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error>;
}

impl Object {
    /// An object whose bytes are in memory.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, modified: Option<SystemTime>) -> Self {
        Self { metadata: Metadata { size: bytes.len() as u64, modified }, source: Source::Pieces(vec![bytes]) }
    }

    /// An object whose bytes are in memory, in pieces.
    #[must_use]
    pub fn from_pieces(pieces: &[Bytes], modified: Option<SystemTime>) -> Self {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { metadata: Metadata { size, modified }, source: Source::Pieces(pieces.to_vec()) }
    }

    /// An object in an open file.
    #[must_use]
    pub fn from_file(key: Key, file: Arc<File>, metadata: Metadata) -> Self {
        Self { metadata, source: Source::File { key, file } }
    }

    /// An object behind a reader of ranges.
    #[must_use]
    pub fn from_reader(reader: Arc<dyn ReadRange>, metadata: Metadata) -> Self {
        Self { metadata, source: Source::Remote(reader) }
    }

    /// Size and time of the object.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        self.metadata
    }

    /// The bytes of `span`, which is cut to the size of the object.
    ///
    /// # Errors
    /// If the backend refuses the read.
    pub async fn read(self, span: Span) -> Result<Body, Error> {
        let offset = span.offset().min(self.metadata.size);
        let length = span.length().min(self.metadata.size - offset);
        let span = Span::new(offset, length).unwrap_or(Span::whole(0));
        Ok(match self.source {
            Source::Pieces(pieces) => match slices(pieces, span) {
                mut slices if slices.len() < 2 => Body::Bytes(slices.pop().unwrap_or_default()),
                slices => Body::Stream { length, frames: stream::iter(slices.into_iter().map(Ok)).boxed() },
            },
            Source::File { key, file } => Body::File(FileSpan { key, file, span }),
            Source::Remote(reader) => Body::Stream { length, frames: reader.read(span).await? },
        })
    }
}

/// What pieces have of a run of the bytes that they are together.
fn slices(pieces: Vec<Bytes>, span: Span) -> Vec<Bytes> {
    let mut begin = 0;
    let cut = |piece: Bytes| {
        let at = |position: u64| usize::try_from(position.saturating_sub(begin)).unwrap_or(usize::MAX).min(piece.len());
        let slice = piece.slice(at(span.offset())..at(span.end()));
        begin += piece.len() as u64;
        slice
    };
    pieces.into_iter().map(cut).filter(|slice| !slice.is_empty()).collect()
}

/// Content on its way out: in memory, in an open file, or as a stream.
///
/// Who serves it picks the fastest way for each; [`Body::into_stream`] serves them all.
pub enum Body {
    /// All of it, in memory.
    Bytes(Bytes),
    /// A run of bytes of an open file.
    File(FileSpan),
    /// Frames as they come.
    Stream {
        /// How many bytes the frames have together.
        length: u64,
        /// The frames.
        frames: BoxStream<'static, Result<Bytes, Error>>,
    },
}

impl Body {
    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(file) => file.span.length(),
            Self::Stream { length, .. } => *length,
        }
    }

    /// The content as frames, files read through `blocking`.
    #[must_use]
    pub fn into_stream(self, blocking: Arc<dyn Blocking>) -> BoxStream<'static, Result<Bytes, Error>> {
        match self {
            Self::Bytes(bytes) if bytes.is_empty() => stream::empty().boxed(),
            Self::Bytes(bytes) => stream::once(async move { Ok(bytes) }).boxed(),
            Self::File(file) => FileFrames::new(file, blocking, FRAME_BYTES).boxed(),
            Self::Stream { frames, .. } => frames,
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.length())
    }
}

/// A run of bytes of an open file.
#[derive(Debug, Clone)]
pub struct FileSpan {
    key: Key,
    file: Arc<File>,
    span: Span,
}

/// Large enough that the cost of a read vanishes beside its bytes, small enough for many readers at once.
const FRAME_BYTES: u64 = 256 * 1024;

impl FileSpan {
    /// The open file.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Which bytes of it.
    #[must_use]
    pub fn span(&self) -> Span {
        self.span
    }

    /// Which object it is, for messages.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Reads exactly `length` bytes from `offset` of the file, or fails: a file that became shorter must not pass for a
    /// short blob. This blocks.
    ///
    /// # Errors
    /// What the operating system says, sorted by what can be done about it.
    pub fn read_frame(&self, offset: u64, length: u64) -> Result<Bytes, Error> {
        let error = |error| Error::from_io(&self.key, error);
        let length = usize::try_from(length).map_err(|too_long| error(io::Error::other(too_long)))?;
        let mut frame = BytesMut::zeroed(length);
        self.file.read_exact_at(&mut frame, offset).map_err(error)?;
        Ok(frame.freeze())
    }
}

/// Reads a whole small file, or tells that it has more than `limit_bytes`.
///
/// # Errors
/// What the operating system says.
pub fn read_small(file: &mut File, limit_bytes: u64) -> io::Result<Option<Bytes>> {
    // With room for all of it and one byte, it is read in one go, and a second one finds the end.
    let size = file.metadata()?.len().min(limit_bytes).saturating_add(1);
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default());
    file.take(limit_bytes.saturating_add(1)).read_to_end(&mut content)?;
    Ok((content.len() as u64 <= limit_bytes).then(|| content.into()))
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::stream::TryStreamExt as _;

    use super::*;
    use crate::InlineBlocking;

    #[test]
    fn a_run_of_bytes_may_lie_in_several_pieces() {
        let pieces = [Bytes::from_static(b"012"), Bytes::from_static(b"3"), Bytes::from_static(b"456789")];
        for offset in 0..=11 {
            for length in 0..=11 {
                let object = Object::from_pieces(&pieces, None);
                assert_eq!(object.metadata().size, 10);
                let body = block_on(object.read(Span::new(offset, length).unwrap())).unwrap();
                let at = |position: u64| usize::try_from(position).unwrap().min(10);
                let expected = &b"0123456789"[at(offset)..at(offset + length)];
                assert_eq!(body.length(), expected.len() as u64);
                let frames: Vec<_> = block_on(body.into_stream(Arc::new(InlineBlocking)).try_collect()).unwrap();
                assert_eq!(frames.concat(), expected, "{length} behind {offset}");
            }
        }
    }
}
