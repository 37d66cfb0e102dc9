//! What is kept, in the order of its use, and how many bytes that is.

use std::collections::{BTreeMap, HashMap};

use registry_core::Digest;

/// The blobs that are kept, never more bytes of them than a limit, and the room for those that are on their way.
#[derive(Debug)]
pub(super) struct Entries {
    limit_bytes: u64,
    kept: HashMap<Digest, Entry>,
    /// By the last use, the oldest first.
    order: BTreeMap<u64, Digest>,
    uses: u64,
    kept_bytes: u64,
    reserved_bytes: u64,
}

/// A blob that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) size: u64,
    /// Whether this process has seen that the bytes are those of the digest.
    pub(super) is_verified: bool,
    used: u64,
}

impl Entries {
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self { limit_bytes, kept: HashMap::new(), order: BTreeMap::new(), uses: 0, kept_bytes: 0, reserved_bytes: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// How many bytes there are, and how many there may be.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.kept_bytes + self.reserved_bytes, self.limit_bytes)
    }

    /// Looks a blob up, and notes that it is used.
    pub(super) fn used(&mut self, digest: &Digest) -> Option<Entry> {
        let entry = self.kept.get_mut(digest)?;
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(self.uses, *digest);
        Some(*entry)
    }

    /// Makes room for a blob that is on its way; tells which have to go for it, or `None` where it cannot be had.
    pub(super) fn reserve(&mut self, bytes: u64) -> Option<Vec<Digest>> {
        let reserved = self.reserved_bytes.checked_add(bytes).filter(|reserved| *reserved <= self.limit_bytes)?;
        self.reserved_bytes = reserved;
        Some(self.shrink())
    }

    /// The blob did not come.
    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved_bytes -= bytes;
    }

    /// The blob came, and is what it should be. Room was made for it.
    pub(super) fn keep(&mut self, digest: Digest, size: u64) {
        self.release(size);
        self.add(digest, size, true);
    }

    /// A blob was found that an earlier process kept; tells which have to go for it.
    pub(super) fn found(&mut self, digest: Digest, size: u64) -> Vec<Digest> {
        self.add(digest, size, false);
        self.shrink()
    }

    pub(super) fn verified(&mut self, digest: &Digest) {
        if let Some(entry) = self.kept.get_mut(digest) {
            entry.is_verified = true;
        }
    }

    /// Whether it was there.
    pub(super) fn forget(&mut self, digest: &Digest) -> bool {
        let Some(entry) = self.kept.remove(digest) else { return false };
        self.order.remove(&entry.used);
        self.kept_bytes -= entry.size;
        true
    }

    fn add(&mut self, digest: Digest, size: u64, is_verified: bool) {
        self.forget(&digest);
        self.uses += 1;
        self.kept.insert(digest, Entry { size, is_verified, used: self.uses });
        self.order.insert(self.uses, digest);
        self.kept_bytes += size;
    }

    fn shrink(&mut self) -> Vec<Digest> {
        let mut gone = Vec::new();
        while self.kept_bytes + self.reserved_bytes > self.limit_bytes {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.forget(&oldest);
            gone.push(oldest);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use registry_core::Algorithm;

    use super::*;

    fn digest(number: u8) -> Digest {
        Digest::of(Algorithm::Sha256, &[number])
    }

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let mut entries = Entries::new(100);
        for number in 1..=3 {
            assert_eq!(entries.reserve(30), Some(vec![]));
            entries.keep(digest(number), 30);
        }
        assert_eq!(entries.used(&digest(1)).map(|entry| entry.size), Some(30));
        assert_eq!(entries.reserve(50), Some(vec![digest(2), digest(3)]));
        assert_eq!((entries.len(), entries.bytes()), (1, (80, 100)));
        assert_eq!(entries.reserve(51), None, "what is on its way is not pushed aside");
        entries.release(50);
        assert_eq!(entries.reserve(101), None);
        assert_eq!(entries.reserve(100), Some(vec![digest(1)]));
        assert_eq!(entries.used(&digest(1)), None);
    }

    #[test]
    fn what_was_found_is_verified_once() {
        let mut entries = Entries::new(10);
        assert_eq!(entries.found(digest(1), 6), []);
        assert_eq!(entries.found(digest(2), 6), [digest(1)]);
        assert_eq!(entries.found(digest(3), 11), [digest(2), digest(3)], "larger than all of the room");
        assert_eq!(entries.found(digest(4), 1), []);
        assert!(entries.used(&digest(4)).is_some_and(|entry| !entry.is_verified));
        entries.verified(&digest(4));
        assert!(entries.used(&digest(4)).is_some_and(|entry| entry.is_verified));
        assert!(entries.forget(&digest(4)) && !entries.forget(&digest(4)));
    }

    proptest! {
        #[test]
        fn there_are_never_more_bytes_than_allowed(steps: Vec<(u8, u8, u8)>) {
            let mut entries = Entries::new(500);
            let mut under_way = Vec::new();
            for (action, number, size) in steps {
                let (digest, size) = (digest(number % 16), u64::from(size));
                match action % 5 {
                    0 => if entries.reserve(size).is_some() { under_way.push((digest, size)) },
                    1 => if let Some((digest, size)) = under_way.pop() { entries.keep(digest, size) },
                    2 => if let Some((_, size)) = under_way.pop() { entries.release(size) },
                    3 => { entries.forget(&digest); },
                    _ => { entries.used(&digest); },
                }
                let kept: u64 = entries.kept.values().map(|entry| entry.size).sum();
                let reserved: u64 = under_way.iter().map(|(_, size)| size).sum();
                prop_assert_eq!(entries.bytes(), (kept + reserved, 500));
                prop_assert!(kept + reserved <= 500);
                prop_assert_eq!(entries.order.len(), entries.kept.len());
            }
        }
    }
}
