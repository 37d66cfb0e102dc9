//! The catalog: which repositories there are.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::known_repositories::{Fact, Look};
use crate::layout::Member;
use crate::listings::Listings;
use crate::storage::{Entry, EntryKind, Key};
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, layout, name};

/// One page of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogPage {
    /// The names, in the order of a depth-first walk: `a/b` comes before `a-b`.
    pub repositories: Vec<RepositoryName>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

impl Registry {
    /// At most `limit` repositories behind `last`, which need not exist. A repository is listed as long as it has
    /// a manifest. Only what the page needs is looked at.
    ///
    /// With a [`catalog_cache`](crate::RegistryBuilder::catalog_cache), what another process changed may be missing for as
    /// long as that allows.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn catalog(&self, last: Option<&str>, limit: usize) -> Result<CatalogPage, Error> {
        self.catalog_of(last, limit, |_| std::future::ready(true)).await
    }

    /// The same as [`Registry::catalog`] of a registry that has only the repositories that `visible` tells of. The
    /// others are neither looked into nor counted, and the page is filled up all the same.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn catalog_of<V, F>(&self, last: Option<&str>, limit: usize, visible: V) -> Result<CatalogPage, Error>
    where
        V: Fn(RepositoryName) -> F + Send,
        F: Future<Output = bool> + Send,
    {
        let mut page = CatalogPage::default();
        if limit == 0 {
            return Ok(page);
        }
        let listings = Listings::by_stretches(&**self.storage());
        let mut walk = Walk { remembers: true, listings, ..Walk::new(self, directory, last) };
        while let Some(name) = walk.next().await? {
            // Many that nobody sees may lie in between: other requests get their turn.
            tokio::task::consume_budget().await;
            if visible(name.clone()).await && walk.is_listed(&name).await? {
                if page.repositories.len() == limit {
                    page.more = true;
                    break;
                }
                page.repositories.push(name);
            }
        }
        Ok(page)
    }

    /// To be called after a link of the repository came or went: one of a manifest changes what the catalog remembers.
    pub(crate) fn link_changed(&self, name: &RepositoryName, member: Member) {
        if let (Member::Revision, Some(known)) = (member, self.known_repositories()) {
            known.changed(name);
        }
    }

    /// Whether the repository has any manifest.
    pub(crate) async fn has_manifests(&self, name: &RepositoryName) -> Result<bool, Error> {
        for algorithm in Algorithm::ALL {
            let revisions = layout::revisions(name, algorithm);
            let mut entries = self.entries(revisions, None);
            while let Some(entry) = entries.try_next().await? {
                if let Ok(digest) = Digest::from_parts(algorithm, &entry.name)
                    && self.link(&layout::revision_link(name, &digest)).await?.is_some()
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Every name under which something lies, behind `last`, depth first; many are no more than the parents of
    /// others.
    pub(crate) fn walk(&self, last: Option<&str>) -> BoxStream<'_, Result<RepositoryName, Error>> {
        self.walk_in(directory, last)
    }

    /// The same below another root: `place` tells where what belongs to a name lies.
    pub(crate) fn walk_in(
        &self,
        place: fn(&str) -> Key,
        last: Option<&str>,
    ) -> BoxStream<'_, Result<RepositoryName, Error>> {
        let walk = Walk::new(self, place, last);
        stream::try_unfold(walk, |mut walk| async move { Ok(walk.next().await?.map(|name| (name, walk))) }).boxed()
    }

    /// All entries below `prefix` with a name greater than `after`, page by page.
    pub(crate) fn entries(&self, prefix: Key, after: Option<String>) -> BoxStream<'_, Result<Entry, Error>> {
        self.entries_in_pages(prefix, after, PAGE)
    }

    /// The same with so many entries in a page: larger ones need more memory, and fewer looks at the directory.
    pub(crate) fn entries_in_pages(
        &self,
        prefix: Key,
        after: Option<String>,
        page: usize,
    ) -> BoxStream<'_, Result<Entry, Error>> {
        let level = Level { after, page, ..Level::new(String::new()) };
        let listings = Listings::direct(&**self.storage());
        stream::try_unfold((prefix, level, listings), |(prefix, mut level, mut listings)| async move {
            let entry = level.next(&mut listings, &prefix).await?;
            Ok(entry.map(|entry| (entry, (prefix, level, listings))))
        })
        .boxed()
    }
}

