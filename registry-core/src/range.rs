//! Ranges of bytes: what a client asks for, what it sends, and what that is of a given content.

use std::fmt;
use std::str::FromStr;

/// A run of bytes inside some content: `length` bytes from `offset`. It may be empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    offset: u64,
    length: u64,
}

impl Span {
    /// All of a content of `size` bytes.
    #[must_use]
    pub fn whole(size: u64) -> Self {
        Self { offset: 0, length: size }
    }

    /// `length` bytes from `offset`; `None` if the end does not fit 64 bits.
    #[must_use]
    pub fn new(offset: u64, length: u64) -> Option<Self> {
        offset.checked_add(length).map(|_| Self { offset, length })
    }

    /// From `offset` to the end of a content of `size` bytes; nothing if it ends before.
    #[must_use]
    pub fn rest(offset: u64, size: u64) -> Self {
        let offset = offset.min(size);
        Self { offset, length: size - offset }
    }

    /// Position of the first byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Number of bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Position behind the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.offset + self.length
    }
}

/// One range of a `Range` header (RFC 9110 §14.1.2), before the size of the content is known.
///
/// ```
/// use registry_core::{ByteRange, Span};
///
/// let range: ByteRange = "bytes=500-".parse()?;
/// assert_eq!(range.of(2000), Span::new(500, 1500));
/// assert_eq!(range.of(500), None);
/// # Ok::<(), registry_core::ParseRangeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ByteRange(Form);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    From { first: u64, last: Option<u64> },
    Suffix(u64),
}

/// Why a text is not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseRangeError {
    /// Not of the form that is asked for; a server ignores such a `Range` header.
    #[error("a range has the form bytes=FIRST-LAST, bytes=FIRST- or bytes=-LENGTH")]
    Form,
    /// The first position lies behind the last.
    #[error("the range ends before it begins")]
    Reversed,
    /// More than one range in one request.
    #[error("only one range can be asked for at a time")]
    Several,
}

impl ByteRange {
    /// What the range is of a content of `size` bytes; `None` if it lies outside.
    #[must_use]
    pub fn of(&self, size: u64) -> Option<Span> {
        let (first, end) = match self.0 {
            Form::From { first, last } => (first, last.map_or(size, |last| size.min(last.saturating_add(1)))),
            Form::Suffix(length) => (size.saturating_sub(length), size),
        };
        (first < end).then(|| Span { offset: first, length: end - first })
    }
}

impl FromStr for ByteRange {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (unit, range) = text.split_once('=').ok_or(ParseRangeError::Form)?;
        if !unit.trim_ascii().eq_ignore_ascii_case("bytes") {
            return Err(ParseRangeError::Form);
        }
        if range.contains(',') {
            return Err(ParseRangeError::Several);
        }
        let (first, last) = range.trim_ascii().split_once('-').ok_or(ParseRangeError::Form)?;
        Ok(Self(match (first, last) {
            ("", length) => Form::Suffix(position(length)?),
            (first, "") => Form::From { first: position(first)?, last: None },
            (first, last) => {
                let (first, last) = ordered(first, last)?;
                Form::From { first, last: Some(last) }
            }
        }))
    }
}

/// The `Content-Range` of a chunk that is pushed: `FIRST-LAST`, both positions included.
///
/// Source: [OCI distribution specification, Pushing a blob in chunks](https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-a-blob-in-chunks).
/// The form of RFC 9110, `bytes FIRST-LAST/SIZE`, is understood too, since clients send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentRange {
    first: u64,
    last: u64,
}

impl ContentRange {
    /// Position of the chunk's first byte.
    #[must_use]
    pub fn first(&self) -> u64 {
        self.first
    }

    /// How many bytes the chunk has; it is never empty.
    #[must_use]
    pub fn length(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

impl FromStr for ContentRange {
    type Err = ParseRangeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_ascii();
        let range = match text.strip_prefix("bytes ") {
            Some(rest) => rest.split('/').next().unwrap_or_default(),
            None => text,
        };
        let (first, last) = range.split_once('-').ok_or(ParseRangeError::Form)?;
        let (first, last) = ordered(first, last)?;
        Ok(Self { first, last })
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.first, self.last)
    }
}

fn ordered(first: &str, last: &str) -> Result<(u64, u64), ParseRangeError> {
    let (first, last) = (position(first)?, position(last)?);
    if first <= last { Ok((first, last)) } else { Err(ParseRangeError::Reversed) }
}

fn position(text: &str) -> Result<u64, ParseRangeError> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseRangeError::Form);
    }
    // A position beyond 64 bits lies behind any content; nothing is lost by bringing it to the last one.
    Ok(text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_ends_with_the_content() {
        for (offset, length) in [(0, 10), (7, 3), (10, 0), (11, 0), (u64::MAX, 0)] {
            let rest = Span::rest(offset, 10);
            assert_eq!((rest.offset(), rest.length(), rest.end()), (offset.min(10), length, 10));
        }
    }
    use proptest::prelude::*;

    #[test]
    fn ranges_of_2048_bytes() {
        let of = |text: &str| text.parse::<ByteRange>().map(|range| range.of(2048));
        assert_eq!(of("bytes=500-1499"), Ok(Span::new(500, 1000)));
        assert_eq!(of("bytes=500-"), Ok(Span::new(500, 1548)));
        assert_eq!(of("bytes=-500"), Ok(Span::new(1548, 500)));
        assert_eq!(of("bytes=-5000"), Ok(Span::new(0, 2048)));
        assert_eq!(of("bytes=2000-5000"), Ok(Span::new(2000, 48)));
        assert_eq!(of("bytes=0-18446744073709551615"), Ok(Span::new(0, 2048)));
        assert_eq!(of("bytes=0-99999999999999999999999"), Ok(Span::new(0, 2048)));
        assert_eq!(of("bytes=5000-10000"), Ok(None));
        assert_eq!(of("bytes=-0"), Ok(None));
        assert_eq!(of("bytes=500-0"), Err(ParseRangeError::Reversed));
        assert_eq!(of("bytes=0-0,1-1"), Err(ParseRangeError::Several));
        for bad in ["", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=+1-2", "items=0-1", "bytes=0--1"] {
            assert_eq!(of(bad), Err(ParseRangeError::Form), "{bad}");
        }
    }

    #[test]
    fn nothing_lies_in_an_empty_content() {
        for text in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(text.parse::<ByteRange>().unwrap().of(0), None);
        }
    }

    #[test]
    fn content_ranges() {
        let chunk: ContentRange = "100-299".parse().unwrap();
        assert_eq!((chunk.first(), chunk.length()), (100, 200));
        assert_eq!("bytes 100-299/1000".parse(), Ok(chunk));
        assert_eq!("bytes 100-299/*".parse(), Ok(chunk));
        assert_eq!("5-4".parse::<ContentRange>(), Err(ParseRangeError::Reversed));
        for bad in ["", "-", "1-", "-1", "a-b", "-1--2"] {
            assert_eq!(bad.parse::<ContentRange>(), Err(ParseRangeError::Form), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_span_lies_inside(text in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in any::<u64>()) {
            if let Some(span) = text.parse::<ByteRange>().ok().and_then(|range| range.of(size)) {
                prop_assert!(span.length() > 0 && span.end() <= size);
            }
        }

        #[test]
        fn a_content_range_round_trips(first in any::<u64>(), length in 0..1_000_000_u64) {
            let range = ContentRange { first, last: first.saturating_add(length) };
            prop_assert_eq!(range.to_string().parse(), Ok(range));
        }
    }
}
