//! Media types.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A media type without parameters, such as `application/vnd.oci.image.manifest.v1+json`.
///
/// ```
/// use registry_core::MediaType;
///
/// let media_type: MediaType = "application/json; charset=utf-8".parse()?;
/// assert_eq!(media_type.as_str(), "application/json");
/// # Ok::<(), registry_core::ParseMediaTypeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaType(Arc<str>);

impl MediaType {
    /// An OCI image manifest.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI image index.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// A Docker image manifest, schema 2.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// A Docker manifest list.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// A signed Docker manifest, schema 1: served where an old volume holds one, refused when pushed.
    pub const DOCKER_SCHEMA_1: &str = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    /// The longest media type, in bytes: twice 127 and the slash (RFC 6838 §4.2).
    pub const MAX_BYTES: usize = 255;

    /// The media type without parameters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a media type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a media type has the form type/subtype (RFC 6838)")]
pub struct ParseMediaTypeError;

impl FromStr for MediaType {
    type Err = ParseMediaTypeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let essence = text.split(';').next().unwrap_or_default().trim_matches([' ', '\t']);
        let (kind, subtype) = essence.split_once('/').ok_or(ParseMediaTypeError)?;
        if essence.len() <= Self::MAX_BYTES && is_restricted_name(kind) && is_restricted_name(subtype) {
            Ok(Self(essence.into()))
        } else {
            Err(ParseMediaTypeError)
        }
    }
}

/// RFC 6838 §4.2, `restricted-name`.
fn is_restricted_name(text: &str) -> bool {
    match text.as_bytes() {
        [first, rest @ ..] => {
            first.is_ascii_alphanumeric()
                && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(byte))
        }
        [] => false,
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MediaType({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_media_type() {
        for bad in ["", "/", "a/", "/b", "a", "a/b/c", "a b/c", "a/b\r\nX: y", "é/x", ";a/b"] {
            assert_eq!(bad.parse::<MediaType>(), Err(ParseMediaTypeError), "{bad:?}");
        }
        assert!(format!("a/{}", "b".repeat(254)).parse::<MediaType>().is_err());
    }

    proptest! {
        #[test]
        fn round_trips(text in "[a-z0-9][a-z0-9.+-]{0,20}/[a-z0-9][a-z0-9.+-]{0,60}", parameters in "(; ?[a-z]=[a-z0-9]{1,4}){0,2}") {
            let media_type: MediaType = format!("{text}{parameters}").parse().unwrap();
            prop_assert_eq!(media_type.to_string(), text);
        }
    }
}
