//! From one storage to another.
//!
//! Everything that repositories have is copied, and checked on its way: blobs, manifests, tags. The registry that it comes from
//! may serve meanwhile; a second transfer copies what was pushed since the first one began to look, and costs little more than
//! looking. What was deleted since stays in the copy. Uploads under way, and what a collector has in quarantine, are nobody's
//! and are left; so are the times of things, which count as pushed when they are copied.
//!
//! A transfer can be ended at any time and begun anew: what is there is not copied again. At every moment a registry over the
//! copy serves what is complete, as nothing is linked before its bytes are there, and no tag is set before its manifest.
//!
//! ```
//! use std::sync::Arc;
//! use registry_core::transfer::Transfer;
//! use registry_core::{Registry, storage::Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry_core::Error> {
//! let from = Registry::builder(Arc::new(Memory::new())).build();
//! let to = Registry::builder(Arc::new(Memory::new())).build();
//! let report = Transfer::new(from, to).run().await?;
//! assert_eq!(report.left_total, 0);
//! # Ok(())
//! # }
//! ```

mod order;
mod report;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::future::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::document::{Content, Document};
use crate::layout::Member;
use crate::storage::WriteOptions;
use crate::verify::Pacer;
use crate::{Algorithm, BodyError, Digest, Error, Registry, RepositoryName, Span, Tag, content, layout};

use order::Manifest;
pub use report::{Left, LeftOut, Reason, TransferReport};

/// Copies all that a registry has into another.
#[derive(Debug)]
pub struct Transfer {
    from: Registry,
    to: Registry,
    dry_run: bool,
    pacer: Option<Arc<dyn Pacer>>,
    observer: Option<Arc<dyn TransferObserver>>,
}

/// Is told how far a transfer is.
pub trait TransferObserver: fmt::Debug + Send + Sync + 'static {
    /// Something was seen or done. It is called often, and must not block.
    fn saw(&self, seen: &Moved<'_>);
}

/// What an observer is told.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Moved<'a> {
    /// A repository is gone through, in which there is so much to look at.
    Repository(&'a RepositoryName, u64),
    /// So many bytes were copied.
    Bytes(u64),
    /// One of the things to look at is done.
    Done,
}

/// How many contents are on their way at once. Each takes some MiB of memory.
const CONTENTS: usize = 4;
/// How many links and tags are looked at side by side.
const LINKS: usize = 16;

/// A link of a repository, and the content that it points to.
type Linked = (Digest, Digest);

impl Transfer {
    /// Out of `from`, into `to`. Nobody else may write to `to`.
    #[must_use]
    pub fn new(from: Registry, to: Registry) -> Self {
        Self { from, to, dry_run: false, pacer: None, observer: None }
    }

    /// Only looks, and counts what would be copied.
    #[must_use]
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Bounds the rate at which content is copied.
    #[must_use]
    pub fn pacer(mut self, pacer: Arc<dyn Pacer>) -> Self {
        self.pacer = Some(pacer);
        self
    }

