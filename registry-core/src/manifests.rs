//! Manifests: what makes an image or an artifact out of blobs, or an index out of manifests.

use bytes::Bytes;

use crate::closure::{self, Certainty};
use crate::document::{self, Document};
use crate::known_manifests::Known;
use crate::layout::Member;
use crate::storage::WriteOptions;
use crate::{Algorithm, Digest, Error, EventAction, MediaType, Reference, Registry, Repository, RepositoryName, Tag};
use crate::{content, layout, protection, storage};

/// The manifests of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Manifests<'a>(&'a Repository);

/// A manifest: the bytes as they were pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The digest that it is kept by.
    pub digest: Digest,
    /// What it says it is.
    pub media_type: MediaType,
    /// The bytes.
    pub content: Bytes,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The digest of the manifest.
    pub digest: Digest,
    /// The manifest that it refers to, by its `subject`.
    pub subject: Option<Digest>,
    /// The tags that point to it now.
    pub tags: Vec<Tag>,
}

/// How often a push that is undone by others is done again.
const ROUNDS: usize = 3;

/// More than this is parsed off the async worker: some 200 microseconds.
const PARSE_INLINE_BYTES: usize = 64 * 1024;

impl<'a> Manifests<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self(repository)
    }

    /// Reads a manifest. One whose bytes are not what its digest says counts as absent, so that a push heals it.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if the repository does not have it.
    pub async fn get(&self, reference: &Reference) -> Result<Manifest, Error> {
        let manifest = self.peek(reference).await?;
        self.0.record(EventAction::Pull, |event| {
            event.digest = Some(manifest.digest);
            event.size = Some(manifest.content.len() as u64);
            event.media_type = Some(manifest.media_type.clone());
            event.manifest = Some(manifest.content.clone());
            event.tag = tag_of(reference).cloned();
        });
        Ok(manifest)
    }

    /// The same as [`Manifests::get`], and nobody is told of a pull: for those who look at what there is.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if the repository does not have it.
    pub async fn peek(&self, reference: &Reference) -> Result<Manifest, Error> {
        let manifest = self.find(reference).await?;
        manifest.ok_or_else(|| Error::ManifestUnknown { reference: reference.clone() })
    }

    async fn find(&self, reference: &Reference) -> Result<Option<Manifest>, Error> {
        let registry = self.registry();
        let found = match reference {
            Reference::Digest(digest) => {
                let target = registry.promise_member(self.0, Member::Revision, digest).await?;
                target.map(|target| (*digest, target))
            }
            Reference::Tag(tag) => self.0.tags().look_up_lately(tag).await?,
        };
        match found {
            Some((digest, target)) => self.load(&digest, &target).await,
            None => Ok(None),
        }
    }

    /// The manifest with this digest, whose bytes are those of `target`.
    async fn load(&self, digest: &Digest, target: &Digest) -> Result<Option<Manifest>, Error> {
        let found = match self.registry().known_manifests() {
            Some(known) => known.get(target, self.read(target)).await?,
            None => self.read(target).await?,
        };
        Ok(found.map(|(media_type, content)| Manifest { digest: *digest, media_type, content }))
    }

    /// What lies behind a digest, if it is a manifest and has this digest.
    async fn read(&self, target: &Digest) -> Result<Option<Known>, Error> {
        let Some(content) = self.stored(target).await? else {
            return Ok(None);
        };
        let computed = content::digest(target.algorithm(), &content).await;
        if computed != *target {
            tracing::error!(repository = %self.name(), %target, %computed, "a manifest is corrupt; it counts as absent");
            return Ok(None);
        }
        Ok(document::stored_media_type(&content).map(|media_type| (media_type, content)))
    }

    /// The bytes behind a digest, if they have the size of a manifest.
    pub(crate) async fn stored(&self, digest: &Digest) -> Result<Option<Bytes>, Error> {
        let (storage, limit_bytes) = (self.registry().storage(), self.registry().limits().manifest_bytes);
        let read = |key| async move {
            match storage.read(&key, limit_bytes).await {
                Err(storage::Error::TooLarge { .. }) => Ok(None),
                found => Ok(found?),
            }
        };
        self.registry().find_content(digest, read).await
    }

    /// Pushes a manifest by tag or by digest, and points `tags` to it as well.
    ///
    /// `media_type` is what the client says the bytes are; without it the bytes say it themselves. When it
    /// returns, the manifest and its tags are durable. Dropping the future leaves any part of that done: a manifest
    /// without its tags at most, never a tag without its manifest.
    ///
    /// # Errors
    /// [`Error::ManifestInvalid`], [`Error::ManifestTooLarge`], [`Error::DigestMismatch`], [`Error::TooManyTags`],
    /// [`Error::TagImmutable`] and [`Error::ReferencesUnknown`] refuse the push before anything is readable; [`Error::Contended`] asks for
    /// another try. When content that the manifest needs is deleted at the very same time, or the storage fails, the
    /// manifest may be readable by its digest, never by a tag.
    pub async fn put(
        &self,
        reference: &Reference,
        media_type: Option<&MediaType>,
        content: Bytes,
        tags: &[Tag],
    ) -> Result<Pushed, Error> {
        let limits = self.registry().limits();
        if content.len() as u64 > limits.manifest_bytes {
            return Err(Error::ManifestTooLarge { limit_bytes: limits.manifest_bytes });
        }
        let tags = tags_of(reference, tags);
        if tags.len() > limits.tags_per_push {
            return Err(Error::TooManyTags { limit: limits.tags_per_push });
        }
        let digest = digest(reference, &content).await?;
        let media_type = media_type.cloned();
        let document =
            self.parse(content.clone(), move |content| Document::parse(content, media_type.as_ref())).await??;
        self.0.tags().check_moves(&tags, &digest).await?;
        closure::check(self.0, &document, Certainty::Present).await?;

        self.store(&digest, &content).await?;
        self.publish(&document, &digest, &tags).await?;
        self.tell_push(&digest, &document, &content, &tags);
        Ok(Pushed { digest, subject: document.subject, tags })
    }

    /// Tells of a push: once for each tag, and of one without tags all the same.
    fn tell_push(self, digest: &Digest, document: &Document, content: &Bytes, tags: &[Tag]) {
        let tags = tags.iter().cloned().map(Some);
        let untagged = (tags.len() == 0).then_some(None);
        for tag in tags.chain(untagged) {
            self.0.record(EventAction::Push, |event| {
                event.digest = Some(*digest);
                event.size = Some(content.len() as u64);
                event.media_type = Some(document.media_type.clone());
                event.manifest = Some(content.clone());
                event.tag = tag;
            });
        }
    }

    /// Puts the bytes where their digest says, unless they are there unharmed.
    async fn store(&self, digest: &Digest, content: &Bytes) -> Result<(), Error> {
        let (storage, place) = (self.registry().storage(), layout::blob(digest));
        let there = match storage.read(&place, content.len() as u64).await {
            Err(storage::Error::TooLarge { .. }) => None,
            there => there?,
        };
        if there.as_ref() == Some(content) && self.registry().stays(&place).await? {
            return Ok(());
        }
        Ok(storage.write(&place, content.clone(), WriteOptions::default()).await?)
    }

    /// Announces the manifest, then makes sure of its bytes and of what it needs, then points the tags to it. In this order
    /// a collector that runs at the same time either sees the announcement, or is seen by the look behind it. The bytes come
    /// first: a collector that does not find them cannot know what the manifest needs.
    async fn publish(&self, document: &Document, digest: &Digest, tags: &[Tag]) -> Result<(), Error> {
        let (registry, name) = (self.registry(), self.name());
        // Distribution's collector gives up on a repository that has manifests and no `_layers`.
        registry.storage().create_directory(&layout::layers(name)).await?;
        for _ in 0..ROUNDS {
            registry.announce(name, Member::Revision, digest, digest).await?;
            registry.hold_content(digest).await?.ok_or(Error::Contended)?;
            closure::check(self.0, document, Certainty::Durable).await?;
            self.0.referrers().hold(digest).await?;
            // A delete of the same manifest may have taken the link away, or a collector may do so now. What a collector
            // keeps of it does not count: the link itself must stand.
            let is_reached = self.reach(document, digest, tags).await?;
            if is_reached && registry.is_announced(name, Member::Revision, digest).await? {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }

    /// Makes an announced manifest reachable, by its subject and by tags, unless a delete has come in between. It comes
    /// either before or after a delete of the same manifest, never in its middle.
    async fn reach(&self, document: &Document, digest: &Digest, tags: &[Tag]) -> Result<bool, Error> {
        let _order = self.0.lock_tags().await;
        if self.registry().link(&layout::revision_link(self.name(), digest)).await?.is_none() {
            return Ok(false);
        }
        self.0.tags().check_moves(tags, digest).await?;
        if let Some(subject) = &document.subject {
            self.0.referrers().add(subject, digest).await?;
        }
        self.0.tags().set(tags, digest).await?;
        Ok(true)
    }

    /// Deletes a manifest and every tag that points to it, or only a tag.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if the repository does not have it; [`Error::TagProtected`]; [`Error::DeleteUnknown`] if the storage did not
    /// tell what became of it.
    pub async fn delete(&self, reference: &Reference) -> Result<(), Error> {
        let digest = match reference {
            Reference::Tag(tag) => return self.0.tags().delete(tag).await,
            Reference::Digest(digest) => digest,
        };
        let _order = self.0.lock_tags().await;
        self.remove(digest).await
    }

    /// Deletes a manifest if no tag points to it; tells whether that was so. A push that tags it comes before or after.
    ///
    /// # Errors
    /// [`Error::ManifestUnknown`] if the repository does not have it; [`Error::TagProtected`] if a protected tag needs it;
    /// [`Error::DeleteUnknown`] if the storage did not tell what became of it.
    pub async fn delete_untagged(&self, digest: &Digest) -> Result<bool, Error> {
        let _order = self.0.lock_tags().await;
        if self.0.tags().has_one_of(digest).await? {
            return Ok(false);
        }
        self.remove(digest).await.map(|()| true)
    }

    /// The caller holds the tags of the repository.
    async fn remove(&self, digest: &Digest) -> Result<(), Error> {
        let Some(target) = self.registry().member(self.name(), Member::Revision, digest).await? else {
            return self.remove_rest(digest).await;
        };
        protection::check(self.0, Member::Revision, digest).await?;
        let subject = self.subject(&target).await?;

        self.registry().delete_member(self.name(), Member::Revision, digest).await?;
        let tags = self.0.tags().delete_those_of(digest).await?;
        if let Some(subject) = subject {
            self.0.referrers().remove(&subject, digest).await?;
        }
        self.0.record(EventAction::Delete, |event| event.digest = Some(*digest));
        self.tell_deleted(tags);
        Ok(())
    }

    /// Ends a delete that was cut off: takes away the tags that still point to a manifest which is gone.
    async fn remove_rest(&self, digest: &Digest) -> Result<(), Error> {
        let tags = self.0.tags().delete_those_of(digest).await?;
        if tags.is_empty() {
            return Err(Error::ManifestUnknown { reference: Reference::Digest(*digest) });
        }
        self.tell_deleted(tags);
        Ok(())
    }

    fn tell_deleted(self, tags: Vec<Tag>) {
        for tag in tags {
            self.0.record(EventAction::Delete, |event| event.tag = Some(tag));
        }
    }

    /// Looks into a manifest. A large one takes time and many times its bytes in memory, so that happens off the async
    /// worker, and to few at once.
    pub(crate) async fn parse<T: Send + 'static>(
        &self,
        content: Bytes,
        parse: impl FnOnce(&[u8]) -> T + Send + 'static,
    ) -> Result<T, Error> {
        if content.len() <= PARSE_INLINE_BYTES {
            return Ok(parse(&content));
        }
        let _turn = self.registry().parsing().acquire().await;
        Ok(self.registry().blocking().run(move || parse(&content)).await?)
    }

    /// What a stored manifest refers to, if it can be read.
    pub(crate) async fn subject(&self, digest: &Digest) -> Result<Option<Digest>, Error> {
        let Some(content) = self.stored(digest).await? else { return Ok(None) };
        let document = self.parse(content, Document::parse_stored).await?;
        Ok(document.ok().and_then(|document| document.subject))
    }

    /// What a manifest of this repository says, without telling anybody that it was read; `None` if it is not there,
    /// or is not of a kind that this registry understands.
    pub(crate) async fn document(&self, digest: &Digest) -> Result<Option<(Document, Bytes)>, Error> {
        let Some(target) = self.registry().member(self.name(), Member::Revision, digest).await? else {
            return Ok(None);
        };
        let Some(Manifest { content, .. }) = self.load(digest, &target).await? else { return Ok(None) };
        let document = self.parse(content.clone(), Document::parse_stored).await?;
        Ok(document.ok().map(|document| (document, content)))
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

/// The digest to keep the bytes by, which must be the one that the client says, if it says one.
async fn digest(reference: &Reference, content: &Bytes) -> Result<Digest, Error> {
    let stated = match reference {
        Reference::Digest(digest) => Some(*digest),
        Reference::Tag(_) => None,
    };
    let algorithm = stated.map_or(Algorithm::Sha256, |digest| digest.algorithm());
    let computed = content::digest(algorithm, content).await;
    match stated {
        Some(stated) if stated != computed => Err(Error::DigestMismatch { stated, computed }),
        _ => Ok(computed),
    }
}

fn tag_of(reference: &Reference) -> Option<&Tag> {
    match reference {
        Reference::Tag(tag) => Some(tag),
        Reference::Digest(_) => None,
    }
}

/// All tags of a push, each once, the one of the reference first.
fn tags_of(reference: &Reference, more: &[Tag]) -> Vec<Tag> {
    let mut tags: Vec<Tag> = Vec::new();
    for tag in tag_of(reference).into_iter().chain(more) {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    tags
}
