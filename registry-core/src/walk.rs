//! Depth first through the names of repositories.

use std::collections::{HashMap, VecDeque};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::known_repositories::Fact;
use crate::listings::{Listings, Seen};
use crate::remembered::Look;
use crate::storage::{Entry, EntryKind, Key};
use crate::{Error, Registry, RepositoryName, layout, name};

/// Where a depth-first walk stands: one level for each component of the name it is at.
pub(crate) struct Walk<'a> {
    registry: &'a Registry,
    place: fn(&str) -> Key,
    listings: Listings<'a>,
    levels: Vec<Level>,
    /// Directories that come soon and were listed side by side, by their names.
    ahead: HashMap<String, Seen>,
    /// How many are listed so the next time.
    at_once: usize,
}

/// One directory of the walk.
pub(crate) struct Level {
    /// The name of the repository that the directory belongs to; empty for the root.
    name: String,
    /// The last child that was handed out.
    after: Option<String>,
    /// Children that were listed and not handed out.
    listed: VecDeque<Entry>,
    /// Whether there are children behind those.
    more: bool,
    /// How many children are listed at once.
    page: usize,
    /// Whether a repository lies below it, as far as was seen.
    has_children: bool,
    /// Of a level that is seen from its beginning, where that is of use.
    look: Option<Look>,
}

/// Enough to make the cost of a listing small beside that of what is done with its entries.
pub(crate) const PAGE: usize = 1_000;

/// How many directories are listed side by side.
const AT_ONCE: usize = 32;

/// How many entries of each; what has more is a group of repositories, and shows the rest when it is its turn.
const SHOWN_AHEAD: usize = 100;

impl Level {
    fn new(name: String) -> Self {
        Self { name, after: None, listed: VecDeque::new(), more: true, page: PAGE, has_children: false, look: None }
    }

    /// For a directory that is no repository's, from behind a name.
    pub(crate) fn of_one(after: Option<String>, page: usize) -> Self {
        Self { after, page, ..Self::new(String::new()) }
    }

    pub(crate) async fn next(&mut self, listings: &mut Listings<'_>, key: &Key) -> Result<Option<Entry>, Error> {
        if self.listed.is_empty() && self.more {
            let seen = listings.list(key, self.after.as_deref(), self.page).await?;
            self.take(seen);
        }
        Ok(self.listed.pop_front())
    }

    fn take(&mut self, Seen { listing, look }: Seen) {
        if self.after.is_none() {
            self.look = look;
        }
        self.more = listing.more;
        self.after = listing.entries.last().map(|entry| entry.name.clone()).or(self.after.take());
        self.listed = listing.entries.into();
    }

    /// The name that an entry stands for. What starts with an underscore belongs to the repository itself; other odd names are
    /// not ours.
    fn child(&self, entry: &Entry) -> Option<String> {
        let is_child = entry.kind == EntryKind::Prefix && name::is_component(&entry.name);
        is_child.then(|| join(&self.name, &entry.name))
    }
}

impl<'a> Walk<'a> {
    pub(crate) fn new(registry: &'a Registry, place: fn(&str) -> Key, last: Option<&str>) -> Self {
        let (listings, levels) = (Listings::direct(registry), levels_behind(last));
        Self { registry, place, listings, levels, ahead: HashMap::new(), at_once: 1 }
    }

    /// One that asks as little as a page of the catalog needs, and counts what is known of repositories.
    pub(crate) fn for_catalog(registry: &'a Registry, last: Option<&str>) -> Self {
        Self { listings: Listings::for_catalog(registry), ..Self::new(registry, layout::repository_place, last) }
    }

    pub(crate) async fn next(&mut self) -> Result<Option<RepositoryName>, Error> {
        while let Some(level) = self.levels.last_mut() {
            let key = (self.place)(&level.name);
            let Some(entry) = level.next(&mut self.listings, &key).await? else {
                self.leave();
                continue;
            };
            let Some(child) = level.child(&entry) else { continue };
            level.has_children = true;
            let Ok(name) = child.parse::<RepositoryName>() else { continue };
            self.enter(&name, child).await?;
            return Ok(Some(name));
        }
        Ok(None)
    }

