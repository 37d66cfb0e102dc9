//! The end of the quarantine: what earlier runs took away is brought back if it is needed, and purged if not.

use std::collections::BTreeSet;

use futures::stream::TryStreamExt as _;

use super::history::History;
use super::members::{STRAY, names};
use super::report::GcReport;
use super::scan::{CopyPlan, Plan};
use super::{Collector, RunId};
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::Deletion;
use crate::{Algorithm, Digest, Error, RepositoryName};

/// The runs of which something is left.
type Left = BTreeSet<RunId>;

impl Collector {
    /// Goes through all that earlier runs took away, and forgets those runs of which nothing is left.
    pub(super) async fn purge(
        &self,
        plan: &mut Plan,
        history: &mut History,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let finished = history.finished.clone();
        let mut left: Left = plan.runs_seen.iter().copied().filter(|run| !finished.contains(run)).collect();
        for repository in std::mem::take(&mut plan.repositories) {
            for copy in &repository.copies {
                let digest = plan.digests.digest(copy.id);
                let subject = plan.documents.subject(copy.id).map(|subject| plan.digests.digest(subject));
                self.purge_link(&repository.name, &digest, subject, copy, report).await?;
            }
            plan.repositories.push(repository);
        }
        let planned: BTreeSet<RunId> =
            plan.repositories.iter().flat_map(|repository| &repository.copies).map(|copy| copy.run).collect();
        // Copies that stay although their run is over: their repository is not understood.
        left.extend(plan.runs_seen.iter().copied().filter(|run| !planned.contains(run)));
        for algorithm in Algorithm::ALL {
            let mut entries = names(self.registry(), layout::all_fossils(algorithm));
            while let Some(entry) = entries.try_next().await? {
                match Digest::from_parts(algorithm, &entry.name) {
                    Ok(digest) => self.purge_fossils(plan, &digest, &finished, &mut left, report).await?,
                    Err(_) => report.skip(&format!("{}/{}", layout::all_fossils(algorithm), entry.name), STRAY),
                }
            }
        }
        history.meet(self.registry(), self.options(), left.iter().copied()).await?;
        if !self.options().dry_run {
            for run in finished.iter().filter(|run| !left.contains(run)) {
                self.registry().storage().delete(&layout::run(run)).await?;
            }
        }
        Ok(())
    }

    async fn purge_link(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        subject: Option<Digest>,
        plan: &CopyPlan,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let storage = self.registry().storage();
        let place = layout::retired(name, plan.member, digest);
        let (copy, mark) = copy_and_mark(&place, &plan.run);
        let link = layout::member_link(name, plan.member, digest);
        let is_in_place = self.registry().link(&link).await?.is_some();
        let count = if plan.bring_back { &mut report.restored_links } else { &mut report.purged_links };
        *count += u64::from(!plan.bring_back || !is_in_place);
        if self.options().dry_run {
            return Ok(());
        }
        if plan.bring_back {
            storage.copy(&copy, &link).await?;
        }
        storage.delete(&copy).await?;
        storage.delete(&mark).await?;
        if let (Some(subject), false, false) = (subject, plan.bring_back, is_in_place) {
            storage.delete(&layout::referrer_link(name, &subject, digest)).await?;
        }
        if plan.member == Member::Revision && plan.bring_back {
            tracing::info!(repository = %name, manifest = %digest, "a manifest was brought back");
        }
        Ok(())
    }

    /// Content that is needed is put back in its place whatever its age. Fossils go when their time is over: of content
    /// that is needed when it is certain to be in its place, of the rest at once.
    async fn purge_fossils(
        &self,
        plan: &mut Plan,
        digest: &Digest,
        finished: &BTreeSet<RunId>,
        left: &mut Left,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let id = plan.digests.id(digest);
        let is_needed = plan.announced.contains(id);
        let (storage, place) = (self.registry().storage(), layout::blob(digest));
        let mut is_in_place = storage.stat(&place).await?.is_some();
        let mut is_counted = is_in_place;
        for run in self.registry().fossils(digest).await? {
            let (fossil, is_over) = (layout::fossil(digest, &run), finished.contains(&run));
            let Some(found) = storage.stat(&fossil).await? else { continue };
            if is_needed && (is_over || !is_in_place) {
                report.restored += u64::from(!is_in_place);
                is_in_place = true;
                if !self.options().dry_run {
                    // Also where it is in its place: the copy makes certain that it stays there over a power cut.
                    let back = storage.copy(&fossil, &place).await?;
                    if back.is_none_or(|back| back.size != found.size) {
                        report.skip(&fossil, "its size is not that of the content in its place");
                        left.insert(run);
                        continue;
                    }
                }
            }
            if !is_over {
                left.insert(run);
                continue;
            }
            if !is_needed && !is_counted {
                report.purged.add(found.size);
                is_counted = true;
            }
            if !self.options().dry_run && storage.delete(&fossil).await? == Deletion::Unknown {
                left.insert(run);
            }
        }
        Ok(())
    }
}
