//! Bytes on their way in.

use std::mem;

use ::opendal::{Operator, Writer};
use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use registry_core::storage::{Error, Key, StageMode, Staged};

use super::known_parts::KnownParts;
use super::parts::{self, Part};
use super::{error, publishing, reading};

/// The least that the large services take as a piece of an upload. Up to two such pieces are held in memory.
const PIECE_BYTES: usize = 5 * 1024 * 1024;
/// A part is closed when it is this large: services copy no more than 5 GiB at a time, in at most 10,000 pieces.
const PART_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Where the service takes an object in one piece only, parts are as large as may be held in memory.
const WHOLE_PART_BYTES: u64 = 8 * 1024 * 1024;

/// The parts of staged bytes, which are begun if that is asked for; `None` if there are none.
pub(super) async fn begin(operator: &Operator, key: &Key, mode: StageMode) -> Result<Option<Vec<Part>>, Error> {
    match mode {
        // Nothing shows before the first part does.
        StageMode::Create => Ok(Some(Vec::new())),
        StageMode::Resume => parts::find(operator, key).await,
    }
}

/// Opens staged bytes that have these parts.
pub(super) fn stage(
    operator: &Operator,
    writing: &Operator,
    known: &KnownParts,
    key: &Key,
    parts: Vec<Part>,
) -> Box<dyn Staged> {
    let (operator, writing, known, key) = (operator.clone(), writing.clone(), known.clone(), key.clone());
    Box::new(StagedParts { operator, writing, known, key, parts, tail: None, is_current: true, is_doubtful: false })
}

#[derive(Debug)]
struct StagedParts {
    operator: Operator,
    writing: Operator,
    key: Key,
    /// What is closed, and so there to stay.
    parts: Vec<Part>,
    /// What is being written. It is taken out while something is awaited, so that a cancelled write leaves none.
    tail: Option<Tail>,
    known: KnownParts,
    /// Whether the next writer may go on with the parts as they are known here.
    is_current: bool,
    /// Whether there may be a part that is not known here.
    is_doubtful: bool,
}

impl Drop for StagedParts {
    fn drop(&mut self) {
        if self.is_current {
            self.known.put(self.key.clone(), mem::take(&mut self.parts));
        }
    }
}

impl StagedParts {
    async fn close(&mut self) -> Result<(), Error> {
        if let Some(tail) = self.tail.take() {
            // Where this ends early or fails, nobody knows whether the part is there.
            (self.is_current, self.is_doubtful) = (false, true);
            self.parts.push(tail.close(&self.writing, &self.key).await?);
            (self.is_current, self.is_doubtful) = (true, false);
        }
        Ok(())
    }
}

#[async_trait]
impl Staged for StagedParts {
    fn size(&self) -> u64 {
        parts::size(&self.parts) + self.tail.as_ref().map_or(0, |tail| tail.part.size)
    }

    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error> {
        if batch.iter().all(Bytes::is_empty) {
            return Ok(());
        }
        let tail = match self.tail.take() {
            Some(tail) => tail,
            None => Tail::open(&self.writing, &self.key, parts::size(&self.parts)).await?,
        };
        let tail = self.tail.insert(tail.write(&self.key, batch).await?);
        if tail.is_full() { self.close().await } else { Ok(()) }
    }

    async fn sync(&mut self) -> Result<(), Error> {
        self.close().await
    }

    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error> {
        self.close().await?;
        Ok(reading::joined(&self.operator, &self.key, &self.parts, offset))
    }

    async fn publish(&mut self, key: &Key) -> Result<(), Error> {
        self.close().await?;
        // Published bytes are not gone on with.
        self.is_current = false;
        publishing::publish(&self.operator, &self.parts, key).await
    }

    fn objects(&self) -> Option<Vec<Key>> {
        let is_certain = self.tail.is_none() && !self.is_doubtful;
        let parts = self.parts.iter().map(|part| part.path.parse().ok());
        is_certain.then(|| parts.collect()).flatten()
    }

    async fn discard(mut self: Box<Self>) -> Result<(), Error> {
        self.is_current = false;
        if let Some(tail) = self.tail.take() {
            tail.abort().await;
        }
        parts::clear(&self.operator, &self.key).await
    }
}

/// A part that is being written.
struct Tail {
    part: Part,
    sink: Sink,
}

enum Sink {
    /// The service takes pieces, and shows nothing until the last one is confirmed.
    Pieces(Box<Writer>),
    /// The service takes the part whole.
    Whole(Vec<Bytes>),
}

impl Tail {
    async fn open(operator: &Operator, key: &Key, offset: u64) -> Result<Self, Error> {
        let path = parts::at(key, offset)?;
        let sink = if operator.info().capability().write_can_multi {
            let writer = operator.writer_with(&path).if_not_exists(true).chunk(PIECE_BYTES).await;
            Sink::Pieces(Box::new(writer.map_err(|error| error::of(key, error))?))
        } else {
            Sink::Whole(Vec::new())
        };
        Ok(Self { part: Part { path, offset, size: 0 }, sink })
    }

    fn is_full(&self) -> bool {
        match &self.sink {
            Sink::Pieces(_) => self.part.size >= PART_BYTES,
            Sink::Whole(_) => self.part.size >= WHOLE_PART_BYTES,
        }
    }

    async fn write(mut self, key: &Key, batch: Vec<Bytes>) -> Result<Self, Error> {
        self.part.size += batch.iter().map(|chunk| chunk.len() as u64).sum::<u64>();
        let written = match &mut self.sink {
            Sink::Pieces(writer) => writer.write(batch).await,
            Sink::Whole(content) => {
                content.extend(batch);
                Ok(())
            }
        };
        match written {
            Ok(()) => Ok(self),
            Err(error) => {
                self.abort().await;
                Err(error::of(key, error))
            }
        }
    }

    async fn close(mut self, operator: &Operator, key: &Key) -> Result<Part, Error> {
        let path = self.part.path.as_str();
        let closed = match &mut self.sink {
            Sink::Pieces(writer) => writer.close().await,
            Sink::Whole(content) => operator.write_with(path, mem::take(content)).if_not_exists(true).await,
        };
        let Err(error) = closed else { return Ok(self.part) };
        let taken = error::is_taken(operator, path, &error).await;
        self.abort().await;
        Err(if taken { Error::Busy { key: key.clone() } } else { error::of(key, error) })
    }

    /// Tells the service to forget the pieces. That they are left there costs space, and is mended by the bucket's
    /// lifecycle rule.
    async fn abort(self) {
        let Sink::Pieces(mut writer) = self.sink else { return };
        if let Err(error) = writer.abort().await {
            tracing::debug!(path = self.part.path, %error, "an upload of pieces was left behind");
        }
    }
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tail({}, {} bytes)", self.part.path, self.part.size)
    }
}
