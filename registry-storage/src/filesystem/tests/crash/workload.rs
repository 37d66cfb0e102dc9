//! The steps of a client, on a registry that runs for real.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::block_on;
use registry_core::storage::Storage;
use registry_core::{
    Algorithm, Clock, ContentStream, Digest, Error, InlineBlocking, Random, Reference, Registry, Repository,
    RepositoryName, Tag,
};

use super::super::super::sys::{Interpose, Sys};
use super::super::super::{Filesystem, ServingLock, SyncMode};
use super::collect;
use super::world::{Effect, Fact, World};

/// What a client asks for; also what else happens to the volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// A blob in one request.
    Push(RepositoryName, Bytes),
    /// A blob in several.
    PushChunks(RepositoryName, Vec<Bytes>),
    /// A manifest, by its tags or by its digest.
    Put(RepositoryName, Bytes, Vec<Tag>),
    Mount {
        to: RepositoryName,
        from: RepositoryName,
        digest: Digest,
    },
    DeleteBlob(RepositoryName, Digest),
    DeleteManifest(RepositoryName, Digest),
    DeleteTag(RepositoryName, Tag),
    /// A run of the collector, and what a client asks for at the same time, in an order that the seed decides.
    Collect {
        untagged_go: bool,
        /// What nothing needs: it may be gone then, or not yet.
        garbage: Vec<Fact>,
        beside: Vec<Step>,
        seed: u64,
    },
    /// The process ends, and the next one opens the storage and serves it.
    Reopen,
}

impl Step {
    /// What it makes of the facts, when it is acknowledged.
    pub(super) fn effects(&self, world: &World) -> Vec<Effect> {
        match self {
            Self::Push(repository, content) => vec![blob(repository, digest(content))],
            Self::PushChunks(repository, chunks) => vec![blob(repository, digest(&chunks.concat()))],
            Self::Put(repository, content, tags) => {
                let digest = digest(content);
                let tags = tags.iter().map(|tag| (Fact::Tag(repository.clone(), tag.clone()), Some(digest)));
                tags.chain([(Fact::Manifest(repository.clone(), digest), Some(digest))]).collect()
            }
            Self::Mount { to, digest, .. } => vec![blob(to, *digest)],
            Self::DeleteBlob(repository, digest) => vec![(Fact::Blob(repository.clone(), *digest), None)],
            Self::DeleteManifest(repository, digest) => {
                let tags = world.tags_of(repository, digest).into_iter();
                let facts = tags.chain([Fact::Manifest(repository.clone(), *digest)]);
                facts.map(|fact| (fact, None)).collect()
            }
            Self::DeleteTag(repository, tag) => vec![(Fact::Tag(repository.clone(), tag.clone()), None)],
            Self::Collect { beside, .. } => {
                let mut world = world.clone();
                let mut effects = Vec::new();
                for step in beside {
                    let more = step.effects(&world);
                    world.acknowledge(&more);
                    effects.extend(more);
                }
                effects
            }
            Self::Reopen => Vec::new(),
        }
    }

    /// What may be gone because of it, or not.
    pub(super) fn losses(&self) -> Vec<Effect> {
        match self {
            Self::Collect { garbage, .. } => garbage.iter().map(|fact| (fact.clone(), None)).collect(),
            _ => Vec::new(),
        }
    }

    /// What goes on at the same time.
    pub(super) fn beside(&self) -> &[Self] {
        if let Self::Collect { beside, .. } = self { beside } else { &[] }
    }

    /// Whether it adds something, so that a client may do it again.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Push(..) | Self::PushChunks(..) | Self::Put(..) | Self::Mount { .. })
    }
}

fn blob(repository: &RepositoryName, digest: Digest) -> Effect {
    (Fact::Blob(repository.clone(), digest), Some(digest))
}

pub(super) fn digest(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// So little that a few steps fill it.
const SEGMENT_BYTES: usize = 8 * 1024;

/// A registry that serves a directory.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) registry: Registry,
    _lock: ServingLock,
}

