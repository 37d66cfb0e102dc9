//! A registry as simple as can be, and random programs that a real one must answer like it.
//!
//! Any storage can be put to this test: draw a program from [`programs`] and hand it to [`check`].

use std::collections::{BTreeMap, BTreeSet};
use std::mem::{Discriminant, discriminant};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use crate::gc::{Collector, GcOptions};
use crate::storage::Storage;
use crate::{
    Algorithm, Digest, Error, MediaType, Pushed, Reference, Registry, Repository, RepositoryName, Tag, UploadId,
};

/// One step of a program. All names and contents come from a small world, so that steps meet.
#[derive(Debug, Clone)]
pub enum Step {
    /// Push a blob in one go.
    PushBlob(RepositoryName, Blob),
    /// Push the bytes of one blob under the digest of another.
    PushWrongBlob(RepositoryName, Blob, Blob),
    /// Mount a blob from the second repository into the first.
    Mount(RepositoryName, RepositoryName, Blob),
    /// Delete a blob.
    DeleteBlob(RepositoryName, Blob),
    /// Start an upload.
    Start(RepositoryName),
    /// Add a blob's bytes to the n-th upload, at the right offset or at a wrong one.
    Append(usize, Blob, bool),
    /// Finish the n-th upload, by the digest of what it has or by that of a blob.
    Finish(usize, Option<Blob>),
    /// Cancel the n-th upload.
    Cancel(usize),
    /// Push a manifest by digest, with tags.
    PutManifest(RepositoryName, Document, Algorithm, Vec<Tag>),
    /// Push a manifest by tag.
    PutTag(RepositoryName, Document, Tag),
    /// Delete a manifest.
    DeleteManifest(RepositoryName, Document, Algorithm),
    /// Delete a tag.
    DeleteTag(RepositoryName, Tag),
    /// Have a collector take away all that it can. As long as nothing is purged, nobody sees a difference.
    Collect,
}

/// One of a few blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    number: u8,
    algorithm: Algorithm,
}

impl Blob {
    fn content(self) -> Bytes {
        vec![b'a' + self.number; usize::from(self.number) * 2_000].into()
    }

    fn digest(self) -> Digest {
        Digest::of(self.algorithm, &self.content())
    }

    fn descriptor(self) -> serde_json::Value {
        json!({ "mediaType": "application/x", "digest": self.digest(), "size": self.content().len() })
    }
}

/// One of a few manifests.
#[derive(Debug, Clone)]
pub enum Document {
    /// An image with these layers, and perhaps the same image without them as its subject.
    Image(Vec<Blob>, bool),
    /// An index of manifests.
    Index(Vec<Document>),
}

impl Document {
    fn content(&self) -> Bytes {
        let config = Blob { number: 0, algorithm: Algorithm::Sha256 };
        let document = match self {
            Self::Image(layers, subject) => {
                let layers: Vec<_> = layers.iter().map(|layer| layer.descriptor()).collect();
                let mut document = json!({ "schemaVersion": 2, "config": config.descriptor(), "layers": layers });
                if *subject {
                    document["subject"] = Self::bare().descriptor();
                }
                document
            }
            Self::Index(children) => {
                let children: Vec<_> = children.iter().map(Self::descriptor).collect();
                json!({ "schemaVersion": 2, "manifests": children })
            }
        };
        document.to_string().into()
    }

    fn bare() -> Self {
        Self::Image(Vec::new(), false)
    }

    fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.content())
    }

    fn media_type(&self) -> &'static str {
        match self {
            Self::Image(..) => MediaType::OCI_MANIFEST,
            Self::Index(_) => MediaType::OCI_INDEX,
        }
    }

    fn descriptor(&self) -> serde_json::Value {
        let (digest, size) = (self.digest(Algorithm::Sha256), self.content().len());
        json!({ "mediaType": self.media_type(), "digest": digest, "size": size })
    }

    fn subject(&self) -> Option<Digest> {
        matches!(self, Self::Image(_, true)).then(|| Self::bare().digest(Algorithm::Sha256))
    }
}

