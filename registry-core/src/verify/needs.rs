//! Looks through one repository: its links, its tags, and all that its manifests need.

use std::collections::HashSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Scrub;
use super::faults::{Fault, Faults};
use crate::gc::digests::Id;
use crate::gc::documents::Reading;
use crate::gc::members::{Links, Look, Members, STRAY};
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::{self, Key};
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, RunId, document};

/// How many links are read side by side.
const CONCURRENCY: usize = 16;

/// What a repository has, and what is wrong with it.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) members: Members,
    /// The members that readers find.
    pub(super) readable: HashSet<(Member, Id)>,
    /// The members that readers do not find, because their link is torn.
    pub(super) torn: HashSet<(Member, Id)>,
    pub(super) faults: Faults,
}

impl Looked {
    fn links(&self, member: Member) -> &Links {
        if member == Member::Layer { &self.members.layers } else { &self.members.revisions }
    }

    /// The content behind a link.
    pub(super) fn target(&self, member: Member, id: Id) -> Id {
        self.links(member).target(id)
    }

    /// The manifests of the repository, those with a torn link too, each once.
    pub(super) fn manifests(&self) -> Vec<Id> {
        let members = self.readable.iter().chain(&self.torn);
        let mut ids: Vec<Id> = members.filter(|(member, _)| *member == Member::Revision).map(|(_, id)| *id).collect();
        ids.sort_unstable();
        ids
    }
}

