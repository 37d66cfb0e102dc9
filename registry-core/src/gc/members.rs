//! What a repository has, as its directories tell it.

use std::collections::HashMap;

use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};

use super::digests::{Digests, Id};
use super::run_id::RunId;
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::{Entry, EntryKind, Key};
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, Tag};

/// What a repository has.
#[derive(Debug, Default)]
pub(crate) struct Members {
    /// The tags, and what they point to.
    pub(crate) tags: Vec<(Tag, Id)>,
    /// Whether a tag could not be read, so that it is not known what is tagged.
    pub(crate) has_torn_tag: bool,
    /// The tags that are empty or torn.
    pub(crate) torn_tags: Vec<Tag>,
    /// Whether there are links by hash functions that are not known here.
    pub(crate) is_foreign: bool,
    /// The links of manifests.
    pub(crate) revisions: Links,
    /// The links of blobs.
    pub(crate) layers: Links,
}

impl Members {
    /// Whether nothing is there, nor among the copies.
    pub(crate) fn is_empty(&self) -> bool {
        let is_empty = |links: &Links| links.live.is_empty() && links.copies.is_empty();
        self.tags.is_empty() && is_empty(&self.revisions) && is_empty(&self.layers)
    }
}

/// The links of one kind.
#[derive(Debug, Default)]
pub(crate) struct Links {
    /// Those that are in their place, in order.
    pub(crate) live: Vec<Id>,
    /// What links point to that do not point to what they are named after.
    targets: HashMap<Id, Id>,
    /// The copies that runs took.
    pub(crate) copies: Vec<LinkCopy>,
}

/// A copy of a link that a run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkCopy {
    pub(crate) id: Id,
    pub(crate) run: RunId,
    /// The link was deleted since.
    pub(crate) is_deleted: bool,
}

/// So many names are listed at once: a directory is read whole for each page.
const PAGE: usize = 50_000;
/// How many small objects are read side by side.
const CONCURRENCY: usize = 16;

/// Said of what nobody who knows the layout put there.
pub(crate) const STRAY: &str = "a name that does not belong here";

/// All names below a prefix, with few looks at its directory.
pub(crate) fn names(registry: &Registry, prefix: Key) -> BoxStream<'_, Result<Entry, Error>> {
    registry.entries_in_pages(prefix, None, PAGE)
}

impl Links {
    /// The content behind a link.
    pub(crate) fn target(&self, id: Id) -> Id {
        self.targets.get(&id).copied().unwrap_or(id)
    }

    pub(crate) fn is_live(&self, id: Id) -> bool {
        self.live.binary_search(&id).is_ok()
    }

    /// Whether readers find the link: in its place, or as a copy.
    pub(crate) fn is_readable(&self, id: Id) -> bool {
        self.is_live(id) || self.copies.iter().any(|copy| copy.id == id && !copy.is_deleted)
    }

    /// The links in their place, and those of which only copies are left.
    pub(crate) fn all(&self) -> impl Iterator<Item = Id> {
        self.live.iter().copied().chain(self.copies.iter().map(|copy| copy.id))
    }

    fn settle(&mut self) {
        self.live.sort_unstable();
        self.live.dedup();
    }
}

/// Looks through the directories of one repository.
pub(crate) struct Look<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) name: &'a RepositoryName,
    pub(crate) digests: &'a mut Digests,
    /// Is told the place of what could not be understood, and what is wrong with it.
    pub(crate) skip: &'a mut (dyn FnMut(String, &'static str) + Send),
}

