//! The headers that the API has of its own.

/// The digest of what an answer is about.
pub(crate) const CONTENT_DIGEST: &str = "docker-content-digest";
/// The identity of an upload.
pub(crate) const UPLOAD_ID: &str = "docker-upload-uuid";
/// On every answer: this is a registry.
pub(crate) const API_VERSION: &str = "docker-distribution-api-version";
/// The smallest chunk that an upload takes, in bytes.
pub(crate) const CHUNK_MIN_LENGTH: &str = "oci-chunk-min-length";
/// The subject of a manifest that was pushed.
pub(crate) const SUBJECT: &str = "oci-subject";
/// A tag that a push by digest set.
pub(crate) const TAG: &str = "oci-tag";
/// By what a list of referrers was filtered.
pub(crate) const FILTERS_APPLIED: &str = "oci-filters-applied";

/// What a browser may do with content that anybody may have pushed: show it, and nothing else.
pub(crate) const SANDBOX: &str = "default-src 'none'; sandbox";