/// Where a depth-first walk stands: one level for each component of the name it is at.
struct Walk<'a> {
    registry: &'a Registry,
    place: fn(&str) -> Key,
    /// Whether what is known of repositories counts.
    remembers: bool,
    listings: Listings<'a>,
    levels: Vec<Level>,
}

/// One directory of the walk.
struct Level {
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
const PAGE: usize = 1_000;

impl Level {
    fn new(name: String) -> Self {
        Self { name, after: None, listed: VecDeque::new(), more: true, page: PAGE, has_children: false, look: None }
    }

    async fn next(&mut self, listings: &mut Listings<'_>, key: &Key) -> Result<Option<Entry>, Error> {
        if self.listed.is_empty() && self.more {
            let page = listings.list(key, self.after.as_deref(), self.page).await?;
            self.more = page.more;
            self.after = page.entries.last().map(|entry| entry.name.clone()).or(self.after.take());
            self.listed = page.entries.into();
        }
        Ok(self.listed.pop_front())
    }
}

impl<'a> Walk<'a> {
    fn new(registry: &'a Registry, place: fn(&str) -> Key, last: Option<&str>) -> Self {
        let listings = Listings::direct(&**registry.storage());
        Self { registry, place, remembers: false, listings, levels: levels_behind(last) }
    }

    async fn next(&mut self) -> Result<Option<RepositoryName>, Error> {
        while let Some(level) = self.levels.last_mut() {
            let key = (self.place)(&level.name);
            let Some(entry) = level.next(&mut self.listings, &key).await? else {
                self.leave();
                continue;
            };
            // What starts with an underscore belongs to the repository itself; other odd names are not ours.
            if entry.kind != EntryKind::Prefix || !name::is_component(&entry.name) {
                continue;
            }
            level.has_children = true;
            let child = join(&level.name, &entry.name);
            let Ok(name) = child.parse::<RepositoryName>() else { continue };
            self.enter(&name, child);
            return Ok(Some(name));
        }
        Ok(None)
    }

    /// Whether the repository has any manifest, as far as the catalog is concerned.
    async fn is_listed(&mut self, name: &RepositoryName) -> Result<bool, Error> {
        let Some(known) = self.registry.known_repositories() else { return self.has_manifests(name).await };
        let now = self.registry.clock().now();
        if let Some(answer) = known.has_manifests(name, now) {
            return Ok(answer);
        }
        let look = known.look(now);
        let answer = self.has_manifests(name).await?;
        known.learn(name, Fact::Manifests(answer), look);
        Ok(answer)
    }

    /// As [`Registry::has_manifests`]; where a link is whole as soon as it shows, it need not be read.
    async fn has_manifests(&mut self, name: &RepositoryName) -> Result<bool, Error> {
        if !self.listings.has_stretches() {
            return self.registry.has_manifests(name).await;
        }
        for algorithm in Algorithm::ALL {
            let revisions = layout::revisions(name, algorithm);
            let mut level = Level::new(String::new());
            while let Some(entry) = level.next(&mut self.listings, &revisions).await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else { continue };
                let link = layout::revision_link(name, &digest);
                let Some(directory) = link.parent() else { continue };
                let found = self.listings.list(&directory, None, PAGE).await?;
                if found.entries.iter().any(|entry| entry.kind == EntryKind::Object && entry.name == link.name()) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// What lies below a repository comes next, unless it is known that nothing does.
    fn enter(&mut self, name: &RepositoryName, directory: String) {
        let mut look = None;
        if let (true, Some(known)) = (self.remembers, self.registry.known_repositories()) {
            let now = self.registry.clock().now();
            if known.is_leaf(name, now) {
                return;
            }
            look = Some(known.look(now));
        }
        self.levels.push(Level { look, ..Level::new(directory) });
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

fn directory(name: &str) -> Key {
    if name.is_empty() { layout::repositories() } else { layout::repository_directory(name) }
}
