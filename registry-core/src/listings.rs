//! Lists of directories, as a walk through many of them asks for them.
//!
//! An object store knows no directories: to list one is a request, and a walk through a thousand repositories takes some
//! thousands of them. But it lists all keys in order, a thousand at once, and in the keys of a stretch there are all directories
//! that lie in it. So a walk, which goes through directories nearly in the order of keys, looks at stretches: as long as one
//! has something of a directory nobody is asked. Where repositories have many keys each, a stretch has few of them, and to list
//! directories is better, many side by side.

use std::collections::BTreeMap;

use crate::remembered::Look;
use crate::storage::{Entry, EntryKind, Error, Key, Listing, Storage, still_to_come};
use crate::{Registry, RepositoryName, layout};

/// Lists directories for one walk. What it looked at may be as old as the walk.
pub(crate) struct Listings<'a> {
    registry: &'a Registry,
    way: Way,
    /// Whether what is found may be remembered.
    remembers: bool,
    /// How many repositories are still needed.
    expected: usize,
    stretch: Option<Stretch>,
}

/// How it finds out what is in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// It asks for each.
    Each,
    /// It looks at so many keys at once.
    Stretches(usize),
}

/// What is in a directory, and when that was so.
pub(crate) struct Seen {
    pub(crate) listing: Listing,
    /// `None` where nothing is remembered.
    pub(crate) look: Option<Look>,
}

/// How many keys the first stretch has. It tells how many a repository has, about.
const FIRST: usize = 100;

/// As many as the large services give in one answer.
const LENGTH: usize = 1_000;

/// A stretch is of use where repositories have no more keys than this. To list a thousand keys takes a service as long as a hundred
/// small answers side by side, and of those a repository needs two.
const MOST_KEYS: usize = 20;

impl<'a> Listings<'a> {
    /// Asks the storage each time.
    pub(crate) fn direct(registry: &'a Registry) -> Self {
        Self { registry, way: Way::Each, remembers: false, expected: LENGTH, stretch: None }
    }

    /// Looks at stretches where the storage has them, and remembers what it finds if the registry does.
    pub(crate) fn for_catalog(registry: &'a Registry) -> Self {
        let way = if registry.storage().capabilities().scans { Way::Stretches(FIRST) } else { Way::Each };
        Self { way, remembers: true, ..Self::direct(registry) }
    }

    /// So many repositories are needed from here on.
    pub(crate) fn expect(&mut self, repositories: usize) {
        self.expected = repositories;
    }

    pub(crate) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Whether each list is a request, so that it is better to make many side by side.
    pub(crate) fn is_each_far(&self) -> bool {
        self.remembers && self.way == Way::Each && self.storage().capabilities().scans
    }

