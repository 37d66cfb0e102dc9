//! One file of a log, named after the number of its first event.

use std::cmp;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::position::{MAX_NUMBER, Position};
use super::record::{self, Found};

/// What the name of each file ends with.
const SUFFIX: &str = ".events";

/// One file of a log.
#[derive(Debug)]
pub(super) struct Segment {
    /// The number of its first event.
    pub(super) first: u64,
    /// The number behind its last event.
    pub(super) end: u64,
    /// How many bytes its events have together.
    pub(super) bytes: u64,
}

impl Segment {
    /// A file without an event.
    pub(super) fn empty(first: u64) -> Self {
        Self { first, end: first, bytes: 0 }
    }

    pub(super) fn path(&self, folder: &Path) -> PathBuf {
        folder.join(format!("{:020}{SUFFIX}", self.first))
    }

    /// Whether it has events at `position` or behind it.
    pub(super) fn is_behind(&self, position: Position) -> bool {
        self.end > if self.first == position.file { position.number } else { self.first }
    }

    /// Reads through what is not delivered of a file, up to its end or to what was cut off there; `None` if it is not one
    /// of a log. What is damaged before other events counts as one.
    pub(super) fn scan(path: &Path, position: Position) -> io::Result<Option<Self>> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        let Some(first) = name.and_then(|number| number.parse::<u64>().ok()) else { return Ok(None) };
        if first > MAX_NUMBER || !path.is_file() {
            tracing::warn!(path = %path.display(), "this is no file of notifications, and is left alone");
            return Ok(None);
        }
        let mut segment = match first.cmp(&position.file) {
            cmp::Ordering::Less => return Ok(Some(Self::empty(first))),
            cmp::Ordering::Equal => Self { first, end: position.number, bytes: position.offset },
            cmp::Ordering::Greater => Self::empty(first),
        };
        let mut input = BufReader::new(File::open(path)?);
        input.seek(SeekFrom::Start(segment.bytes))?;
        loop {
            segment.bytes += match record::read(&mut input)? {
                Found::Whole(notice) => record::bytes_of(&notice),
                Found::End => return Ok(Some(segment)),
                Found::Torn => {
                    let Some(bytes) = gap(path, segment.bytes)? else {
                        tracing::warn!(path = %path.display(), "a write of notifications was cut off; its end is ignored");
                        return Ok(Some(segment));
                    };
                    tracing::error!(path = %path.display(), bytes, "notifications are damaged");
                    input.seek(SeekFrom::Start(segment.bytes + bytes))?;
                    bytes
                }
            };
            segment.end += 1;
        }
    }

    /// The event that begins at `offset`.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if there is none.
    pub(super) fn read(&self, folder: &Path, offset: u64) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(folder))?;
        file.seek(SeekFrom::Start(offset))?;
        match record::read(&mut BufReader::new(file))? {
            Found::Whole(notice) => Ok(notice),
            Found::End | Found::Torn => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    /// How many bytes of something that is none lie at `offset`, before the next event; `None` if there is no other.
    pub(super) fn gap(&self, folder: &Path, offset: u64) -> io::Result<Option<u64>> {
        gap(&self.path(folder), offset)
    }
}

/// Looks for the next event behind what is damaged. All of that is read into memory; it is no more than a file and an
/// event may have.
fn gap(path: &Path, offset: u64) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest)?;
    let mut from = 1;
    while let Some(at) = rest.get(from..).and_then(record::find_head) {
        from += at;
        if matches!(record::read(&mut rest.get(from..).unwrap_or_default())?, Found::Whole(_)) {
            return Ok(Some(from as u64));
        }
        from += 1;
    }
    Ok(None)
}
