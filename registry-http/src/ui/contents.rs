//! What manifests and configurations say, read for people. Whatever cannot be read is left out, not refused: it is there
//! all the same.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use futures::TryStreamExt as _;
use registry_core::storage::Body;
use registry_core::{Digest, Error, Manifest, Reference, Repository, Span};
use serde::Deserialize;

/// A reference to content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: Digest,
    #[serde(default)]
    pub(super) size: u64,
    #[serde(default)]
    pub(super) platform: Option<Platform>,
    #[serde(default)]
    pub(super) annotations: BTreeMap<String, String>,
}

/// For what machine an image is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Default)]
pub(super) struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    variant: String,
}

impl Platform {
    fn is_known(&self) -> bool {
        !self.os.is_empty() && self.os != "unknown"
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

impl Descriptor {
    /// The machine that it is for, if it says one.
    pub(super) fn machine(&self) -> Option<&Platform> {
        self.platform.as_ref().filter(|platform| platform.is_known())
    }

    /// Whether it tells of how another manifest of the index came to be.
    pub(super) fn is_attestation(&self) -> bool {
        self.annotations.contains_key("vnd.docker.reference.type")
    }
}

/// A manifest, as far as people are shown it.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) digest: Digest,
    pub(super) media_type: String,
    pub(super) size: u64,
    pub(super) kind: Kind,
    pub(super) artifact_type: Option<String>,
    pub(super) subject: Option<Digest>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// What a manifest holds together.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Image {
        config: Descriptor,
        layers: Vec<Descriptor>,
    },
    Index {
        manifests: Vec<Descriptor>,
    },
    /// It says nothing that could be shown.
    Other,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    annotations: Option<BTreeMap<String, String>>,
}

impl Document {
    pub(super) fn parse(manifest: &Manifest) -> Self {
        let raw: Raw = serde_json::from_slice(&manifest.content).unwrap_or_default();
        Self {
            digest: manifest.digest,
            media_type: manifest.media_type.as_str().to_owned(),
            size: manifest.content.len() as u64,
            kind: match (raw.config, raw.manifests) {
                (Some(config), _) => Kind::Image { config, layers: raw.layers.unwrap_or_default() },
                (None, Some(manifests)) => Kind::Index { manifests },
                (None, None) => Kind::Other,
            },
            artifact_type: raw.artifact_type.filter(|text| !text.is_empty()),
            subject: raw.subject.map(|subject| subject.digest),
            annotations: raw.annotations.unwrap_or_default(),
        }
    }

    /// The bytes that it names, itself among them, each with its digest. Those of manifests that an index names are not.
    pub(super) fn content(&self) -> impl Iterator<Item = (Digest, u64)> {
        let (config, layers) = match &self.kind {
            Kind::Image { config, layers } => (Some(config), layers.as_slice()),
            Kind::Index { .. } | Kind::Other => (None, [].as_slice()),
        };
        let named = config.into_iter().chain(layers).map(|descriptor| (descriptor.digest, descriptor.size));
        std::iter::once((self.digest, self.size)).chain(named)
    }

    /// The manifests that it names.
    pub(super) fn children(&self) -> &[Descriptor] {
        match &self.kind {
            Kind::Index { manifests } => manifests,
            Kind::Image { .. } | Kind::Other => &[],
        }
    }

    /// What it is, for people.
    pub(super) fn what(&self) -> What {
        match &self.kind {
            Kind::Index { .. } => What::Index,
            Kind::Image { config, .. } => match config.media_type.as_str() {
                "application/vnd.oci.image.config.v1+json" | "application/vnd.docker.container.image.v1+json"
                    if self.artifact_type.is_none() =>
                {
                    What::Image
                }
                "application/vnd.cncf.helm.config.v1+json" => What::Chart,
                _ => What::Artifact,
            },
            Kind::Other => What::Artifact,
        }
    }

    /// What kind of artifact it is: what it says, or what its configuration is.
    pub(super) fn artifact(&self) -> &str {
        match (&self.artifact_type, &self.kind) {
            (Some(kind), _) => kind,
            (None, Kind::Image { config, .. }) => &config.media_type,
            (None, _) => &self.media_type,
        }
    }
}

/// What a manifest is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Image,
    Index,
    Chart,
    Artifact,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Image => "image",
            Self::Index => "multi-platform image",
            Self::Chart => "Helm chart",
            Self::Artifact => "artifact",
        })
    }
}

/// More than this is parsed off the async worker.
const PARSE_INLINE_BYTES: usize = 64 * 1024;

/// A manifest of a repository; `None` if it is not there.
pub(super) async fn document(repository: &Repository, reference: &Reference) -> Result<Option<Document>, Error> {
    let manifest = match repository.manifests().peek(reference).await {
        Err(Error::ManifestUnknown { .. }) => return Ok(None),
        manifest => manifest?,
    };
    if manifest.content.len() <= PARSE_INLINE_BYTES {
        return Ok(Some(Document::parse(&manifest)));
    }
    Ok(Some(repository.blocking().run(move || Document::parse(&manifest)).await?))
}

/// The longest configuration that is read, in bytes.
const CONFIG_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

/// A small blob as a whole; `None` if it is not there, or is not small.
pub(super) async fn small_blob(repository: &Repository, digest: &Digest) -> Result<Option<Bytes>, Error> {
    let blob = match repository.blobs().peek(digest).await {
        Ok(blob) => blob,
        Err(Error::BlobUnknown { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let size = blob.info().size;
    if size > CONFIG_LIMIT_BYTES {
        return Ok(None);
    }
    let blocking = std::sync::Arc::clone(repository.blocking());
    let body = blob.read(Span::whole(size)).await?;
    let bytes: Vec<u8> = match body {
        Body::Bytes(bytes) => return Ok(Some(bytes)),
        Body::Stream { frames, .. } => collect(frames).await?,
        Body::File(span) => {
            let frames = registry_core::storage::FileFrames::new(span, blocking, size.max(1));
            collect(frames).await?
        }
    };
    Ok(Some(bytes.into()))
}

async fn collect(
    frames: impl futures::Stream<Item = Result<Bytes, registry_core::storage::Error>> + Unpin,
) -> Result<Vec<u8>, Error> {
    let all = frames.try_fold(Vec::new(), |mut all, frame| async move {
        all.extend_from_slice(&frame);
        Ok(all)
    });
    Ok(all.await?)
}