    /// As [`Storage::list`], but there may be more behind a page that is not full.
    pub(crate) async fn list(&mut self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Seen, Error> {
        if limit > 0 {
            let wanted = Range::of(prefix, after);
            for is_fresh in [false, true] {
                let Way::Stretches(length) = self.way else { break };
                if is_fresh {
                    self.look(&wanted, length).await?;
                }
                if let Some(seen) = self.answer(&wanted, prefix, after, limit).await? {
                    return Ok(seen);
                }
            }
        }
        // Of many names no more than are needed.
        let limit = if self.is_each_far() { limit.min(self.expected.saturating_add(1).max(FIRST)) } else { limit };
        self.list_now(prefix, after, limit).await
    }

    /// Asks the storage.
    pub(crate) async fn list_now(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Seen, Error> {
        let look = self.begin();
        let listing = self.storage().list(prefix, after, limit).await?;
        Ok(Seen { listing, look })
    }

    /// Whether a repository has any manifest, if that was seen; a link is whole as soon as it shows.
    pub(crate) fn has_manifests(&self, name: &RepositoryName) -> Option<(bool, Option<Look>)> {
        let stretch = self.stretch.as_ref()?;
        let revisions = layout::all_revisions(name);
        let wanted = Range::of(&revisions, None);
        let mut paths = stretch.below(&wanted).filter_map(|path| path.strip_prefix(&wanted.from));
        let has_any = paths.any(layout::is_revision);
        (has_any || stretch.covers(&wanted)).then_some((has_any, stretch.look))
    }

    /// Looks at the stretch in which what is wanted begins, and decides how to go on.
    async fn look(&mut self, wanted: &Range, length: usize) -> Result<(), Error> {
        let root = layout::root();
        let from = wanted.from.strip_prefix(&format!("{root}/")).unwrap_or_default();
        let look = self.begin();
        let scan = self.storage().scan(&root, from, length).await?;
        let paths: Vec<String> = scan.paths.into_iter().map(|path| format!("{root}/{path}")).collect();
        let stretch = Stretch { from: wanted.from.clone(), paths, is_last: !scan.more, look };
        let (keys, repositories) = (stretch.paths.len(), stretch.repositories());
        if scan.more && keys > repositories.saturating_mul(MOST_KEYS) {
            (self.way, self.stretch) = (Way::Each, None);
            return Ok(());
        }
        // A quarter more than it is expected to take.
        let each = keys.div_ceil(repositories.max(1));
        let length = self.expected.saturating_add(1).saturating_mul(each).saturating_mul(5) / 4;
        self.way = Way::Stretches(length.clamp(FIRST, LENGTH));
        self.stretch = Some(stretch);
        Ok(())
    }

    fn begin(&self) -> Option<Look> {
        let known = self.registry.known_repositories().filter(|_| self.remembers)?;
        Some(known.look(self.registry.clock().now()))
    }

    fn storage(&self) -> &'a dyn Storage {
        &**self.registry.storage()
    }

    /// What the stretch has of the directory; `None` if that is nothing, and not all.
    async fn answer(
        &mut self,
        wanted: &Range,
        prefix: &Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Seen>, Error> {
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
                if !self.storage().scan(&child, "", 1).await?.paths.is_empty() {
                    names.insert(name.to_owned(), EntryKind::Prefix);
                }
            }
        }
        let more = !is_whole || names.len() > limit;
        let entries = names.into_iter().take(limit).map(|(name, kind)| Entry { name, kind });
        Ok(Some(Seen { listing: Listing { entries: entries.collect(), more }, look: stretch.look }))
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
    look: Option<Look>,
}

impl Stretch {
    fn covers(&self, wanted: &Range) -> bool {
        let reaches = self.is_last || self.paths.last().is_some_and(|last| *last >= wanted.to);
        self.from <= wanted.from && reaches
    }

    /// The keys in a range, as far as the stretch has them.
    fn below(&self, wanted: &Range) -> impl Iterator<Item = &str> {
        let begin = self.paths.partition_point(|path| *path <= wanted.from);
        self.paths.iter().skip(begin).map(String::as_str).take_while(|path| *path < wanted.to.as_str())
    }

    /// How many repositories show a manifest in it.
    fn repositories(&self) -> usize {
        let mut names: Vec<&str> =
            self.paths.iter().filter_map(|path| Some(path.split_once("/_manifests/revisions/")?.0)).collect();
        names.dedup();
        names.len()
    }

    /// The names directly below the prefix, as far as the stretch has them.
    fn names(&self, wanted: &Range, prefix: &Key, after: Option<&str>) -> BTreeMap<String, EntryKind> {
        let mut names = BTreeMap::new();
        for path in self.below(wanted) {
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
            let memory = Arc::new(stored(keys.iter().map(|path| below_the_root(path))));
            let registry = Registry::builder(Arc::clone(&memory) as Arc<dyn Storage>).build();
            let mut listings = Listings::for_catalog(&registry);
            for (directory, after, limit) in questions {
                let prefix: Key = below_the_root(&directory).parse().unwrap();
                let mut after = after.as_deref().and_then(|path| path.split('/').next()).map(str::to_owned);
                let expected = block_on(memory.list(&prefix, after.as_deref(), 100)).unwrap().entries;
                let mut listed = Vec::new();
                loop {
                    listings.way = Way::Stretches(length);
                    let page = block_on(listings.list(&prefix, after.as_deref(), limit)).unwrap().listing;
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
        let link = format!("_manifests/revisions/sha256/{}/link", "0".repeat(64));
        let small =
            (0..500).flat_map(|number| ["x", &link].map(|name| below_the_root(&format!("n-{number:03}/{name}"))));
        let large = (0..1_500).map(|number| below_the_root(&format!("o/{number:04}")));
        let storage = Arc::new(Faulty::new(Arc::new(stored(small.chain(large)))));
        let registry = Registry::builder(Arc::clone(&storage) as Arc<dyn Storage>).build();
        let mut listings = Listings::for_catalog(&registry);
        let top: Key = below_the_root("x").parse::<Key>().unwrap().parent().unwrap();
        let (mut after, mut seen) = (None, 0);
        loop {
            let page = block_on(listings.list(&top, after.as_deref(), 2_000)).unwrap().listing;
            for entry in &page.entries {
                let directory = top.child(&entry.name).unwrap();
                assert!(!block_on(listings.list(&directory, None, 1)).unwrap().listing.entries.is_empty());
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