    /// Tells `observer` how far it is.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn TransferObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Copies all that is not there. Dropping the future leaves what was copied so far.
    ///
    /// # Errors
    /// If either storage fails. What is broken in the source is left out, and told of by the report.
    pub async fn run(&self) -> Result<TransferReport, Error> {
        let report = Mutex::new(TransferReport::default());
        let mut names = self.from.walk(None);
        while let Some(name) = names.try_next().await? {
            self.repository(&Of { transfer: self, name: &name, report: &report }).await?;
        }
        Ok(report.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    async fn repository(&self, of: &Of<'_>) -> Result<(), Error> {
        // Who pushes brings blobs first and tags last. Read in the opposite order, nothing that is named is missing.
        let tags = of.tags().await?;
        let manifests = of.links(Member::Revision).await?;
        let blobs = of.links(Member::Layer).await?;
        let all = tags.len() + manifests.len() + blobs.len();
        if all == 0 {
            return Ok(());
        }
        of.count(|report| report.repositories += 1);
        self.tell(&Moved::Repository(of.name, all as u64));
        if !self.dry_run {
            // Distribution's collector gives up on a repository that has manifests and no `_layers`.
            self.to.storage().create_directory(&layout::layers(of.name)).await?;
        }
        let blobs = stream::iter(blobs).map(|linked| of.blob(linked)).buffer_unordered(CONTENTS);
        blobs.map_ok(|became| of.note(became, Kind::Link)).try_collect::<()>().await?;
        let mut brought = Vec::new();
        let mut manifests = stream::iter(manifests).map(|linked| of.manifest(linked)).buffer_unordered(LINKS);
        while let Some(manifest) = manifests.try_next().await? {
            match manifest {
                Fetched::Ended(became) => of.note(became, Kind::Link),
                Fetched::Bytes(manifest) => brought.push(manifest),
            }
        }
        // Nothing is announced before what it names.
        for level in order::levels(brought) {
            let announced = stream::iter(level)
                .map(|manifest| async move { of.announce(Member::Revision, &manifest.digest, &manifest.target).await });
            announced.buffer_unordered(LINKS).map_ok(|became| of.note(became, Kind::Link)).try_collect::<()>().await?;
        }
        let tags = stream::iter(tags).map(|(tag, digest)| of.tag(tag, digest)).buffer_unordered(LINKS);
        tags.map_ok(|became| of.note(became, Kind::Tag)).try_collect().await
    }

    fn tell(&self, seen: &Moved<'_>) {
        if let Some(observer) = &self.observer {
            observer.saw(seen);
        }
    }
}

/// The transfer of one repository.
struct Of<'a> {
    transfer: &'a Transfer,
    name: &'a RepositoryName,
    report: &'a Mutex<TransferReport>,
}

impl Of<'_> {
    async fn tags(&self) -> Result<Vec<(Tag, Digest)>, Error> {
        let from = &self.transfer.from;
        let mut tags: Vec<Tag> = Vec::new();
        let mut entries = from.entries(layout::tags(self.name), None);
        while let Some(entry) = entries.try_next().await? {
            tags.extend(entry.name.parse());
        }
        let repository = from.repository(self.name);
        let pointed = stream::iter(tags).map(|tag| {
            let repository = &repository;
            // One of nothing is none.
            async move { Ok(repository.tags().resolve(&tag).await?.map(|digest| (tag, digest))) }.boxed()
        });
        pointed.buffered(LINKS).try_filter_map(|tag| async move { Ok(tag) }).try_collect().await
    }

    async fn links(&self, member: Member) -> Result<Vec<Linked>, Error> {
        let from = &self.transfer.from;
        let mut digests = Vec::new();
        for algorithm in Algorithm::ALL {
            let mut entries = from.entries(layout::members(self.name, member, algorithm), None);
            while let Some(entry) = entries.try_next().await? {
                digests.extend(Digest::from_parts(algorithm, &entry.name));
            }
        }
        let linked = stream::iter(digests).map(|digest| {
            let link = layout::member_link(self.name, member, &digest);
            async move { Ok(from.link(&link).await?.map(|target| (digest, target))) }.boxed()
        });
        linked.buffered(LINKS).try_filter_map(|linked| async move { Ok(linked) }).try_collect().await
    }

    async fn blob(&self, (digest, target): Linked) -> Result<Became, Error> {
        let to = &self.transfer.to;
        let is_there = to.stat_content(&target).await?.is_some();
        if is_there && to.member(self.name, Member::Layer, &digest).await? == Some(target) {
            return Ok(Became::Known);
        }
        if !is_there {
            match self.bring(&target).await? {
                Brought::Bytes(bytes) => self.count_copy(bytes),
                Brought::Not(reason) => return Ok(Became::Left(LeftOut::Blob(digest), reason)),
            }
            // The push has made it one of the repository by the digest of its bytes.
            if digest == target {
                return Ok(Became::Made);
            }
        }
        self.announce(Member::Layer, &digest, &target).await
    }

    /// Copies a blob, which is one of this repository then, by its digest.
    async fn bring(&self, target: &Digest) -> Result<Brought, Error> {
        let Transfer { from, to, dry_run, .. } = self.transfer;
        let object = from.find_content(target, |key| async move { Ok(from.storage().open(&key).await?) }).await?;
        let Some(object) = object else { return Ok(Brought::Not(Reason::Absent)) };
        let size = object.metadata().size;
        if *dry_run {
            return Ok(Brought::Bytes(size));
        }
        let frames = object.read(Span::whole(size)).await?.into_stream(Arc::clone(from.blocking()));
        let frames = frames.then(|frame| async move {
            let frame = frame.map_err(|error| BodyError::Aborted(error.into()))?;
            self.pace(&frame).await;
            Ok(frame)
        });
        match to.repository(self.name).uploads().push(target, frames.boxed()).await {
            Ok(_) => Ok(Brought::Bytes(size)),
            Err(Error::DigestMismatch { .. }) => Ok(Brought::Not(Reason::Corrupt)),
            Err(error) => Err(error),
        }
    }

