//! Where staged bytes lie.
//!
//! ```text
//! KEY.parts/00000000000000000000   bytes from offset 0
//! KEY.parts/00000000000006291456   bytes from offset 6291456, where the part before it ends
//! ```
//!
//! A part is created, never replaced, so of two writers at one offset exactly one wins. The staged bytes are the
//! parts that join without a gap, from 0 on; a part behind a gap belongs to nobody.

use std::collections::BTreeMap;

use ::opendal::{ErrorKind, Operator};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use registry_core::storage::{Error, Key};

use super::{error, path};

/// Enough for any 64-bit offset, so that names sort as offsets do.
const DIGITS: usize = 20;
/// How many parts are asked for their size at once, where a listing does not tell it.
const QUESTIONS: usize = 8;

/// A run of staged bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) path: String,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// How many bytes the parts have together.
pub(super) fn size(parts: &[Part]) -> u64 {
    parts.last().map_or(0, |last| last.offset + last.size)
}

/// The directory of the parts.
pub(super) fn home(key: &Key) -> Result<String, Error> {
    path(key).map(|path| format!("{path}.parts/"))
}

/// The path of the part that begins at `offset`.
pub(super) fn at(key: &Key, offset: u64) -> Result<String, Error> {
    home(key).map(|home| format!("{home}{offset:0DIGITS$}"))
}

/// The parts that join; `None` if there are none at all.
pub(super) async fn find(operator: &Operator, key: &Key) -> Result<Option<Vec<Part>>, Error> {
    let found = search(operator, &home(key)?).await.map_err(|error| error::of(key, error))?;
    Ok(found.map(joined))
}

async fn search(operator: &Operator, home: &str) -> ::opendal::Result<Option<BTreeMap<u64, Part>>> {
    let mut found = Vec::new();
    let mut entries = operator.lister(home).await?;
    loop {
        let entry = match entries.try_next().await {
            Ok(Some(entry)) => entry,
            Ok(None) => break,
            Err(error) if error.kind() == ErrorKind::NotFound => break,
            Err(error) => return Err(error),
        };
        let name = entry.path().strip_prefix(home).unwrap_or_default();
        if let Some(offset) = offset(name) {
            found.push(Part { path: entry.path().to_owned(), offset, size: entry.metadata().content_length() });
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let sized = stream::iter(found).map(|part| measured(operator, part)).buffer_unordered(QUESTIONS);
    sized.map_ok(|part| (part.offset, part)).try_collect().await.map(Some)
}

/// No part is empty, so a size of 0 is one that the listing did not tell.
async fn measured(operator: &Operator, mut part: Part) -> ::opendal::Result<Part> {
    if part.size == 0 {
        part.size = operator.stat(&part.path).await?.content_length();
    }
    Ok(part)
}

fn offset(name: &str) -> Option<u64> {
    let digits = name.len() == DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|_| digits)
}

fn joined(mut found: BTreeMap<u64, Part>) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some(part) = found.remove(&size(&parts)).filter(|part| part.size > 0) {
        parts.push(part);
    }
    parts
}

/// Deletes every part, those behind a gap too.
pub(super) async fn clear(operator: &Operator, key: &Key) -> Result<(), Error> {
    let home = home(key)?;
    let cleared = async {
        let mut entries = operator.lister(&home).await?;
        let mut deleter = operator.deleter().await?;
        while let Some(entry) = entries.try_next().await? {
            deleter.delete(entry.path()).await?;
        }
        deleter.close().await
    };
    cleared.await.map_err(|error| error::of(key, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(offset: u64, size: u64) -> (u64, Part) {
        (offset, Part { path: String::new(), offset, size })
    }

    #[test]
    fn parts_join_until_the_first_gap() {
        let joined = |parts: &[(u64, u64)]| {
            let joined = joined(parts.iter().map(|(offset, size)| part(*offset, *size)).collect());
            (joined.len(), size(&joined))
        };
        assert_eq!(joined(&[]), (0, 0));
        assert_eq!(joined(&[(0, 5), (5, 3), (8, 1)]), (3, 9));
        assert_eq!(joined(&[(5, 3)]), (0, 0));
        assert_eq!(joined(&[(0, 5), (6, 3)]), (1, 5));
        assert_eq!(joined(&[(0, 5), (3, 3), (5, 2)]), (2, 7));
        assert_eq!(joined(&[(0, 0)]), (0, 0));
    }

    #[test]
    fn names_are_offsets_of_twenty_digits() {
        let key: Key = "up/data".parse().unwrap();
        assert_eq!(at(&key, 42).unwrap(), "up/data.parts/00000000000000000042");
        assert_eq!(at(&key, u64::MAX).unwrap(), "up/data.parts/18446744073709551615");
        assert_eq!(offset("00000000000000000042"), Some(42));
        for other in ["", "42", "open", "+0000000000000000042", "99999999999999999999", "000000000000000000042"] {
            assert_eq!(offset(other), None, "{other}");
        }
    }
}