impl Scrub<'_> {
    /// Looks through a repository once.
    pub(super) async fn look_at(&mut self, name: &RepositoryName) -> Result<Looked, Error> {
        let registry = self.registry();
        let mut faults = Faults::default();
        let mut skip = |place: String, reason: &str| {
            if reason == STRAY {
                faults.note(Fault::Stray(place));
            }
        };
        let mut look = Look { registry, name, digests: &mut self.digests, skip: &mut skip };
        let members = look.members().await?;
        let mut looked = Looked { members, readable: HashSet::new(), torn: HashSet::new(), faults };
        self.read_links(name, &mut looked).await?;
        self.look_at_manifests(name, &mut looked).await?;
        for tag in &looked.members.torn_tags {
            looked.faults.note(Fault::TornTag(tag.clone()));
        }
        for (tag, id) in &looked.members.tags {
            let manifest = (Member::Revision, *id);
            if !looked.readable.contains(&manifest) && !looked.torn.contains(&manifest) {
                looked.faults.note(Fault::DeadTag(tag.clone(), *id));
            }
        }
        Ok(looked)
    }

    /// Reads every link, and every copy that a collector took of one.
    async fn read_links(&mut self, name: &RepositoryName, looked: &mut Looked) -> Result<(), Error> {
        let registry = self.registry();
        let mut wanted = Vec::new();
        for member in Member::ALL {
            let links = looked.links(member);
            let live = links.live.iter().map(|id| (*id, None));
            let copies = links.copies.iter().filter(|copy| !copy.is_deleted).map(|copy| (copy.id, Some(copy.run)));
            wanted.extend(live.chain(copies).map(|(id, run)| Link { member, id, run }));
        }
        let links = wanted.into_iter().map(|link| (link, link.place(name, &self.digests.digest(link.id))));
        let links: Vec<_> = links.collect();
        let mut read = stream::iter(links)
            .map(|(link, place)| async move { Ok::<_, Error>((link, read_link(registry, &place).await?)) })
            .buffer_unordered(CONCURRENCY)
            .boxed();
        let mut torn = Vec::new();
        while let Some((Link { member, id, run }, content)) = read.try_next().await? {
            match content {
                // It went meanwhile.
                None => {}
                Some(None) => {
                    torn.push((member, id));
                    looked.faults.note(Fault::TornLink(member, id, run));
                }
                Some(Some(target)) => {
                    looked.readable.insert((member, id));
                    let target = self.digests.id(&target);
                    if target != id && !self.stands_for(id, target).await? {
                        looked.faults.note(Fault::MisdirectedLink(member, id, target));
                    }
                }
            }
        }
        looked.torn = torn.into_iter().filter(|link| !looked.readable.contains(link)).collect();
        Ok(())
    }

    /// Whether a name by SHA-512 is another name of some content, as other registries write it.
    async fn stands_for(&mut self, id: Id, target: Id) -> Result<bool, Error> {
        let (name, digest) = (self.digests.digest(id), self.digests.digest(target));
        if name.algorithm() != Algorithm::Sha512 || digest.algorithm() != Algorithm::Sha256 {
            return Ok(false);
        }
        // Content that cannot be had is told of where it is needed.
        if self.aliases.contains(&(id, target)) || self.content(target).await?.is_none() {
            return Ok(true);
        }
        let verifier = self.verifier;
        let computed = self.registry().find_content(&digest, |place| async move {
            verifier.digest_of(&place, Algorithm::Sha512, &mut None).await
        });
        let is_alias = computed.await?.is_none_or(|computed| computed == name);
        if is_alias {
            self.aliases.insert((id, target));
        }
        Ok(is_alias)
    }

    async fn look_at_manifests(&mut self, name: &RepositoryName, looked: &mut Looked) -> Result<(), Error> {
        let registry = self.registry();
        let mut next: Vec<Id> = looked.manifests();
        let targets = next.iter().map(|id| looked.target(Member::Revision, *id));
        self.documents.load(registry, &mut self.digests, targets).await?;
        let mut met = HashSet::new();
        while let Some(id) = next.pop() {
            if !met.insert(id) {
                continue;
            }
            tokio::task::consume_budget().await;
            let manifest = (Member::Revision, id);
            if looked.torn.contains(&manifest) {
                looked.faults.note_of(id, Fault::TornLink(Member::Revision, id, None));
            }
            let children = self.look_at_manifest(id, looked).await?;
            if !children.is_empty() {
                next.extend_from_slice(&children);
                looked.faults.children.insert(id, children);
            }
        }
        tracing::debug!(repository = %name, manifests = met.len(), "looked through a repository");
        Ok(())
    }

    /// Looks for a manifest's own content and for what it needs; gives the manifests among that.
    async fn look_at_manifest(&mut self, id: Id, looked: &mut Looked) -> Result<Vec<Id>, Error> {
        let target = looked.target(Member::Revision, id);
        if !self.documents.is_known(target) {
            self.documents.load(self.verifier.registry(), &mut self.digests, [target]).await?;
        }
        if self.content(target).await?.is_none() {
            looked.faults.note_of(id, Fault::Content(target));
        } else if !self.is_served(target).await? {
            looked.faults.note_of(id, Fault::NotAManifest(id));
        }
        let member = match self.documents.reading(target) {
            Reading::Index => Member::Revision,
            Reading::Image => Member::Layer,
            Reading::Foreign => return Ok(Vec::new()),
            Reading::Absent | Reading::Corrupt => {
                // The next look reads it again.
                self.documents.forget(target);
                return Ok(Vec::new());
            }
        };
        let needs: Vec<(Id, Option<u64>)> = self.documents.required_with_sizes(target).collect();
        for (need, stated) in &needs {
            self.look_at_need(id, member, *need, *stated, looked).await?;
        }
        let children = needs.into_iter().map(|(need, _)| need).filter(|_| member == Member::Revision);
        Ok(children.collect())
    }

    async fn look_at_need(
        &mut self,
        manifest: Id,
        member: Member,
        need: Id,
        stated: Option<u64>,
        looked: &mut Looked,
    ) -> Result<(), Error> {
        if looked.torn.contains(&(member, need)) {
            looked.faults.note_of(manifest, Fault::TornLink(member, need, None));
        } else if !looked.readable.contains(&(member, need)) {
            looked.faults.note_of(manifest, Fault::MissingLink(member, need));
        }
        let target = looked.target(member, need);
        match (self.content(target).await?, stated) {
            (None, _) => looked.faults.note_of(manifest, Fault::Content(target)),
            (Some(stored), Some(stated)) if stored != stated => {
                looked.faults.note_of(manifest, Fault::WrongSize { manifest, need, stated, stored });
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether content that is what its name says can be served as a manifest.
    async fn is_served(&self, target: Id) -> Result<bool, Error> {
        match self.documents.reading(target) {
            Reading::Image | Reading::Index => return Ok(true),
            Reading::Absent | Reading::Corrupt => return Ok(false),
            Reading::Foreign => {}
        }
        let (storage, limit_bytes) = (self.registry().storage(), self.registry().limits().manifest_bytes);
        let digest = self.digests.digest(target);
        let content = self.registry().find_content(&digest, |place| async move {
            match storage.read(&place, limit_bytes).await {
                Err(storage::Error::TooLarge { .. }) => Ok(None),
                found => Ok(found?),
            }
        });
        Ok(content.await?.is_some_and(|content| document::stored_media_type(&content).is_some()))
    }
}

/// A link, or the copy that a run took of it.
#[derive(Debug, Clone, Copy)]
struct Link {
    member: Member,
    id: Id,
    run: Option<RunId>,
}

impl Link {
    fn place(&self, name: &RepositoryName, digest: &Digest) -> Key {
        match &self.run {
            None => layout::member_link(name, self.member, digest),
            Some(run) => copy_and_mark(&layout::retired(name, self.member, digest), run).0,
        }
    }
}

/// What a link says: `None` if there is none, and nothing if it is torn.
async fn read_link(registry: &Registry, place: &Key) -> Result<Option<Option<Digest>>, Error> {
    if let Some(target) = registry.link(place).await? {
        return Ok(Some(Some(target)));
    }
    if registry.storage().stat(place).await?.is_none() {
        return Ok(None);
    }
    // Written in between, perhaps.
    Ok(Some(registry.link(place).await?))
}