    /// Copies the bytes of a manifest, and tells what it names.
    async fn manifest(&self, (digest, target): Linked) -> Result<Fetched, Error> {
        let Transfer { from, to, dry_run, .. } = self.transfer;
        let is_there = to.stat_content(&target).await?.is_some();
        if is_there && to.member(self.name, Member::Revision, &digest).await? == Some(target) {
            return Ok(Fetched::Ended(Became::Known));
        }
        let repository = from.repository(self.name);
        let Some(bytes) = repository.manifests().stored(&target).await? else {
            return Ok(Fetched::Ended(Became::Left(LeftOut::Manifest(digest), Reason::Absent)));
        };
        if content::digest(target.algorithm(), &bytes).await != target {
            return Ok(Fetched::Ended(Became::Left(LeftOut::Manifest(digest), Reason::Corrupt)));
        }
        let document = repository.manifests().parse(bytes.clone(), Document::parse_stored).await?;
        let children = document.map_or_else(|_| Vec::new(), |document| children(&document));
        if !is_there {
            self.pace(&bytes).await;
            self.count_copy(bytes.len() as u64);
            if !dry_run {
                to.storage().write(&layout::blob(&target), bytes, WriteOptions::default()).await?;
            }
        }
        Ok(Fetched::Bytes(Manifest { digest, target, children }))
    }

    async fn tag(&self, tag: Tag, digest: Digest) -> Result<Became, Error> {
        let Transfer { to, dry_run, .. } = self.transfer;
        let repository = to.repository(self.name);
        if repository.tags().resolve(&tag).await? == Some(digest) {
            return Ok(Became::Known);
        }
        if !dry_run {
            if to.member(self.name, Member::Revision, &digest).await?.is_none() {
                return Ok(Became::Left(LeftOut::Tag(tag), Reason::NoManifest));
            }
            let _order = repository.lock_tags().await;
            repository.tags().set(std::slice::from_ref(&tag), &digest).await?;
        }
        Ok(Became::Made)
    }

    /// Makes what is there one of the repository.
    async fn announce(&self, member: Member, digest: &Digest, target: &Digest) -> Result<Became, Error> {
        if !self.transfer.dry_run {
            self.transfer.to.announce(self.name, member, digest, target).await?;
            self.transfer.to.hold_content(target).await?.ok_or(Error::Contended)?;
        }
        Ok(Became::Made)
    }

    async fn pace(&self, bytes: &Bytes) {
        let count = bytes.len() as u64;
        if let Some(pacer) = &self.transfer.pacer {
            pacer.pace(count).await;
        }
        self.transfer.tell(&Moved::Bytes(count));
    }

    fn note(&self, became: Became, kind: Kind) {
        self.count(|report| match (became, kind) {
            (Became::Known, Kind::Link) => report.known_links += 1,
            (Became::Known, Kind::Tag) => report.known_tags += 1,
            (Became::Made, Kind::Link) => report.links += 1,
            (Became::Made, Kind::Tag) => report.tags += 1,
            (Became::Left(what, reason), _) => {
                report.leave(Left { repository: self.name.clone(), what, reason });
            }
        });
        self.transfer.tell(&Moved::Done);
    }

    fn count_copy(&self, bytes: u64) {
        self.count(|report| {
            report.copied += 1;
            report.copied_bytes += bytes;
        });
    }

    /// Nothing panics while it counts, so what is behind a poisoned lock is whole.
    fn count(&self, count: impl FnOnce(&mut TransferReport)) {
        count(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What became of the bytes of a manifest.
enum Fetched {
    Bytes(Manifest),
    Ended(Became),
}

/// The manifests that an index names.
fn children(document: &Document) -> Vec<Digest> {
    match &document.content {
        Content::Index { manifests } => manifests.iter().map(|child| child.digest).collect(),
        Content::Image { .. } => Vec::new(),
    }
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Link,
    Tag,
}

/// What became of a link or a tag.
enum Became {
    /// It was there.
    Known,
    Made,
    Left(LeftOut, Reason),
}

/// What became of bytes that are to be copied.
enum Brought {
    Bytes(u64),
    Not(Reason),
}
