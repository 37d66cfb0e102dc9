//! The catalog: which repositories there are.

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::known_repositories::Fact;
use crate::layout::Member;
use crate::listings::Listings;
use crate::storage::{Entry, Key};
use crate::walk::{Level, PAGE, Walk};
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, layout};

/// One page of the catalog.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CatalogPage {
    /// The names, in the order of a depth-first walk: `a/b` comes before `a-b`.
    pub repositories: Vec<RepositoryName>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// How many repositories are looked into side by side, where each look is a request.
const CONCURRENCY: usize = 32;

/// How many names are collected before they are looked into.
const BATCH: usize = 1_000;

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
        // One more than asked for tells whether there are more.
        let sought = limit.saturating_add(1);
        let at_once = if self.storage().capabilities().scans { CONCURRENCY } else { 1 };
        let mut walk = Walk::for_catalog(self, last);
        while page.repositories.len() < sought {
            let wanted = (sought - page.repositories.len()).min(BATCH);
            let candidates = walk.candidates(wanted, &visible).await?;
            let is_last = candidates.len() < wanted;
            let listed = stream::iter(candidates).map(|(name, is_listed)| async move {
                let is_listed = match is_listed {
                    Some(is_listed) => is_listed,
                    None => self.is_listed(&name).await?,
                };
                Ok::<_, Error>(is_listed.then_some(name))
            });
            let listed: Vec<Option<RepositoryName>> = listed.buffered(at_once).try_collect().await?;
            page.repositories.extend(listed.into_iter().flatten());
            if is_last {
                break;
            }
        }
        page.more = page.repositories.len() == sought;
        page.repositories.truncate(limit);
        Ok(page)
    }

    /// Whether the repository has any manifest, as far as the catalog is concerned.
    async fn is_listed(&self, name: &RepositoryName) -> Result<bool, Error> {
        let look = self.known_repositories().map(|known| known.look(self.clock().now()));
        let answer = match self.first_manifest_shows(name).await? {
            Some(answer) => answer,
            None => self.has_manifests(name).await?,
        };
        if let (Some(known), Some(look)) = (self.known_repositories(), look) {
            known.learn(name, Fact::Manifests(answer), look);
        }
        Ok(answer)
    }

    /// Whether the repository has any manifest, if one request tells: where the storage has an order, and the first link stands
    /// where it should. There a link is whole as soon as it shows, and need not be read.
    async fn first_manifest_shows(&self, name: &RepositoryName) -> Result<Option<bool>, Error> {
        if !self.storage().capabilities().scans {
            return Ok(None);
        }
        let first = self.storage().scan(&layout::all_revisions(name), "", 1).await?.paths.pop();
        Ok(first.map_or(Some(false), |path| layout::is_revision(&path).then_some(true)))
    }

    /// To be called after a link of the repository came or went: one of a manifest changes what is remembered.
    pub(crate) fn link_changed(&self, name: &RepositoryName, member: Member) {
        if member != Member::Revision {
            return;
        }
        if let Some(known) = self.known_repositories() {
            known.changed(name);
        }
        if let Some(known) = self.known_tags() {
            known.manifest_changed(name);
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
        self.walk_in(layout::repository_place, last)
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
        let level = Level::of_one(after, page);
        let listings = Listings::direct(self);
        stream::try_unfold((prefix, level, listings), |(prefix, mut level, mut listings)| async move {
            let entry = level.next(&mut listings, &prefix).await?;
            Ok(entry.map(|entry| (entry, (prefix, level, listings))))
        })
        .boxed()
    }
}
