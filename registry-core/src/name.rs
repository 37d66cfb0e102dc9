//! Repository names.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The name of a repository, such as `library/alpine`.
///
/// A value exists only out of the parser, so it always follows the grammar of the
/// [OCI distribution specification](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests):
/// components of lower-case letters and digits, separated inside by `.`, `_`, `__` or any number of `-`,
/// joined by `/`, at any depth, at most [`RepositoryName::MAX_BYTES`] bytes in all.
///
/// ```
/// use registry_core::RepositoryName;
///
/// let name: RepositoryName = "library/alpine".parse()?;
/// assert_eq!(name.as_str(), "library/alpine");
/// assert!("Library/../alpine".parse::<RepositoryName>().is_err());
/// # Ok::<(), registry_core::ParseNameError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(Arc<str>);

impl RepositoryName {
    /// The longest name, in bytes.
    pub const MAX_BYTES: usize = 255;

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The components of the name, outermost first.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }
}

/// Why a text is not a repository name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseNameError {
    /// Longer than [`RepositoryName::MAX_BYTES`].
    #[error("a repository name has at most 255 bytes")]
    TooLong,
    /// A component is empty, or has a character or a separator that the grammar does not know.
    #[error("a repository name is made of lower-case letters and digits, separated by one of . _ __ - and joined by /")]
    Grammar,
}

impl FromStr for RepositoryName {
    type Err = ParseNameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() > Self::MAX_BYTES {
            return Err(ParseNameError::TooLong);
        }
        if text.split('/').all(is_component) { Ok(Self(text.into())) } else { Err(ParseNameError::Grammar) }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
pub(crate) fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let mut rest = text.as_bytes();
    loop {
        let run = rest.iter().take_while(|byte| alphanumeric(byte)).count();
        if run == 0 {
            return false;
        }
        rest = &rest[run..];
        let separator = rest.iter().take_while(|byte| !alphanumeric(byte)).count();
        match &rest[..separator] {
            b"" => return true,
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|byte| *byte == b'-') => {}
            _ => return false,
        }
        rest = &rest[separator..];
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for RepositoryName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Debug for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RepositoryName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn follows_the_grammar() {
        for good in ["a", "a/b/c/d/e/f/g/h", "a.b", "a_b", "a__b", "a--b---c", "0/9", "x/blobs/uploads"] {
            assert!(good.parse::<RepositoryName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a..b",
            "a___b",
            "a._b",
            "-a",
            "a-",
            "_uploads",
            "a/_layers",
            "..",
            "a/../b",
            "a:b",
            "a b",
            "a%2fb",
            "a\\b",
            "\u{202e}a",
            "é",
            "a\0",
        ] {
            assert_eq!(bad.parse::<RepositoryName>(), Err(ParseNameError::Grammar), "{bad:?}");
        }
    }

    #[test]
    fn has_at_most_255_bytes() {
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert_eq!("a".repeat(256).parse::<RepositoryName>(), Err(ParseNameError::TooLong));
    }

    proptest! {
        #[test]
        fn round_trips(text in "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,5}){0,4}") {
            let name: RepositoryName = text.parse().unwrap();
            prop_assert_eq!(name.to_string(), text);
        }

        #[test]
        fn never_leaves_its_directory(text in ".{0,40}") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert!(name.components().all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
            }
        }
    }
}
