//! Files that may change while the server runs: what they hold, and whether that is something else than before.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

/// What a file holds, or why that is not known.
pub type Content = io::Result<Vec<u8>>;

/// What tells one content from another; `None` of one that cannot be read. Looking at the content and not at times sees
/// what a mounted secret does, which swaps a symbolic link far above the file.
type Mark = Option<[u8; 32]>;

/// Files that are looked at together. A change counts when two looks agree on it, so that a file in the middle of being
/// written does not.
#[derive(Debug, Clone)]
pub struct Files {
    paths: Vec<PathBuf>,
    max_bytes: u64,
    /// As it was taken over.
    current: Vec<Mark>,
    /// As the last look found it.
    seen: Vec<Mark>,
}

impl Files {
    /// Reads files of so many bytes at most for the first time.
    pub fn open<'a>(paths: impl IntoIterator<Item = &'a Path>, max_bytes: u64) -> (Self, Vec<Content>) {
        let paths = paths.into_iter().map(Path::to_owned).collect();
        let mut files = Self { paths, max_bytes, current: Vec::new(), seen: Vec::new() };
        let contents = files.take();
        (files, contents)
    }

    /// What they hold now, which is taken over whatever it is.
    pub fn take(&mut self) -> Vec<Content> {
        let contents = self.read();
        self.current = contents.iter().map(mark).collect();
        self.seen.clone_from(&self.current);
        contents
    }

    /// What they hold, if that is something new and has been so for two looks.
    pub fn changed(&mut self) -> Option<Vec<Content>> {
        let contents = self.read();
        let now: Vec<_> = contents.iter().map(mark).collect();
        let has_settled = now == self.seen && now != self.current;
        self.seen.clone_from(&now);
        has_settled.then(|| {
            self.current = now;
            contents
        })
    }

    fn read(&self) -> Vec<Content> {
        self.paths.iter().map(|path| read(path, self.max_bytes)).collect()
    }
}

fn mark(content: &Content) -> Mark {
    content.as_ref().ok().map(|content| Sha256::digest(content).into())
}

/// Reads a file. Neither a pipe that nobody writes to nor a device without an end holds this up.
fn read(path: &Path, max_bytes: u64) -> Content {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a file"));
    }
    let mut content = Vec::new();
    file.take(max_bytes + 1).read_to_end(&mut content)?;
    if content.len() as u64 > max_bytes {
        return Err(io::Error::other(format!("longer than {max_bytes} bytes")));
    }
    Ok(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> Files {
        Files::open([path], 100).0
    }

    /// What is new, as text; "gone" for a file that cannot be read.
    fn changes(files: &mut Files) -> Option<String> {
        let content = files.changed()?.into_iter().next().unwrap();
        Some(content.map_or_else(|_| "gone".to_owned(), |content| String::from_utf8(content).unwrap()))
    }

    #[test]
    fn a_change_counts_when_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut files = open(&path);
        assert_eq!(changes(&mut files), None);
        std::fs::write(&path, "").unwrap();
        assert_eq!(changes(&mut files), None);
        std::fs::write(&path, "two").unwrap();
        assert_eq!([(); 3].map(|()| changes(&mut files)), [None, Some("two".into()), None]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!([(); 3].map(|()| changes(&mut files)), [None, Some("gone".into()), None]);
    }

    #[test]
    fn what_was_taken_is_what_a_change_is_measured_by() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let (mut files, contents) = Files::open([path.as_path()], 100);
        assert_eq!(contents[0].as_ref().unwrap(), b"one");
        // Changed before the first look.
        std::fs::write(&path, "two").unwrap();
        assert_eq!([(); 2].map(|()| changes(&mut files)), [None, Some("two".into())]);
        // Taken in between, and changed back.
        std::fs::write(&path, "three").unwrap();
        assert_eq!(files.take()[0].as_ref().unwrap(), b"three");
        std::fs::write(&path, "two").unwrap();
        assert_eq!([(); 2].map(|()| changes(&mut files)), [None, Some("two".into())]);
    }

    #[test]
    fn a_link_that_is_swapped_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("secret"), name).unwrap();
        }
        let data = folder.path().join("data");
        std::os::unix::fs::symlink("one", &data).unwrap();
        let mut files = open(&data.join("secret"));
        std::fs::remove_file(&data).unwrap();
        std::os::unix::fs::symlink("two", &data).unwrap();
        assert_eq!([(); 2].map(|()| changes(&mut files)), [None, Some("two".into())]);
    }

    #[test]
    fn what_is_no_file_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert_eq!(read(&path, 10).unwrap_err().to_string(), "not a file");
        assert_eq!(read(Path::new("/dev/zero"), 10).unwrap_err().to_string(), "not a file");
        std::fs::write(folder.path().join("long"), "x".repeat(11)).unwrap();
        assert_eq!(read(&folder.path().join("long"), 10).unwrap_err().to_string(), "longer than 10 bytes");
    }
}