/// Programs of up to `steps` steps.
pub fn programs(steps: usize) -> impl Strategy<Value = Vec<Step>> {
    proptest::collection::vec(step(), 1..steps)
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (name(), blob()).prop_map(|(name, blob)| Step::PushBlob(name, blob)),
        1 => (name(), blob(), blob()).prop_map(|(name, blob, other)| Step::PushWrongBlob(name, blob, other)),
        2 => (name(), name(), blob()).prop_map(|(name, from, blob)| Step::Mount(name, from, blob)),
        2 => (name(), blob()).prop_map(|(name, blob)| Step::DeleteBlob(name, blob)),
        1 => name().prop_map(Step::Start),
        3 => (0..3_usize, blob(), any::<bool>()).prop_map(|(upload, blob, right)| Step::Append(upload, blob, right)),
        2 => (0..3_usize, proptest::option::of(blob())).prop_map(|(upload, blob)| Step::Finish(upload, blob)),
        1 => (0..3_usize).prop_map(Step::Cancel),
        4 => (name(), document(), algorithm(), subsequence(tags(), 0..3))
            .prop_map(|(name, document, algorithm, tags)| Step::PutManifest(name, document, algorithm, tags)),
        4 => (name(), document(), select(tags())).prop_map(|(name, document, tag)| Step::PutTag(name, document, tag)),
        2 => (name(), document(), algorithm())
            .prop_map(|(name, document, algorithm)| Step::DeleteManifest(name, document, algorithm)),
        2 => (name(), select(tags())).prop_map(|(name, tag)| Step::DeleteTag(name, tag)),
        3 => Just(Step::Collect),
    ]
}

fn names() -> Vec<RepositoryName> {
    ["a", "a/b", "a-b"].iter().filter_map(|name| name.parse().ok()).collect()
}

fn tags() -> Vec<Tag> {
    ["1", "latest", "V_2.x-y"].iter().filter_map(|tag| tag.parse().ok()).collect()
}

fn name() -> impl Strategy<Value = RepositoryName> {
    select(names())
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop_oneof![4 => Just(Algorithm::Sha256), 1 => Just(Algorithm::Sha512)]
}

fn blob() -> impl Strategy<Value = Blob> {
    (0..3_u8, algorithm()).prop_map(|(number, algorithm)| Blob { number, algorithm })
}

fn document() -> impl Strategy<Value = Document> {
    let image = || {
        let layers = proptest::collection::vec(blob(), 0..2);
        (layers, any::<bool>()).prop_map(|(layers, subject)| Document::Image(layers, subject))
    };
    let index = move || proptest::collection::vec(image(), 0..3).prop_map(Document::Index);
    let nested = index().prop_map(|index| Document::Index(vec![index]));
    prop_oneof![4 => image(), 2 => index(), 1 => nested]
}

/// Runs a program on a registry over an empty `storage`, and compares every answer with that of the model, and after
/// every step all that can be seen.
///
/// # Errors
/// Which step was answered otherwise, and how.
pub async fn check(storage: Arc<dyn Storage>, program: &[Step]) -> Result<(), String> {
    let registry = Registry::builder(storage).build();
    let mut model = Model::default();
    let mut uploads = Vec::new();
    for (number, step) in program.iter().enumerate() {
        let expected = model.run(step);
        let found = run(&registry, &mut uploads, step).await;
        if expected != found {
            return Err(format!("step {number}, {step:?}: expected {expected:?}, found {found:?}"));
        }
        let differences = model.compare(&registry).await.map_err(|error| format!("step {number}: {error}"))?;
        if let Some(difference) = differences {
            return Err(format!("after step {number}, {step:?}: {difference}"));
        }
    }
    Ok(())
}

/// What a step says: how it ended, and what it named.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Done,
    Pushed(Digest),
    Status(u64),
    NotMounted,
    NoSuchUpload,
    Missing(Vec<Digest>),
    Refused(Discriminant<Error>),
}

impl Answer {
    fn of(error: Error) -> Self {
        match error {
            Error::ReferencesUnknown { digests } => Self::Missing(digests),
            error => Self::Refused(discriminant(&error)),
        }
    }
}

