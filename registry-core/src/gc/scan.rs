//! Looks through everything: what is announced, and what is to be done with links.
//!
//! *Announced* is what no run may purge: all that manifests need whose links are in their place or were only taken
//! away, all that tags point to, and the blobs whose links are in their place or were only taken away. No policy and no
//! age takes anything out of it.

use std::collections::{BTreeSet, HashSet};
use std::time::SystemTime;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::digests::{Digests, Id, IdSet};
use super::documents::{Documents, Reading};
use super::members::{Links, Look, Members, STRAY, names};
use super::options::{GcOptions, is_older};
use super::report::{Found, GcReport};
use super::verdict::Verdict;
use super::{Collector, RunId};
use crate::layout::{self, Member};
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, Tag};

/// What was found, and what is to be done.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) digests: Digests,
    pub(super) documents: Documents,
    /// What no run may purge.
    pub(super) announced: IdSet,
    /// All content that there is.
    pub(super) blobs: Vec<Id>,
    present: IdSet,
    pub(super) repositories: Vec<Repository>,
    /// The runs that took something away which is still there.
    pub(super) runs_seen: BTreeSet<RunId>,
}

/// What is to be done in one repository.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) name: RepositoryName,
    /// Links to take away.
    pub(super) retire: Vec<(Member, Id)>,
    /// Copies of earlier runs to purge; before that, some are brought back.
    pub(super) copies: Vec<CopyPlan>,
    /// Tags whose manifest is gone.
    pub(super) dead_tags: Vec<(Tag, Id)>,
    /// Whether nothing is in it.
    pub(super) is_empty: bool,
}

/// What becomes of a copy of a link.
#[derive(Debug, Clone, Copy)]
pub(super) struct CopyPlan {
    pub(super) member: Member,
    pub(super) id: Id,
    pub(super) run: RunId,
    pub(super) bring_back: bool,
}

/// How many links are looked at side by side.
const CONCURRENCY: usize = 16;

pub(super) struct Scan<'a> {
    pub(super) collector: &'a Collector,
    pub(super) now: SystemTime,
    /// The earlier runs whose copies may be purged.
    pub(super) finished: &'a BTreeSet<RunId>,
    pub(super) report: &'a mut GcReport,
    pub(super) plan: Plan,
}

impl<'a> Scan<'a> {
    pub(super) async fn run(mut self) -> Result<Plan, Error> {
        self.list_blobs().await?;
        let mut scanned = HashSet::new();
        let mut names = self.registry().walk(None);
        while let Some(name) = names.try_next().await? {
            self.scan(&name).await?;
            scanned.insert(name);
        }
        // Of some repositories only what was taken away is left.
        let mut names = self.registry().walk_in(layout::retired_directory, None);
        while let Some(name) = names.try_next().await? {
            if !scanned.contains(&name) {
                self.scan(&name).await?;
            }
        }
        self.report.manifests = self.plan.documents.len() as u64;
        self.report.blobs = self.plan.blobs.len() as u64;
        self.collector.tell(Found::Marked(self.report));
        Ok(self.plan)
    }

    async fn list_blobs(&mut self) -> Result<(), Error> {
        for algorithm in Algorithm::ALL {
            let root = layout::blobs(algorithm);
            let mut spread = self.registry().entries(root.clone(), None);
            while let Some(entry) = spread.try_next().await? {
                let Ok(directory) = root.child(&entry.name) else { continue };
                let mut hashes = names(self.registry(), directory.clone());
                while let Some(entry) = hashes.try_next().await? {
                    if let Ok(digest) = Digest::from_parts(algorithm, &entry.name) {
                        let id = self.plan.digests.id(&digest);
                        self.plan.blobs.push(id);
                        self.plan.present.insert(id);
                    } else {
                        self.report.skip(&format!("{directory}/{}", entry.name), STRAY);
                    }
                }
            }
        }
        Ok(())
    }

    async fn scan(&mut self, name: &RepositoryName) -> Result<(), Error> {
        tokio::task::consume_budget().await;
        let registry = self.registry();
        let report = &mut *self.report;
        let mut skip = |place: String, reason| report.skip(&place, reason);
        let mut look = Look { registry, name, digests: &mut self.plan.digests, skip: &mut skip };
        let members = look.members().await?;
        self.collector.tell(Found::Repository(name));
        self.report.repositories += u64::from(!members.revisions.live.is_empty());
        self.report.links += (members.revisions.live.len() + members.layers.live.len()) as u64;
        let unreadable = self.load(name, &members).await?;
        let documents = std::mem::take(&mut self.plan.documents);
        let mut verdict = Verdict::new(&members, &documents);
        let planned = self.judge(name, &members, &mut verdict, &unreadable).await;
        drop(verdict);
        self.plan.documents = documents;
        let planned = planned?;
        let copies = members.revisions.copies.iter().chain(&members.layers.copies);
        self.plan.runs_seen.extend(copies.map(|copy| copy.run));
        let is_idle = planned.retire.is_empty() && planned.copies.is_empty() && planned.dead_tags.is_empty();
        if !is_idle || planned.is_empty {
            self.plan.repositories.push(planned);
        }
        Ok(())
    }

