//! What can go wrong in the registry.

use crate::storage;
use crate::{Digest, Reference, RepositoryName, Tag, UploadId};

/// A registry operation failed. The variants are cut by what the caller can do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such repository.
    #[error("repository {name} is not known")]
    NameUnknown {
        /// Which one was asked for.
        name: RepositoryName,
    },
    /// The repository has no such blob: push it first.
    #[error("blob {digest} is not known")]
    BlobUnknown {
        /// Which one was asked for.
        digest: Digest,
    },
    /// The repository has no such manifest or tag.
    #[error("manifest {reference} is not known")]
    ManifestUnknown {
        /// Which one was asked for.
        reference: Reference,
    },
    /// The manifest breaks a rule; pushing the same bytes again will not help.
    #[error("the manifest is not valid: {0}")]
    ManifestInvalid(#[from] InvalidManifest),
    /// The manifest has too many bytes.
    #[error("a manifest has at most {limit_bytes} bytes")]
    ManifestTooLarge {
        /// The limit.
        limit_bytes: u64,
    },
    /// The manifest names content that the repository does not have: push that first.
    #[error("the manifest names content that is not in the repository")]
    ReferencesUnknown {
        /// All that is missing.
        digests: Vec<Digest>,
    },
    /// More tags in one push than are taken.
    #[error("a push sets at most {limit} tags")]
    TooManyTags {
        /// The limit.
        limit: usize,
    },
    /// The tag was made once and for all, and points to another manifest: push another tag.
    #[error("tag {tag} is immutable, and points to another manifest")]
    TagImmutable {
        /// Which one was to be moved.
        tag: Tag,
    },
    /// The tag, or something that a tag needs, is not to be deleted.
    #[error("tag {tag} is protected: neither it nor what it needs can be deleted")]
    TagProtected {
        /// Which one is protected.
        tag: Tag,
    },
    /// The content is not what the digest says.
    #[error("the content has the digest {computed}, not {stated}")]
    DigestMismatch {
        /// What the client said.
        stated: Digest,
        /// What it is.
        computed: Digest,
    },
    /// No such upload, or not the caller's: start a new one.
    #[error("upload {id} is not known")]
    UploadUnknown {
        /// Which one was asked for.
        id: UploadId,
    },
    /// The chunk does not start where the upload stands, or another writer is at work on it: go on from `size`.
    #[error("the upload stands at {size} bytes")]
    OffsetMismatch {
        /// How many bytes the upload has.
        size: u64,
    },
    /// Others changed the same thing again and again meanwhile: try again later.
    #[error("too many changes of the same at once")]
    Contended,
    /// It is not known whether the delete took effect: look, and try again later.
    #[error("the storage did not tell whether the delete took effect")]
    DeleteUnknown,
    /// The content stopped coming. What came is kept, where the operation says so.
    #[error("the content broke off")]
    Body(#[from] BodyError),
    /// The storage failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
}

impl From<crate::Stopped> for Error {
    fn from(stopped: crate::Stopped) -> Self {
        Self::Storage(stopped.into())
    }
}

/// Why content stopped coming.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The sender went away, or broke the rules of its protocol.
    #[error("the sender broke off")]
    Aborted(#[source] storage::Source),
    /// The sender was too slow.
    #[error("the sender was too slow")]
    TimedOut,
    /// There were more or fewer bytes than the sender had said.
    #[error("the content has not the length that was said")]
    Length,
    /// There were more bytes than whoever passes them on lets through.
    #[error("the content is longer than one request may bring")]
    TooLarge,
}

/// Which rule a manifest breaks.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidManifest {
    /// Not JSON, or not of the form that its media type has.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// The schema version is not 2.
    #[error("schemaVersion must be 2")]
    SchemaVersion,
    /// Not a media type that this registry takes, or none at all.
    #[error("unsupported manifest media type: {0:?}")]
    UnsupportedMediaType(String),
    /// The body says another media type than the request, or a Docker manifest says none.
    #[error("mediaType in the manifest is {body:?}, but the Content-Type is {header:?}")]
    MediaTypeMismatch {
        /// What the body says.
        body: String,
        /// What the request says.
        header: String,
    },
    /// It has fields of both an image manifest and an index, or those of the wrong one.
    #[error("{field} has no place in {media_type}")]
    Ambiguous {
        /// The field that must not be there.
        field: &'static str,
        /// What the manifest says it is.
        media_type: &'static str,
    },
    /// A field is missing.
    #[error("{field} is missing")]
    Missing {
        /// Which one.
        field: &'static str,
    },
    /// A layer that lies elsewhere has an address that is not allowed.
    #[error("the address {url:?} of {digest} is not allowed")]
    Url {
        /// The layer.
        digest: Digest,
        /// Its address.
        url: String,
    },
    /// The manifest says another size than the content has.
    #[error("the manifest says that {digest} has {stated} bytes, but it has {stored}")]
    Size {
        /// The content.
        digest: Digest,
        /// What the manifest says.
        stated: u64,
        /// What it has.
        stored: u64,
    },
    /// Indexes lie too deep in each other.
    #[error("indexes are nested more than {limit} deep")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// It names too much, directly or through its children.
    #[error("the manifest names more than {limit} contents, those of its children counted")]
    TooManyReferences {
        /// The limit.
        limit: usize,
    },
}
