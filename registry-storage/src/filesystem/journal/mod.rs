//! A journal of small changes, so that what is answered survives a power cut without a sync of its own.
//!
//! A change is written to the journal, in a file whose blocks are all there and written already, so that to sync it
//! changes nothing but those; who comes meanwhile shares the next sync. Only when its record is on the disk is a change
//! made in the tree, and that without any sync. So whatever a power cut left of it, in whole, in part or not at all, the next
//! opening does it again from the record ([`recovery`]).
//!
//! The journal is two segments. When one is full, a *checkpoint* turns to the other: it waits until every record of the
//! full one was acted on, syncs the whole filesystem, and writes that all up to there is done. What has no record of its own, because it is
//! large, is followed by a checkpoint before it is answered, so records that are older never contradict it.
//!
//! A sync of the journal that failed is never tried again: it promises nothing any more until the storage is opened anew.

mod record;
mod recovery;

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use registry_core::storage::Key;

use super::sys::{self, Sys};
use record::{Boot, Life, Record, Sequence, Time};

pub(super) use recovery::{Found, recover};

/// The largest content that has a record.
const MOST_BYTES: u64 = 64 * 1024;

/// One that is open.
#[derive(Debug)]
pub(super) struct Journal {
    sys: Sys,
    /// The root of the storage.
    root: PathBuf,
    segments: [Segment; 2],
    segment_bytes: u64,
    life: Life,
    boot: Boot,
    state: Mutex<State>,
    /// Something was written out, or a checkpoint ended.
    changed: Condvar,
    /// All records of a segment are acted on.
    idle: Condvar,
    turns: Turns,
}

#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Locked, so that nobody else takes the journal for one that was left behind.
    file: File,
}

#[derive(Debug, Default)]
struct State {
    active: usize,
    /// Where the next bytes of the active segment go.
    position: u64,
    /// Records of the active segment that are not written yet.
    buffer: Vec<u8>,
    /// The last record there is.
    last: Sequence,
    /// The last record that is on the disk.
    durable: Sequence,
    /// Somebody writes what was in the buffer.
    is_writing: bool,
    /// Records by segment that are not acted on yet.
    running: [u64; 2],
    /// Whether the active segment has a record of a change.
    has_changes: bool,
    /// By scope, the record of the active segment that staged bytes may be lost.
    staged: HashMap<Key, Sequence>,
    /// How many checkpoints were begun, and how many ended.
    begun: u64,
    ended: u64,
    has_failed: bool,
}

/// A small change.
#[derive(Debug)]
pub(super) enum Change<'a> {
    Write(&'a Key, &'a [u8]),
    Delete(&'a Key),
    DeleteAll(&'a Key),
}

/// A change that is on record, and is made in the tree as long as this lives.
#[derive(Debug)]
#[must_use]
pub(super) struct Running<'a> {
    journal: &'a Journal,
    segment: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("the journal failed before; nothing is durable until the storage is opened again")]
struct Failed;

impl Change<'_> {
    fn record(&self) -> Record {
        match *self {
            Self::Write(key, content) => Record::Write { key: key.clone(), content: content.to_vec() },
            Self::Delete(key) => Record::Delete(key.clone()),
            Self::DeleteAll(prefix) => Record::DeleteAll(prefix.clone()),
        }
    }
}

