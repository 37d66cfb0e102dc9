//! Lists of directories, as a walk through many of them asks for them.
//!
//! An object store knows no directories: to list one is a request, and a walk through a thousand repositories takes some
//! thousands of them. But it lists all keys in order, a thousand at once, and in the keys of a stretch there are all directories
//! that lie in it. So a walk, which goes through directories nearly in the order of keys, looks at stretches: as long as one
//! has something of a directory nobody is asked.

use std::collections::BTreeMap;

use crate::layout;
use crate::storage::{Entry, EntryKind, Error, Key, Listing, Storage, still_to_come};

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

    /// As [`Storage::list`], but there may be more behind a page that is not full.
    pub(crate) async fn list(&mut self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        if self.length > 0 && limit > 0 {
            let wanted = Range::of(prefix, after);
            for is_fresh in [false, true] {
                if is_fresh {
                    self.look(&wanted).await?;
                }
                if let Some(listing) = self.answer(&wanted, prefix, after, limit).await? {
                    return Ok(listing);
                }
            }
        }
        self.storage.list(prefix, after, limit).await
    }

    /// Looks at the stretch in which what is wanted begins.
    async fn look(&mut self, wanted: &Range) -> Result<(), Error> {
        let root = layout::root();
        let from = wanted.from.strip_prefix(&format!("{root}/")).unwrap_or_default();
        let scan = self.storage.scan(&root, from, self.length).await?;
        let paths = scan.paths.into_iter().map(|path| format!("{root}/{path}")).collect();
        self.stretch = Some(Stretch { from: wanted.from.clone(), paths, is_last: !scan.more });
        Ok(())
    }

    /// What the stretch has of the directory; `None` if that is nothing, and not all.
    async fn answer(
        &mut self,
        wanted: &Range,
        prefix: &Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Listing>, Error> {
        let Some(stretch) = self.stretch.as_ref().filter(|stretch| stretch.from <= wanted.from) else {
            return Ok(None);
        };
        let mut names = stretch.names(wanted, prefix, after);
        let is_whole = stretch.covers(wanted);
        if !is_whole {
            let Some(last) = stretch.last_name(prefix).filter(|_| !names.is_empty()) else { return Ok(None) };
            // An object may be a prefix as well, whose keys come later.
            let itself = Some(last.as_str()).filter(|last| names.get(*last) == Some(&EntryKind::Object));
            for name in still_to_come(&last).chain(itself).filter(|name| after.is_none_or(|after| *name > after)) {
                let Ok(child) = prefix.child(name) else { continue };
                if !self.storage.scan(&child, "", 1).await?.paths.is_empty() {
                    names.insert(name.to_owned(), EntryKind::Prefix);
                }
            }
        }
        let more = !is_whole || names.len() > limit;
        let entries = names.into_iter().take(limit).map(|(name, kind)| Entry { name, kind });
        Ok(Some(Listing { entries: entries.collect(), more }))
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

    /// The names directly below the prefix, as far as the stretch has them.
    fn names(&self, wanted: &Range, prefix: &Key, after: Option<&str>) -> BTreeMap<String, EntryKind> {
        let begin = self.paths.partition_point(|path| *path <= wanted.from);
        let mut names = BTreeMap::new();
        for path in self.paths.iter().skip(begin).take_while(|path| **path < wanted.to) {
            let Some((name, kind)) = name_below(prefix, path) else { continue };
            if after.is_none_or(|after| name > after) {
                let known = names.entry(name.to_owned()).or_insert(kind);
                *known = (*known).max(kind);
            }
        }
        names
    }

    /// The name below the prefix at which the stretch ends.
    fn last_name(&self, prefix: &Key) -> Option<String> {
        let (name, _) = name_below(prefix, self.paths.last()?)?;
        Some(name.to_owned())
    }
}

/// The name directly below the prefix that a path goes through or ends at.
fn name_below<'a>(prefix: &Key, path: &'a str) -> Option<(&'a str, EntryKind)> {
    let below = path.strip_prefix(prefix.as_str())?.strip_prefix('/')?;
    match below.split_once('/') {
        Some((name, _)) => Some((name, EntryKind::Prefix)),
        None => Some((below, EntryKind::Object)),
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
            questions in prop::collection::vec((paths(), prop::option::of(paths()), 1..5_usize), 1..20),
            length in 1..12_usize,
        ) {
            let memory = stored(keys.iter().map(|path| below_the_root(path)));
            let mut listings = Listings { length, ..Listings::by_stretches(&memory) };
            for (directory, after, limit) in questions {
                let prefix: Key = below_the_root(&directory).parse().unwrap();
                let mut after = after.as_deref().and_then(|path| path.split('/').next()).map(str::to_owned);
                let expected = block_on(memory.list(&prefix, after.as_deref(), 100)).unwrap().entries;
                let mut listed = Vec::new();
                loop {
                    let page = block_on(listings.list(&prefix, after.as_deref(), limit)).unwrap();
                    prop_assert!(page.entries.len() <= limit && (!page.more || !page.entries.is_empty()));
                    listed.extend(page.entries);
                    if !page.more {
                        break;
                    }
                    after = listed.last().map(|entry| entry.name.clone());
                }
                prop_assert_eq!(listed, expected);
            }
        }
    }

    #[test]
    fn a_walk_through_small_directories_asks_for_stretches_alone() {
        let small = (0..500).flat_map(|number| ["x", "y"].map(|name| below_the_root(&format!("n-{number:03}/{name}"))));
        let large = (0..1_500).map(|number| below_the_root(&format!("large/{number:04}")));
        let storage = Faulty::new(Arc::new(stored(small.chain(large))));
        let mut listings = Listings::by_stretches(&storage);
        let top: Key = below_the_root("x").parse::<Key>().unwrap().parent().unwrap();
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = block_on(listings.list(&top, after.as_deref(), 2_000)).unwrap();
            for entry in &page.entries {
                assert!(
                    !block_on(listings.list(&top.child(&entry.name).unwrap(), None, 1)).unwrap().entries.is_empty()
                );
                seen += 1;
            }
            if !page.more {
                break;
            }
            after = page.entries.last().map(|entry| entry.name.clone());
        }
        assert_eq!(seen, 501);
        let count = |kind| storage.operations().iter().filter(|operation| operation.kind == kind).count();
        assert!(count(OperationKind::List) <= 1, "{:?}", storage.operations());
        assert!(count(OperationKind::Scan) <= 6, "{:?}", storage.operations());
    }
}
