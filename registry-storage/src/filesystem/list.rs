//! Listing one directory.

use std::collections::BinaryHeap;
use std::fs::DirEntry;
use std::io;

use registry_core::storage::{Entry, EntryKind, Key, Listing};

use super::read::present;
use super::volume::Volume;

impl Volume {
    /// One page. A directory gives its names in no order, so every page reads it whole, but keeps no more names
    /// than the page has.
    pub(super) fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> io::Result<Listing> {
        let Some(directory) = present(self.sys.list(&self.absolute(prefix.as_str())))? else {
            return Ok(Listing::default());
        };
        // One more than the page tells whether there is a next one. The greatest is on top.
        let keep = limit.saturating_add(1);
        let mut smallest = BinaryHeap::new();
        for found in directory {
            let Some(found) = present(found)? else { break };
            let name = found.file_name();
            let bytes = name.as_encoded_bytes();
            let is_behind = after.is_none_or(|after| bytes > after.as_bytes());
            let is_small = smallest.len() < keep
                || smallest.peek().is_some_and(|greatest: &Entry| bytes < greatest.name.as_bytes());
            if !is_behind || !is_small {
                continue;
            }
            if let Some(entry) = self.entry(prefix, &found)? {
                smallest.push(entry);
                if smallest.len() > keep {
                    smallest.pop();
                }
            }
        }
        let mut entries = smallest.into_sorted_vec();
        let more = entries.len() > limit;
        entries.truncate(limit);
        Ok(Listing { entries, more })
    }

    /// What a key can name, and nothing else.
    fn entry(&self, prefix: &Key, found: &DirEntry) -> io::Result<Option<Entry>> {
        let name = found.file_name();
        let Some(name) = name.to_str().filter(|name| name.parse::<Key>().is_ok()) else {
            tracing::warn!(%prefix, ?name, "a name that no key has is left out of the listing");
            return Ok(None);
        };
        let Some(mut kind) = present(found.file_type())? else { return Ok(None) };
        if kind.is_symlink() {
            let Some(target) = present(self.sys.metadata(&found.path()))? else { return Ok(None) };
            kind = target.file_type();
        }
        let kind = match kind {
            kind if kind.is_dir() => EntryKind::Prefix,
            kind if kind.is_file() => EntryKind::Object,
            _ => return Ok(None),
        };
        Ok(Some(Entry { name: name.to_owned(), kind }))
    }
}