impl Journal {
    /// Puts a change on record, and waits until that is on the disk.
    ///
    /// # Errors
    /// If it cannot be; then the change must not be made.
    pub(super) fn note(&self, change: &Change<'_>) -> io::Result<Running<'_>> {
        let record = change.record();
        let mut state = self.room_for(&record)?;
        let sequence = self.push(&mut state, &record);
        self.run_when_durable(state, sequence)
    }

    /// Puts a change on record that nobody relies on: the record is on the disk before any that comes later.
    ///
    /// # Errors
    /// If the journal failed before.
    pub(super) fn mention(&self, change: &Change<'_>) -> io::Result<Running<'_>> {
        let record = change.record();
        let mut state = self.room_for(&record)?;
        self.push(&mut state, &record);
        Ok(self.run(&mut state))
    }

    /// The same for staged bytes that are about to change: they may be lost. One record speaks for all uploads of a
    /// repository until the next checkpoint, so that none of them waits for its own.
    ///
    /// # Errors
    /// If that cannot be put on record; then the bytes must not be changed.
    pub(super) fn note_staged(&self, key: &Key) -> io::Result<Running<'_>> {
        let scope = staged_beside(key).unwrap_or_else(|| key.clone());
        let record = Record::Stage(scope.clone());
        let mut state = self.room_for(&record)?;
        let sequence = if let Some(noted) = state.staged.get(&scope) {
            *noted
        } else {
            let sequence = self.push(&mut state, &record);
            state.staged.insert(scope, sequence);
            sequence
        };
        self.run_when_durable(state, sequence)
    }

    fn run_when_durable<'a>(&'a self, mut state: MutexGuard<'a, State>, sequence: Sequence) -> io::Result<Running<'a>> {
        let running = self.run(&mut state);
        drop(self.wait_until_durable(state, sequence)?);
        Ok(running)
    }

    /// What a record allows belongs to the active segment, also where the record is older.
    fn run(&self, state: &mut State) -> Running<'_> {
        let segment = state.active;
        state.running[segment] += 1;
        state.has_changes = true;
        Running { journal: self, segment }
    }

