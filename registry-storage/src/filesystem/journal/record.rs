//! What a journal says, as bytes.

use registry_core::storage::Key;
use registry_core::{Algorithm, Digest};

/// Marks the journal of one opening of a storage: what an earlier one left in the same file is none of its records.
pub(super) type Life = [u8; 8];

/// The boot of the operating system, if it tells.
pub(super) type Boot = [u8; 16];

/// Counts the records of a journal.
pub(super) type Sequence = u64;

/// When a record was made: milliseconds since 1970.
pub(super) type Time = u64;

/// A record in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) sequence: Sequence,
    pub(super) time: Time,
    pub(super) record: Record,
}

/// What a record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Record {
    /// Begins a segment.
    Begin(Boot),
    /// An object has this content.
    Write { key: Key, content: Vec<u8> },
    /// An object is deleted.
    Delete(Key),
    /// Everything below a prefix is deleted.
    DeleteAll(Key),
    /// The bytes that are staged here may be lost; of the uploads of a repository, if it is their directory.
    Stage(Key),
    /// Everything up to this record is on the disk in its place.
    Checkpoint(Sequence),
}

/// Length of the payload, life, sequence, time, checksum.
const HEADER_BYTES: usize = 4 + 8 + 8 + 8 + CHECKSUM_BYTES;
const CHECKSUM_BYTES: usize = 12;

impl Record {
    /// Adds a record to what is to be written.
    pub(super) fn encode(&self, life: Life, sequence: Sequence, time: Time, into: &mut Vec<u8>) {
        let payload = self.payload();
        // A payload has a key and a small content; see the limit on what is journalled.
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        into.extend_from_slice(&length.to_le_bytes());
        into.extend_from_slice(&life);
        into.extend_from_slice(&sequence.to_le_bytes());
        into.extend_from_slice(&time.to_le_bytes());
        into.extend_from_slice(&checksum(life, sequence, time, &payload));
        into.extend_from_slice(&payload);
    }

    /// How many bytes [`encode`](Self::encode) adds.
    pub(super) fn encoded_bytes(&self) -> usize {
        HEADER_BYTES + self.payload_bytes()
    }

    fn payload_bytes(&self) -> usize {
        match self {
            Self::Begin(boot) => 1 + boot.len(),
            Self::Write { key, content } => 1 + 4 + key.as_str().len() + content.len(),
            Self::Delete(key) | Self::DeleteAll(key) | Self::Stage(key) => 1 + key.as_str().len(),
            Self::Checkpoint(_) => 1 + 8,
        }
    }

    fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.payload_bytes());
        match self {
            Self::Begin(boot) => {
                payload.push(0);
                payload.extend_from_slice(boot);
            }
            Self::Write { key, content } => {
                payload.push(1);
                let length = u32::try_from(key.as_str().len()).unwrap_or(u32::MAX);
                payload.extend_from_slice(&length.to_le_bytes());
                payload.extend_from_slice(key.as_str().as_bytes());
                payload.extend_from_slice(content);
            }
            Self::Delete(key) => with_key(&mut payload, 2, key),
            Self::DeleteAll(key) => with_key(&mut payload, 3, key),
            Self::Stage(key) => with_key(&mut payload, 4, key),
            Self::Checkpoint(sequence) => {
                payload.push(5);
                payload.extend_from_slice(&sequence.to_le_bytes());
            }
        }
        payload
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let (kind, rest) = payload.split_first()?;
        let key = |bytes: &[u8]| std::str::from_utf8(bytes).ok()?.parse::<Key>().ok();
        match kind {
            0 => rest.try_into().ok().map(Self::Begin),
            1 => {
                let (length, rest) = rest.split_first_chunk()?;
                let (name, content) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
                Some(Self::Write { key: key(name)?, content: content.to_vec() })
            }
            2 => key(rest).map(Self::Delete),
            3 => key(rest).map(Self::DeleteAll),
            4 => key(rest).map(Self::Stage),
            5 => rest.try_into().ok().map(|sequence| Self::Checkpoint(Sequence::from_le_bytes(sequence))),
            _ => None,
        }
    }
}

fn with_key(payload: &mut Vec<u8>, kind: u8, key: &Key) {
    payload.push(kind);
    payload.extend_from_slice(key.as_str().as_bytes());
}

