//! Reading a file in frames: on the spot what the page cache holds, elsewhere what has to come from the disk.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
#[cfg(target_os = "linux")]
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::Stream;

use super::{Error, FileSpan};
use crate::Blocking;

/// After so many frames without waiting, others get their turn: at most one MiB.
const FRAMES_PER_TURN: u8 = 4;

/// The frames of a part of a file, as a stream that ends with them or with the first error.
///
/// A warm page is copied on the async worker, which costs less than the hop to another thread. A cold one is read
/// through the seam for blocking work; then the next frame is begun at once, so one frame is on its way from the disk
/// while another is on its way to the client. The memory of a frame that was dropped is used for a later one.
///
/// ```
/// # use std::io::Write;
/// # use std::sync::Arc;
/// use futures::TryStreamExt;
/// use registry_core::storage::{Body, FileFrames, Metadata, Object};
/// use registry_core::{Span, TokioBlocking};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let mut file = tempfile::tempfile()?;
/// # file.write_all(&[7; 100])?;
/// let object = Object::from_file("blob".parse()?, Arc::new(file), Metadata { size: 100, modified: None });
/// let Body::File(span) = object.read(Span::whole(100)).await? else { unreachable!() };
/// let frames = FileFrames::new(span, Arc::new(TokioBlocking), 64);
/// let frames: Vec<_> = frames.try_collect().await?;
/// assert_eq!(frames.concat(), [7; 100]);
/// # Ok(())
/// # }
/// ```
pub struct FileFrames {
    file: FileSpan,
    blocking: Arc<dyn Blocking>,
    frame_bytes: u64,
    position: u64,
    end: u64,
    next: Next,
    #[cfg(target_os = "linux")]
    spare: Arc<Spare>,
    reads_inline: bool,
    inline_frames: u8,
}

/// The frame behind the last one that was handed out.
enum Next {
    /// Not begun.
    Unread,
    /// Read ahead.
    Ready(Bytes),
    /// On its way from the disk.
    Reading(BoxFuture<'static, Result<Bytes, Error>>),
}

impl FileFrames {
    /// Frames have `frame_bytes`: large enough that the cost of a read vanishes beside its bytes, small enough for many
    /// clients at once.
    #[must_use]
    pub fn new(file: FileSpan, blocking: Arc<dyn Blocking>, frame_bytes: u64) -> Self {
        Self {
            blocking,
            frame_bytes,
            position: file.span().offset(),
            end: file.span().end(),
            file,
            next: Next::Unread,
            #[cfg(target_os = "linux")]
            spare: Arc::default(),
            reads_inline: cfg!(target_os = "linux"),
            inline_frames: 0,
        }
    }

    /// How many bytes are still to be handed out.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// The next frame, of at least one byte. To be called while there are bytes remaining, and no more after an error.
    ///
    /// # Errors
    /// What the operating system says, or that the file has become shorter.
    pub fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
        loop {
            match &mut self.next {
                Next::Ready(frame) => {
                    let frame = std::mem::take(frame);
                    self.next = Next::Unread;
                    return Poll::Ready(Ok(self.hand_out(frame)));
                }
                Next::Reading(reading) => {
                    let read = futures::ready!(reading.poll_unpin(cx));
                    self.next = Next::Unread;
                    return Poll::Ready(read.and_then(|frame| {
                        let frame = self.hand_out(frame);
                        self.begin().map(|()| frame)
                    }));
                }
                Next::Unread if self.inline_frames >= FRAMES_PER_TURN => {
                    self.inline_frames = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Next::Unread => {
                    self.inline_frames += 1;
                    if let Err(error) = self.begin() {
                        return Poll::Ready(Err(error));
                    }
                }
            }
        }
    }

    fn hand_out(&mut self, frame: Bytes) -> Bytes {
        self.position += frame.len() as u64;
        frame
    }

    /// Reads the next frame if it is in memory, or has it read.
    fn begin(&mut self) -> Result<(), Error> {
        if self.remaining() == 0 {
            return Ok(());
        }
        let length = self.frame_bytes.min(self.remaining());
        if self.reads_inline
            && let Some(frame) = self.read_inline(length)?
        {
            self.next = Next::Ready(frame);
            return Ok(());
        }
        let (file, blocking, offset) = (self.file.clone(), Arc::clone(&self.blocking), self.position);
        self.inline_frames = 0;
        self.next = Next::Reading(async move { blocking.run(move || file.read_frame(offset, length)).await? }.boxed());
        Ok(())
    }

