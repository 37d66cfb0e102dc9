//! The names in a directory, in memory as long as nothing changes there.
//!
//! A directory gives its names in no order, so that a page of a large one costs as much as all of it. What was read once
//! answers for further pages while the directory is the same one and has the same time of its last change. That proves
//! that nothing changed, by whomever, under three conditions, without which nothing is kept:
//!
//! - the filesystem is on this machine, and dates each change of a directory by the kernel's clock;
//! - that clock had gone on since the last change when the names were read: the next change gets a later time;
//! - no name is a symbolic link, for what that leads to may change elsewhere.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use registry_core::storage::{Entry, EntryKind, Key, Listing};

use super::sys;

/// For all directories together.
const BUDGET_BYTES: u64 = 16 * 1024 * 1024;

/// A directory that needs more is not kept.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What an entry of the cache takes beside the names, about.
const OVERHEAD_BYTES: usize = 200;

/// So many directories are expected.
const DIRECTORIES: usize = 10_000;

/// Directories whose names are in memory.
#[derive(Debug)]
pub(super) struct KnownNames {
    /// The one filesystem whose dates are known to prove something.
    device: u64,
    cache: Cache<Key, Arc<Names>, Weight>,
}

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Arc<Names>> for Weight {
    fn weight(&self, key: &Key, names: &Arc<Names>) -> u64 {
        (OVERHEAD_BYTES + key.as_str().len() + names.bytes()) as u64
    }
}

/// The state that a directory is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    /// Seconds and nanoseconds since 1970.
    changed: (i64, i64),
}

/// All names of a directory in one state, in order.
#[derive(Debug)]
pub(super) struct Names {
    stamp: Stamp,
    text: String,
    /// Where each name ends.
    ends: Vec<(u32, EntryKind)>,
}

/// The names of a directory that is being read.
#[derive(Debug)]
pub(super) struct Gathered {
    stamp: Stamp,
    entries: Vec<Entry>,
    bytes: usize,
}

impl KnownNames {
    /// Of a volume with this root; `None` on a filesystem whose dates prove nothing.
    pub(super) fn new(root: &Path) -> Option<Self> {
        let device = fs::metadata(root).ok().filter(|_| sys::dates_changes(root))?.dev();
        let mut options = OptionsBuilder::new();
        // One shard, so that the names of a large directory fit into it.
        options.shards(1).estimated_items_capacity(DIRECTORIES).weight_capacity(BUDGET_BYTES);
        let options = options.build().ok()?;
        let cache = Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Some(Self { device, cache })
    }

    /// The names below a prefix, if it still is in the state in which they were read.
    pub(super) fn get(&self, prefix: &Key, found: &fs::Metadata) -> Option<Arc<Names>> {
        self.cache.get(prefix).filter(|names| names.stamp == Stamp::of(found))
    }

    /// Begins to gather the names of a directory, of which only `found` was looked at yet; `None` if they prove nothing.
    pub(super) fn gather(&self, found: &fs::Metadata) -> Option<Gathered> {
        let stamp = Stamp::of(found);
        let is_provable = self.device == stamp.device && stamp.is_past(sys::clock_of_files());
        is_provable.then(|| Gathered { stamp, entries: Vec::new(), bytes: 0 })
    }

    /// Keeps what was gathered in place of what was known.
    pub(super) fn replace(&self, prefix: &Key, gathered: Option<Gathered>) {
        match gathered {
            Some(gathered) => self.cache.insert(prefix.clone(), Arc::new(Names::of(gathered))),
            None => drop(self.cache.remove(prefix)),
        }
    }
}

impl Stamp {
    fn of(found: &fs::Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino(), changed: (found.ctime(), found.ctime_nsec()) }
    }

    /// Whether a change from `now` on gets another time.
    fn is_past(self, now: (i64, i64)) -> bool {
        const SECOND: i128 = 1_000_000_000;
        let nanoseconds = |(seconds, nanoseconds): (i64, i64)| i128::from(seconds) * SECOND + i128::from(nanoseconds);
        // Some filesystems have whole seconds only. A clock that is set back by less than the margin does no harm.
        let margin = if self.changed.1 == 0 { 2 * SECOND } else { SECOND / 10 };
        nanoseconds(now) - nanoseconds(self.changed) >= margin
    }
}

