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
use super::history::Finished;
use super::members::{Links, Look, Members};
use super::options::{GcOptions, is_older};
use super::report::{Found, GcReport};
use super::verdict::Verdict;
use super::{Collector, RunId};
use crate::layout::{self, Member};
use crate::{Error, Registry, RepositoryName, Tag};

/// What was found, and what is to be done.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) digests: Digests,
    pub(super) documents: Documents,
    /// What no run may purge.
    pub(super) announced: IdSet,
    /// All content that there is.
    pub(super) blobs: Vec<Id>,
    pub(super) present: IdSet,
    /// What the observer was told of.
    told: IdSet,
    pub(super) repositories: Vec<Repository>,
    /// When the run began, by the storage's time if it has one.
    pub(super) now: SystemTime,
    /// Whether there are names where repositories lie that are none: whose they are cannot be told.
    pub(super) has_strangers: bool,
    /// The runs of which links are left that are not purged now.
    pub(super) runs_left: BTreeSet<RunId>,
}

impl Plan {
    /// How many manifests are to be taken away: their content follows.
    pub(super) fn retired_manifests(&self) -> usize {
        let links = self.repositories.iter().flat_map(|repository| &repository.retire);
        links.filter(|(member, _)| *member == Member::Revision).count()
    }

    /// Whether links are to be taken away.
    pub(super) fn retires(&self) -> bool {
        self.repositories.iter().any(|repository| !repository.retire.is_empty())
    }

    pub(super) fn new(now: SystemTime) -> Self {
        Self {
            digests: Digests::default(),
            documents: Documents::default(),
            announced: IdSet::default(),
            blobs: Vec::new(),
            present: IdSet::default(),
            told: IdSet::default(),
            repositories: Vec::new(),
            now,
            has_strangers: false,
            runs_left: BTreeSet::new(),
        }
    }
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
    /// The link had been deleted when it was looked at.
    pub(super) is_deleted: bool,
    pub(super) bring_back: bool,
}

/// How many links are looked at side by side.
const CONCURRENCY: usize = 16;

pub(super) struct Scan<'a> {
    pub(super) collector: &'a Collector,
    /// The earlier runs whose copies may be purged.
    pub(super) finished: &'a Finished,
    pub(super) report: &'a mut GcReport,
    pub(super) plan: Plan,
}

