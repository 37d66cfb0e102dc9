//! What is wrong in one repository, and what of it breaks which manifest.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;

use super::finding::Damage;
use crate::gc::digests::{Digests, Id};
use crate::layout::{self, Member};
use crate::{RepositoryName, RunId, Tag};

/// Something that is wrong in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// Content that cannot be had, wherever it is needed.
    Content(Id),
    /// A link that is empty or torn, or a copy of one that a run took.
    TornLink(Member, Id, Option<RunId>),
    /// There is no link.
    MissingLink(Member, Id),
    /// A link that points to other content than it is named after.
    MisdirectedLink(Member, Id, Id),
    /// A linked manifest that cannot be served as one.
    NotAManifest(Id),
    /// A manifest states another size than what it needs has.
    WrongSize { manifest: Id, need: Id, stated: u64, stored: u64 },
    /// A tag that is empty or torn.
    TornTag(Tag),
    /// A tag of a manifest that is not in the repository.
    DeadTag(Tag, Id),
    /// A name that does not belong there.
    Stray(String),
}

/// All that is wrong in a repository.
#[derive(Debug, Default)]
pub(super) struct Faults {
    all: IndexSet<Fault>,
    /// What is wrong with each manifest itself and with what it names, by position.
    pub(super) of_manifest: HashMap<Id, HashSet<usize>>,
    /// The manifests that each manifest names.
    pub(super) children: HashMap<Id, Vec<Id>>,
}

impl Faults {
    /// Notes a fault; gives its position.
    pub(super) fn note(&mut self, fault: Fault) -> usize {
        self.all.insert_full(fault).0
    }

    /// Notes a fault of a manifest.
    pub(super) fn note_of(&mut self, manifest: Id, fault: Fault) {
        let position = self.note(fault);
        self.of_manifest.entry(manifest).or_default().insert(position);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.all.iter()
    }

    pub(super) fn has(&self, fault: &Fault) -> bool {
        self.all.contains(fault)
    }

    /// The positions of all that is wrong with a manifest, or with what it names at any depth.
    pub(super) fn reach(&self, manifest: Id) -> HashSet<usize> {
        let mut faults = HashSet::new();
        let mut met = HashSet::new();
        let mut next = vec![manifest];
        while let Some(id) = next.pop() {
            if !met.insert(id) {
                continue;
            }
            faults.extend(self.of_manifest.get(&id).into_iter().flatten());
            next.extend(self.children.get(&id).into_iter().flatten());
        }
        faults
    }
}

impl Fault {
    /// Where it is, and what. Content that cannot be had is known elsewhere, unless it is nowhere.
    pub(super) fn tell(&self, name: &RepositoryName, digests: &Digests) -> (String, Damage) {
        let repository = name.clone();
        match self {
            Self::Content(id) => {
                let digest = digests.digest(*id);
                (layout::blob(&digest).to_string(), Damage::MissingContent { digest })
            }
            Self::TornLink(member, id, run) => {
                let digest = digests.digest(*id);
                let place = match run {
                    None => layout::member_link(name, *member, &digest).to_string(),
                    Some(run) => format!("{}/{run}", layout::retired(name, *member, &digest)),
                };
                (place, Damage::TornLink { repository, digest })
            }
            Self::MissingLink(member, id) => {
                let digest = digests.digest(*id);
                let place = layout::member_link(name, *member, &digest);
                (place.to_string(), Damage::MissingLink { repository, digest })
            }
            Self::MisdirectedLink(member, id, target) => {
                let (digest, target) = (digests.digest(*id), digests.digest(*target));
                let place = layout::member_link(name, *member, &digest);
                (place.to_string(), Damage::MisdirectedLink { repository, digest, target })
            }
            Self::NotAManifest(id) => {
                let digest = digests.digest(*id);
                (layout::revision_link(name, &digest).to_string(), Damage::NotAManifest { repository, digest })
            }
            Self::WrongSize { manifest, need, stated, stored } => {
                let (manifest, digest) = (digests.digest(*manifest), digests.digest(*need));
                let place = layout::revision_link(name, &manifest).to_string();
                (place, Damage::WrongSize { repository, manifest, digest, stated: *stated, stored: *stored })
            }
            Self::TornTag(tag) => {
                (layout::tag_current(name, tag).to_string(), Damage::TornTag { repository, tag: tag.clone() })
            }
            Self::DeadTag(tag, id) => {
                let (tag, digest) = (tag.clone(), digests.digest(*id));
                (layout::tag_current(name, &tag).to_string(), Damage::DeadTag { repository, tag, digest })
            }
            Self::Stray(place) => (place.clone(), Damage::StrayName),
        }
    }
}