    /// Reads the manifests of a repository, and gives those links whose bytes cannot be had.
    async fn load(&mut self, name: &RepositoryName, members: &Members) -> Result<Vec<Id>, Error> {
        let registry = self.registry();
        let Plan { documents, digests, .. } = &mut self.plan;
        let target = |id| members.revisions.target(id);
        let tagged = members.tags.iter().map(|(_, id)| *id);
        documents.load(registry, digests, members.revisions.all().chain(tagged).map(target)).await?;
        let is_unreadable =
            |documents: &Documents, id| matches!(documents.reading(target(id)), Reading::Absent | Reading::Corrupt);
        let mut unreadable: Vec<Id> = members.revisions.live.clone();
        unreadable.retain(|id| is_unreadable(documents, *id));
        for id in &unreadable {
            documents.forget(target(*id));
        }
        documents.load(registry, digests, unreadable.iter().map(|id| target(*id))).await?;
        unreadable.retain(|id| is_unreadable(documents, *id));
        for id in &unreadable {
            let link = layout::revision_link(name, &digests.digest(*id));
            self.report
                .skip(&link, "a manifest whose bytes are missing or are not its own; what is in its repository stays");
        }
        Ok(unreadable)
    }

    async fn judge(
        &mut self,
        name: &RepositoryName,
        members: &Members,
        verdict: &mut Verdict<'_>,
        unreadable: &[Id],
    ) -> Result<Repository, Error> {
        // What an unreadable manifest needs, and what an unreadable tag points to, can only be in the repository.
        let is_blind = !unreadable.is_empty() || members.has_torn_tag;
        self.announce_manifests(members, verdict);
        let mut retire = Vec::new();
        let layers = self.judge_layers(name, members, verdict, is_blind).await?;
        retire.extend(layers.into_iter().map(|id| (Member::Layer, id)));
        let revisions = self.judge_revisions(name, members, verdict, is_blind).await?;
        retire.extend(revisions.into_iter().map(|id| (Member::Revision, id)));
        let retire = self.without_torn(name, members, retire).await?;
        self.tell(name, members, verdict, &retire);
        let copies = if is_blind { Vec::new() } else { self.judge_copies(members, verdict) };
        let dead_tags = self.dead_tags(name, members).await?;
        let is_empty = members.tags.is_empty()
            && [&members.revisions, &members.layers]
                .iter()
                .all(|links| links.live.is_empty() && links.copies.is_empty());
        Ok(Repository { name: name.clone(), retire, copies, dead_tags, is_empty })
    }

    fn announce_manifests(&mut self, members: &Members, verdict: &Verdict<'_>) {
        let roots = members.revisions.all().chain(members.tags.iter().map(|(_, id)| *id));
        for id in roots.chain(verdict.needed()) {
            self.announce(&members.revisions, id);
            self.announce(&members.layers, id);
        }
        // Also those that are taken away now: their content follows when they are purged.
        for id in members.layers.all() {
            self.announce(&members.layers, id);
        }
    }

    fn announce(&mut self, links: &Links, id: Id) {
        for id in [id, links.target(id)] {
            self.report.marked += u64::from(self.plan.announced.insert(id));
        }
    }

    /// The layer links that no manifest needs and that are not young: somebody may just be building on the young ones.
    async fn judge_layers(
        &self,
        name: &RepositoryName,
        members: &Members,
        verdict: &Verdict<'_>,
        is_blind: bool,
    ) -> Result<Vec<Id>, Error> {
        let mut idle: Vec<Id> = members.layers.live.clone();
        idle.retain(|id| !verdict.is_needed(*id));
        if is_blind {
            return Ok(Vec::new());
        }
        let old = self.old_links(name, Member::Layer, &idle, self.options().lease).await?;
        idle.retain(|id| old.contains(id));
        Ok(idle)
    }

    /// The links of manifests that neither policy nor another manifest wants.
    async fn judge_revisions(
        &mut self,
        name: &RepositoryName,
        members: &Members,
        verdict: &mut Verdict<'_>,
        is_blind: bool,
    ) -> Result<Vec<Id>, Error> {
        let mut open: Vec<Id> = members.revisions.live.clone();
        open.retain(|id| !verdict.is_kept(*id) && !verdict.is_needed(*id));
        let options = self.options();
        let age = if options.delete_untagged { options.untagged_grace } else { options.lease };
        let old = self.old_links(name, Member::Revision, &open, age).await?;
        for id in &open {
            let by_policy = options.delete_untagged && !is_blind;
            let goes = old.contains(id)
                && (by_policy
                    || (!members.has_torn_tag && self.is_incomplete(members, verdict.documents(), *id).await?));
            if !goes {
                verdict.keep(*id);
            }
        }
        open.retain(|id| !verdict.is_kept(*id));
        Ok(open)
    }