async fn run(registry: &Registry, uploads: &mut Vec<(RepositoryName, UploadId)>, step: &Step) -> Answer {
    let at = |name: &RepositoryName| registry.repository(name);
    let content = |bytes: Bytes| stream::iter(frames(&bytes)).boxed();
    let outcome = match step {
        Step::PushBlob(name, blob) => at(name)
            .uploads()
            .push(&blob.digest(), content(blob.content()))
            .await
            .map(|info| Answer::Pushed(info.digest)),
        Step::PushWrongBlob(name, blob, other) => at(name)
            .uploads()
            .push(&other.digest(), content(blob.content()))
            .await
            .map(|info| Answer::Pushed(info.digest)),
        Step::Mount(name, from, blob) => {
            let mounted = at(name).blobs().mount(&blob.digest(), from).await;
            mounted.map(|info| info.map_or(Answer::NotMounted, |info| Answer::Status(info.size)))
        }
        Step::DeleteBlob(name, blob) => at(name).blobs().delete(&blob.digest()).await.map(|()| Answer::Done),
        Step::Start(name) => at(name).uploads().start(Algorithm::Sha256).await.map(|upload| {
            uploads.push((name.clone(), upload.id));
            Answer::Status(upload.size)
        }),
        Step::Append(upload, ..) | Step::Finish(upload, _) | Step::Cancel(upload) => match uploads.get(*upload) {
            Some((name, id)) => run_upload(&at(name), id, step).await,
            None => Ok(Answer::NoSuchUpload),
        },
        Step::PutManifest(name, document, algorithm, tags) => {
            put(&at(name), &document.digest(*algorithm).into(), document, tags).await
        }
        Step::PutTag(name, document, tag) => put(&at(name), &tag.clone().into(), document, &[]).await,
        Step::DeleteManifest(name, document, algorithm) => {
            at(name).manifests().delete(&document.digest(*algorithm).into()).await.map(|()| Answer::Done)
        }
        Step::DeleteTag(name, tag) => {
            at(name).manifests().delete(&Reference::Tag(tag.clone())).await.map(|()| Answer::Done)
        }
        Step::Collect => collect(registry).await.map(|()| Answer::Done),
    };
    outcome.unwrap_or_else(Answer::of)
}

/// Takes away the links of blobs that no manifest needs, and content without links, however young; manifests stay.
async fn collect(registry: &Registry) -> Result<(), Error> {
    let options = GcOptions {
        lease: Duration::ZERO,
        max_condemned: None,
        alone: true,
        delete_untagged: true,
        untagged_grace: Duration::from_hours(1000),
        ..GcOptions::default()
    };
    Collector::new(registry.clone(), options).run().await.map(drop)
}

async fn run_upload(repository: &Repository, id: &UploadId, step: &Step) -> Result<Answer, Error> {
    let uploads = repository.uploads();
    let size = uploads.status(id).await?.size;
    match step {
        Step::Append(_, blob, right) => {
            let offset = if *right { size } else { size + 1 };
            let content = stream::iter(frames(&blob.content())).boxed();
            uploads.append(id, Some(offset), content).await.map(|upload| Answer::Status(upload.size))
        }
        Step::Finish(_, blob) => {
            // The model says which digest the bytes have; any other is that of a blob.
            let digest = blob.map_or_else(|| Digest::of(Algorithm::Sha256, b""), Blob::digest);
            let finished = uploads.finish(id, &digest, None, stream::empty().boxed()).await;
            finished.map(|info| Answer::Pushed(info.digest))
        }
        _ => uploads.cancel(id).await.map(|()| Answer::Done),
    }
}

/// Content comes in frames that cut it anywhere.
fn frames(bytes: &Bytes) -> Vec<Result<Bytes, crate::BodyError>> {
    bytes.chunks(700).map(|frame| Ok(Bytes::copy_from_slice(frame))).collect()
}

async fn put(
    repository: &Repository,
    reference: &Reference,
    document: &Document,
    tags: &[Tag],
) -> Result<Answer, Error> {
    let media_type: Option<MediaType> = document.media_type().parse().ok();
    let pushed: Pushed = repository.manifests().put(reference, media_type.as_ref(), document.content(), tags).await?;
    debug_assert_eq!(pushed.subject, document.subject());
    Ok(Answer::Pushed(pushed.digest))
}

