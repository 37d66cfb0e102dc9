//! Doing again what a journal tells, after a power cut.

use std::collections::BTreeSet;
use std::io::{self, Read as _};
use std::path::Path;

use registry_core::storage::{Durability, Key, WriteOptions};
use registry_core::{Random as _, SystemRandom, layout};

use super::super::read::present;
use super::super::sys::Sys;
use super::super::volume::Volume;
use super::record::{Boot, Entry, Life, Record, Time, records};
use super::{Journal, Segment, State, Turns, milliseconds};

/// The journal that an opening finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Found {
    /// None that tells anything more, and nobody has one.
    Nothing,
    /// Another process has it, and does what it tells.
    Held,
}

const NAMES: [&str; 2] = ["0", "1"];

/// Does what the journal of an earlier process tells, if the power was cut since, and removes it. `volume` has none of its own.
///
/// # Errors
/// If that cannot be done. Then the journal stays, and the next opening does it again.
pub(in super::super) fn recover(volume: &Volume, boot: Option<&Boot>) -> io::Result<Found> {
    let directory = volume.absolute(layout::journal().as_str());
    let mut segments = Vec::new();
    for name in NAMES {
        let path = directory.join(name);
        let Some(mut file) = present(volume.sys.open(&path))? else { continue };
        if !volume.sys.try_lock(&file, &path)? {
            return Ok(Found::Held);
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        segments.push((path, file, records(&bytes)));
    }
    if segments.is_empty() {
        return Ok(Found::Nothing);
    }
    let told = Told::of(segments.iter().map(|(_, _, (life, records))| (*life, records.as_slice())));
    // As long as the same system runs, all that was done is there.
    if boot.is_none_or(|boot| told.boot.as_ref() != Some(boot)) {
        told.redo(volume)?;
    }
    volume.sys.sync_filesystem(&volume.root)?;
    for (path, _, _) in &segments {
        present(volume.sys.unlink(path))?;
    }
    sync_directory(&volume.sys, &directory)?;
    Ok(Found::Nothing)
}

fn sync_directory(sys: &Sys, directory: &Path) -> io::Result<()> {
    sys.sync(&sys.open(directory)?, directory)
}

/// What two segments tell together.
#[derive(Debug, Default)]
struct Told {
    boot: Option<Boot>,
    /// When the last record was made.
    ended: Time,
    /// What is not certain to be on the disk, in order.
    changes: Vec<Record>,
}

impl Told {
    fn of<'a>(segments: impl Iterator<Item = (Option<Life>, &'a [Entry])>) -> Self {
        let mut segments: Vec<_> = segments.filter(|(_, records)| !records.is_empty()).collect();
        segments.sort_by_key(|(_, records)| records.first().map(|entry| entry.sequence));
        // An earlier life is over; whoever began the later one has seen to it.
        let life = segments.last().and_then(|(life, _)| *life);
        let mut all: Vec<&Entry> =
            segments.iter().filter(|(of, _)| *of == life).flat_map(|(_, records)| records.iter()).collect();
        all.sort_by_key(|entry| entry.sequence);
        let mut told = Self { ended: all.last().map_or(0, |entry| entry.time), ..Self::default() };
        let mut done = 0;
        for entry in &all {
            match entry.record {
                Record::Begin(boot) => told.boot = Some(boot),
                Record::Checkpoint(of) => done = of.max(done),
                _ => {}
            }
        }
        told.changes = all.iter().filter(|entry| entry.sequence > done).map(|entry| entry.record.clone()).collect();
        told
    }

    fn redo(&self, volume: &Volume) -> io::Result<()> {
        if self.changes.is_empty() {
            return Ok(());
        }
        tracing::warn!(changes = self.changes.len(), "the power was cut: what the journal tells is done again");
        let mut outdated = BTreeSet::new();
        let mut seen = BTreeSet::new();
        for change in &self.changes {
            if let Record::Write { key, .. } | Record::Delete(key) = change {
                // Only what lay there before anything was done again tells.
                if seen.insert(key) && self.is_outdated(volume, key)? {
                    outdated.insert(key);
                }
                if outdated.contains(key) {
                    tracing::warn!(%key, "another program changed this since; it stays as it is");
                    continue;
                }
            }
            redo(volume, change)?;
        }
        Ok(())
    }

    /// Whether something was written after the journal ended: by another program, which has taken the volume since.
    fn is_outdated(&self, volume: &Volume, key: &Key) -> io::Result<bool> {
        let found = present(volume.sys.metadata(&volume.absolute(key.as_str())))?;
        let modified = found.and_then(|found| found.modified().ok());
        Ok(modified.is_some_and(|modified| milliseconds(modified) > self.ended + SLACK))
    }
}

