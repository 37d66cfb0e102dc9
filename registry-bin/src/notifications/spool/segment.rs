//! One file of a log, named after the number of its first event.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::record::{self, Found};

/// Numbers beyond this are none: they would come to an end.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

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

    /// Reads through a file, up to its end or to what was cut off there; `None` if it is not one of a log. What is damaged
    /// before other events counts as one. Gives as well how many bytes the events before number `position` have.
    pub(super) fn scan(path: &Path, position: u64) -> io::Result<Option<(Self, u64)>> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        let Some(first) = name.and_then(|number| number.parse().ok()) else { return Ok(None) };
        if first > MAX_NUMBER || !path.is_file() {
            tracing::warn!(path = %path.display(), "this is no file of notifications, and is left alone");
            return Ok(None);
        }
        let mut input = BufReader::new(File::open(path)?);
        let (mut segment, mut before) = (Self::empty(first), 0);
        loop {
            let bytes = match record::read(&mut input)? {
                Found::Whole(notice) => record::bytes_of(&notice),
                Found::End => return Ok(Some((segment, before))),
                Found::Torn => {
                    let Some(bytes) = gap(path, segment.bytes)? else {
                        tracing::warn!(path = %path.display(), "a write of notifications was cut off; its end is ignored");
                        return Ok(Some((segment, before)));
                    };
                    tracing::error!(path = %path.display(), bytes, "notifications are damaged");
                    input.seek(SeekFrom::Start(segment.bytes + bytes))?;
                    bytes
                }
            };
            segment.bytes += bytes;
            if segment.end < position {
                before = segment.bytes;
            }
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
    // Each begins behind a line feed.
    let mut from = 1;
    while let Some(at) = rest.get(from - 1..).and_then(|rest| rest.iter().position(|byte| *byte == b'\n')) {
        from += at;
        if matches!(record::read(&mut rest.get(from..).unwrap_or_default())?, Found::Whole(_)) {
            return Ok(Some(from as u64));
        }
        from += 1;
    }
    Ok(None)
}
