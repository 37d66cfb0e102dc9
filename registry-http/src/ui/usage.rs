//! How much there is in a repository.

use std::collections::HashMap;
use std::fmt;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use quick_cache::sync::Cache;
use registry_core::{Digest, Error, Reference, Repository, RepositoryName};
use tokio::sync::Semaphore;

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

/// And of those no more than so many bytes, for all of one page: what is in them takes some times that in memory.
const BUDGET_BYTES: u64 = 16 * 1024 * 1024;

/// How many manifests are read side by side.
const CONCURRENCY: usize = 4;

/// What repositories were found to have, for a short while.
pub(super) struct Usages {
    known: Cache<RepositoryName, (SystemTime, Usage)>,
    /// Pages that look through many manifests wait for each other, so that nobody makes the server do nothing else.
    turns: Semaphore,
}

/// How many pages may look through many manifests at once.
const TURNS: usize = 2;

/// How many repositories are remembered.
const REMEMBERED: usize = 20_000;

impl Default for Usages {
    fn default() -> Self {
        Self { known: Cache::new(REMEMBERED), turns: Semaphore::new(TURNS) }
    }
}

impl fmt::Debug for Usages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Usages").field("known", &self.known.len()).finish_non_exhaustive()
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
        let known = || {
            let (seen, usage) = self.known.get(name)?;
            now.duration_since(seen).is_ok_and(|age| age < patience).then_some(usage)
        };
        if let Some(usage) = known() {
            return Ok(usage);
        }
        let _turn = self.turns.acquire().await;
        // Whoever had the turn before may have looked at the same.
        if let Some(usage) = known() {
            return Ok(usage);
        }
        let usage = look(repository).await?;
        self.known.insert(name.clone(), (now, usage));
        Ok(usage)
    }

    /// Every manifest of a repository; `None` if there are more than so many, or they have too many bytes.
    pub(super) async fn documents(&self, repository: &Repository, most: usize) -> Result<Option<Vec<Document>>, Error> {
        let _turn = self.turns.acquire().await;
        let page = repository.manifests().list(None, most).await?;
        if page.more {
            return Ok(None);
        }
        let (mut documents, mut bytes) = (Vec::new(), 0);
        let mut reads = stream::iter(page.digests)
            .map(|digest| async move { contents::document(repository, &Reference::Digest(digest)).await })
            .buffered(CONCURRENCY)
            .boxed();
        while let Some(document) = reads.try_next().await? {
            let Some(document) = document else { continue };
            bytes += document.size;
            if bytes > BUDGET_BYTES {
                return Ok(None);
            }
            documents.push(document);
        }
        Ok(Some(documents))
    }
}

async fn look(repository: &Repository) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    let tags = repository.tags().names(None, MOST_TAGS).await?;
    (usage.tags, usage.has_more_tags) = (tags.tags.len(), tags.more);
    let page = repository.manifests().list(None, LOOKED_AT).await?;
    usage.has_more_manifests = page.more;
    let (mut unique, mut bytes) = (HashMap::new(), 0);
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
        bytes += document.size;
        if bytes > BUDGET_BYTES {
            usage.has_more_manifests = true;
            break;
        }
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
