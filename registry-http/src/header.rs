//! The headers that the API has of its own, and those of proxies.

use http::HeaderName;

/// The digest of what an answer is about.
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
/// The identity of an upload.
pub(crate) const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");
/// On every answer: this is a registry.
pub(crate) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
/// The smallest chunk that an upload takes, in bytes.
pub(crate) const CHUNK_MIN_LENGTH: HeaderName = HeaderName::from_static("oci-chunk-min-length");
/// The subject of a manifest that was pushed.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// A tag that a push by digest set.
pub(crate) const TAG: HeaderName = HeaderName::from_static("oci-tag");
/// By what a list of referrers was filtered.
pub(crate) const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

/// From where the request came, as proxies tell one behind the other.
pub(crate) const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The same, of one proxy.
pub(crate) const REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
/// What the client believes the host to be.
pub(crate) const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// How the client came to the first proxy.
pub(crate) const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// What a browser may do with content that anybody may have pushed: show it, and nothing else.
pub(crate) const SANDBOX: &str = "default-src 'none'; sandbox";