fn redo(volume: &Volume, change: &Record) -> io::Result<()> {
    match change {
        Record::Write { key, content } => write(volume, key, content)?,
        Record::Delete(key) => _ = volume.delete(key).map_err(io::Error::other)?,
        Record::DeleteAll(prefix) => _ = volume.delete_all(prefix).map_err(io::Error::other)?,
        Record::Stage(scope) => lose_staged(volume, scope)?,
        Record::Begin(_) | Record::Checkpoint(_) => {}
    }
    Ok(())
}

/// Removes staged bytes: they were never promised, and what vouches for them may be newer than they are.
fn lose_staged(volume: &Volume, scope: &Key) -> io::Result<()> {
    let path = volume.absolute(scope.as_str());
    if !scope.as_str().ends_with("/_uploads") {
        return present(volume.sys.unlink(&path)).map(drop);
    }
    let Some(uploads) = present(volume.sys.list(&path))? else { return Ok(()) };
    for upload in uploads {
        let Some(upload) = present(upload)? else { break };
        present(volume.sys.unlink(&upload.path().join("data")))?;
    }
    Ok(())
}

/// A file can be dated a little later than the record that was made right after it, in milliseconds.
const SLACK: Time = 2_000;

fn write(volume: &Volume, key: &Key, content: &[u8]) -> io::Result<()> {
    let is_there = volume.read(key, content.len() as u64).is_ok_and(|found| found.as_deref() == Some(content));
    if is_there {
        return Ok(());
    }
    let options = WriteOptions { durability: Durability::Volatile, ..WriteOptions::default() };
    volume.write(key, content, options).map_err(io::Error::other)
}

fn life() -> Life {
    let mut life = Life::default();
    life.copy_from_slice(&SystemRandom.bytes()[..8]);
    life
}

impl Journal {
    /// Begins a journal; what an earlier one told is done. `None` if another process has one, or there is no room for it.
    ///
    /// # Errors
    /// If it cannot be written or synced.
    pub(in super::super) fn begin(
        volume: &Volume,
        boot: Option<Boot>,
        segment_bytes: usize,
    ) -> io::Result<Option<Self>> {
        let directory = volume.absolute(layout::journal().as_str());
        volume.create_directory(layout::journal().as_str())?;
        let mut segments = Vec::new();
        for name in NAMES {
            let path = directory.join(name);
            let file = volume.sys.open_writable(&path, true)?;
            if !volume.sys.try_lock(&file, &path)? {
                return Ok(None);
            }
            segments.push(Segment { path, file });
            let Segment { path, file } = &segments[segments.len() - 1];
            // Written once, so that later writes change nothing but these blocks.
            if let Err(error) = volume.sys.write_all(file, path, &vec![0; segment_bytes]) {
                for segment in &segments {
                    present(volume.sys.unlink(&segment.path))?;
                }
                let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
                return if is_full { Ok(None) } else { Err(error) };
            }
            volume.sys.sync(file, path)?;
        }
        sync_directory(&volume.sys, &directory)?;
        let Ok(segments) = segments.try_into() else { return Ok(None) };
        let journal = Self {
            sys: volume.sys.clone(),
            root: volume.root.clone(),
            segments,
            segment_bytes: segment_bytes as u64,
            life: life(),
            boot: boot.unwrap_or_default(),
            state: std::sync::Mutex::new(State::default()),
            changed: std::sync::Condvar::new(),
            idle: std::sync::Condvar::new(),
            turns: Turns::new(),
        };
        let mut state = journal.lock();
        journal.push(&mut state, &Record::Begin(journal.boot));
        drop(state);
        Ok(Some(journal))
    }
}
