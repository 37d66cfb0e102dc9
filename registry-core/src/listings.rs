//! Lists of directories, as a walk through many of them asks for them.
//!
//! An object store knows no directories: to list one is a request, and a walk through a thousand repositories takes some
//! thousands of them. But it lists all keys in order, a thousand at once, and in the keys of a stretch there are all directories
//! that lie in it. So a walk, which goes through directories nearly in the order of keys, looks at stretches: as long as one
//! covers a directory nobody is asked. What is larger than a stretch is listed by itself.

use std::collections::BTreeMap;

use crate::layout;
use crate::storage::{Entry, EntryKind, Error, Key, Listing, Storage};

/// Lists directories for one walk. What it looked at may be as old as the walk.
pub(crate) struct Listings<'a> {
    storage: &'a dyn Storage,
    /// How many keys a stretch has; 0 where there are none.
    length: usize,
    stretch: Option<Stretch>,
}

/// As many as the large services give in one answer.
const LENGTH: usize = 1_000;

impl<'a> Listings<'a> {
    /// Asks the storage each time.
    pub(crate) fn direct(storage: &'a dyn Storage) -> Self {
        Self { storage, length: 0, stretch: None }
    }

    /// Looks at stretches where the storage has them.
    pub(crate) fn by_stretches(storage: &'a dyn Storage) -> Self {
        let length = if storage.capabilities().scans { LENGTH } else { 0 };
        Self { length, ..Self::direct(storage) }
    }

    pub(crate) fn has_stretches(&self) -> bool {
        self.length > 0
    }

    /// The same as [`Storage::list`].
    pub(crate) async fn list(&mut self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        let wanted = Range::of(prefix, after);
        if self.length > 0 && self.stretch.as_ref().is_none_or(|stretch| stretch.ends_in(&wanted, self.length / 2)) {
            let root = layout::root();
            let from = wanted.from.strip_prefix(&format!("{root}/")).unwrap_or_default().to_owned();
            let scan = self.storage.scan(&root, &from, self.length).await?;
            let paths = scan.paths.into_iter().map(|path| format!("{root}/{path}")).collect();
            self.stretch = Some(Stretch { from: wanted.from.clone(), paths, is_last: !scan.more });
        }
        match &self.stretch {
            Some(stretch) if stretch.covers(&wanted) => Ok(stretch.listing(prefix, after, limit)),
            _ => self.storage.list(prefix, after, limit).await,
        }
    }
}

/// The keys of a directory, or of what lies in it behind a name: all that are greater than `from` and less than `to`.
struct Range {
    from: String,
    to: String,
}

impl Range {
    fn of(prefix: &Key, after: Option<&str>) -> Self {
        // `0` comes next after `/`.
        Self { from: format!("{prefix}/{}", after.unwrap_or_default()), to: format!("{prefix}0") }
    }
}

/// Keys without a gap, in order.
struct Stretch {
    /// They are all that are greater than this.
    from: String,
    paths: Vec<String>,
    /// Whether there are none behind them.
    is_last: bool,
}

impl Stretch {
    fn covers(&self, wanted: &Range) -> bool {
        let reaches = self.is_last || self.paths.last().is_some_and(|last| *last >= wanted.to);
        self.from <= wanted.from && reaches
    }

    /// Whether another stretch has to be looked at: this one has nothing of what is wanted, or only its beginning, and little of
    /// that. What fills a good part of a stretch will not go into the next one.
    fn ends_in(&self, wanted: &Range, little: usize) -> bool {
        let rest = self.paths.len() - self.paths.partition_point(|path| *path <= wanted.from);
        self.from > wanted.from || (!self.covers(wanted) && rest < little)
    }

    fn listing(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Listing {
        let Range { from, to } = Range::of(prefix, after);
        let begin = self.paths.partition_point(|path| *path <= from);
        let mut names = BTreeMap::new();
        for path in self.paths.iter().skip(begin).take_while(|path| **path < to) {
            let Some(below) = path.get(prefix.as_str().len() + 1..) else { continue };
            let (name, kind) = match below.split_once('/') {
                Some((name, _)) => (name, EntryKind::Prefix),
                None => (below, EntryKind::Object),
            };
            if after.is_none_or(|after| name > after) && !name.is_empty() {
                let known = names.entry(name).or_insert(kind);
                *known = (*known).max(kind);
            }
        }
        let more = names.len() > limit;
        let entries = names.into_iter().take(limit).map(|(name, kind)| Entry { name: name.to_owned(), kind });
        Listing { entries: entries.collect(), more }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::storage::{Faulty, Memory, OperationKind, WriteOptions};

    fn stored(keys: impl IntoIterator<Item = String>) -> Memory {
        let memory = Memory::new().scanning();
        for key in keys {
            block_on(memory.write(&key.parse().unwrap(), "x".into(), WriteOptions::default())).unwrap();
        }
        memory
    }

    fn below_the_root(path: &str) -> String {
        format!("{}/repositories/{path}", layout::root())
    }

    /// Names of which one is the beginning of another, with what sorts before and after the slash.
    fn paths() -> impl Strategy<Value = String> {
        let name = prop::sample::select(vec!["a", "a-b", "a.b", "a0", "ab", "_m", "b", "A"]);
        prop::collection::vec(name, 1..4).prop_map(|names| names.join("/"))
    }

    proptest! {
        #[test]
        fn a_walk_by_stretches_sees_what_lies_there(
            keys in prop::collection::btree_set(paths(), 0..30),
            questions in prop::collection::vec((paths(), prop::option::of(paths()), 0..5_usize), 1..20),
            length in 1..12_usize,
        ) {
            let memory = stored(keys.iter().map(|path| below_the_root(path)));
            let mut listings = Listings { length, ..Listings::by_stretches(&memory) };
            for (directory, after, limit) in questions {
                let prefix: Key = below_the_root(&directory).parse().unwrap();
                let after = after.as_deref().and_then(|path| path.split('/').next());
                let expected = block_on(memory.list(&prefix, after, limit)).unwrap();
                prop_assert_eq!(block_on(listings.list(&prefix, after, limit)).unwrap(), expected);
            }
        }
    }

    #[test]
    fn a_stretch_answers_for_all_the_small_directories_in_it() {
        let small = (0..500).flat_map(|number| ["x", "y"].map(|name| below_the_root(&format!("n{number:03}/{name}"))));
        let large = (0..1_500).map(|number| below_the_root(&format!("large/{number:04}")));
        let storage = Faulty::new(Arc::new(stored(small.chain(large))));
        let mut listings = Listings::by_stretches(&storage);
        let top: Key = below_the_root("x").parse::<Key>().unwrap().parent().unwrap();
        let names = block_on(listings.list(&top, None, 2_000)).unwrap().entries;
        assert_eq!(names.len(), 501);
        for name in names {
            block_on(listings.list(&top.child(&name.name).unwrap(), None, 1)).unwrap();
        }
        let count = |kind| storage.operations().iter().filter(|operation| operation.kind == kind).count();
        assert_eq!((count(OperationKind::List), count(OperationKind::Scan)), (2, 2));
    }
}
