//! What those see who look at a repository and use nothing of it: what there is, since when, and when it was last used.

use std::time::SystemTime;

use futures::stream::TryStreamExt as _;

use crate::storage::EntryKind;
use crate::{Algorithm, Digest, Error, Manifests, Repository, Tag, TagPage, Tags, layout, pulls};

/// What a tag points to, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TagInfo {
    /// The manifest.
    pub digest: Digest,
    /// When the tag was last set; `None` where the storage does not date what is written.
    pub pushed: Option<SystemTime>,
}

/// One page of the manifests of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestPage {
    /// Their digests: those of SHA-256 in order, and then those of SHA-512.
    pub digests: Vec<Digest>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

impl Tags<'_> {
    /// At most `limit` names of tags behind `last`, in their order, by a look at the directory alone: much quicker than
    /// [`Tags::list`]. A tag whose manifest is gone may be among them, as a delete that was cut off leaves it.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn names(&self, last: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        let (registry, name) = (self.repository().registry(), self.repository().name());
        let mut page = TagPage::default();
        let mut entries = registry.entries_in_pages(layout::tags(name), last.map(str::to_owned), NAMES_AT_ONCE);
        while let Some(entry) = entries.try_next().await? {
            let Ok(tag) = entry.name.parse() else { continue };
            if entry.kind != EntryKind::Prefix {
                continue;
            }
            if page.tags.len() == limit {
                page.more = true;
                break;
            }
            page.tags.push(tag);
        }
        Ok(page)
    }

    /// What a tag points to, and since when; `None` if there is no such tag.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn info(&self, tag: &Tag) -> Result<Option<TagInfo>, Error> {
        let Some(digest) = self.resolve(tag).await? else { return Ok(None) };
        let current = layout::tag_current(self.repository().name(), tag);
        let link = self.repository().registry().storage().stat(&current).await?;
        Ok(Some(TagInfo { digest, pushed: link.and_then(|link| link.modified) }))
    }
}

impl Manifests<'_> {
    /// At most `limit` manifests behind `after`, which need not exist, with and without tags.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn list(&self, after: Option<&Digest>, limit: usize) -> Result<ManifestPage, Error> {
        let (registry, name) = (self.repository().registry(), self.repository().name());
        let mut page = ManifestPage::default();
        for algorithm in Algorithm::ALL {
            let behind = match after {
                Some(after) if after.algorithm() > algorithm => continue,
                Some(after) if after.algorithm() == algorithm => Some(after.hex()),
                _ => None,
            };
            let mut entries = registry.entries(layout::revisions(name, algorithm), behind);
            while let Some(entry) = entries.try_next().await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else { continue };
                if registry.link(&layout::revision_link(name, &digest)).await?.is_none() {
                    continue;
                }
                if page.digests.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.digests.push(digest);
            }
        }
        Ok(page)
    }

    /// When a manifest was last pushed; `None` if it is not there, or the storage does not date what is written.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn pushed(&self, digest: &Digest) -> Result<Option<SystemTime>, Error> {
        let link = layout::revision_link(self.repository().name(), digest);
        Ok(self.repository().registry().storage().stat(&link).await?.and_then(|link| link.modified))
    }

    /// When a manifest was last pulled, as far as [`PullTimes`](crate::PullTimes) noted it.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn pulled(&self, digest: &Digest) -> Result<Option<SystemTime>, Error> {
        pulls::time_of(self.repository().registry(), self.repository().name(), digest).await
    }
}

impl Repository {
    /// Deletes every tag and every manifest, as far as they are there when it looks; tells how many of each. With its last
    /// manifest the repository leaves the catalog, and what nothing else needs is garbage.
    ///
    /// Dropping the future leaves what is not deleted yet, and no tag without its manifest.
    ///
    /// # Errors
    /// [`Error::TagProtected`] before anything is deleted; if the storage fails, what was deleted so far stays deleted.
    pub async fn clear(&self) -> Result<Cleared, Error> {
        let mut cleared = Cleared::default();
        let tags = self.all_tags().await?;
        if let Some(tag) = tags.iter().find(|tag| self.tags().is_protected(tag)) {
            return Err(Error::TagProtected { tag: tag.clone() });
        }
        for tag in tags {
            cleared.tags += u64::from(gone_or(self.tags().delete(&tag).await)?);
        }
        let mut after = None;
        loop {
            let page = self.manifests().list(after.as_ref(), CLEARED_AT_ONCE).await?;
            for digest in &page.digests {
                cleared.manifests += u64::from(gone_or(self.manifests().delete(&(*digest).into()).await)?);
            }
            after = page.digests.last().copied().filter(|_| page.more);
            if after.is_none() {
                return Ok(cleared);
            }
        }
    }

    async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        let mut tags: Vec<Tag> = Vec::new();
        loop {
            let page = self.tags().list(tags.last().map(Tag::as_str), CLEARED_AT_ONCE).await;
            let page = match page {
                Ok(page) => page,
                Err(Error::NameUnknown { .. }) => return Ok(tags),
                Err(error) => return Err(error),
            };
            tags.extend(page.tags);
            if !page.more {
                return Ok(tags);
            }
        }
    }
}

/// How many names are listed at once.
const NAMES_AT_ONCE: usize = 50_000;

/// How many tags or manifests are listed at once to be deleted.
const CLEARED_AT_ONCE: usize = 1_000;

/// What was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cleared {
    /// How many tags.
    pub tags: u64,
    /// How many manifests.
    pub manifests: u64,
}

/// Whether it was there to be deleted: somebody else may have been quicker.
fn gone_or(deleted: Result<(), Error>) -> Result<bool, Error> {
    match deleted {
        Ok(()) => Ok(true),
        Err(Error::ManifestUnknown { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}
