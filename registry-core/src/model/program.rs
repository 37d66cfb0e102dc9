//! Random programs over a small world.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::json;

use crate::{Algorithm, Digest, MediaType, RepositoryName, Tag};

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
    pub(super) number: u8,
    pub(super) algorithm: Algorithm,
}

impl Blob {
    pub(super) fn content(self) -> Bytes {
        vec![b'a' + self.number; usize::from(self.number) * 2_000].into()
    }

    pub(super) fn digest(self) -> Digest {
        Digest::of(self.algorithm, &self.content())
    }

    pub(super) fn descriptor(self) -> serde_json::Value {
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
    pub(super) fn content(&self) -> Bytes {
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

    pub(super) fn bare() -> Self {
        Self::Image(Vec::new(), false)
    }

    pub(super) fn digest(&self, algorithm: Algorithm) -> Digest {
        Digest::of(algorithm, &self.content())
    }

    pub(super) fn media_type(&self) -> &'static str {
        match self {
            Self::Image(..) => MediaType::OCI_MANIFEST,
            Self::Index(_) => MediaType::OCI_INDEX,
        }
    }

    pub(super) fn descriptor(&self) -> serde_json::Value {
        let (digest, size) = (self.digest(Algorithm::Sha256), self.content().len());
        json!({ "mediaType": self.media_type(), "digest": digest, "size": size })
    }

    pub(super) fn subject(&self) -> Option<Digest> {
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

pub(super) fn names() -> Vec<RepositoryName> {
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
