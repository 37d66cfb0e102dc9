//! Which part of a blob a client asks for, and which part of an upload it sends.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, IF_RANGE, RANGE};
use registry_core::{ByteRange, ContentRange, ParseRangeError, Span};

/// Which part of some content a client asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// A part of it.
    Part(Span),
    /// A part that it does not have.
    Nothing,
}

/// Reads `Range`, for content of `size` bytes with the entity tag `entity_tag`.
///
/// Several ranges in one request give the whole: it costs less than the many small parts that somebody hostile could
/// ask for. So does what is not a range of bytes, and what depends on other content (`If-Range`).
pub(crate) fn wanted(headers: &HeaderMap, entity_tag: &str, size: u64) -> Wanted {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Wanted::Whole;
    };
    if headers.get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != entity_tag.as_bytes()) {
        return Wanted::Whole;
    }
    match value.to_str().unwrap_or_default().parse::<ByteRange>() {
        Ok(range) => range.of(size).map_or(Wanted::Nothing, Wanted::Part),
        Err(ParseRangeError::Reversed) => Wanted::Nothing,
        Err(_) => Wanted::Whole,
    }
}

/// What a chunk says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where it starts; `None` for a chunk that goes to the end, wherever that is.
    pub(crate) offset: Option<u64>,
    /// How many bytes it has, where it says so.
    pub(crate) length: Option<u64>,
}

/// Why a chunk cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidChunk {
    /// The `Content-Range` is no range.
    #[error(transparent)]
    Range(#[from] ParseRangeError),
    /// The `Content-Range` and the `Content-Length` disagree.
    #[error("Content-Range and Content-Length disagree")]
    Length,
}

impl Chunk {
    /// Reads `Content-Range` and `Content-Length`; `length` is that of the body, where it is known.
    pub(crate) fn parse(headers: &HeaderMap, length: Option<u64>) -> Result<Self, InvalidChunk> {
        let length = length.or_else(|| content_length(headers));
        let Some(range) = headers.get(CONTENT_RANGE) else {
            return Ok(Self { offset: None, length });
        };
        let range: ContentRange = range.to_str().unwrap_or_default().parse()?;
        match length {
            Some(length) if length != range.length() => Err(InvalidChunk::Length),
            _ => Ok(Self { offset: Some(range.first()), length: Some(range.length()) }),
        }
    }
}

/// The length that a request says its body has.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(http::HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn one_range_is_a_part() {
        let of = |value: &str| wanted(&headers(&[(RANGE, value)]), "\"t\"", 2048);
        assert_eq!(of("bytes=0-0"), Wanted::Part(Span::new(0, 1).unwrap()));
        assert_eq!(of("bytes=-500"), Wanted::Part(Span::new(1548, 500).unwrap()));
        assert_eq!(of("bytes=500-0"), Wanted::Nothing);
        assert_eq!(of("bytes=5000-10000"), Wanted::Nothing);
        for whole in ["items=0-1", "bytes=x", "", "bytes=0-0,1-1", &format!("bytes=0-0{}", ",0-".repeat(1000))] {
            assert_eq!(of(whole), Wanted::Whole, "{whole}");
        }
        assert_eq!(wanted(&headers(&[(RANGE, "bytes=0-0"), (RANGE, "bytes=1-1")]), "", 9), Wanted::Whole);
        assert_eq!(wanted(&HeaderMap::new(), "\"t\"", 2048), Wanted::Whole);
    }

    #[test]
    fn a_range_of_other_content_is_the_whole() {
        let of = |tag: &str| wanted(&headers(&[(RANGE, "bytes=0-0"), (IF_RANGE, tag)]), "\"t\"", 2048);
        assert_eq!(of("\"t\""), Wanted::Part(Span::new(0, 1).unwrap()));
        assert_eq!(of("\"u\""), Wanted::Whole);
        assert_eq!(of("W/\"t\""), Wanted::Whole);
    }

    #[test]
    fn chunks_must_agree_with_themselves() {
        let of = |pairs: &[(http::HeaderName, &str)]| Chunk::parse(&headers(pairs), None);
        assert_eq!(of(&[]), Ok(Chunk { offset: None, length: None }));
        assert_eq!(of(&[(CONTENT_LENGTH, "5")]), Ok(Chunk { offset: None, length: Some(5) }));
        assert_eq!(of(&[(CONTENT_RANGE, "2-6")]), Ok(Chunk { offset: Some(2), length: Some(5) }));
        assert_eq!(
            of(&[(CONTENT_RANGE, "bytes 2-6/*"), (CONTENT_LENGTH, "5")]),
            Ok(Chunk { offset: Some(2), length: Some(5) })
        );
        assert_eq!(of(&[(CONTENT_RANGE, "2-6"), (CONTENT_LENGTH, "6")]), Err(InvalidChunk::Length));
        assert_eq!(Chunk::parse(&headers(&[(CONTENT_RANGE, "2-6")]), Some(6)), Err(InvalidChunk::Length));
        for bad in ["6-2", "-1-5", "x", "99999999999999999999999-1", "bytes */5"] {
            assert!(matches!(of(&[(CONTENT_RANGE, bad)]), Err(InvalidChunk::Range(_))), "{bad}");
        }
    }
}
