//! In which order manifests are announced.

use std::collections::HashMap;

use crate::Digest;

/// A manifest whose bytes are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) digest: Digest,
    pub(super) target: Digest,
    /// The manifests that it names.
    pub(super) children: Vec<Digest>,
}

/// Level by level: what a manifest names, of all that are given, is in an earlier level than the manifest. (A digest cannot be in
/// what it is the digest of, so there are no circles; where bytes lie, what is left of one makes the last level.)
pub(super) fn levels(manifests: Vec<Manifest>) -> Vec<Vec<Manifest>> {
    let mut waiting: HashMap<Digest, Manifest> =
        manifests.into_iter().map(|manifest| (manifest.digest, manifest)).collect();
    let mut levels = Vec::new();
    while !waiting.is_empty() {
        let is_free = |manifest: &Manifest| !manifest.children.iter().any(|child| waiting.contains_key(child));
        let mut free: Vec<Digest> =
            waiting.values().filter(|manifest| is_free(manifest)).map(|manifest| manifest.digest).collect();
        if free.is_empty() {
            free = waiting.keys().copied().collect();
        }
        free.sort_unstable();
        levels.push(free.iter().filter_map(|digest| waiting.remove(digest)).collect());
    }
    levels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Algorithm;

    fn digest(number: u8) -> Digest {
        Digest::of(Algorithm::Sha256, &[number])
    }

    fn ordered(named: &[(u8, &[u8])]) -> Vec<Vec<u8>> {
        let manifests = named.iter().map(|(number, children)| Manifest {
            digest: digest(*number),
            target: digest(*number),
            children: children.iter().map(|child| digest(*child)).collect(),
        });
        let number = |manifest: &Manifest| (0..=255).find(|number| digest(*number) == manifest.digest).unwrap();
        let sorted = |level: Vec<Manifest>| {
            let mut numbers: Vec<u8> = level.iter().map(number).collect();
            numbers.sort_unstable();
            numbers
        };
        levels(manifests.collect()).into_iter().map(sorted).collect()
    }

    #[test]
    fn what_is_named_comes_first() {
        assert_eq!(ordered(&[]), [[0; 0]; 0]);
        assert_eq!(
            ordered(&[(1, &[2, 3]), (2, &[]), (3, &[4]), (4, &[]), (5, &[99])]),
            [vec![2, 4, 5], vec![3], vec![1]]
        );
        assert_eq!(ordered(&[(1, &[2]), (2, &[1]), (3, &[])]), [vec![3], vec![1, 2]]);
    }
}
