//! Blobs: layers, configurations and whatever else a manifest names.

use std::time::Duration;

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use crate::layout::Member;
use crate::storage::{Body, Key, Object, Presigned};
use crate::{Digest, Error, EventAction, Registry, Repository, RepositoryName, Span, protection};

/// The blobs of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Blobs<'a>(&'a Repository);

/// What is known of a blob without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobInfo {
    /// The digest that it was asked for by.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Where a client may fetch a blob by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobAddress {
    /// Digest and size.
    pub info: BlobInfo,
    /// The address. Whoever knows it needs no further credentials.
    pub address: String,
}

/// A blob opened for reading.
#[derive(Debug)]
pub struct Blob {
    info: BlobInfo,
    object: Object,
}

impl Blob {
    /// Digest and size.
    #[must_use]
    pub fn info(&self) -> BlobInfo {
        self.info
    }

    /// Its bytes, all or some.
    ///
    /// # Errors
    /// If the storage refuses the read.
    pub async fn read(self, span: Span) -> Result<Body, Error> {
        Ok(self.object.read(span).await?)
    }
}

impl<'a> Blobs<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self(repository)
    }

    /// Looks a blob up.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the repository does not have it.
    pub async fn stat(&self, digest: &Digest) -> Result<BlobInfo, Error> {
        let (_, size) = self.promised(digest).await?;
        self.pulled(digest, size);
        Ok(BlobInfo { digest: *digest, size })
    }

    /// Looks a blob up, and gives an address where a client may send `request` for it within `validity`, without the
    /// registry in between; `None` if the storage gives no such addresses. To be given one counts as a pull.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the repository does not have it.
    pub async fn locate(
        &self,
        digest: &Digest,
        request: Presigned,
        validity: Duration,
    ) -> Result<Option<BlobAddress>, Error> {
        let storage = self.registry().storage();
        if !storage.capabilities().presign {
            return Ok(None);
        }
        let (key, size) = self.promised(digest).await?;
        let address = storage.presign(&key, request, validity).await?;
        if address.is_some() {
            self.pulled(digest, size);
        }
        Ok(address.map(|address| BlobAddress { info: BlobInfo { digest: *digest, size }, address }))
    }

    /// Where the content of a blob lies, and its size, for a client that may count on both for a while.
    async fn promised(&self, digest: &Digest) -> Result<(Key, u64), Error> {
        let (registry, unknown) = (self.registry(), || Error::BlobUnknown { digest: *digest });
        let target = registry.promise_member(self.0, Member::Layer, digest).await?.ok_or_else(unknown)?;
        let (key, metadata) = registry.promise_content(&target).await?.ok_or_else(unknown)?;
        if target == *digest {
            registry.saw_blob(self.0.name(), digest, metadata.size);
        }
        Ok((key, metadata.size))
    }

    /// Opens a blob for reading.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the repository does not have it.
    pub async fn open(&self, digest: &Digest) -> Result<Blob, Error> {
        let blob = self.peek(digest).await?;
        self.pulled(digest, blob.info.size);
        Ok(blob)
    }

    /// The same as [`Blobs::open`], and nobody is told of a pull: for those who look at what there is.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the repository does not have it.
    pub async fn peek(&self, digest: &Digest) -> Result<Blob, Error> {
        let target = self.target(digest).await?;
        let storage = self.registry().storage();
        let object = self.registry().find_content(&target, |key| async move { Ok(storage.open(&key).await?) }).await?;
        let object = object.ok_or(Error::BlobUnknown { digest: *digest })?;
        let info = BlobInfo { digest: *digest, size: object.metadata().size };
        Ok(Blob { info, object })
    }

    /// Takes a blob out of the repository. Its bytes stay for other repositories, and until they are collected.
    ///
    /// # Errors
    /// [`Error::BlobUnknown`] if the repository does not have it; [`Error::TagProtected`] if a protected tag needs it.
    pub async fn delete(&self, digest: &Digest) -> Result<(), Error> {
        let _order = self.0.lock_tags().await;
        self.target(digest).await?;
        protection::check(self.0, Member::Layer, digest).await?;
        self.registry().forget_blob(self.0.name(), digest);
        self.registry().delete_member(self.0.name(), Member::Layer, digest).await?;
        self.0.record(EventAction::Delete, |event| event.digest = Some(*digest));
        Ok(())
    }

    /// Makes a blob of another repository one of this one too, without moving bytes; `None` if `from` does not
    /// have it. Whether the caller may read `from` is for the embedder to decide before.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn mount(&self, digest: &Digest, from: &RepositoryName) -> Result<Option<BlobInfo>, Error> {
        let registry = self.registry();
        let Some(target) = registry.member(from, Member::Layer, digest).await? else {
            return Ok(None);
        };
        if registry.stat_content(&target).await?.is_none() {
            return Ok(None);
        }
        registry.announce(self.0.name(), Member::Layer, digest, &target).await?;
        // Only what is still there now that the link announces it can be promised.
        let Some(metadata) = registry.hold_content(&target).await? else {
            return Ok(None);
        };
        if target == *digest {
            registry.saw_blob(self.0.name(), digest, metadata.size);
        }
        self.0.record(EventAction::Mount, |event| {
            event.digest = Some(*digest);
            event.size = Some(metadata.size);
            event.from_repository = Some(from.clone());
        });
        Ok(Some(BlobInfo { digest: *digest, size: metadata.size }))
    }

    /// The content behind a digest in this repository: usually the same digest, but other registries link the
    /// SHA-512 of a blob to its SHA-256.
    async fn target(&self, digest: &Digest) -> Result<Digest, Error> {
        let target = self.registry().member(self.0.name(), Member::Layer, digest).await?;
        target.ok_or(Error::BlobUnknown { digest: *digest })
    }

    fn pulled(self, digest: &Digest, size: u64) {
        self.0.record(EventAction::Pull, |event| {
            event.digest = Some(*digest);
            event.size = Some(size);
        });
    }

    fn registry(self) -> &'a Registry {
        self.0.registry()
    }
}

impl Registry {
    /// The repositories that have a blob, among those that `visible` tells of, found by going through at most
    /// [`Limits::mount_search`](crate::Limits::mount_search) repositories; the search goes on only as far as the
    /// stream is read. Whether others have the blob makes no difference to what is done: nothing else is looked at.
    ///
    /// # Errors
    /// If the storage fails, as the last item.
    pub fn holders<'a, V, F>(&'a self, digest: &Digest, visible: V) -> BoxStream<'a, Result<RepositoryName, Error>>
    where
        V: Fn(RepositoryName) -> F + Send + Sync + 'a,
        F: Future<Output = bool> + Send + 'a,
    {
        let digest = *digest;
        let names = self.walk(None).take(self.limits().mount_search);
        let seen = names.try_filter_map(move |name| {
            let is_visible = visible(name.clone());
            async move { Ok(is_visible.await.then_some(name)) }
        });
        let holders = seen.try_filter_map(move |name| async move {
            let target = self.member(&name, Member::Layer, &digest).await?;
            Ok(target.map(|_| name))
        });
        holders.boxed()
    }
}