fn checksum(life: Life, sequence: Sequence, time: Time, payload: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut bytes = Vec::with_capacity(24 + payload.len());
    bytes.extend_from_slice(&life);
    bytes.extend_from_slice(&sequence.to_le_bytes());
    bytes.extend_from_slice(&time.to_le_bytes());
    bytes.extend_from_slice(payload);
    let mut checksum = [0; CHECKSUM_BYTES];
    checksum.copy_from_slice(&Digest::of(Algorithm::Sha256, &bytes).hash()[..CHECKSUM_BYTES]);
    checksum
}

/// The records of a segment, from its beginning until the first that is not whole, or does not follow the one before it.
pub(super) fn records(mut segment: &[u8]) -> (Option<Life>, Vec<Entry>) {
    let mut records: Vec<Entry> = Vec::new();
    let mut life = None;
    while let Some((of, entry, rest)) = next(segment) {
        let follows = records.last().is_none_or(|last| entry.sequence == last.sequence + 1);
        if !follows || life.is_some_and(|life| life != of) {
            break;
        }
        life = Some(of);
        records.push(entry);
        segment = rest;
    }
    (life, records)
}

fn next(bytes: &[u8]) -> Option<(Life, Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (life, rest) = rest.split_first_chunk::<8>()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (time, rest) = rest.split_first_chunk::<8>()?;
    let (stated, rest) = rest.split_first_chunk::<CHECKSUM_BYTES>()?;
    let (payload, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
    let (sequence, time) = (Sequence::from_le_bytes(*sequence), Time::from_le_bytes(*time));
    if checksum(*life, sequence, time, payload) != *stated {
        return None;
    }
    Record::parse(payload).map(|record| (*life, Entry { sequence, time, record }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Life = *b"the life";

    fn all() -> Vec<Record> {
        let key = |text: &str| text.parse::<Key>().unwrap();
        vec![
            Record::Begin([7; 16]),
            Record::Write { key: key("a/b"), content: b"content".to_vec() },
            Record::Write { key: key("c"), content: Vec::new() },
            Record::Delete(key("a/b")),
            Record::DeleteAll(key("a")),
            Record::Stage(key("d/e/f")),
            Record::Checkpoint(5),
        ]
    }

    fn segment(life: Life, first: Sequence, of: &[Record]) -> Vec<u8> {
        let mut segment = Vec::new();
        for (sequence, record) in (first..).zip(of) {
            let before = segment.len();
            record.encode(life, sequence, 1000 + sequence, &mut segment);
            assert_eq!(segment.len() - before, record.encoded_bytes());
        }
        segment
    }

    #[test]
    fn what_is_written_is_read() {
        let mut written = segment(LIFE, 10, &all());
        written.resize(written.len() + 1000, 0);
        let (life, read) = records(&written);
        assert_eq!(life, Some(LIFE));
        let expected = (10..).zip(all()).map(|(sequence, record)| Entry { sequence, time: 1000 + sequence, record });
        assert_eq!(read, expected.collect::<Vec<_>>());
        assert_eq!(records(&[0; 100]), (None, Vec::new()));
        assert_eq!(records(&[]), (None, Vec::new()));
    }

    #[test]
    fn a_torn_end_is_no_record() {
        let written = segment(LIFE, 1, &all());
        let mut ends = Vec::new();
        for (number, _) in all().iter().enumerate() {
            ends.push(segment(LIFE, 1, &all()[..=number]).len());
        }
        for cut in 0..written.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            assert_eq!(records(&written[..cut]).1.len(), whole, "{cut}");
            let mut holed = written.clone();
            holed[cut..].fill(0);
            assert!(records(&holed).1.len() <= whole + 1, "{cut}");
            // One that ends in zeros may be whole in front of them.
            assert_eq!(records(&holed).1[..], records(&written).1[..records(&holed).1.len()]);
            let mut flipped = written.clone();
            flipped[cut] ^= 1;
            assert_eq!(records(&flipped).1.len(), whole, "{cut}");
        }
    }

    #[test]
    fn what_an_earlier_pass_or_life_left_is_no_record() {
        let stale = segment(LIFE, 1, &all());
        for (life, first) in [(LIFE, 100), (*b"the next", 1)] {
            let mut written = segment(life, first, &all()[..2]);
            written.extend_from_slice(&stale[written.len()..]);
            assert_eq!(records(&written).1.len(), 2);
        }
    }
}