impl<'a> Scan<'a> {
    pub(super) async fn run(mut self) -> Result<Plan, Error> {
        self.list_blobs().await?;
        let mut scanned = HashSet::new();
        self.look_for_strangers(&layout::repositories()).await?;
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

    async fn scan(&mut self, name: &RepositoryName) -> Result<(), Error> {
        tokio::task::consume_budget().await;
        let registry = self.registry();
        self.look_for_strangers(&layout::repository_directory(name.as_str())).await?;
        let report = &mut *self.report;
        let mut skip = |place: String, reason| report.skip(&place, reason);
        let mut look = Look { registry, name, digests: &mut self.plan.digests, skip: &mut skip };
        let mut members = look.members().await?;
        self.drop_hollow_revisions(name, &mut members).await?;
        if !members.is_empty() {
            self.collector.tell(Found::Repository(name));
        }
        self.report.repositories += u64::from(!members.revisions.live.is_empty());
        let unreadable = self.load(name, &members).await?;
        let documents = std::mem::take(&mut self.plan.documents);
        let mut verdict = Verdict::new(&members, &documents);
        let idle = members.layers.live.iter().copied().filter(|id| !verdict.is_needed(*id));
        let hollow = self.hollow(name, Member::Layer, idle).await?;
        if !hollow.is_empty() {
            members.layers.live.retain(|id| !hollow.contains(id));
            verdict = Verdict::new(&members, &documents);
        }
        self.report.links += (members.revisions.live.len() + members.layers.live.len()) as u64;
        let planned = self.judge(name, &members, &mut verdict, &unreadable).await;
        drop(verdict);
        self.plan.documents = documents;
        let planned = planned?;
        let planned_runs = !planned.copies.is_empty();
        let copies = members.revisions.copies.iter().chain(&members.layers.copies).map(|copy| copy.run);
        self.plan.runs_left.extend(copies.filter(|run| !planned_runs || !self.finished.contains(run)));
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
        let is_blind = !unreadable.is_empty() || members.has_torn_tag || members.is_foreign;
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
        Ok(Repository { name: name.clone(), retire, copies, dead_tags, is_empty: members.is_empty() })
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
        let old = self.old_links(name, Member::Layer, &idle).await?;
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
        let old = self.old_links(name, Member::Revision, &open).await?;
        for id in &open {
            let goes = !is_blind
                && old.contains(id)
                && (options.delete_untagged || self.is_incomplete(members, verdict.documents(), *id).await?);
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
        let required = documents.required(target).iter();
        let needs = required.flat_map(|need| [members.layers.target(*need), members.revisions.target(*need)]);
        for need in needs {
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
                plans.push(CopyPlan { member, id: copy.id, run: copy.run, is_deleted: copy.is_deleted, bring_back });
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
            if is_older(self.plan.now, touched, self.options().lease) {
                self.collector.tell(Found::GarbageTag(name, tag));
                dead.push((tag.clone(), *id));
            }
        }
        Ok(dead)
    }

    /// Those of some links that are old enough to go.
    async fn old_links(&self, name: &RepositoryName, member: Member, ids: &[Id]) -> Result<HashSet<Id>, Error> {
        let age = self.options().patience(member);
        let storage = self.registry().storage();
        let links: Vec<_> =
            ids.iter().map(|id| (*id, layout::member_link(name, member, &self.plan.digests.digest(*id)))).collect();
        stream::iter(links)
            .map(|(id, link)| async move {
                let touched = storage.stat(&link).await?.and_then(|link| link.modified);
                Ok::<_, Error>(is_older(self.plan.now, touched, age).then_some(id))
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

    fn tell(&mut self, name: &RepositoryName, members: &Members, verdict: &Verdict<'_>, retire: &[(Member, Id)]) {
        if !self.collector.is_observed() {
            return;
        }
        let documents = verdict.documents();
        let gone: HashSet<_> = retire.iter().copied().collect();
        // Where manifests without a tag go, one that another one names is no more than what that one needs.
        let is_root = |id: Id| !self.options().delete_untagged || verdict.is_tagged(id) || !verdict.is_needed(id);
        let is_kept = |id: Id| verdict.is_kept(id) && is_root(id) && !gone.contains(&(Member::Revision, id));
        let kept: Vec<Id> = members.revisions.live.iter().copied().filter(|id| is_kept(*id)).collect();
        for id in kept {
            self.collector.tell(Found::Manifest(name, &self.plan.digests.digest(id)));
            self.plan.told.insert(id);
            let mut needs: Vec<Id> = documents.needs(members.revisions.target(id)).iter().rev().copied().collect();
            while let Some(need) = needs.pop() {
                if self.plan.told.insert(need) {
                    self.collector.tell(Found::Blob(name, &self.plan.digests.digest(need)));
                    needs.extend(documents.needs(members.revisions.target(need)));
                }
            }
        }
        let tags: Vec<Tag> = members.tags.iter().map(|(tag, _)| tag.clone()).collect();
        for (member, id) in retire {
            let digest = self.plan.digests.digest(*id);
            self.collector.tell(match member {
                Member::Revision => Found::GarbageManifest(name, &digest, &tags),
                Member::Layer => Found::GarbageLayer(name, &digest),
            });
        }
    }

    pub(super) fn registry(&self) -> &'a Registry {
        self.collector.registry()
    }

    pub(super) fn options(&self) -> &'a GcOptions {
        self.collector.options()
    }
}