impl Look<'_> {
    /// All that the repository has. Links in their place are looked for before and after the copies, so that none is
    /// missed that a collector or a writer moves meanwhile.
    pub(crate) async fn members(&mut self) -> Result<Members, Error> {
        let mut members = Members::default();
        self.tags(&mut members).await?;
        members.is_foreign |= self.has_other_algorithms(&layout::layers(self.name)).await?;
        members.is_foreign |= self.has_other_algorithms(&layout::all_revisions(self.name)).await?;
        for (member, links) in [(Member::Layer, &mut members.layers), (Member::Revision, &mut members.revisions)] {
            self.live(member, links, true).await?;
            self.copies(member, links).await?;
            self.live(member, links, false).await?;
            links.settle();
        }
        Ok(members)
    }

    /// The tags and links of manifests alone.
    pub(crate) async fn roots(&mut self) -> Result<Members, Error> {
        let mut members = Members::default();
        self.tags(&mut members).await?;
        self.live(Member::Revision, &mut members.revisions, true).await?;
        self.copies(Member::Revision, &mut members.revisions).await?;
        self.live(Member::Revision, &mut members.revisions, false).await?;
        members.revisions.settle();
        Ok(members)
    }

    async fn tags(&mut self, members: &mut Members) -> Result<(), Error> {
        let registry = self.registry;
        let mut tags = Vec::new();
        let mut entries = names(registry, layout::tags(self.name));
        while let Some(entry) = entries.try_next().await? {
            match entry.name.parse::<Tag>() {
                Ok(tag) if entry.kind == EntryKind::Prefix => tags.push(tag),
                _ => {
                    members.has_torn_tag |= entry.kind == EntryKind::Prefix;
                    self.stray(&layout::tags(self.name), &entry.name);
                }
            }
        }
        let name = self.name;
        let mut targets = futures::stream::iter(tags)
            .map(|tag| async move {
                let link = layout::tag_current(name, &tag);
                let target = registry.link(&link).await?;
                let is_torn = target.is_none() && registry.storage().stat(&link).await?.is_some();
                Ok::<_, Error>((tag, target, is_torn))
            })
            .buffered(CONCURRENCY)
            .boxed();
        while let Some((tag, target, is_torn)) = targets.try_next().await? {
            if let Some(target) = target {
                members.tags.push((tag, self.digests.id(&target)));
            } else if is_torn {
                members.has_torn_tag = true;
                (self.skip)(layout::tag_current(name, &tag).to_string(), "a tag that is empty or torn");
                members.torn_tags.push(tag);
            }
        }
        Ok(())
    }

    /// Another registry may know more hash functions.
    async fn has_other_algorithms(&mut self, directory: &Key) -> Result<bool, Error> {
        let listing = self.registry.storage().list(directory, None, 16).await?;
        let mut found = false;
        for entry in listing.entries {
            if entry.name.parse::<Algorithm>().is_err() {
                found = true;
                self.stray(directory, &entry.name);
            }
        }
        Ok(found)
    }

    async fn live(&mut self, member: Member, links: &mut Links, is_first: bool) -> Result<(), Error> {
        for algorithm in Algorithm::ALL {
            let directory = layout::members(self.name, member, algorithm);
            let mut entries = names(self.registry, directory.clone());
            while let Some(entry) = entries.try_next().await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else {
                    if is_first {
                        self.stray(&directory, &entry.name);
                    }
                    continue;
                };
                let id = self.digests.id(&digest);
                links.live.push(id);
                // Other registries link the SHA-512 of some content to its SHA-256.
                if algorithm == Algorithm::Sha512 && !links.targets.contains_key(&id) {
                    let link = layout::member_link(self.name, member, &digest);
                    self.aim(links, id, &link).await?;
                }
            }
        }
        Ok(())
    }

    async fn aim(&mut self, links: &mut Links, id: Id, link: &Key) -> Result<(), Error> {
        if let Some(target) = self.registry.link(link).await? {
            links.targets.insert(id, self.digests.id(&target));
        }
        Ok(())
    }

    async fn copies(&mut self, member: Member, links: &mut Links) -> Result<(), Error> {
        for algorithm in Algorithm::ALL {
            let mut entries = names(self.registry, layout::all_retired(self.name, member, algorithm));
            while let Some(entry) = entries.try_next().await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else { continue };
                let id = self.digests.id(&digest);
                let place = layout::retired(self.name, member, &digest);
                let copies = self.registry.retired_copies(&place).await?;
                for (run, is_deleted) in copies.iter() {
                    links.copies.push(LinkCopy { id, run, is_deleted });
                    if algorithm == Algorithm::Sha512 && !links.targets.contains_key(&id) {
                        self.aim(links, id, &copy_and_mark(&place, &run).0).await?;
                    }
                }
            }
        }
        Ok(())
    }

    fn stray(&mut self, directory: &Key, name: &str) {
        (self.skip)(format!("{directory}/{name}"), STRAY);
    }
}
