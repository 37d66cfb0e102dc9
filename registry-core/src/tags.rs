//! Tags: names that point to manifests and may move.

use std::time::SystemTime;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use crate::layout::Member;
use crate::storage::{self, Deletion, EntryKind, Key, Precondition, WriteOptions};
use crate::{Digest, Error, EventAction, Reference, Registry, Repository, RepositoryName, Tag, layout};

/// The tags of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Tags<'a>(&'a Repository);

/// One page of tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagPage {
    /// The tags, ordered by their bytes.
    pub tags: Vec<Tag>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// How many tags are looked at side by side.
const CONCURRENCY: usize = 32;

/// How often a tag that moves is followed.
const ROUNDS: usize = 3;

impl<'a> Tags<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self(repository)
    }

    /// At most `limit` tags behind `last`, which need not exist. A tag whose manifest is gone is not listed.
    ///
    /// # Errors
    /// [`Error::NameUnknown`] if the repository has no manifest.
    pub async fn list(&self, last: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        let Some(known) = self.registry().known_tags() else { return self.list_now(last, limit).await };
        let asked = (self.name().clone(), last.map(str::to_owned), limit);
        let now = self.registry().clock().now();
        if let Some(page) = known.page(&asked, now) {
            return Ok(page);
        }
        let look = known.look(now);
        let page = self.list_now(last, limit).await?;
        known.learn_page(asked, page.clone(), look);
        Ok(page)
    }

    async fn list_now(&self, last: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        let mut page = TagPage::default();
        if limit > 0 {
            page = self.page(last, limit).await?;
        }
        if page.tags.is_empty() && !self.registry().has_manifests(self.name()).await? {
            return Err(Error::NameUnknown { name: self.name().clone() });
        }
        Ok(page)
    }

    async fn page(&self, last: Option<&str>, limit: usize) -> Result<TagPage, Error> {
        let mut page = TagPage::default();
        let mut after = last.map(str::to_owned);
        // One more than asked for tells whether there are more: what lies behind may all be gone.
        let sought = limit.saturating_add(1);
        loop {
            let wanted = sought - page.tags.len();
            let listing = self.registry().storage().list(&layout::tags(self.name()), after.as_deref(), wanted).await?;
            let tags = listing.entries.iter().filter(|entry| entry.kind == EntryKind::Prefix);
            let tags: Vec<Tag> = tags.filter_map(|entry| entry.name.parse().ok()).collect();
            let live = stream::iter(tags).map(|tag| async move {
                let live = self.resolve(&tag).await?.is_some();
                Ok::<_, Error>(live.then_some(tag))
            });
            let live: Vec<Option<Tag>> = live.buffered(CONCURRENCY).try_collect().await?;
            page.tags.extend(live.into_iter().flatten());
            if page.tags.len() == sought || !listing.more {
                page.more = page.tags.len() == sought;
                page.tags.truncate(limit);
                return Ok(page);
            }
            after = listing.entries.last().map(|entry| entry.name.clone());
        }
    }

    /// The manifest that a tag points to; `None` if there is no such tag, or its manifest is gone.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn resolve(&self, tag: &Tag) -> Result<Option<Digest>, Error> {
        Ok(self.look_up(tag).await?.map(|(digest, _)| digest))
    }

    /// The manifest that a tag points to, and the digest of its content, or did within the time that the registry lets an answer
    /// count.
    pub(crate) async fn look_up_lately(&self, tag: &Tag) -> Result<Option<(Digest, Digest)>, Error> {
        let Some(known) = self.registry().known_tags() else { return self.look_up(tag).await };
        let now = self.registry().clock().now();
        if let Some(target) = known.get(self.name(), tag, now) {
            return Ok(Some(target));
        }
        let look = known.look(now);
        let found = self.look_up(tag).await?;
        if let Some(target) = found {
            known.learn(self.name(), tag, target, look);
        }
        Ok(found)
    }

    /// To be called after a tag was moved or deleted, or that was tried.
    fn changed(self, tag: &Tag) {
        if let Some(known) = self.registry().known_tags() {
            known.tag_changed(self.name(), tag);
        }
    }

    /// The manifest that a tag points to, and the digest of its content.
    pub(crate) async fn look_up(&self, tag: &Tag) -> Result<Option<(Digest, Digest)>, Error> {
        let current = layout::tag_current(self.name(), tag);
        let mut pointed = self.registry().link(&current).await?;
        for _ in 0..ROUNDS {
            let Some(digest) = pointed else { return Ok(None) };
            if let Some(target) = self.registry().member(self.name(), Member::Revision, &digest).await? {
                return Ok(Some((digest, target)));
            }
            // The tag may have moved on, and then what it pointed to before was deleted.
            pointed = self.registry().link(&current).await?;
            if pointed == Some(digest) {
                return Ok(None);
            }
        }
        Err(Error::Contended)
    }

    /// Refuses to move an immutable tag. One whose manifest is gone is no longer there, and can be made again.
    pub(crate) async fn check_moves(&self, tags: &[Tag], digest: &Digest) -> Result<(), Error> {
        for tag in tags.iter().filter(|tag| self.is_immutable(tag)) {
            if self.resolve(tag).await?.is_some_and(|found| found != *digest) {
                return Err(Error::TagImmutable { tag: tag.clone() });
            }
        }
        Ok(())
    }

    /// Makes tags point to a manifest. The caller holds the tags of the repository, and knows that they may move.
    pub(crate) async fn set(&self, tags: &[Tag], digest: &Digest) -> Result<(), Error> {
        for tag in tags {
            let current = layout::tag_current(self.name(), tag);
            let is_new = self.is_immutable(tag) && self.registry().storage().stat(&current).await?.is_none();
            self.registry().write_link(&layout::tag_index(self.name(), tag, digest), digest).await?;
            let set = if is_new {
                self.create(tag, &current, digest).await
            } else {
                self.registry().write_link(&current, digest).await
            };
            self.changed(tag);
            set?;
        }
        Ok(())
    }

    /// Makes a tag that another process must not make at the same time for another manifest.
    async fn create(&self, tag: &Tag, current: &Key, digest: &Digest) -> Result<(), Error> {
        let options = WriteOptions { precondition: Precondition::Absent, ..WriteOptions::default() };
        match self.registry().storage().write(current, layout::link(digest), options).await {
            Err(storage::Error::Exists { .. }) => match self.registry().link(current).await? {
                Some(found) if found == *digest => Ok(()),
                _ => Err(Error::TagImmutable { tag: tag.clone() }),
            },
            // Where the storage cannot tell, there is one process alone, and it holds the tags of the repository.
            Err(storage::Error::Unsupported { .. }) => self.registry().write_link(current, digest).await,
            written => Ok(written?),
        }
    }

    /// Deletes a tag. The manifest and its other tags stay.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if there is no such tag; [`Error::TagProtected`].
    pub async fn delete(&self, tag: &Tag) -> Result<(), Error> {
        let _order = self.0.lock_tags().await;
        if self.registry().storage().stat(&layout::tag_current(self.name(), tag)).await?.is_none() {
            return Err(Error::ManifestUnknown { reference: Reference::Tag(tag.clone()) });
        }
        // One whose manifest is gone protects nothing.
        if self.is_protected(tag) && self.resolve(tag).await?.is_some() {
            return Err(Error::TagProtected { tag: tag.clone() });
        }
        self.remove(tag).await?;
        self.0.record(EventAction::Delete, |event| event.tag = Some(tag.clone()));
        Ok(())
    }

    /// Deletes a tag that was last written at `pushed` and points to `digest`; tells whether it was still so.
    pub(crate) async fn expire(&self, tag: &Tag, digest: &Digest, pushed: Option<SystemTime>) -> Result<bool, Error> {
        let _order = self.0.lock_tags().await;
        let current = layout::tag_current(self.name(), tag);
        let link = self.registry().storage().stat(&current).await?;
        let is_same = link.is_some_and(|link| link.modified == pushed);
        if !is_same || self.registry().link(&current).await? != Some(*digest) {
            return Ok(false);
        }
        self.remove(tag).await?;
        self.0.record(EventAction::Delete, |event| event.tag = Some(tag.clone()));
        Ok(true)
    }

    /// Deletes every tag that points to a manifest, and gives them. The caller holds the tags of the repository, and tells
    /// of it.
    pub(crate) async fn delete_those_of(&self, digest: &Digest) -> Result<Vec<Tag>, Error> {
        let mut deleted = Vec::new();
        let mut pointing = self.those_of(digest);
        while let Some(tag) = pointing.try_next().await? {
            self.remove(&tag).await?;
            deleted.push(tag);
        }
        Ok(deleted)
    }

    /// Whether any tag points to a manifest.
    pub(crate) async fn has_one_of(&self, digest: &Digest) -> Result<bool, Error> {
        Ok(self.those_of(digest).try_next().await?.is_some())
    }

    /// The tags that point to a manifest.
    fn those_of(self, digest: &Digest) -> BoxStream<'a, Result<Tag, Error>> {
        let digest = *digest;
        let entries = self.registry().entries(layout::tags(self.name()), None);
        let tags = entries.try_filter_map(|entry| async move { Ok(entry.name.parse::<Tag>().ok()) });
        let targets = tags.map(move |tag| async move {
            let tag = tag?;
            let target = self.registry().link(&layout::tag_current(self.name(), &tag)).await?;
            Ok::<_, Error>((target == Some(digest)).then_some(tag))
        });
        targets.buffered(CONCURRENCY).try_filter_map(|tag| async move { Ok(tag) }).boxed()
    }

    /// The link goes first: from then on the tag is gone, whatever happens to the rest.
    pub(crate) async fn remove(&self, tag: &Tag) -> Result<(), Error> {
        let deleted = self.registry().delete(&layout::tag_current(self.name(), tag)).await;
        self.changed(tag);
        deleted?;
        match self.registry().storage().delete_all(&layout::tag(self.name(), tag)).await? {
            Deletion::Acked => Ok(()),
            Deletion::Unknown => Err(Error::DeleteUnknown),
        }
    }

    fn is_immutable(self, tag: &Tag) -> bool {
        self.registry().tag_rules().is_immutable(self.name(), tag)
    }

    pub(crate) fn is_protected(self, tag: &Tag) -> bool {
        self.registry().tag_rules().is_protected(self.name(), tag)
    }

    pub(crate) fn repository(self) -> &'a Repository {
        self.0
    }

    fn registry(self) -> &'a Registry {
        self.0.registry()
    }

    fn name(self) -> &'a RepositoryName {
        self.0.name()
    }
}