impl Process {
    /// # Errors
    /// If the directory cannot be opened and claimed.
    pub(super) fn start(
        root: &Path,
        by: Option<Arc<dyn Interpose>>,
        generation: u8,
        mode: SyncMode,
    ) -> Result<Self, String> {
        let sys = by.map_or_else(Sys::default, Sys::interposed);
        let builder = Filesystem::builder(root).blocking(Arc::new(InlineBlocking)).sys(sys);
        // A power cut lies between a process and the next one of another hundred.
        let builder = builder.durability(mode).journal(1 + generation / 100, SEGMENT_BYTES);
        let storage = builder.open().map_err(|error| format!("{error:?}"))?;
        let lock = storage.lock_for_serving().map_err(|error| format!("{error:?}"))?;
        let registry = Registry::builder(Arc::new(storage) as Arc<dyn Storage>)
            .blocking(Arc::new(InlineBlocking))
            .clock(Arc::new(Noon))
            .random(Arc::new(Counting { generation, next: AtomicU8::new(0) }))
            .build();
        Ok(Self { registry, _lock: lock })
    }

    pub(super) fn repository(&self, name: &RepositoryName) -> Repository {
        self.registry.repository(name)
    }

    /// # Errors
    /// If the registry does not acknowledge the step.
    pub(super) fn run(&self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Collect { untagged_go, beside, seed, .. } => {
                collect::collect_beside(self, *untagged_go, beside, *seed)
            }
            step => block_on(self.run_on(&self.registry, step)),
        }
    }

    /// Does what a client asks for on this registry of the process, or one made of it.
    ///
    /// # Errors
    /// If the registry does not acknowledge the step.
    pub(super) async fn run_on(&self, registry: &Registry, step: &Step) -> Result<(), Error> {
        match step {
            Step::Push(name, content) => {
                registry.repository(name).uploads().push(&digest(content), frames(content)).await?;
            }
            Step::PushChunks(name, chunks) => push_chunks(registry, name, chunks).await?,
            Step::Put(name, content, tags) => {
                let by = tags.first().cloned().map_or(Reference::Digest(digest(content)), Reference::Tag);
                registry.repository(name).manifests().put(&by, None, content.clone(), tags).await?;
            }
            Step::Mount { to, from, digest } => {
                let mounted = registry.repository(to).blobs().mount(digest, from).await?;
                mounted.ok_or(Error::BlobUnknown { digest: *digest })?;
            }
            Step::DeleteBlob(name, digest) => registry.repository(name).blobs().delete(digest).await?,
            Step::DeleteManifest(name, digest) => {
                registry.repository(name).manifests().delete(&Reference::Digest(*digest)).await?;
            }
            Step::DeleteTag(name, tag) => registry.repository(name).tags().delete(tag).await?,
            Step::Collect { .. } | Step::Reopen => {}
        }
        Ok(())
    }
}

/// A request that fails is made once more, from where the upload stands then.
async fn push_chunks(registry: &Registry, name: &RepositoryName, chunks: &[Bytes]) -> Result<(), Error> {
    let repository = registry.repository(name);
    let uploads = repository.uploads();
    let id = uploads.start(Algorithm::Sha256).await?.id;
    let (content, mut end) = (Bytes::from(chunks.concat()), 0);
    for chunk in chunks {
        end += chunk.len();
        let first = uploads.append(&id, None, frames(chunk)).await;
        if first.is_err() {
            let stands = usize::try_from(uploads.status(&id).await?.size).unwrap();
            uploads.append(&id, Some(stands as u64), frames(&content.slice(stands..end))).await?;
        }
    }
    let digest = digest(&content);
    let finish = || uploads.finish(&id, &digest, Some(end as u64), frames(&Bytes::new()));
    if finish().await.is_err() {
        finish().await?;
    }
    Ok(())
}

pub(super) fn frames(content: &Bytes) -> ContentStream<'static> {
    let content = content.clone();
    futures::stream::once(async move { Ok(content) }).boxed()
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
    }
}

/// Names uploads by numbers.
#[derive(Debug)]
struct Counting {
    generation: u8,
    next: AtomicU8,
}

impl Random for Counting {
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [self.generation; 10];
        bytes[9] = self.next.fetch_add(1, Ordering::Relaxed);
        bytes
    }
}