    /// Whether something that a manifest cannot be without is nowhere. Such a one is left by a push that was refused
    /// halfway; nobody can be finishing it when it is old.
    async fn is_incomplete(&self, members: &Members, documents: &Documents, id: Id) -> Result<bool, Error> {
        let target = members.revisions.target(id);
        if documents.reading(target) == Reading::Corrupt {
            return Ok(false);
        }
        let required = documents.required(target).iter();
        let needs = required.flat_map(|need| [members.layers.target(*need), members.revisions.target(*need)]);
        for need in needs.chain([target]) {
            if !self.plan.present.contains(need)
                && self.registry().stat_content(&self.plan.digests.digest(need)).await?.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn judge_copies(&self, members: &Members, verdict: &Verdict<'_>) -> Vec<CopyPlan> {
        let mut plans = Vec::new();
        for (member, links) in [(Member::Revision, &members.revisions), (Member::Layer, &members.layers)] {
            for copy in links.copies.iter().filter(|copy| self.finished.contains(&copy.run)) {
                let bring_back = verdict.wants_back(member, copy);
                plans.push(CopyPlan { member, id: copy.id, run: copy.run, bring_back });
            }
        }
        plans
    }

    /// The tags that point to a manifest which is not in the repository, and that nobody is just setting.
    async fn dead_tags(&mut self, name: &RepositoryName, members: &Members) -> Result<Vec<(Tag, Id)>, Error> {
        let mut dead = Vec::new();
        for (tag, id) in &members.tags {
            if members.revisions.is_readable(*id) {
                continue;
            }
            let storage = self.registry().storage();
            let touched = storage.stat(&layout::tag_current(name, tag)).await?.and_then(|link| link.modified);
            if is_older(self.now, touched, self.options().lease) {
                self.collector.tell(Found::GarbageTag(name, tag));
                dead.push((tag.clone(), *id));
            }
        }
        Ok(dead)
    }

    /// Those of some links that are older than `age`.
    async fn old_links(
        &self,
        name: &RepositoryName,
        member: Member,
        ids: &[Id],
        age: std::time::Duration,
    ) -> Result<HashSet<Id>, Error> {
        let storage = self.registry().storage();
        let links: Vec<_> =
            ids.iter().map(|id| (*id, layout::member_link(name, member, &self.plan.digests.digest(*id)))).collect();
        stream::iter(links)
            .map(|(id, link)| async move {
                let touched = storage.stat(&link).await?.and_then(|link| link.modified);
                Ok::<_, Error>(is_older(self.now, touched, age).then_some(id))
            })
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(|old| async move { Ok(old) })
            .try_collect()
            .await
    }

    /// Those of the links to be taken away that say what they should. Others were left by something that went wrong.
    async fn without_torn(
        &mut self,
        name: &RepositoryName,
        members: &Members,
        links: Vec<(Member, Id)>,
    ) -> Result<Vec<(Member, Id)>, Error> {
        let mut sound = Vec::new();
        for (member, id) in links {
            let digests = &self.plan.digests;
            let link = layout::member_link(name, member, &digests.digest(id));
            let of_kind = if member == Member::Layer { &members.layers } else { &members.revisions };
            match self.registry().link(&link).await? {
                Some(target) if target == digests.digest(of_kind.target(id)) => sound.push((member, id)),
                Some(_) => self.report.skip(&link, "a link that points elsewhere than its name says"),
                None if self.registry().storage().stat(&link).await?.is_some() => {
                    self.report.skip(&link, "a link that is empty or torn");
                }
                // It went meanwhile.
                None => {}
            }
        }
        Ok(sound)
    }

    fn tell(&self, name: &RepositoryName, members: &Members, verdict: &Verdict<'_>, retire: &[(Member, Id)]) {
        if !self.collector.is_observed() {
            return;
        }
        let digest = |id: Id| self.plan.digests.digest(id);
        let gone: HashSet<_> = retire.iter().copied().collect();
        for id in members.revisions.live.iter().filter(|id| !gone.contains(&(Member::Revision, **id))) {
            self.collector.tell(Found::Manifest(name, &digest(*id)));
        }
        for id in verdict.needed().filter(|id| !members.revisions.is_live(*id)) {
            self.collector.tell(Found::Blob(name, &digest(id)));
        }
        for (member, id) in retire {
            match member {
                Member::Revision => self.collector.tell(Found::GarbageManifest(name, &digest(*id))),
                Member::Layer => self.collector.tell(Found::GarbageLayer(name, &digest(*id))),
            }
        }
    }

    fn registry(&self) -> &'a Registry {
        self.collector.registry()
    }

    fn options(&self) -> &'a GcOptions {
        self.collector.options()
    }
}
