//! Reading a file for an answer: on the spot what the page cache holds, elsewhere what has to come from the disk.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::future::{BoxFuture, FutureExt as _};
use registry_core::Blocking;
use registry_core::storage::{Error, FileSpan};

/// After so many frames without waiting, others get their turn: at most one MiB.
const FRAMES_PER_TURN: u8 = 4;

/// The frames of a part of a file.
///
/// A warm page is copied on the async worker, which costs less than the hop to another thread. A cold one is read
/// through the seam for blocking work; then the next frame is begun at once, so one frame is on its way from the disk
/// while another is on its way to the client.
pub(crate) struct FileFrames {
    file: FileSpan,
    blocking: Arc<dyn Blocking>,
    frame_bytes: u64,
    position: u64,
    end: u64,
    next: Next,
    /// Frames are cut off here; once they are sent, their memory is used again.
    buffer: BytesMut,
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
    pub(crate) fn new(file: FileSpan, blocking: Arc<dyn Blocking>, frame_bytes: u64) -> Self {
        Self {
            blocking,
            frame_bytes,
            position: file.span().offset(),
            end: file.span().end(),
            file,
            next: Next::Unread,
            buffer: BytesMut::new(),
            reads_inline: cfg!(target_os = "linux"),
            inline_frames: 0,
        }
    }

    /// How many bytes are still to be handed out.
    pub(crate) fn remaining(&self) -> u64 {
        self.end - self.position
    }

    /// The next frame, of at least one byte. To be called while there are bytes remaining.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Error>> {
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
        self.buffer.clear();
        self.buffer.resize(length, 0);
        let mut target = [io::IoSliceMut::new(&mut self.buffer)];
        match preadv2(&**self.file.file(), &mut target, self.position, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(self.error(io::ErrorKind::UnexpectedEof.into())),
            Ok(read) => Ok(Some(self.buffer.split_to(read).freeze())),
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

impl fmt::Debug for FileFrames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileFrames({}, {}..{})", self.file.key(), self.position, self.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use registry_core::storage::{Body, Metadata, Object};
    use registry_core::{InlineBlocking, Span, TokioBlocking};
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

    async fn collect(mut frames: FileFrames) -> Result<Vec<u8>, Error> {
        let mut all = Vec::new();
        while frames.remaining() > 0 {
            all.extend(std::future::poll_fn(|cx| frames.poll_next(cx)).await?);
        }
        Ok(all)
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

    #[tokio::test]
    async fn reads_ahead_what_is_cold() {
        let mut frames = frames(SIZE, Span::whole(SIZE), Arc::new(InlineBlocking)).await;
        frames.reads_inline = false;
        std::future::poll_fn(|cx| frames.poll_next(cx)).await.unwrap();
        assert!(matches!(frames.next, Next::Reading(_)));
        assert_eq!(frames.remaining(), SIZE - FRAME_BYTES);
    }

    #[tokio::test]
    async fn a_file_that_became_shorter_is_an_error() {
        for inline in [true, false] {
            let mut frames = frames(SIZE + 5, Span::whole(SIZE + 5), Arc::new(TokioBlocking)).await;
            frames.reads_inline &= inline;
            assert!(matches!(collect(frames).await, Err(Error::Failed { .. })));
        }
    }
}