    /// What the page cache has of the next `length` bytes; `None` if nothing, or if the file system cannot tell.
    #[cfg(target_os = "linux")]
    fn read_inline(&mut self, length: u64) -> Result<Option<Bytes>, Error> {
        use rustix::io::{Errno, ReadWriteFlags, preadv2};

        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let mut frame = Spare::frame(&self.spare, length);
        let mut target = [io::IoSliceMut::new(&mut frame.memory[..length])];
        match preadv2(&**self.file.file(), &mut target, self.position, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(self.error(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => {
                frame.length = read;
                Ok(Some(Bytes::from_owner(frame)))
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                self.reads_inline = false;
                Ok(None)
            }
            Err(error) => Err(self.error(error.into())),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_inline(&mut self, _: u64) -> Result<Option<Bytes>, Error> {
        Ok(None)
    }

    fn error(&self, error: io::Error) -> Error {
        Error::from_io(self.file.key(), error)
    }
}

/// Memory of a frame that was sent, for the next one: it is neither allocated nor cleared for each.
#[cfg(target_os = "linux")]
#[derive(Debug, Default)]
struct Spare(Mutex<Option<Box<[u8]>>>);

/// The bytes of a frame, and where their memory goes when it is sent.
#[cfg(target_os = "linux")]
struct Frame {
    memory: Box<[u8]>,
    length: usize,
    spare: Arc<Spare>,
}

#[cfg(target_os = "linux")]
impl Spare {
    fn slot(&self) -> MutexGuard<'_, Option<Box<[u8]>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One that has room for so many bytes, and none yet.
    fn frame(spare: &Arc<Self>, bytes: usize) -> Frame {
        let memory = spare.slot().take().filter(|memory| memory.len() >= bytes);
        let memory = memory.unwrap_or_else(|| vec![0; bytes].into_boxed_slice());
        Frame { memory, length: 0, spare: Arc::clone(spare) }
    }
}

#[cfg(target_os = "linux")]
impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

#[cfg(target_os = "linux")]
impl Drop for Frame {
    fn drop(&mut self) {
        *self.spare.slot() = Some(std::mem::take(&mut self.memory));
    }
}

impl Stream for FileFrames {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.remaining() == 0 {
            return Poll::Ready(None);
        }
        let frame = futures::ready!(self.poll_frame(cx));
        if frame.is_err() {
            self.position = self.end;
        }
        Poll::Ready(Some(frame))
    }
}

impl fmt::Debug for FileFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileFrames({}, {}..{})", self.file.key(), self.position, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Body, Metadata, Object};
    use crate::{InlineBlocking, Span, TokioBlocking};
    use futures::stream::{StreamExt as _, TryStreamExt as _};
    use std::io::Write as _;

    const FRAME_BYTES: u64 = 256 * 1024;
    /// Three frames and a bit.
    const SIZE: u64 = 3 * FRAME_BYTES + 4321;

    fn content() -> Vec<u8> {
        (0..SIZE).map(|index| (index * 31 % 251) as u8).collect()
    }

    async fn frames(size: u64, span: Span, blocking: Arc<dyn Blocking>) -> FileFrames {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content()).unwrap();
        let object = Object::from_file("a".parse().unwrap(), Arc::new(file), Metadata { size, modified: None });
        match object.read(span).await.unwrap() {
            Body::File(span) => FileFrames::new(span, blocking, FRAME_BYTES),
            other => panic!("{other:?}"),
        }
    }

    async fn collect(frames: FileFrames) -> Result<Vec<u8>, Error> {
        Ok(frames.try_collect::<Vec<_>>().await?.concat())
    }

    #[tokio::test]
    async fn gives_the_bytes_of_the_span() {
        for (offset, length) in [(0, SIZE), (1, 1), (FRAME_BYTES - 1, FRAME_BYTES + 2), (SIZE - 1, 1), (5, 0)] {
            let at = |position: u64| usize::try_from(position).unwrap();
            let wanted = &content()[at(offset)..at(offset + length)];
            for inline in [true, false] {
                let span = Span::new(offset, length).unwrap();
                let mut frames = frames(SIZE, span, Arc::new(TokioBlocking)).await;
                frames.reads_inline &= inline;
                assert_eq!(collect(frames).await.unwrap(), wanted);
            }
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn memory_is_used_again_when_its_frame_is_sent_and_not_before() {
        let content = content();
        let mut frames = frames(SIZE, Span::whole(SIZE), Arc::new(InlineBlocking)).await;
        let mut next = async || frames.next().await.unwrap().unwrap();
        let first = next().await;
        let second = next().await;
        let (begin, half) = (first.as_ptr(), usize::try_from(FRAME_BYTES).unwrap());
        assert_ne!(begin, second.as_ptr());
        // A part of it is still on its way.
        let rest = first.slice(10..);
        drop((first, second));
        let third = next().await;
        assert_ne!(begin, third.as_ptr());
        assert_eq!(rest, content[10..half]);
        drop((third, rest));
        let last = next().await;
        assert_eq!(begin, last.as_ptr());
        assert_eq!(last, content[3 * half..]);
    }

    #[tokio::test]
    async fn reads_ahead_what_is_cold() {
        let mut frames = frames(SIZE, Span::whole(SIZE), Arc::new(InlineBlocking)).await;
        frames.reads_inline = false;
        frames.next().await.unwrap().unwrap();
        assert!(matches!(frames.next, Next::Reading(_)));
        assert_eq!(frames.remaining(), SIZE - FRAME_BYTES);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        for inline in [true, false] {
            let mut frames = frames(SIZE + 5, Span::whole(SIZE + 5), Arc::new(TokioBlocking)).await;
            frames.reads_inline &= inline;
            let told: Vec<_> = frames.collect().await;
            let (last, good) = told.split_last().unwrap();
            assert!(matches!(last, Err(Error::Failed { .. })));
            assert!(good.iter().all(Result::is_ok));
        }
    }
}
