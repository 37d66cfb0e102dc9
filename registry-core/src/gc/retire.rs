//! Takes links away.

use std::collections::HashSet;

use super::Collector;
use super::digests::Id;
use super::members::Look;
use super::report::GcReport;
use super::scan::{Plan, Repository};
use super::verdict::Verdict;
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::Key;
use crate::{Digest, Error, RepositoryName, RunId, Tag};

impl Collector {
    /// Takes away the links that nobody wants, and tags whose manifest is gone; tells whether there are copies now.
    pub(super) async fn retire(&self, plan: &mut Plan, report: &mut GcReport) -> Result<bool, Error> {
        let mut took_away = false;
        for repository in std::mem::take(&mut plan.repositories) {
            for (tag, target) in &repository.dead_tags {
                let target = plan.digests.digest(*target);
                self.remove_dead_tag(&repository.name, tag, &target, report).await?;
            }
            let mut retired = HashSet::new();
            for (member, id) in &repository.retire {
                if self.retire_link(plan, &repository.name, *member, *id, report).await? {
                    retired.insert((*member, *id));
                }
            }
            took_away |= !retired.is_empty();
            if !retired.is_empty() && !self.options().dry_run {
                self.look_again(plan, &repository, &retired, report).await?;
            }
            plan.repositories.push(repository);
        }
        Ok(took_away)
    }

    async fn retire_link(
        &self,
        plan: &Plan,
        name: &RepositoryName,
        member: Member,
        id: Id,
        report: &mut GcReport,
    ) -> Result<bool, Error> {
        let count = if member == Member::Layer { &mut report.retired_layers } else { &mut report.retired_manifests };
        *count += 1;
        if self.options().dry_run {
            return Ok(true);
        }
        let digest = plan.digests.digest(id);
        let (link, copy) = link_and_copy(name, member, &digest, &report.run);
        if self.registry().storage().copy(&link, &copy).await?.is_none() {
            // Somebody deleted it meanwhile.
            *count -= 1;
            return Ok(false);
        }
        let deletion = self.registry().storage().delete(&link).await?;
        self.settle(deletion, report);
        Ok(true)
    }

    /// Puts back what somebody came to want while it was taken away. The next run would too; this makes the time short in
    /// which it is only found among the copies.
    async fn look_again(
        &self,
        plan: &mut Plan,
        repository: &Repository,
        retired: &HashSet<(Member, Id)>,
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
            registry.storage().copy(&copy, &link).await?;
        }
        Ok(())
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
        let revision = layout::revision_link(name, target);
        let registry = self.registry();
        if registry.storage().stat(&revision).await?.is_some() {
            // Torn, and reported as such.
            return Ok(());
        }
        if self.options().dry_run {
            report.dead_tags += 1;
            return Ok(());
        }
        let repository = registry.repository(name);
        let _order = repository.lock_tags().await;
        let is_dead = registry.link(&link).await? == Some(*target)
            && registry.member(name, Member::Revision, target).await?.is_none();
        if is_dead {
            repository.tags().remove(tag).await?;
            report.dead_tags += 1;
        }
        Ok(())
    }
}

/// Where a link lies, and where a run keeps its copy.
fn link_and_copy(name: &RepositoryName, member: Member, digest: &Digest, run: &RunId) -> (Key, Key) {
    let copy = copy_and_mark(&layout::retired(name, member, digest), run).0;
    (layout::member_link(name, member, digest), copy)
}