    /// Whether so much content can have a record.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        bytes <= MOST_BYTES.min(self.segment_bytes / 4)
    }

    /// The order of changes of one place: who holds it is alone there.
    pub(super) fn turn(&self, key: &Key) -> MutexGuard<'_, ()> {
        self.turns.of(key)
    }

    /// Makes durable all that was done before, whether or not it is on record.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn checkpoint(&self) -> io::Result<()> {
        self.checkpoint_from(self.lock())
    }

    /// The same, unless nothing is on record that is not done.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn catch_up(&self) -> io::Result<()> {
        let state = self.lock();
        let is_done = !state.has_changes && state.begun == state.ended && !state.has_failed;
        if is_done { Ok(()) } else { self.checkpoint_from(state) }
    }

    fn checkpoint_from<'a>(&'a self, mut state: MutexGuard<'a, State>) -> io::Result<()> {
        // One that is under way may have looked away from what was done since.
        let wanted = state.begun + 1;
        loop {
            if state.has_failed {
                return Err(io::Error::other(Failed));
            }
            if state.ended >= wanted {
                return Ok(());
            }
            state = if state.begun == state.ended { self.begin_checkpoint(state)? } else { self.wait(state) };
        }
    }

    /// A state in which there is room for a record in the active segment.
    fn room_for(&self, record: &Record) -> io::Result<MutexGuard<'_, State>> {
        loop {
            let state = self.lock();
            if state.has_failed {
                return Err(io::Error::other(Failed));
            }
            let bytes = state.buffer.len() + record.encoded_bytes();
            if state.position + bytes as u64 <= self.segment_bytes {
                return Ok(state);
            }
            drop(state);
            self.checkpoint()?;
        }
    }

    fn push(&self, state: &mut State, record: &Record) -> Sequence {
        state.last += 1;
        record.encode(self.life, state.last, now(), &mut state.buffer);
        state.last
    }

    /// Whoever comes first writes for all.
    fn wait_until_durable<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        sequence: Sequence,
    ) -> io::Result<MutexGuard<'a, State>> {
        loop {
            if state.durable >= sequence {
                return Ok(state);
            }
            if state.has_failed {
                return Err(io::Error::other(Failed));
            }
            state = if state.is_writing { self.wait(state) } else { self.write_out(state)? };
        }
    }

    /// Writes what is in the buffer, without the lock.
    fn write_out<'a>(&'a self, mut state: MutexGuard<'a, State>) -> io::Result<MutexGuard<'a, State>> {
        let buffer = std::mem::take(&mut state.buffer);
        let (position, upto, segment) = (state.position, state.last, &self.segments[state.active]);
        state.position += buffer.len() as u64;
        state.is_writing = true;
        drop(state);
        let written = self
            .sys
            .write_all_at(&segment.file, &segment.path, &mut [IoSlice::new(&buffer)], position)
            .and_then(|()| self.sys.sync_data(&segment.file, &segment.path));
        let mut state = self.lock();
        state.is_writing = false;
        match &written {
            Ok(()) => state.durable = upto,
            Err(error) => {
                tracing::error!(%error, "a sync of the journal failed: nothing is durable until the storage is opened again");
                state.has_failed = true;
            }
        }
        self.changed.notify_all();
        written.map(|()| state)
    }

    fn begin_checkpoint<'a>(&'a self, mut state: MutexGuard<'a, State>) -> io::Result<MutexGuard<'a, State>> {
        state.begun += 1;
        let done = self.turn_over(state);
        let mut state = self.lock();
        state.has_failed |= done.is_err();
        state.ended = state.begun;
        self.changed.notify_all();
        done.map(|()| state)
    }

    /// Turns to the other segment, unless nothing is on record, and syncs what was done.
    fn turn_over<'a>(&'a self, mut state: MutexGuard<'a, State>) -> io::Result<()> {
        if state.has_changes {
            // What is put on record meanwhile goes with it.
            while state.is_writing || !state.buffer.is_empty() {
                state = if state.is_writing { self.wait(state) } else { self.write_out(state)? };
            }
            if state.has_failed {
                return Err(io::Error::other(Failed));
            }
            let (old, last) = (state.active, state.last);
            (state.active, state.position, state.has_changes) = (1 - old, 0, false);
            state.staged.clear();
            self.push(&mut state, &Record::Begin(self.boot));
            while state.running[old] > 0 {
                state = self.idle.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            drop(state);
            self.sys.sync_filesystem(&self.root)?;
            let mut state = self.lock();
            let sequence = self.push(&mut state, &Record::Checkpoint(last));
            drop(self.wait_until_durable(state, sequence)?);
            return Ok(());
        }
        drop(state);
        self.sys.sync_filesystem(&self.root)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

impl Running<'_> {
    /// The change could not be made, or only in part: nobody is to do it again. Until now the record vouched for whatever part
    /// others have seen; from now on the disk does.
    ///
    /// # Errors
    /// If that cannot be known.
    pub(super) fn give_up(self) -> io::Result<()> {
        let journal = self.journal;
        // A checkpoint waits for this one.
        drop(self);
        journal.checkpoint()
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let mut state = self.journal.lock();
        state.running[self.segment] -= 1;
        if state.running[self.segment] == 0 {
            self.journal.idle.notify_all();
        }
    }
}

/// The directory of the uploads of a repository, if that is where bytes are staged at this key.
fn staged_beside(key: &Key) -> Option<Key> {
    let (uploads, _) = key.as_str().strip_suffix("/data")?.rsplit_once('/')?;
    uploads.ends_with("/_uploads").then(|| uploads.parse().ok()).flatten()
}

fn now() -> Time {
    milliseconds(sys::now())
}

fn milliseconds(time: SystemTime) -> Time {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Time::try_from(since.as_millis()).unwrap_or(Time::MAX)
}

/// One lock for many places each: two that share one only wait for each other.
#[derive(Debug)]
struct Turns(Vec<Mutex<()>>);

/// More than there are threads that work on the disk in practice.
const TURNS: usize = 1024;

impl Turns {
    fn new() -> Self {
        Self((0..TURNS).map(|_| Mutex::new(())).collect())
    }

    fn of(&self, key: &Key) -> MutexGuard<'_, ()> {
        use std::hash::{DefaultHasher, Hash as _, Hasher as _};
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        #[expect(clippy::cast_possible_truncation, reason = "the lower bits choose as well as any")]
        let index = hasher.finish() as usize % TURNS;
        self.0[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