/// The registry as simple as can be.
#[derive(Debug, Default)]
struct Model {
    repositories: BTreeMap<RepositoryName, Contents>,
    uploads: Vec<(RepositoryName, Option<Vec<u8>>)>,
}

#[derive(Debug, Default)]
struct Contents {
    blobs: BTreeSet<Digest>,
    manifests: BTreeMap<Digest, Document>,
    tags: BTreeMap<Tag, Digest>,
}

impl Contents {
    /// What of a document's needs is not here.
    fn missing(&self, document: &Document) -> BTreeSet<Digest> {
        match document {
            Document::Image(layers, _) => {
                let config = Blob { number: 0, algorithm: Algorithm::Sha256 };
                let needs = layers.iter().copied().chain([config]).map(Blob::digest);
                needs.filter(|digest| !self.blobs.contains(digest)).collect()
            }
            Document::Index(children) => children
                .iter()
                .flat_map(|child| {
                    let digest = child.digest(Algorithm::Sha256);
                    if self.manifests.contains_key(&digest) { self.missing(child) } else { [digest].into() }
                })
                .collect(),
        }
    }

    fn put(&mut self, document: &Document, algorithm: Algorithm, tags: &[Tag]) -> Answer {
        let missing = self.missing(document);
        if !missing.is_empty() {
            return Answer::Missing(missing.into_iter().collect());
        }
        let digest = document.digest(algorithm);
        self.manifests.insert(digest, document.clone());
        self.tags.extend(tags.iter().map(|tag| (tag.clone(), digest)));
        Answer::Pushed(digest)
    }
}

impl Model {
    fn at(&mut self, name: &RepositoryName) -> &mut Contents {
        self.repositories.entry(name.clone()).or_default()
    }

    fn run(&mut self, step: &Step) -> Answer {
        match step {
            Step::PushBlob(name, blob) => self.push(name, &blob.content(), &blob.digest()),
            Step::PushWrongBlob(name, blob, other) => self.push(name, &blob.content(), &other.digest()),
            Step::Mount(name, from, blob) => {
                if !self.at(from).blobs.contains(&blob.digest()) {
                    return Answer::NotMounted;
                }
                self.at(name).blobs.insert(blob.digest());
                Answer::Status(blob.content().len() as u64)
            }
            Step::DeleteBlob(name, blob) => {
                let digest = blob.digest();
                done(self.at(name).blobs.remove(&digest), Error::BlobUnknown { digest })
            }
            Step::Start(name) => {
                self.uploads.push((name.clone(), Some(Vec::new())));
                Answer::Status(0)
            }
            Step::Append(upload, ..) | Step::Finish(upload, _) | Step::Cancel(upload) => self.run_upload(*upload, step),
            Step::PutManifest(name, document, algorithm, tags) => self.at(name).put(document, *algorithm, tags),
            Step::PutTag(name, document, tag) => {
                self.at(name).put(document, Algorithm::Sha256, std::slice::from_ref(tag))
            }
            Step::DeleteManifest(name, document, algorithm) => {
                let digest = document.digest(*algorithm);
                let contents = self.at(name);
                let removed = contents.manifests.remove(&digest).is_some();
                contents.tags.retain(|_, target| *target != digest);
                done(removed, Error::ManifestUnknown { reference: digest.into() })
            }
            Step::DeleteTag(name, tag) => {
                let removed = self.at(name).tags.remove(tag).is_some();
                done(removed, Error::ManifestUnknown { reference: tag.clone().into() })
            }
            Step::Collect => Answer::Done,
        }
    }

