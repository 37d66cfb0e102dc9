//! A blob on its way from the storage to the disk, for all that wait for it.
//!
//! No task brings it: whoever reads it and has all that came so far brings the next bytes, together with whoever else is
//! that far. So it comes as fast as the fastest of its readers takes it, and when the last one goes, so does the blob.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _, Shared};
use futures::stream::{BoxStream, StreamExt as _};
use registry_core::storage::{Error, Object};
use registry_core::{Blocking, Digest, Hasher, Span};

use super::shelf::Arrival;

/// Large enough that the hop to the thread that writes vanishes beside its work.
const BATCH_BYTES: u64 = 256 * 1024;

pub(super) struct Filling {
    arrival: Arc<Arrival>,
    progress: Mutex<Progress>,
}

struct Progress {
    file: Option<Arc<File>>,
    written: u64,
    /// How many steps were made.
    steps: u64,
    /// The one under way; `None` when all is there, or nothing more will come.
    step: Option<Step>,
}

/// Brings the next bytes; `None` if they cannot be had, or not be kept.
pub(super) type Step = Shared<BoxFuture<'static, Option<Arc<Stepped>>>>;

/// The bytes that a step brought.
pub(super) struct Stepped {
    pub(super) offset: u64,
    pub(super) frames: Vec<Bytes>,
    written: u64,
    rest: Mutex<Option<Rest>>,
}

/// What is to be done after a step.
struct Rest {
    source: BoxStream<'static, Result<Bytes, Error>>,
    file: Arc<File>,
    hasher: Hasher,
}

/// What there is behind a position.
pub(super) enum Beyond {
    /// Bytes on the disk, up to a position.
    Written(Arc<File>, u64),
    /// Bytes that are being brought.
    Coming,
    /// Nothing, and nothing will come.
    Nothing,
}

#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Source(#[from] Error),
    #[error("it has other bytes than its digest says")]
    OtherContent,
    #[error("it has another size than was told")]
    OtherSize,
    #[error(transparent)]
    Disk(#[from] io::Error),
    #[error(transparent)]
    Stopped(#[from] registry_core::Stopped),
}

impl Filling {
    /// Begins with the bytes of `object`, in the place of blobs that have to go for it.
    pub(super) fn new(arrival: Arc<Arrival>, object: Object, gone: Vec<Digest>) -> Self {
        let step = step(Arc::clone(&arrival), {
            let arrival = Arc::clone(&arrival);
            async move { begin(&arrival, object, gone).await }
        });
        Self { arrival, progress: Mutex::new(Progress { file: None, written: 0, steps: 0, step: Some(step) }) }
    }

    pub(super) fn size(&self) -> u64 {
        self.arrival.size
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        // No change is left half done by a panic.
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn beyond(&self, position: u64) -> Beyond {
        let progress = self.progress();
        match &progress.file {
            Some(file) if progress.written > position => Beyond::Written(Arc::clone(file), progress.written),
            _ if progress.step.is_some() => Beyond::Coming,
            _ => Beyond::Nothing,
        }
    }

    /// Brings the next bytes, or waits for those who do.
    pub(super) async fn next(&self) -> Option<Arc<Stepped>> {
        let (number, step) = {
            let progress = self.progress();
            (progress.steps, progress.step.clone()?)
        };
        let stepped = step.await;
        let mut progress = self.progress();
        if progress.steps == number {
            progress.steps += 1;
            progress.step = None;
            match &stepped {
                Some(stepped) => self.go_on(&mut progress, stepped),
                None => self.arrival.shelf.give_up(&self.arrival.digest),
            }
        }
        stepped
    }

    fn go_on(&self, progress: &mut Progress, stepped: &Stepped) {
        progress.written = stepped.written;
        let Some(rest) = stepped.rest.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        progress.file = Some(Arc::clone(&rest.file));
        if stepped.written < self.arrival.size {
            let (arrival, offset) = (Arc::clone(&self.arrival), stepped.written);
            progress.step = Some(step(Arc::clone(&arrival), async move { bring(arrival, offset, rest).await }));
        }
    }
}

fn step(arrival: Arc<Arrival>, work: impl Future<Output = Result<Stepped, Failed>> + Send + 'static) -> Step {
    let told = async move {
        match work.await {
            Ok(stepped) => Some(Arc::new(stepped)),
            Err(error) => {
                tracing::warn!(digest = %arrival.digest, %error, "a blob does not come into the cache");
                None
            }
        }
    };
    told.boxed().shared()
}

async fn begin(arrival: &Arc<Arrival>, object: Object, gone: Vec<Digest>) -> Result<Stepped, Failed> {
    let shelf = &arrival.shelf;
    let blocking: &Arc<dyn Blocking> = &shelf.blocking;
    let source = object.read(Span::whole(arrival.size)).await?.into_stream(Arc::clone(blocking));
    let created = {
        let arrival = Arc::clone(arrival);
        blocking.run(move || {
            for digest in &gone {
                arrival.shelf.folder.remove(digest);
            }
            create(&arrival.path)
        })
    };
    let rest = Rest { source, file: Arc::new(created.await??), hasher: Hasher::new(arrival.digest.algorithm()) };
    Ok(Stepped { offset: 0, frames: Vec::new(), written: 0, rest: Mutex::new(Some(rest)) })
}

fn create(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).open(path)
}

async fn bring(arrival: Arc<Arrival>, offset: u64, rest: Rest) -> Result<Stepped, Failed> {
    let Rest { mut source, file, hasher } = rest;
    let (frames, bytes) = batch(&mut source).await?;
    let written = offset + bytes;
    if bytes == 0 || written > arrival.size {
        return Err(Failed::OtherSize);
    }
    let (blocking, content) = (Arc::clone(&arrival.shelf.blocking), frames.clone());
    let work = move || {
        let mut hasher = hasher;
        let mut position = offset;
        for frame in &content {
            file.write_all_at(frame, position)?;
            hasher.update(frame);
            position += frame.len() as u64;
        }
        if written == arrival.size {
            if hasher.clone().finish() != arrival.digest {
                return Err(Failed::OtherContent);
            }
            arrival.keep()?;
        }
        Ok((file, hasher))
    };
    let (file, hasher) = blocking.run(work).await??;
    Ok(Stepped { offset, frames, written, rest: Mutex::new(Some(Rest { source, file, hasher })) })
}

/// Waits for a frame, and takes those that are there already. No bytes at the end.
async fn batch(source: &mut BoxStream<'static, Result<Bytes, Error>>) -> Result<(Vec<Bytes>, u64), Failed> {
    let (mut frames, mut bytes) = (Vec::new(), 0);
    let mut next = source.next().await;
    while let Some(frame) = next {
        let frame = frame?;
        bytes += frame.len() as u64;
        frames.push(frame);
        if bytes >= BATCH_BYTES {
            break;
        }
        next = source.next().now_or_never().flatten();
    }
    Ok((frames, bytes))
}

impl fmt::Debug for Filling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filling({}, {} of {} bytes)", self.arrival.digest, self.progress().written, self.arrival.size)
    }
}
