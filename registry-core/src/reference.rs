//! Tags, and references: what may stand behind a repository name.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{Digest, ParseDigestError};

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.
///
/// ```
/// use registry_core::Tag;
///
/// assert!("v1.2_rc-3".parse::<Tag>().is_ok());
/// assert!(".hidden".parse::<Tag>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(Arc<str>);

impl Tag {
    /// The longest tag, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// The tag as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A text that is not a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tag has 1 to 128 letters, digits, _ . or -, and starts with neither . nor -")]
pub struct ParseTagError;

impl FromStr for Tag {
    type Err = ParseTagError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        match text.as_bytes() {
            [first, rest @ ..]
                if text.len() <= Self::MAX_BYTES
                    && word(first)
                    && rest.iter().all(|byte| word(byte) || matches!(byte, b'.' | b'-')) =>
            {
                Ok(Self(text.into()))
            }
            _ => Err(ParseTagError),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for Tag {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({})", self.0)
    }
}

/// What names a manifest in its repository: a tag, which may move, or a digest, which cannot.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reference {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

/// Why a text is not a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseReferenceError {
    /// Without a colon it could only be a tag, and is none.
    #[error(transparent)]
    Tag(#[from] ParseTagError),
    /// With a colon it could only be a digest, and is none.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
}

impl FromStr for Reference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

impl From<Tag> for Reference {
    fn from(tag: Tag) -> Self {
        Self::Tag(tag)
    }
}

impl From<Digest> for Reference {
    fn from(digest: Digest) -> Self {
        Self::Digest(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_colon_makes_it_a_digest() {
        assert!(matches!("latest".parse(), Ok(Reference::Tag(_))));
        assert!(matches!("sha256:bad".parse::<Reference>(), Err(ParseReferenceError::Digest(_))));
        for bad in ["", ".a", "-a", "a/b", "a b", "é", "..", "a\0", &"a".repeat(129)] {
            assert_eq!(bad.parse::<Reference>(), Err(ParseReferenceError::Tag(ParseTagError)), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(text in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
            prop_assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }
    }
}