    fn run_upload(&mut self, upload: usize, step: &Step) -> Answer {
        let Some((name, bytes)) = self.uploads.get_mut(upload) else {
            return Answer::NoSuchUpload;
        };
        let Some(content) = bytes else {
            let id = UploadId::new(std::time::SystemTime::UNIX_EPOCH, [0; 10]);
            return Answer::of(Error::UploadUnknown { id });
        };
        match step {
            Step::Append(_, blob, true) => {
                content.extend_from_slice(&blob.content());
                Answer::Status(content.len() as u64)
            }
            Step::Append(_, _, false) => Answer::of(Error::OffsetMismatch { size: 0 }),
            Step::Finish(_, blob) => {
                let digest = blob.map_or_else(|| Digest::of(Algorithm::Sha256, b""), Blob::digest);
                let (name, content) = (name.clone(), std::mem::take(content));
                *bytes = None;
                self.push(&name, &content, &digest)
            }
            _ => {
                *bytes = None;
                Answer::Done
            }
        }
    }

    fn push(&mut self, name: &RepositoryName, content: &[u8], digest: &Digest) -> Answer {
        let computed = Digest::of(digest.algorithm(), content);
        if computed != *digest {
            return Answer::of(Error::DigestMismatch { stated: *digest, computed });
        }
        self.at(name).blobs.insert(*digest);
        Answer::Pushed(*digest)
    }

    /// The first difference between what the model has and what the registry shows.
    async fn compare(&self, registry: &Registry) -> Result<Option<String>, Error> {
        let catalog = registry.catalog(None, 100).await?.repositories;
        let expected: Vec<_> = names().into_iter().filter(|name| self.has_manifests(name)).collect();
        if catalog != expected {
            return Ok(Some(format!("the catalog has {catalog:?} instead of {expected:?}")));
        }
        for (name, contents) in &self.repositories {
            let repository = registry.repository(name);
            if let Some(difference) = compare_contents(&repository, contents).await? {
                return Ok(Some(format!("{name}: {difference}")));
            }
        }
        Ok(None)
    }

    fn has_manifests(&self, name: &RepositoryName) -> bool {
        self.repositories.get(name).is_some_and(|contents| !contents.manifests.is_empty())
    }
}

fn done(done: bool, error: Error) -> Answer {
    if done { Answer::Done } else { Answer::of(error) }
}

async fn compare_contents(repository: &Repository, contents: &Contents) -> Result<Option<String>, Error> {
    let tags = match repository.tags().list(None, 100).await {
        Err(Error::NameUnknown { .. }) if contents.manifests.is_empty() => Vec::new(),
        listed => listed?.tags,
    };
    let expected: Vec<Tag> = contents.tags.keys().cloned().collect();
    if tags != expected {
        return Ok(Some(format!("it has the tags {tags:?} instead of {expected:?}")));
    }
    for (tag, digest) in &contents.tags {
        if repository.manifests().get(&tag.clone().into()).await?.digest != *digest {
            return Ok(Some(format!("the tag {tag} does not point to {digest}")));
        }
    }
    for (digest, document) in &contents.manifests {
        let manifest = repository.manifests().get(&(*digest).into()).await?;
        if manifest.content != document.content() || manifest.media_type.as_str() != document.media_type() {
            return Ok(Some(format!("the manifest {digest} is not what was pushed")));
        }
    }
    for (number, algorithm) in (0..3).flat_map(|number| Algorithm::ALL.map(|algorithm| (number, algorithm))) {
        let blob = Blob { number, algorithm };
        let found = match repository.blobs().stat(&blob.digest()).await {
            Ok(info) => Some(info.size),
            Err(Error::BlobUnknown { .. }) => None,
            Err(error) => return Err(error),
        };
        let expected = contents.blobs.contains(&blob.digest()).then(|| blob.content().len() as u64);
        if found != expected {
            return Ok(Some(format!("{blob:?} has the size {found:?} instead of {expected:?}")));
        }
    }
    let subject = Document::bare().digest(Algorithm::Sha256);
    let found = repository.referrers().list(&subject, None, None, 100).await?.referrers;
    let found: Vec<Digest> = found.into_iter().map(|referrer| referrer.digest).collect();
    let refers = contents.manifests.iter().filter(|(_, document)| document.subject() == Some(subject));
    let expected: Vec<Digest> = refers.map(|(digest, _)| *digest).collect();
    Ok((found != expected).then(|| format!("{subject} has the referrers {found:?} instead of {expected:?}")))
}
