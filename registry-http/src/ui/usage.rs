//! How much there is in a repository.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use quick_cache::sync::Cache;
use registry_core::{Digest, Error, Reference, Repository, RepositoryName};

use super::contents::{self, Document};
use super::shown::Size;

/// What a repository has, as far as was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Usage {
    pub(super) tags: usize,
    pub(super) manifests: usize,
    /// Every blob and manifest once.
    pub(super) unique: Size,
    /// Every blob as often as a manifest names it.
    pub(super) total: Size,
    /// When something was pushed last.
    pub(super) pushed: Option<SystemTime>,
    /// Whether there are more tags than were counted.
    pub(super) has_more_tags: bool,
    /// Whether there are more manifests than were looked at.
    pub(super) has_more_manifests: bool,
}

/// So many manifests of a repository are looked at. One with more has at least what they come to.
const LOOKED_AT: usize = 1_000;

/// So many tags of a repository are counted.
const MOST_TAGS: usize = 100_000;

/// How many manifests are read side by side.
const CONCURRENCY: usize = 8;

/// What repositories were found to have, for a short while.
pub(super) struct Usages(Cache<RepositoryName, (SystemTime, Usage)>);

/// How many repositories are remembered.
const REMEMBERED: usize = 20_000;

impl Default for Usages {
    fn default() -> Self {
        Self(Cache::new(REMEMBERED))
    }
}

impl fmt::Debug for Usages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Usages").field(&self.0.len()).finish()
    }
}

impl Usages {
    /// What a repository has, no longer ago than `patience`.
    pub(super) async fn of(
        &self,
        repository: &Repository,
        now: SystemTime,
        patience: Duration,
    ) -> Result<Usage, Error> {
        let name = repository.name();
        if let Some((seen, usage)) = self.0.get(name)
            && now.duration_since(seen).is_ok_and(|age| age < patience)
        {
            return Ok(usage);
        }
        let usage = look(repository).await?;
        self.0.insert(name.clone(), (now, usage));
        Ok(usage)
    }
}

async fn look(repository: &Repository) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    let tags = repository.tags().names(None, MOST_TAGS).await?;
    (usage.tags, usage.has_more_tags) = (tags.tags.len(), tags.more);
    let page = repository.manifests().list(None, LOOKED_AT).await?;
    usage.has_more_manifests = page.more;
    let mut unique = HashMap::new();
    let mut looks = stream::iter(page.digests)
        .map(|digest| async move {
            let document = contents::document(repository, &Reference::Digest(digest)).await?;
            Ok::<_, Error>((document, repository.manifests().pushed(&digest).await?))
        })
        .buffered(CONCURRENCY)
        .boxed();
    while let Some((document, pushed)) = looks.try_next().await? {
        usage.pushed = usage.pushed.max(pushed);
        let Some(document) = document else { continue };
        usage.manifests += 1;
        for (digest, size) in document.content() {
            usage.total.0 = usage.total.0.saturating_add(size);
            unique.insert(digest, size);
        }
    }
    usage.unique = sum(&unique);
    Ok(usage)
}

pub(super) fn sum(content: &HashMap<Digest, u64>) -> Size {
    Size(content.values().fold(0, |sum, size| sum.saturating_add(*size)))
}

/// Every manifest of a repository; `None` if there are more than so many.
pub(super) async fn documents(repository: &Repository, most: usize) -> Result<Option<Vec<Document>>, Error> {
    let page = repository.manifests().list(None, most).await?;
    if page.more {
        return Ok(None);
    }
    let documents = stream::iter(page.digests)
        .map(|digest| async move { contents::document(repository, &Reference::Digest(digest)).await })
        .buffered(CONCURRENCY)
        .try_filter_map(|document| async move { Ok(document) });
    Ok(Some(documents.boxed().try_collect().await?))
}
