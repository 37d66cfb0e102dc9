//! What a client may find, after what it was told.

use std::collections::{BTreeMap, BTreeSet};

use registry_core::{Digest, RepositoryName, Tag};

/// Something that a client can ask for. The answer is a digest, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    Blob(RepositoryName, Digest),
    Manifest(RepositoryName, Digest),
    Tag(RepositoryName, Tag),
}

/// What an operation makes of a fact.
pub(super) type Effect = (Fact, Option<Digest>);

/// What was found.
pub(super) type Findings = BTreeMap<Fact, Option<Digest>>;

/// The answers that are right for each fact. What was never touched is not there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct World {
    allowed: BTreeMap<Fact, BTreeSet<Option<Digest>>>,
    /// Deleted manifests to which tags may still point on the disk: the delete was cut off before it was acknowledged,
    /// or a change of the tag failed before it. Such a tag is not found.
    deleted_in_part: BTreeSet<(RepositoryName, Digest)>,
}

impl World {
    /// A world in which all that was found is certain.
    pub(super) fn of(findings: &Findings) -> Self {
        let allowed = findings.iter().map(|(fact, found)| (fact.clone(), BTreeSet::from([*found]))).collect();
        Self { allowed, ..Self::default() }
    }

    /// An operation was begun: it may have happened or not.
    pub(super) fn begin(&mut self, effects: &[Effect]) {
        for (fact, value) in effects {
            self.allowed.entry(fact.clone()).or_insert_with(|| BTreeSet::from([None])).insert(*value);
            if let (Fact::Manifest(repository, digest), None) = (fact, value) {
                self.uncertain_tags(repository, digest).for_each(|values| _ = values.insert(None));
            }
        }
    }

    /// The operation was acknowledged.
    pub(super) fn acknowledge(&mut self, effects: &[Effect]) {
        for (fact, value) in effects {
            self.allowed.insert(fact.clone(), BTreeSet::from([*value]));
        }
        for (fact, value) in effects {
            if let (Fact::Manifest(repository, digest), None) = (fact, value) {
                let mut left = false;
                for values in self.uncertain_tags(repository, digest) {
                    values.remove(&Some(*digest));
                    values.insert(None);
                    left = true;
                }
                // Where a change of a tag failed, a power cut may bring the old one back, and nobody took that away.
                if left {
                    self.deleted_in_part(repository, *digest);
                }
            }
        }
    }

    fn uncertain_tags(
        &mut self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> impl Iterator<Item = &mut BTreeSet<Option<Digest>>> {
        self.allowed.iter_mut().filter_map(move |(fact, values)| match fact {
            Fact::Tag(name, _) if name == repository && values.contains(&Some(*digest)) => Some(values),
            _ => None,
        })
    }

    /// What may be found for a fact.
    pub(super) fn allowed(&self, fact: &Fact) -> BTreeSet<Option<Digest>> {
        self.allowed.get(fact).cloned().unwrap_or_else(|| BTreeSet::from([None]))
    }

    /// The tags that point to a manifest for certain.
    pub(super) fn tags_of(&self, repository: &RepositoryName, digest: &Digest) -> Vec<Fact> {
        let points = |(fact, values): &(&Fact, &BTreeSet<Option<Digest>>)| {
            matches!(fact, Fact::Tag(name, _) if name == repository) && values.iter().eq([&Some(*digest)])
        };
        self.allowed.iter().filter(points).map(|(fact, _)| fact.clone()).collect()
    }

    /// A tag was found that points to a manifest that is deleted.
    pub(super) fn deleted_in_part(&mut self, repository: &RepositoryName, digest: Digest) {
        self.deleted_in_part.insert((repository.clone(), digest));
    }

    /// Whether a tag may lie there without its manifest.
    pub(super) fn may_dangle(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        if self.deleted_in_part.contains(&(repository.clone(), *digest)) {
            return true;
        }
        let values = self.allowed(&Fact::Manifest(repository.clone(), *digest));
        values.contains(&None) && values.contains(&Some(*digest))
    }

    /// # Errors
    /// The first answer that is wrong.
    pub(super) fn judge(&self, findings: &Findings) -> Result<(), String> {
        for (fact, found) in findings {
            let allowed = self.allowed(fact);
            if !allowed.contains(found) {
                return Err(format!("{fact:?} is {found:?}, and may be {allowed:?}"));
            }
        }
        Ok(())
    }
}
