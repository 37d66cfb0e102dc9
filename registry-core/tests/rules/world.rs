//! A registry to test, with a clock and identities that the test decides.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use registry_core::storage::{Faulty, Key, Memory, Storage, WriteOptions};
use registry_core::{
    Algorithm, BodyError, Caller, Clock, ContentStream, Digest, Error, Event, EventSink, MediaType, Pushed, Random,
    Reference, Registry, RegistryBuilder, Repository,
};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct ManualClock(AtomicU64);

impl ManualClock {
    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn bytes(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        bytes[2..].copy_from_slice(&self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        bytes
    }
}

#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Vec<Event>>);

impl EventSink for Journal {
    fn record(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

impl Journal {
    pub(crate) fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub(crate) struct World {
    pub(crate) storage: Arc<Faulty>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) registry: Registry,
    random: Arc<Counting>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(adjust: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        Self::over(|storage| storage, adjust)
    }

    /// A registry over what is like an object store.
    pub(crate) fn far(adjust: impl FnOnce(RegistryBuilder) -> RegistryBuilder) -> Self {
        Self::over(Memory::far, adjust)
    }

    pub(crate) fn over(
        kind: impl FnOnce(Memory) -> Memory,
        adjust: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
    ) -> Self {
        let (clock, journal, random) = (Arc::<ManualClock>::default(), Arc::<Journal>::default(), Arc::default());
        let storage = kind(Memory::with_clock(Arc::clone(&clock) as Arc<dyn Clock>));
        let storage = Arc::new(Faulty::new(Arc::new(storage)));
        let registry = build(&storage, &clock, &journal, &random, adjust);
        Self { storage, clock, journal, registry, random }
    }

    /// Another process over the same storage.
    pub(crate) fn restart(&mut self) {
        self.registry = build(&self.storage, &self.clock, &self.journal, &self.random, |builder| builder);
    }

    /// Another process, which may change nothing.
    pub(crate) fn restart_read_only(&mut self) {
        let read_only = |builder: RegistryBuilder| builder.read_only(true);
        self.registry = build(&self.storage, &self.clock, &self.journal, &self.random, read_only);
    }

    pub(crate) fn at(&self, name: &str) -> Repository {
        self.registry.repository(&name.parse().unwrap())
    }

    /// The same repository on behalf of somebody.
    pub(crate) fn at_as(&self, name: &str, principal: &str) -> Repository {
        let caller = Caller { principal: Some(principal.into()), request: None };
        self.at(name).on_behalf_of(Arc::new(caller))
    }

    /// Writes behind the registry's back, as another registry would have.
    pub(crate) async fn write(&self, key: &Key, content: impl Into<Bytes>) {
        self.storage.write(key, content.into(), WriteOptions::default()).await.unwrap();
    }

    /// Every key below `prefix` that holds an object.
    pub(crate) async fn keys(&self, prefix: &Key) -> Vec<String> {
        use registry_core::storage::EntryKind;
        let mut keys = Vec::new();
        let mut prefixes = vec![prefix.clone()];
        while let Some(prefix) = prefixes.pop() {
            for entry in self.storage.list(&prefix, None, 10_000).await.unwrap().entries {
                let key = prefix.child(&entry.name).unwrap();
                match entry.kind {
                    EntryKind::Object => keys.push(key.to_string()),
                    EntryKind::Prefix => prefixes.push(key),
                }
            }
        }
        keys.sort();
        keys
    }
}

fn build(
    storage: &Arc<Faulty>,
    clock: &Arc<ManualClock>,
    journal: &Arc<Journal>,
    random: &Arc<Counting>,
    adjust: impl FnOnce(RegistryBuilder) -> RegistryBuilder,
) -> Registry {
    let builder = Registry::builder(Arc::clone(storage) as Arc<dyn Storage>)
        .clock(Arc::clone(clock) as Arc<dyn Clock>)
        .events(Arc::clone(journal) as Arc<dyn EventSink>)
        .random(Arc::clone(random) as Arc<dyn Random>);
    adjust(builder).build()
}

pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// Content in one frame.
pub(crate) fn content(bytes: impl Into<Bytes>) -> ContentStream<'static> {
    let bytes = bytes.into();
    stream::once(async { Ok(bytes) }).boxed()
}

pub(crate) fn nothing() -> ContentStream<'static> {
    stream::empty().boxed()
}

/// Content that breaks off.
pub(crate) fn broken(bytes: impl Into<Bytes>) -> ContentStream<'static> {
    content(bytes).chain(stream::once(async { Err(BodyError::Aborted("reset by peer".into())) })).boxed()
}

pub(crate) async fn push_blob(repository: &Repository, bytes: &'static [u8]) -> Digest {
    let digest = sha256(bytes);
    repository.uploads().push(&digest, content(bytes)).await.unwrap();
    digest
}

pub(crate) fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({ "mediaType": media_type, "digest": sha256(bytes), "size": bytes.len() })
}

pub(crate) fn layer(bytes: &[u8]) -> Value {
    descriptor("application/vnd.oci.image.layer.v1.tar", bytes)
}

pub(crate) const CONFIG: &[u8] = b"{}";

/// An image of the empty configuration and these layers.
pub(crate) fn image(layers: &[&[u8]]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|bytes| layer(bytes)).collect();
    let config = descriptor("application/vnd.oci.image.config.v1+json", CONFIG);
    json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_MANIFEST, "config": config, "layers": layers })
}

pub(crate) fn index(children: &[&Value]) -> Value {
    let children: Vec<Value> = children
        .iter()
        .map(|child| descriptor(child["mediaType"].as_str().unwrap(), child.to_string().as_bytes()))
        .collect();
    json!({ "schemaVersion": 2, "mediaType": MediaType::OCI_INDEX, "manifests": children })
}

pub(crate) fn with_subject(mut manifest: Value, subject: &Value) -> Value {
    manifest["subject"] = descriptor(subject["mediaType"].as_str().unwrap(), subject.to_string().as_bytes());
    manifest
}

pub(crate) fn digest_of(manifest: &Value) -> Digest {
    sha256(manifest.to_string().as_bytes())
}

pub(crate) async fn put(repository: &Repository, reference: &str, manifest: &Value) -> Result<Pushed, Error> {
    let reference: Reference = reference.parse().unwrap();
    let media_type: Option<MediaType> = manifest["mediaType"].as_str().map(|text| text.parse().unwrap());
    repository.manifests().put(&reference, media_type.as_ref(), manifest.to_string().into(), &[]).await
}

/// Pushes the image of the empty configuration and no layer, and tags it.
pub(crate) async fn push_image(repository: &Repository, tag: &str) -> Digest {
    push_blob(repository, CONFIG).await;
    put(repository, tag, &image(&[])).await.unwrap().digest
}
