//! Events in the files of a folder, in their order, with a note of how far they are delivered.
//!
//! ```text
//! 00000000000000000000.events  the events from number 0 on, each with its checksum
//! 00000000000000000512.events  those from number 512 on
//! position                     where the first event begins that is not delivered
//! ```
//!
//! A process begins a file of its own and never writes to one that it found, so a torn end stays an end. Whatever moment
//! a process dies at, what was wholly written is found again.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::position::Position;
use super::record;
use super::segment::Segment;

/// A file with more than this gets no further event.
const SEGMENT_BYTES: u64 = 4 * 1024 * 1024;

/// The events of a folder.
#[derive(Debug)]
pub(super) struct Log {
    folder: PathBuf,
    segments: VecDeque<Segment>,
    /// The last of the segments, while it may grow.
    writing: Option<File>,
    /// Whether a file was begun that the folder may forget in a power cut.
    has_new_file: bool,
    /// The number of the first event that is not delivered.
    number: u64,
    /// Where that begins in the first segment.
    offset: u64,
    /// The number of the next event that is added.
    next: u64,
    /// How many events were given up.
    lost: u64,
}

impl Log {
    /// Opens a folder, and makes it if need be. Reads all that is there.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        // Without a position, what is there counts as not delivered: rather twice than never.
        let position = Position::read(folder).unwrap_or_default();
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            let Some(segment) = Segment::scan(&path, position)? else { continue };
            if segment.is_behind(position) {
                found.push(segment);
            } else {
                fs::remove_file(&path)?;
            }
        }
        found.sort_by_key(|segment| segment.first);
        let segments = VecDeque::from(found);
        let (number, offset) = match segments.front() {
            Some(first) if first.first != position.file => (first.first, 0),
            Some(_) => (position.number, position.offset),
            None => (position.number, 0),
        };
        let next = segments.back().map_or(number, |last| last.end);
        let folder = folder.to_owned();
        Ok(Self { folder, segments, writing: None, has_new_file: false, number, offset, next, lost: 0 })
    }

    /// How many events were given up, as what holds them is damaged. Several that cannot be told apart count as one.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// How many events are not delivered.
    pub(super) fn events(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|segment| segment.end - segment.first).sum();
        let delivered = self.segments.front().map_or(0, |first| self.number.saturating_sub(first.first));
        all - delivered
    }

    /// How many bytes they have together.
    pub(super) fn bytes(&self) -> u64 {
        let all: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        all - self.offset
    }

    /// Adds an event. It survives the end of the process from here on, and a power cut when it is synchronised.
    pub(super) fn append(&mut self, notice: &[u8]) -> io::Result<()> {
        let mut file = match self.writing.take() {
            Some(file) if self.segments.back().is_some_and(|last| last.bytes < SEGMENT_BYTES) => file,
            _ => self.begin()?,
        };
        // When this fails, the file has a torn end, and so gets nothing further.
        file.write_all(&record::encode(notice))?;
        self.writing = Some(file);
        if let Some(last) = self.segments.back_mut() {
            last.end += 1;
            last.bytes += record::bytes_of(notice);
        }
        self.next += 1;
        Ok(())
    }

    fn begin(&mut self) -> io::Result<File> {
        let segment = Segment::empty(self.next);
        // After a failed write there may be a file of this name without a whole event.
        let file = File::create(segment.path(&self.folder))?;
        self.has_new_file = true;
        if self.segments.back().is_none_or(|last| last.first != segment.first) {
            self.segments.push_back(segment);
        }
        Ok(file)
    }

    /// Files to synchronise, so that what was added survives a power cut.
    pub(super) fn unsynced(&mut self) -> io::Result<Vec<File>> {
        let mut files = Vec::new();
        if let Some(file) = &self.writing {
            files.push(file.try_clone()?);
        }
        if std::mem::take(&mut self.has_new_file) {
            files.push(File::open(&self.folder)?);
        }
        Ok(files)
    }

    /// The first event that is not delivered. What cannot be read any more is given up.
    pub(super) fn first(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            self.drop_delivered();
            let Some(segment) = self.segments.front() else { return Ok(None) };
            if self.number == segment.end {
                return Ok(None);
            }
            match segment.read(&self.folder, self.offset) {
                Err(error) if matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::NotFound) => {
                    let path = segment.path(&self.folder);
                    // One of which the beginning of the next is known, or else the rest of the file.
                    let gap = if error.kind() == io::ErrorKind::NotFound {
                        None
                    } else {
                        segment.gap(&self.folder, self.offset)?
                    };
                    let lost = if gap.is_some() { 1 } else { segment.end - self.number };
                    tracing::error!(path = %path.display(), %error, lost, "notifications are lost: their file is damaged");
                    self.lost += lost;
                    if let Some(bytes) = gap {
                        (self.number, self.offset) = (self.number + 1, self.offset + bytes);
                        continue;
                    }
                    (self.number, self.offset) = (segment.end, segment.bytes);
                    if self.segments.len() == 1 {
                        self.writing = None;
                    }
                }
                read => return read.map(Some),
            }
        }
    }

    /// Notes that the first event, which is `notice`, is delivered.
    pub(super) fn done(&mut self, notice: &[u8]) -> io::Result<()> {
        self.number += 1;
        self.offset += record::bytes_of(notice);
        self.drop_delivered();
        let file = self.segments.front().map_or(self.number, |first| first.first);
        Position { number: self.number, file, offset: self.offset }.write(&self.folder)
    }

    /// Removes the files that are delivered as a whole and get nothing further.
    fn drop_delivered(&mut self) {
        while let Some(first) = self.segments.front() {
            let grows = self.segments.len() == 1 && self.writing.is_some();
            if self.number < first.end || (grows && first.bytes < SEGMENT_BYTES) {
                return;
            }
            if let Err(error) = fs::remove_file(first.path(&self.folder))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, folder = %self.folder.display(), "a file of notifications is left behind");
            }
            self.segments.pop_front();
            if self.segments.is_empty() {
                self.writing = None;
            }
            self.offset = 0;
            self.number = self.segments.front().map_or(self.number, |first| first.first);
        }
    }
}
