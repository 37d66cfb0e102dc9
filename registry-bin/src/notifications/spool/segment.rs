//! One file of a log, named after the number of its first event.

use std::fs::File;
use std::io::{self, BufReader, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

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

    /// Reads through a file, up to its end or to what is torn; `None` if it is not one of a log. Gives as well how many
    /// bytes the events before number `position` have.
    pub(super) fn scan(path: &Path, position: u64) -> io::Result<Option<(Self, u64)>> {
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(SUFFIX));
        let Some(first) = name.and_then(|number| number.parse().ok()) else { return Ok(None) };
        let mut input = BufReader::new(File::open(path)?);
        let (mut segment, mut before) = (Self::empty(first), 0);
        loop {
            match record::read(&mut input)? {
                Found::Whole(notice) => {
                    segment.bytes += record::bytes_of(&notice);
                    if segment.end < position {
                        before = segment.bytes;
                    }
                    segment.end += 1;
                }
                Found::End => return Ok(Some((segment, before))),
                Found::Torn => {
                    tracing::warn!(path = %path.display(), "a write of notifications was cut off; its end is ignored");
                    return Ok(Some((segment, before)));
                }
            }
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
}
