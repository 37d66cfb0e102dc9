//! How far the events of a folder are delivered, in a file.

use std::path::Path;
use std::{fs, io};

use registry_core::{Algorithm, Digest};

/// Numbers beyond this are none: they would come to an end.
pub(super) const MAX_NUMBER: u64 = i64::MAX as u64;

const FILE: &str = "position";

/// Where the first event begins that is not delivered. Begins at the first of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Position {
    /// Its number.
    pub(super) number: u64,
    /// The number that its file is named after.
    pub(super) file: u64,
    /// Where it begins in the file, in bytes. Whatever happened to what lies before it does not matter.
    pub(super) offset: u64,
}

impl Position {
    /// What is noted in a folder. What was changed by whatever counts as nothing.
    pub(super) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read_to_string(folder.join(FILE)).ok()?;
        let mut numbers = text.split(' ').map(|number| number.parse().ok().filter(|number| *number <= MAX_NUMBER));
        let mut number = || numbers.next().flatten();
        let position = Self { number: number()?, file: number()?, offset: number()? };
        (position.text() == text && position.file <= position.number).then_some(position)
    }

    /// Notes it in a folder. A process that dies in between leaves what was noted before.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(self, folder: &Path) -> io::Result<()> {
        let path = folder.join(FILE);
        let fresh = path.with_extension("new");
        fs::write(&fresh, self.text())?;
        fs::rename(&fresh, &path)
    }

    /// The numbers, with a checksum.
    fn text(self) -> String {
        let numbers = format!("{} {} {}", self.number, self.file, self.offset);
        format!("{numbers} {}\n", Digest::of(Algorithm::Sha256, numbers.as_bytes()).hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Position::read(folder.path()), None);
        let position = Position { number: 12, file: 7, offset: 34 };
        position.write(folder.path()).unwrap();
        assert_eq!(Position::read(folder.path()), Some(position));
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let position = Position { number: 12, file: 7, offset: 34 };
        let text = position.text();
        for length in 0..text.len() {
            fs::write(&path, &text[..length]).unwrap();
            assert_eq!(Position::read(folder.path()), None, "{length}");
        }
        for index in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[index] ^= 1;
            fs::write(&path, changed).unwrap();
            assert_eq!(Position::read(folder.path()), None, "{index}");
        }
        for number in [u64::MAX, MAX_NUMBER + 1] {
            fs::write(&path, Position { number, ..position }.text()).unwrap();
            assert_eq!(Position::read(folder.path()), None, "{number}");
        }
    }
}
