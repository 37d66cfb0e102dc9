//! How one event lies in a file: a line with its length and its SHA-256, its bytes, and a line feed.

use std::io::{self, BufRead, Read as _};

use registry_core::{Algorithm, Digest};

/// `{length:08x} {SHA-256:64}\n`
const HEAD_BYTES: usize = 8 + 1 + 64 + 1;

/// The longest event: a manifest of a few MiB that refers to very much.
pub(super) const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What is found at a place in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// An event.
    Whole(Vec<u8>),
    /// The end of the file.
    End,
    /// A beginning of an event, or something else. What lies behind it cannot be told.
    Torn,
}

/// How many bytes an event takes in a file.
pub(super) fn bytes_of(notice: &[u8]) -> u64 {
    (HEAD_BYTES + notice.len() + 1) as u64
}

/// An event as it lies in a file.
pub(super) fn encode(notice: &[u8]) -> Vec<u8> {
    let mut record = head(notice).into_bytes();
    record.extend_from_slice(notice);
    record.push(b'\n');
    record
}

fn head(notice: &[u8]) -> String {
    format!("{:08x} {}\n", notice.len(), Digest::of(Algorithm::Sha256, notice).hex())
}

/// Reads the next event.
///
/// # Errors
/// If the file cannot be read.
pub(super) fn read(input: &mut impl BufRead) -> io::Result<Found> {
    if input.fill_buf()?.is_empty() {
        return Ok(Found::End);
    }
    let head_read = take(input, HEAD_BYTES)?;
    let length = std::str::from_utf8(head_read.get(..8).unwrap_or_default()).ok();
    let length = length.and_then(|text| usize::from_str_radix(text, 16).ok()).filter(|length| *length <= MAX_BYTES);
    let Some(length) = length else { return Ok(Found::Torn) };
    let mut notice = take(input, length + 1)?;
    let is_whole = notice.len() == length + 1 && notice.pop() == Some(b'\n') && head(&notice).as_bytes() == head_read;
    Ok(if is_whole { Found::Whole(notice) } else { Found::Torn })
}

/// Where the next bytes are that may be what an event begins with.
pub(super) fn find_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(HEAD_BYTES).position(|head| {
        // The last is looked at first: there are few of it.
        head.split_last().is_some_and(|(last, head)| *last == b'\n' && is_head(head))
    })
}

/// Whether this is what an event begins with, up to the line feed.
fn is_head(text: &[u8]) -> bool {
    text.iter().enumerate().all(|(at, byte)| if at == 8 { *byte == b' ' } else { byte.is_ascii_hexdigit() })
}

/// So many bytes, or less if the file ends before.
fn take(input: &mut impl BufRead, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let file = [encode(b"one"), encode(b""), encode(b"two\n")].concat();
        assert_eq!(bytes_of(b"one") + bytes_of(b"") + bytes_of(b"two\n"), file.len() as u64);
        let mut input = file.as_slice();
        for notice in ["one", "", "two\n"] {
            assert_eq!(read(&mut input).unwrap(), Found::Whole(notice.into()));
        }
        assert_eq!(read(&mut input).unwrap(), Found::End);
    }

    #[test]
    fn whatever_is_cut_off_or_changed_is_torn() {
        let record = encode(b"some text");
        for length in 1..record.len() {
            assert_eq!(read(&mut &record[..length]).unwrap(), Found::Torn, "{length}");
        }
        for index in 0..record.len() {
            let mut changed = record.clone();
            changed[index] ^= 1;
            assert_eq!(read(&mut changed.as_slice()).unwrap(), Found::Torn, "{index}");
        }
        assert_eq!(read(&mut [0; 4096].as_slice()).unwrap(), Found::Torn);
        assert_eq!(read(&mut b"ffffffff".as_slice()).unwrap(), Found::Torn);
    }
}
