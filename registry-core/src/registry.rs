//! The registry value and its builder.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Mutex, MutexGuard, Semaphore};

use crate::known_manifests::KnownManifests;
use crate::known_repositories::KnownRepositories;
use crate::known_tags::KnownTags;
use crate::known_uploads::KnownUploads;
use crate::recent_blobs::RecentBlobs;
use crate::referrers::Indexed;
use crate::storage::{Deletion, Key, Pace, Paced, Storage, WriteOptions};
use crate::{
    Blobs, Blocking, Caller, Clock, Digest, Error, Event, EventAction, EventSink, Limits, Manifests, Random, Referrers,
    RepositoryName, SystemClock, SystemRandom, TagRules, Tags, TokioBlocking, Uploads, Validation, layout,
};

/// A registry over some storage. Clones are handles to the same registry.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use futures::StreamExt;
/// use registry_core::{Algorithm, Digest, Registry, storage::Memory};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::builder(Arc::new(Memory::new())).build();
/// let repository = registry.repository(&"library/app".parse()?);
///
/// let layer = Bytes::from_static(b"some bytes");
/// let digest = Digest::of(Algorithm::Sha256, &layer);
/// let content = futures::stream::once(async { Ok(layer) }).boxed();
/// repository.uploads().push(&digest, content).await?;
///
/// assert_eq!(repository.blobs().stat(&digest).await?.size, 10);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    storage: Arc<dyn Storage>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    blocking: Arc<dyn Blocking>,
    events: Vec<Arc<dyn EventSink>>,
    limits: Limits,
    validation: Validation,
    tag_rules: Arc<TagRules>,
    read_only: bool,
    tag_locks: Arc<TagLocks>,
    parsing: Semaphore,
    indexed: Indexed,
    known_manifests: Option<Arc<KnownManifests>>,
    known_repositories: Option<Arc<KnownRepositories>>,
    known_tags: Option<Arc<KnownTags>>,
    recent_blobs: Option<Arc<RecentBlobs>>,
    known_uploads: Arc<KnownUploads>,
    hits: Arc<AtomicU64>,
}

/// How many large manifests are looked into at once: one of 4 MiB may take some 50 MiB meanwhile.
const PARSED_AT_ONCE: usize = 2;

/// Puts a [`Registry`] together.
#[derive(Debug)]
#[must_use]
pub struct RegistryBuilder(Inner);

impl RegistryBuilder {
    /// Tells the time; the machine's clock by default.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.0.clock = clock;
        self
    }

    /// Names uploads; the operating system's randomness by default.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.0.random = random;
        self
    }

    /// Runs file access, and what computes for long; tokio's blocking pool by default.
    pub fn blocking(mut self, blocking: Arc<dyn Blocking>) -> Self {
        self.0.blocking = blocking;
        self
    }

    /// Is told what happens, beside those that are told already; nobody by default.
    pub fn events(mut self, events: Arc<dyn EventSink>) -> Self {
        self.0.events.push(events);
        self
    }

    /// Bounds what one request may ask for.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.0.limits = limits;
        self
    }

    /// Decides which manifests are taken.
    pub fn validation(mut self, validation: Validation) -> Self {
        self.0.validation = validation;
        self
    }

    /// Keeps tags from being moved or deleted; none by default.
    pub fn tag_rules(mut self, rules: TagRules) -> Self {
        self.0.tag_rules = Arc::new(rules);
        self
    }

    /// Keeps manifests that were read in memory, as far as about so many bytes go; none by default. Whether a repository has
    /// one is asked of the storage all the same.
    pub fn manifest_cache(mut self, bytes: usize) -> Self {
        self.0.known_manifests = KnownManifests::new(bytes).map(Arc::new);
        self
    }

    /// Remembers which repositories have a manifest, for the catalog, as far as about so many bytes go; nothing by default.
    ///
    /// What this registry and its clones change shows at once, what others change in the same storage after `patience`.
    /// Nothing but the catalog answers from it.
    pub fn catalog_cache(mut self, bytes: usize, patience: Duration) -> Self {
        self.0.known_repositories = KnownRepositories::new(bytes, patience).map(Arc::new);
        self
    }

    /// Answers pulls by tag, and lists of tags, from what was seen within `patience`, as far as about so many bytes go; nothing by
    /// default.
    ///
    /// What this registry and its clones change shows at once; a tag or a manifest that others change in the same storage may
    /// show as it was for `patience`. Nothing but pulls and lists answers from it: what a push depends on is asked for.
    pub fn tag_cache(mut self, bytes: usize, patience: Duration) -> Self {
        self.0.known_tags = KnownTags::new(bytes, patience).map(Arc::new);
        self
    }

    /// Takes the word of the last push, mount or look for `patience` that a repository has a blob, when a manifest that needs it
    /// is first checked; nothing by default. For a storage that is slow to ask, and one manifest after another.
    ///
    /// A push asks for all of it once more behind that, whatever was seen. Where another process took a blob away meanwhile,
    /// the push is refused all the same, but the manifest may be readable by its digest.
    pub fn recent_blobs(mut self, patience: Duration) -> Self {
        self.0.recent_blobs = (!patience.is_zero()).then(|| Arc::new(RecentBlobs::new(patience)));
        self
    }

    /// Reads write nothing, not even an index that can be made again; off by default. Operations that change something
    /// are for the embedder to refuse.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.0.read_only = read_only;
        self
    }

    /// The registry.
    #[must_use]
    pub fn build(self) -> Registry {
        Registry(Arc::new(self.0))
    }
}

