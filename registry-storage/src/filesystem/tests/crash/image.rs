//! One state of a disk after a power cut.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;

use super::log::Node;

const LONG_AGO: std::time::Duration = std::time::Duration::from_hours(400_000);

/// What can be reached from the root: directories, and files by their node.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Image {
    /// By path; a parent stands before what is in it.
    pub(super) entries: BTreeMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File(Node, Arc<[u8]>),
}

impl Image {
    /// The bytes of a file.
    pub(super) fn file(&self, path: &str) -> Option<&[u8]> {
        match self.entries.get(path) {
            Some(Entry::File(_, content)) => Some(content),
            _ => None,
        }
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.entries.iter().filter_map(|(path, entry)| match entry {
            Entry::File(_, content) => Some((path.as_str(), &**content)),
            Entry::Directory => None,
        })
    }

    /// Makes a directory look like this.
    pub(super) fn materialise(&self, root: &Path) {
        let mut made: BTreeMap<Node, &str> = BTreeMap::new();
        for (path, entry) in &self.entries {
            match entry {
                Entry::Directory => fs::create_dir(root.join(path)).unwrap(),
                Entry::File(node, content) => {
                    if let Some(other) = made.get(node) {
                        fs::hard_link(root.join(other), root.join(path)).unwrap();
                    } else {
                        fs::write(root.join(path), content).unwrap();
                        // No program has changed it since.
                        let file = fs::File::options().write(true).open(root.join(path)).unwrap();
                        file.set_modified(std::time::SystemTime::UNIX_EPOCH + LONG_AGO).unwrap();
                        made.insert(*node, path);
                    }
                }
            }
        }
    }

    /// One line for each entry, for people.
    pub(super) fn describe(&self) -> Vec<String> {
        let mut first: BTreeMap<Node, &str> = BTreeMap::new();
        let line = |(path, entry): (&'_ String, &'_ Entry)| match entry {
            Entry::Directory => format!("{path}/"),
            Entry::File(_, content) if content.len() <= 80 => {
                format!("{path} = {:?}", String::from_utf8_lossy(content))
            }
            Entry::File(_, content) => format!("{path} = {} bytes, {:x}", content.len(), hash(content)),
        };
        let mut lines = Vec::new();
        for (path, entry) in &self.entries {
            let mut text = line((path, entry));
            if let Entry::File(node, _) = entry {
                match first.get(node) {
                    Some(other) => text = format!("{text} (the file of {other})"),
                    None => {
                        first.insert(*node, path);
                    }
                }
            }
            lines.push(text);
        }
        lines
    }
}

fn hash(content: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}
