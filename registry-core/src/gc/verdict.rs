//! What of a repository is needed, and what is kept.
//!
//! Two sets must not be mixed up. *Needed* is what any manifest of the repository names, kept or not, also those whose
//! links were taken away and not purged: nothing that is needed is ever purged, whatever the policy and whatever the
//! time. *Kept* is what policy wants; it decides which links are taken away, and which are brought back.

use std::collections::{HashMap, HashSet};

use super::digests::Id;
use super::documents::{Documents, Reading};
use super::members::{LinkCopy, Members};
use crate::layout::Member;

/// What of a repository is needed, and what is kept.
#[derive(Debug)]
pub(super) struct Verdict<'a> {
    members: &'a Members,
    documents: &'a Documents,
    /// What some manifest of the repository names.
    needed: HashSet<Id>,
    tagged: HashSet<Id>,
    /// The manifests that policy wants, and what refers to them.
    kept: HashSet<Id>,
    referrers: HashMap<Id, Vec<Id>>,
}

impl<'a> Verdict<'a> {
    /// What is needed; and of what is kept the tagged manifests, those that they name, and those that refer to them.
    pub(super) fn new(members: &'a Members, documents: &'a Documents) -> Self {
        let mut referrers: HashMap<Id, Vec<Id>> = HashMap::new();
        for revision in members.revisions.all() {
            if let Some(subject) = documents.subject(members.revisions.target(revision)) {
                referrers.entry(subject).or_default().push(revision);
            }
        }
        let tagged: HashSet<Id> = members.tags.iter().map(|(_, id)| *id).collect();
        let needed = needed(members, documents);
        let mut verdict = Self { members, documents, needed, tagged, kept: HashSet::new(), referrers };
        for (_, id) in &members.tags {
            verdict.keep(*id);
        }
        verdict
    }

    /// Keeps a manifest, those that it names, and those that refer to it.
    pub(super) fn keep(&mut self, id: Id) {
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            if !self.kept.insert(id) {
                continue;
            }
            let target = self.members.revisions.target(id);
            if self.documents.reading(target) == Reading::Index {
                next.extend_from_slice(self.documents.needs(target));
            }
            next.extend(self.referrers.get(&id).into_iter().flatten());
        }
    }

    pub(super) fn documents(&self) -> &'a Documents {
        self.documents
    }

    pub(super) fn is_tagged(&self, id: Id) -> bool {
        self.tagged.contains(&id)
    }

    pub(super) fn is_kept(&self, id: Id) -> bool {
        self.kept.contains(&id)
    }

    /// Whether some manifest of the repository names it.
    pub(super) fn is_needed(&self, id: Id) -> bool {
        self.needed.contains(&id)
    }

    /// Everything that some manifest of the repository names.
    pub(super) fn needed(&self) -> impl Iterator<Item = Id> {
        self.needed.iter().copied()
    }

    /// Whether a link that was taken away is to be brought back.
    pub(super) fn wants_back(&self, member: Member, copy: &LinkCopy) -> bool {
        match member {
            Member::Layer => self.is_needed(copy.id),
            Member::Revision => {
                let by_policy = !copy.is_deleted && self.is_kept(copy.id);
                self.is_tagged(copy.id) || self.is_needed(copy.id) || by_policy
            }
        }
    }
}

/// What the manifests of a repository name, through indexes at any depth, whether or not their children are linked.
fn needed(members: &Members, documents: &Documents) -> HashSet<Id> {
    let target = |id| members.revisions.target(id);
    let mut manifests: HashSet<Id> = HashSet::new();
    let mut needed = HashSet::new();
    let roots = members.revisions.all().chain(members.tags.iter().map(|(_, id)| *id));
    let mut next: Vec<Id> = roots.map(target).collect();
    while let Some(id) = next.pop() {
        if !manifests.insert(id) {
            continue;
        }
        needed.extend(documents.needs(id));
        if documents.reading(id) == Reading::Index {
            next.extend(documents.needs(id).iter().map(|child| target(*child)));
        }
    }
    needed
}