    /// The next names that are visible and may be listed, `wanted` unless the walk ends; and whether each is listed, if that is
    /// known.
    pub(crate) async fn candidates<V, F>(
        &mut self,
        wanted: usize,
        visible: V,
    ) -> Result<Vec<(RepositoryName, Option<bool>)>, Error>
    where
        V: Fn(RepositoryName) -> F,
        F: Future<Output = bool>,
    {
        let mut candidates = Vec::new();
        self.listings.expect(wanted);
        self.at_once = wanted.clamp(1, AT_ONCE);
        while candidates.len() < wanted {
            let Some(name) = self.next().await? else { break };
            // Many that nobody sees may lie in between: other requests get their turn.
            tokio::task::consume_budget().await;
            if visible(name.clone()).await {
                let is_listed = self.is_listed(&name);
                if is_listed != Some(false) {
                    candidates.push((name, is_listed));
                }
            }
        }
        Ok(candidates)
    }

    /// Whether the repository that comes now has any manifest, if that is known, or was seen on the way.
    fn is_listed(&self, name: &RepositoryName) -> Option<bool> {
        let known = self.registry.known_repositories();
        if let Some(answer) = known.and_then(|known| known.has_manifests(name, self.registry.clock().now())) {
            return Some(answer);
        }
        let (answer, look) = self.listings.has_manifests(name)?;
        if let (Some(known), Some(look)) = (known, look) {
            known.learn(name, Fact::Manifests(answer), look);
        }
        Some(answer)
    }

    /// What lies below a repository comes next, unless it is known that nothing does.
    async fn enter(&mut self, name: &RepositoryName, directory: String) -> Result<(), Error> {
        if self.is_leaf(name) {
            return Ok(());
        }
        if self.listings.is_each_far() && !self.ahead.contains_key(&directory) {
            self.look_ahead(directory.clone()).await?;
        }
        let seen = self.ahead.remove(&directory);
        let mut level = Level::new(directory);
        if let Some(seen) = seen {
            level.take(seen);
        }
        self.levels.push(level);
        Ok(())
    }

    /// Lists the directory, and those that come after it at the same level.
    async fn look_ahead(&mut self, directory: String) -> Result<(), Error> {
        let mut names = vec![directory];
        if let Some(level) = self.levels.last() {
            let next = level.listed.iter().filter_map(|entry| level.child(entry));
            let next = next.filter(|child| child.parse().is_ok_and(|name| !self.is_leaf(&name)));
            names.extend(next.take(self.at_once.saturating_sub(1)));
        }
        if names.len() == self.at_once {
            // Those were not enough: not all that lies there is listed.
            self.at_once = (self.at_once * 2).min(AT_ONCE);
        }
        let (listings, place) = (&self.listings, self.place);
        let seen = stream::iter(names).map(|name| async move {
            let seen = listings.list_now(&place(&name), None, SHOWN_AHEAD).await?;
            Ok::<_, Error>((name, seen))
        });
        let seen: Vec<_> = seen.buffered(AT_ONCE).try_collect().await?;
        self.ahead.extend(seen);
        Ok(())
    }

    fn is_leaf(&self, name: &RepositoryName) -> bool {
        let known = self.registry.known_repositories().filter(|_| self.listings.remembers());
        known.is_some_and(|known| known.is_leaf(name, self.registry.clock().now()))
    }

    fn leave(&mut self) {
        if let Some(Level { name, has_children: false, look: Some(look), .. }) = self.levels.pop()
            && let Some(known) = self.registry.known_repositories()
            && let Ok(name) = name.parse()
        {
            known.learn(&name, Fact::Leaf, look);
        }
    }
}

/// The levels of a walk that has just handed out `last`: everything below it is still to come.
fn levels_behind(last: Option<&str>) -> Vec<Level> {
    let mut levels = vec![Level::new(String::new())];
    let mut parent = String::new();
    for component in last.into_iter().flat_map(|last| last.split('/')) {
        if let Some(level) = levels.last_mut() {
            level.after = Some(component.to_owned());
        }
        parent = join(&parent, component);
        // A text that is no name has nothing below it, but a place in the order all the same.
        if parent.parse::<RepositoryName>().is_err() {
            break;
        }
        levels.push(Level::new(parent.clone()));
    }
    levels
}

fn join(parent: &str, component: &str) -> String {
    if parent.is_empty() { component.to_owned() } else { format!("{parent}/{component}") }
}
