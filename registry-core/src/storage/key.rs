//! Where an object lies.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The place of an object, or of a prefix of objects, in a [`Storage`](super::Storage): segments joined by `/`.
///
/// No segment is empty, `.` or `..`, and none has a control character, a backslash or a colon; so no key leaves
/// the root of any backend. Keys are made by [`layout`](crate::layout); the parser is for adapters and tests.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes: a name of 255 and what the layout puts around it fit with ease.
    pub const MAX_BYTES: usize = 1024;

    /// The key as segments joined by `/`, without a slash at either end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The segments, outermost first.
    #[must_use]
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The last segment.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or_default()
    }

    /// The key without its last segment; `None` for a single segment.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(parent, _)| Self(parent.into()))
    }

    /// The key of `name` below this one.
    ///
    /// # Errors
    /// As the parser: `name` may hold several segments, each of which is checked.
    pub fn child(&self, name: &str) -> Result<Self, ParseKeyError> {
        format!("{}/{name}", self.0).parse()
    }

    /// For the layout alone, which builds keys out of parsed parts only.
    pub(crate) fn of_parts(text: String) -> Self {
        debug_assert!(text.parse::<Self>().is_ok(), "{text}");
        Self(text.into())
    }
}

/// A text that is not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key is made of plain segments joined by /")]
pub struct ParseKeyError;

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let plain = |segment: &str| {
            !matches!(segment, "" | "." | "..")
                && !segment.bytes().any(|byte| byte.is_ascii_control() || matches!(byte, b'\\' | b':'))
        };
        if text.len() <= Self::MAX_BYTES && text.split('/').all(plain) {
            Ok(Self(text.into()))
        } else {
            Err(ParseKeyError)
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_could_leave_the_root() {
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b", "a\0b", "a\nb", "a\\b", "c:/x"] {
            assert_eq!(bad.parse::<Key>(), Err(ParseKeyError), "{bad:?}");
        }
        assert!("a".repeat(1025).parse::<Key>().is_err());
    }

    #[test]
    fn has_parents_and_children() {
        let key: Key = "a/b/c".parse().unwrap();
        assert_eq!(key.name(), "c");
        assert_eq!(key.parent(), Some("a/b".parse().unwrap()));
        assert_eq!(key.child("d"), "a/b/c/d".parse());
        assert_eq!(key.child(".."), Err(ParseKeyError));
        assert_eq!("a".parse::<Key>().unwrap().parent(), None);
    }

    proptest! {
        #[test]
        fn no_segment_climbs(text in ".{0,30}") {
            if let Ok(key) = text.parse::<Key>() {
                prop_assert!(key.segments().all(|segment| !segment.is_empty() && segment != "." && segment != ".."));
            }
        }
    }
}