impl Gathered {
    /// Adds an entry; whether there still is room.
    pub(super) fn add(&mut self, entry: &Entry) -> bool {
        self.entries.push(entry.clone());
        self.bytes += entry.name.len() + size_of::<(u32, EntryKind)>();
        self.bytes <= MOST_BYTES
    }
}

impl Names {
    fn of(gathered: Gathered) -> Self {
        let Gathered { stamp, mut entries, bytes } = gathered;
        entries.sort_unstable();
        let mut text = String::with_capacity(bytes - entries.len() * size_of::<(u32, EntryKind)>());
        let mut ends = Vec::with_capacity(entries.len());
        for entry in entries {
            text.push_str(&entry.name);
            // No more than `MOST_BYTES` and a name.
            ends.push((u32::try_from(text.len()).unwrap_or(u32::MAX), entry.kind));
        }
        Self { stamp, text, ends }
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.ends.len() * size_of::<(u32, EntryKind)>()
    }

    /// At most `limit` of them behind `after`.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> Listing {
        let first = after.map_or(0, |after| self.place_behind(after));
        let end = first.saturating_add(limit).min(self.ends.len());
        let entries = (first..end).map(|index| Entry { name: self.name(index).to_owned(), kind: self.ends[index].1 });
        Listing { entries: entries.collect(), more: end < self.ends.len() }
    }

    fn place_behind(&self, after: &str) -> usize {
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            if self.name(middle) <= after { low = middle + 1 } else { high = middle }
        }
        low
    }

    fn name(&self, index: usize) -> &str {
        let begin = if index == 0 { 0 } else { self.ends[index - 1].0 };
        &self.text[begin as usize..self.ends[index].0 as usize]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(entries: impl IntoIterator<Item = String>) -> Names {
        let stamp = Stamp { device: 1, inode: 2, changed: (3, 4) };
        let mut gathered = Gathered { stamp, entries: Vec::new(), bytes: 0 };
        for name in entries {
            assert!(gathered.add(&Entry { name, kind: EntryKind::Prefix }));
        }
        Names::of(gathered)
    }

    proptest! {
        #[test]
        fn a_page_is_what_comes_behind_a_name(
            entries in proptest::collection::btree_set("[a-c]{1,3}", 0..20),
            after in proptest::option::of("[a-c]{0,3}"),
            limit in 0_usize..8,
        ) {
            let behind: Vec<_> = entries.iter().filter(|name| after.as_ref().is_none_or(|after| *name > after)).collect();
            let listing = names(entries.iter().rev().cloned()).page(after.as_deref(), limit);
            let listed: Vec<_> = listing.entries.iter().map(|entry| &entry.name).collect();
            prop_assert_eq!(&listed[..], &behind[..behind.len().min(limit)]);
            prop_assert_eq!(listing.more, behind.len() > limit);
        }
    }

    #[test]
    fn a_time_is_past_when_the_next_change_gets_another() {
        let at = |changed| Stamp { device: 1, inode: 2, changed };
        assert!(!at((10, 1)).is_past((10, 1)), "the same tick");
        assert!(!at((10, 950_000_000)).is_past((11, 49_999_999)));
        assert!(at((10, 950_000_000)).is_past((11, 50_000_000)));
        assert!(!at((10, 0)).is_past((11, 999_999_999)), "there may be whole seconds only");
        assert!(at((10, 0)).is_past((12, 0)));
        assert!(!at((10, 1)).is_past((5, 0)), "the clock was set back");
    }

    #[test]
    fn a_directory_of_too_many_names_is_given_up() {
        let stamp = Stamp { device: 1, inode: 2, changed: (3, 4) };
        let mut gathered = Gathered { stamp, entries: Vec::new(), bytes: MOST_BYTES - 20 };
        let entry = Entry { name: "twelve bytes".into(), kind: EntryKind::Object };
        assert!(gathered.add(&entry));
        assert!(!gathered.add(&entry));
    }
}
