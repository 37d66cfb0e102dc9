//! Listing one directory.

use std::collections::BinaryHeap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use registry_core::storage::{Entry, EntryKind, Key, Listing};
use rustix::fs::{Dir, DirEntry, FileType};

use super::read::present;
use super::volume::Volume;

impl Volume {
    /// One page. A directory gives its names in no order, so it is read whole, if its names are not known.
    pub(super) fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> io::Result<Listing> {
        let path = self.absolute(prefix.as_str());
        let Some(directory) = present(self.sys.open_directory(&path))? else {
            return Ok(Listing::default());
        };
        let found = directory.metadata()?;
        let known = self.known_names.as_ref();
        if let Some(names) = known.and_then(|known| known.get(prefix, &found)) {
            return Ok(names.page(after, limit));
        }
        let mut gathered = known.and_then(|known| known.gather(&found));
        let mut page = Page::new(after, limit);
        for found in Dir::new(directory)? {
            let Some(found) = present(found.map_err(io::Error::from))? else { break };
            let name = found.file_name().to_bytes();
            // What a link leads to may change where nobody sees it.
            if may_be_link(&found) {
                gathered = None;
            }
            if name == b"." || name == b".." || gathered.is_none() && !page.wants(name) {
                continue;
            }
            let Some(entry) = self.entry(prefix, &path, &found)? else { continue };
            if gathered.as_mut().is_some_and(|names| !names.add(&entry)) {
                gathered = None;
            }
            page.add(entry);
        }
        if let Some(known) = known {
            known.replace(prefix, gathered);
        }
        Ok(page.done())
    }

    /// What a key can name, and nothing else.
    fn entry(&self, prefix: &Key, directory: &Path, found: &DirEntry) -> io::Result<Option<Entry>> {
        let name = OsStr::from_bytes(found.file_name().to_bytes());
        let Some(name) = name.to_str().filter(|name| name.parse::<Key>().is_ok()) else {
            tracing::warn!(%prefix, ?name, "a name that no key has is left out of the listing");
            return Ok(None);
        };
        let kind = match found.file_type() {
            FileType::Directory => EntryKind::Prefix,
            FileType::RegularFile => EntryKind::Object,
            _ if may_be_link(found) => match present(self.sys.metadata(&directory.join(name)))? {
                Some(target) if target.is_dir() => EntryKind::Prefix,
                Some(target) if target.is_file() => EntryKind::Object,
                _ => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(Entry { name: name.to_owned(), kind }))
    }
}

/// Some filesystems do not tell what an entry is.
fn may_be_link(found: &DirEntry) -> bool {
    matches!(found.file_type(), FileType::Symlink | FileType::Unknown)
}

/// The first names behind one; no more are kept than the page has.
struct Page<'a> {
    after: Option<&'a str>,
    limit: usize,
    /// One more than the page tells whether there is a next one. The greatest is on top.
    smallest: BinaryHeap<Entry>,
}

impl<'a> Page<'a> {
    fn new(after: Option<&'a str>, limit: usize) -> Self {
        Self { after, limit, smallest: BinaryHeap::new() }
    }

    fn wants(&self, name: &[u8]) -> bool {
        let is_behind = self.after.is_none_or(|after| name > after.as_bytes());
        let is_full = self.smallest.len() > self.limit;
        is_behind && (!is_full || self.smallest.peek().is_some_and(|greatest| name < greatest.name.as_bytes()))
    }

    fn add(&mut self, entry: Entry) {
        if self.wants(entry.name.as_bytes()) {
            self.smallest.push(entry);
            if self.smallest.len() > self.limit.saturating_add(1) {
                self.smallest.pop();
            }
        }
    }

    fn done(self) -> Listing {
        let mut entries = self.smallest.into_sorted_vec();
        let more = entries.len() > self.limit;
        entries.truncate(self.limit);
        Listing { entries, more }
    }
}