impl Registry {
    /// Begins a registry over `storage`.
    pub fn builder(storage: Arc<dyn Storage>) -> RegistryBuilder {
        RegistryBuilder(Inner {
            storage,
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            blocking: Arc::new(TokioBlocking),
            events: Vec::new(),
            limits: Limits::default(),
            validation: Validation::default(),
            tag_rules: Arc::default(),
            read_only: false,
            tag_locks: Arc::default(),
            parsing: Semaphore::new(PARSED_AT_ONCE),
            indexed: Indexed::default(),
            known_manifests: None,
            known_repositories: None,
            known_tags: None,
            recent_blobs: None,
            known_uploads: Arc::default(),
            hits: Arc::default(),
        })
    }

    /// A handle to a repository. It need not exist: the first push makes it.
    #[must_use]
    pub fn repository(&self, name: &RepositoryName) -> Repository {
        Repository { registry: self.clone(), name: name.clone(), caller: Arc::default() }
    }

    /// The same registry for work that must not get in the way of other work, such as a collector's: the storage is asked
    /// no faster than `pace` allows.
    #[must_use]
    pub fn paced(&self, pace: Arc<dyn Pace>) -> Self {
        let storage: Arc<dyn Storage> = Arc::new(Paced::new(Arc::clone(self.storage()), pace));
        let Inner {
            clock,
            random,
            blocking,
            events,
            limits,
            validation,
            tag_rules,
            read_only,
            tag_locks,
            known_manifests,
            known_repositories,
            known_tags,
            recent_blobs,
            known_uploads,
            hits,
            ..
        } = &*self.0;
        Self(Arc::new(Inner {
            storage,
            clock: Arc::clone(clock),
            random: Arc::clone(random),
            blocking: Arc::clone(blocking),
            events: events.clone(),
            limits: *limits,
            validation: validation.clone(),
            tag_rules: Arc::clone(tag_rules),
            read_only: *read_only,
            tag_locks: Arc::clone(tag_locks),
            parsing: Semaphore::new(PARSED_AT_ONCE),
            indexed: Indexed::default(),
            known_manifests: known_manifests.clone(),
            known_repositories: known_repositories.clone(),
            known_tags: known_tags.clone(),
            recent_blobs: recent_blobs.clone(),
            known_uploads: Arc::clone(known_uploads),
            hits: Arc::clone(hits),
        }))
    }

