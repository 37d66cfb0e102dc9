//! Many digests in little memory: each is kept once, and known by a number.

use indexmap::IndexSet;

use crate::{Algorithm, Digest};

/// The number of a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Id(u32);

/// Digests by number, and numbers by digest.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    sha256: IndexSet<[u8; 32]>,
    sha512: IndexSet<[u8; 64]>,
}

impl Digests {
    /// The number of a digest, a new one if it has none yet.
    ///
    /// # Panics
    /// Beyond two thousand million digests, for which no machine has the memory.
    pub(crate) fn id(&mut self, digest: &Digest) -> Id {
        let index = match digest.algorithm() {
            Algorithm::Sha256 => self.sha256.insert_full(array(digest.hash())).0,
            Algorithm::Sha512 => self.sha512.insert_full(array(digest.hash())).0,
        };
        number(index, digest.algorithm())
    }

    /// The digest of a number.
    pub(crate) fn digest(&self, id: Id) -> Digest {
        let index = id.0 as usize / 2;
        if id.0.is_multiple_of(2) { Digest::sha256(self.sha256[index]) } else { Digest::sha512(self.sha512[index]) }
    }
}

fn number(index: usize, algorithm: Algorithm) -> Id {
    #[expect(clippy::expect_used, reason = "memory ends before numbers do")]
    let index = u32::try_from(index).ok().and_then(|index| index.checked_mul(2)).expect("too many digests");
    Id(index + u32::from(algorithm == Algorithm::Sha512))
}

fn array<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(hash);
    array
}

/// A set of numbers.
#[derive(Debug, Default, Clone)]
pub(crate) struct IdSet(Vec<u64>);

impl IdSet {
    /// Adds a number; tells whether it is new.
    pub(crate) fn insert(&mut self, id: Id) -> bool {
        let (word, bit) = place(id);
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    pub(crate) fn contains(&self, id: Id) -> bool {
        let (word, bit) = place(id);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }
}

fn place(id: Id) -> (usize, u64) {
    (id.0 as usize / 64, 1 << (id.0 % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_has_one_number_and_a_number_one_digest() {
        let (mut digests, mut set) = (Digests::default(), IdSet::default());
        let all: Vec<Digest> =
            (0..200_u8).flat_map(|content| Algorithm::ALL.map(|algorithm| Digest::of(algorithm, &[content]))).collect();
        let ids: Vec<Id> = all.iter().map(|digest| digests.id(digest)).collect();
        for (digest, id) in all.iter().zip(&ids) {
            assert_eq!((digests.id(digest), digests.digest(*id)), (*id, *digest));
            assert!(!set.contains(*id) && set.insert(*id) && !set.insert(*id) && set.contains(*id));
        }
    }
}
