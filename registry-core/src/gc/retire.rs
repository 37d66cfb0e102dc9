//! Takes links away.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt as _};

use super::digests::Id;
use super::members::Look;
use super::options::is_older;
use super::report::GcReport;
use super::scan::{Plan, Repository};
use super::verdict::Verdict;
use super::{Collector, Copied};
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::{Deletion, Key};
use crate::{Digest, Error, RepositoryName, RunId, Tag};

/// How many links are taken away side by side.
const CONCURRENCY: usize = 16;

impl Collector {
    /// Takes away the links that nobody wants, and tags whose manifest is gone; tells whether there are copies now.
    pub(super) async fn retire(&self, plan: &mut Plan, report: &mut GcReport) -> Result<bool, Error> {
        let mut took_away = false;
        for repository in std::mem::take(&mut plan.repositories) {
            for (tag, target) in &repository.dead_tags {
                let target = plan.digests.digest(*target);
                self.remove_dead_tag(&repository.name, tag, &target, report).await?;
            }
            let (retired, failed) = self.retire_links(plan, &repository, report).await;
            took_away |= !retired.is_empty();
            if !retired.is_empty() && !self.options().dry_run {
                self.look_again(plan, &repository, &retired, report).await?;
            }
            if let Some(error) = failed {
                return Err(error);
            }
            plan.repositories.push(repository);
        }
        Ok(took_away)
    }

    /// Each that began is ended, also after another has failed: no delete may come later than the end of the run.
    async fn retire_links(
        &self,
        plan: &Plan,
        repository: &Repository,
        report: &mut GcReport,
    ) -> (BTreeSet<(Member, Id)>, Option<Error>) {
        let (run, name) = (report.run, &repository.name);
        let mut outcomes = stream::iter(repository.retire.iter().copied())
            .map(|(member, id)| {
                let digest = plan.digests.digest(id);
                async move { (member, id, self.retire_link(plan, name, member, &digest, &run).await) }
            })
            .buffered(CONCURRENCY)
            .boxed();
        let (mut retired, mut failed) = (BTreeSet::new(), None);
        while let Some((member, id, outcome)) = outcomes.next().await {
            match outcome {
                Ok(None) => {}
                Ok(Some(deletion)) => {
                    retired.insert((member, id));
                    self.settle(deletion, report);
                    *(if member == Member::Layer {
                        &mut report.retired_layers
                    } else {
                        &mut report.retired_manifests
                    }) += 1;
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        (retired, failed)
    }

    async fn retire_link(
        &self,
        plan: &Plan,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
        run: &RunId,
    ) -> Result<Option<Deletion>, Error> {
        if self.options().dry_run {
            return Ok(Some(Deletion::Acked));
        }
        let storage = self.registry().storage();
        let (link, copy) = link_and_copy(name, member, digest, run);
        // The look at everything may be long ago, and the link be written anew.
        let touched = storage.stat(&link).await?.and_then(|found| found.modified);
        if !is_older(plan.now, touched, self.options().patience(member)) {
            return Ok(None);
        }
        let removal = self.prepare(&link).await?;
        let deleted = match self.copy_or_do_without(&link, &copy).await? {
            // Somebody deleted it meanwhile.
            Copied::Absent => return Ok(None),
            Copied::Done(copied) => self.remove_copied(removal, &copy, &copied).await,
            Copied::NoRoom => storage.delete(&link).await.map(Some).map_err(Error::from),
        };
        self.registry().link_changed(name, member);
        deleted
    }

    /// Puts back what somebody came to want while it was taken away. The next run would too; this makes the time short in
    /// which it is only found among the copies.
    async fn look_again(
        &self,
        plan: &mut Plan,
        repository: &Repository,
        retired: &BTreeSet<(Member, Id)>,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let registry = self.registry();
        // The scan has told of what is wrong.
        let mut skip = |_, _| {};
        let mut look = Look { registry, name: &repository.name, digests: &mut plan.digests, skip: &mut skip };
        let members = look.roots().await?;
        let tagged = members.tags.iter().map(|(_, id)| *id);
        let targets = members.revisions.all().chain(tagged.clone()).map(|id| members.revisions.target(id));
        plan.documents.load(registry, &mut plan.digests, targets).await?;
        let verdict = Verdict::new(&members, &plan.documents);
        let wanted: Vec<(Member, Id)> = retired
            .iter()
            .copied()
            .filter(|(member, id)| verdict.is_needed(*id) || (*member == Member::Revision && verdict.is_tagged(*id)))
            .collect();
        for (member, id) in wanted {
            let digest = plan.digests.digest(id);
            let (link, copy) = link_and_copy(&repository.name, member, &digest, &report.run);
            self.bring_back(&repository.name, member, &copy, &link).await?;
        }
        Ok(())
    }

    /// Puts a link back in its place, unless one is there; tells whether one is there now. What is torn is no link.
    pub(super) async fn bring_back(
        &self,
        name: &RepositoryName,
        member: Member,
        copy: &Key,
        link: &Key,
    ) -> Result<bool, Error> {
        let registry = self.registry();
        if registry.link(link).await?.is_some() {
            return Ok(true);
        }
        let Some(target) = registry.link(copy).await? else { return Ok(false) };
        let written = registry.write_link(link, &target).await;
        registry.link_changed(name, member);
        written?;
        Ok(registry.link(link).await?.is_some())
    }

    /// A delete that was cut off leaves tags that point to nothing.
    async fn remove_dead_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        target: &Digest,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let link = layout::tag_current(name, tag);
        let registry = self.registry();
        if registry.storage().stat(&layout::revision_link(name, target)).await?.is_some() {
            // Torn, and reported as such.
            return Ok(());
        }
        if !self.options().only_process {
            report.skip(&link, "a tag whose manifest is gone; it stays, as another process may just be setting it");
            return Ok(());
        }
        if self.options().dry_run {
            report.dead_tags += 1;
            return Ok(());
        }
        let repository = registry.repository(name);
        let _order = repository.lock_tags().await;
        if registry.link(&link).await? != Some(*target)
            || registry.member(name, Member::Revision, target).await?.is_some()
        {
            return Ok(());
        }
        registry.delete(&link).await?;
        report.dead_tags += 1;
        Ok(())
    }
}

/// Where a link lies, and where a run keeps its copy.
fn link_and_copy(name: &RepositoryName, member: Member, digest: &Digest, run: &RunId) -> (Key, Key) {
    let copy = copy_and_mark(&layout::retired(name, member, digest), run).0;
    (layout::member_link(name, member, digest), copy)
}