    /// The bounds on what one request may ask for.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// Where the bytes lie.
    #[must_use]
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.0.storage
    }

    /// The seam for work that blocks.
    #[must_use]
    pub fn blocking(&self) -> &Arc<dyn Blocking> {
        &self.0.blocking
    }

    /// The seam for time.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.0.clock
    }

    /// The seam for randomness.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        &*self.0.random
    }

    pub(crate) fn validation(&self) -> &Validation {
        &self.0.validation
    }

    pub(crate) fn tag_rules(&self) -> &TagRules {
        &self.0.tag_rules
    }

    pub(crate) fn is_read_only(&self) -> bool {
        self.0.read_only
    }

    pub(crate) fn parsing(&self) -> &Semaphore {
        &self.0.parsing
    }

    pub(crate) fn indexed(&self) -> &Indexed {
        &self.0.indexed
    }

    pub(crate) fn known_manifests(&self) -> Option<&KnownManifests> {
        self.0.known_manifests.as_deref()
    }

    pub(crate) fn known_uploads(&self) -> &KnownUploads {
        &self.0.known_uploads
    }

    pub(crate) fn known_repositories(&self) -> Option<&KnownRepositories> {
        self.0.known_repositories.as_deref()
    }

    pub(crate) fn known_tags(&self) -> Option<&KnownTags> {
        self.0.known_tags.as_deref()
    }

    pub(crate) fn recent_blobs(&self) -> Option<&RecentBlobs> {
        self.0.recent_blobs.as_deref()
    }

    pub(crate) fn hits(&self) -> &AtomicU64 {
        &self.0.hits
    }

    /// What a link points to; one that is empty or torn counts as absent, and is told of.
    pub(crate) async fn link(&self, key: &Key) -> Result<Option<Digest>, Error> {
        let content = match self.storage().read(key, layout::LINK_LIMIT_BYTES).await {
            Ok(Some(content)) => content,
            Ok(None) => return Ok(None),
            Err(crate::storage::Error::TooLarge { .. }) => Bytes::new(),
            Err(error) => return Err(error.into()),
        };
        let target = layout::parse_link(&content);
        if target.is_none() {
            tracing::warn!(%key, "a link is empty or torn; it counts as absent");
        }
        Ok(target)
    }

    /// Whether what was just read is there and survives a power cut.
    pub(crate) async fn stays(&self, key: &Key) -> Result<bool, Error> {
        Ok(self.storage().capabilities().durable_reads || self.storage().confirm(key).await?.is_some())
    }

    /// Writes a link, durably, also when it stands there already: its time tells that somebody counts on it.
    pub(crate) async fn write_link(&self, key: &Key, target: &Digest) -> Result<(), Error> {
        Ok(self.storage().write(key, layout::link(target), WriteOptions::default()).await?)
    }

    pub(crate) async fn delete(&self, key: &Key) -> Result<(), Error> {
        match self.storage().delete(key).await? {
            Deletion::Acked => Ok(()),
            Deletion::Unknown => Err(Error::DeleteUnknown),
        }
    }
}

/// A handle to one repository, on somebody's behalf.
#[derive(Debug, Clone)]
pub struct Repository {
    registry: Registry,
    name: RepositoryName,
    caller: Arc<Caller>,
}

impl Repository {
    /// The same repository on behalf of `caller`, who is named in events and owns the uploads that are started.
    #[must_use]
    pub fn on_behalf_of(self, caller: Arc<Caller>) -> Self {
        Self { caller, ..self }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &RepositoryName {
        &self.name
    }

    /// The seam for work that blocks.
    #[must_use]
    pub fn blocking(&self) -> &Arc<dyn Blocking> {
        self.registry.blocking()
    }

    /// The blobs of the repository.
    #[must_use]
    pub fn blobs(&self) -> Blobs<'_> {
        Blobs::new(self)
    }

    /// The uploads of the repository.
    #[must_use]
    pub fn uploads(&self) -> Uploads<'_> {
        Uploads::new(self)
    }

    /// The manifests of the repository.
    #[must_use]
    pub fn manifests(&self) -> Manifests<'_> {
        Manifests::new(self)
    }

    /// The tags of the repository.
    #[must_use]
    pub fn tags(&self) -> Tags<'_> {
        Tags::new(self)
    }

    /// The referrers of the manifests in the repository.
    #[must_use]
    pub fn referrers(&self) -> Referrers<'_> {
        Referrers::new(self)
    }

    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Keeps changes of this repository's tags in one order within this process.
    pub(crate) async fn lock_tags(&self) -> MutexGuard<'_, ()> {
        self.registry.0.tag_locks.of(&self.name).lock().await
    }

    /// Tells the sinks of an event, if there are any; `fill` adds what is known.
    pub(crate) fn record(&self, action: EventAction, fill: impl FnOnce(&mut Event)) {
        let mut sinks = self.registry.0.events.iter().filter(|sink| sink.wants(action));
        let Some(first) = sinks.next() else { return };
        let now = self.registry.clock().now();
        let mut event = Event::new(action, now, self.name.clone(), Arc::clone(&self.caller));
        fill(&mut event);
        for sink in sinks {
            sink.record(event.clone());
        }
        first.record(event);
    }
}

/// One lock for many repositories each: bounded, and two that share one only wait for each other.
#[derive(Debug)]
struct TagLocks {
    locks: [Mutex<()>; 64],
}

impl Default for TagLocks {
    fn default() -> Self {
        Self { locks: std::array::from_fn(|_| Mutex::new(())) }
    }
}

impl TagLocks {
    fn of(&self, name: &RepositoryName) -> &Mutex<()> {
        // The same names share a lock in every process, so that what happens can be made to happen again. Whoever picks
        // names that share one only makes them wait for each other.
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        #[expect(clippy::cast_possible_truncation, reason = "the lower bits choose as well as any")]
        let index = hash as usize % self.locks.len();
        &self.locks[index]
    }
}
