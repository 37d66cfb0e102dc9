//! The end of the quarantine: what earlier runs took away is brought back if it is needed, and purged if not.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::history::{Finished, History};
use super::members::{STRAY, names};
use super::options::is_older;
use super::removal::OVER;
use super::report::GcReport;
use super::scan::{CopyPlan, Plan};
use super::{Collector, RunId};
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::{Deletion, Metadata};
use crate::{Algorithm, Digest, Error, RepositoryName};

/// How many copies are gone through side by side.
const CONCURRENCY: usize = 16;

/// What may be purged.
#[derive(Debug, Clone, Copy)]
struct Purging<'a> {
    now: SystemTime,
    /// How old a copy must be of which the run was cut off.
    age: Duration,
    /// The runs whose time is over.
    finished: &'a Finished,
    /// A run that is braked only brings back.
    is_braked: bool,
}

impl Purging<'_> {
    /// Whether the time of a copy is over.
    fn is_over(&self, run: &RunId, copy: &Metadata) -> bool {
        let is_old = || is_older(self.now, copy.modified, self.age);
        self.finished.contains(run) && (!self.finished.counts_by_copy(run) || is_old())
    }
}

/// What became of the copies of something.
#[derive(Debug, Default)]
struct Outcome {
    restored: bool,
    purged_bytes: Option<u64>,
    /// The runs of which copies are left.
    left: Vec<RunId>,
    /// Copies of different sizes of the same.
    unequal: Vec<RunId>,
}

impl Collector {
    /// Goes through all that earlier runs took away, and forgets those runs of which nothing is left.
    pub(super) async fn purge(
        &self,
        plan: &mut Plan,
        history: &mut History,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let mut left = std::mem::take(&mut plan.runs_left);
        let age = self.options().quarantine + OVER;
        let is_braked = report.braked.is_some();
        let purging = Purging { now: plan.now, age, finished: &history.finished, is_braked };
        self.purge_links(plan, purging, &mut left, report).await?;
        for algorithm in Algorithm::ALL {
            self.purge_fossils(plan, algorithm, purging, &mut left, report).await?;
        }
        history.meet(self.registry(), self.options(), left.iter().copied()).await?;
        if !self.options().dry_run {
            let over = history.finished.runs.iter().chain(&history.finished.fenced);
            for run in over.filter(|run| !left.contains(run)) {
                self.registry().storage().delete(&layout::run(run)).await?;
            }
        }
        Ok(())
    }

    async fn purge_links(
        &self,
        plan: &Plan,
        purging: Purging<'_>,
        left: &mut BTreeSet<RunId>,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        for repository in &plan.repositories {
            let name = &repository.name;
            let mut outcomes = stream::iter(repository.copies.iter().copied())
                .map(|copy| {
                    let digest = plan.digests.digest(copy.id);
                    let subject = plan.documents.subject(copy.id).map(|subject| plan.digests.digest(subject));
                    async move { self.purge_link(name, &digest, subject, &copy, purging).await }
                })
                .buffered(CONCURRENCY)
                .boxed();
            while let Some(outcome) = outcomes.try_next().await? {
                report.restored_links += u64::from(outcome.restored);
                report.purged_links += u64::from(outcome.purged_bytes.is_some());
                left.extend(outcome.left);
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
        purging: Purging<'_>,
    ) -> Result<Outcome, Error> {
        let storage = self.registry().storage();
        let (copy, mark) = copy_and_mark(&layout::retired(name, plan.member, digest), &plan.run);
        let link = layout::member_link(name, plan.member, digest);
        let mut outcome = Outcome::default();
        if purging.finished.counts_by_copy(&plan.run) {
            let found = storage.stat(&copy).await?;
            if found.is_some_and(|found| !purging.is_over(&plan.run, &found)) {
                return Ok(Outcome { left: vec![plan.run], ..outcome });
            }
        }
        let repository = self.registry().repository(name);
        let _order = repository.lock_tags().await;
        if plan.bring_back {
            outcome.restored = self.registry().link(&link).await?.is_none();
        } else if !purging.is_braked {
            outcome.purged_bytes = Some(0);
        }
        if self.options().dry_run {
            return Ok(outcome);
        }
        if plan.bring_back {
            // Deleted since the look at everything: the next run sees whether anything still wants it.
            let is_deleted = !plan.is_deleted && storage.stat(&mark).await?.is_some();
            if is_deleted || !self.bring_back(name, plan.member, &copy, &link).await? {
                return Ok(Outcome { left: vec![plan.run], ..Outcome::default() });
            }
        }
        if purging.is_braked {
            outcome.left.push(plan.run);
            return Ok(outcome);
        }
        for key in [&copy, &mark] {
            if storage.delete(key).await? == Deletion::Unknown {
                outcome.left.push(plan.run);
            }
        }
        if let (Some(subject), Member::Revision, false) = (subject, plan.member, plan.bring_back)
            && self.registry().member(name, Member::Revision, digest).await?.is_none()
        {
            storage.delete(&layout::referrer_link(name, &subject, digest)).await?;
        }
        Ok(outcome)
    }

    async fn purge_fossils(
        &self,
        plan: &mut Plan,
        algorithm: Algorithm,
        purging: Purging<'_>,
        left: &mut BTreeSet<RunId>,
        report: &mut GcReport,
    ) -> Result<(), Error> {
        let directory = layout::all_fossils(algorithm);
        let mut digests = Vec::new();
        let mut entries = names(self.registry(), directory.clone());
        while let Some(entry) = entries.try_next().await? {
            match Digest::from_parts(algorithm, &entry.name) {
                Ok(digest) => digests.push(plan.digests.id(&digest)),
                Err(_) => report.skip(&format!("{directory}/{}", entry.name), STRAY),
            }
        }
        let plan = &*plan;
        let mut outcomes = stream::iter(digests)
            .map(|id| async move {
                let digest = plan.digests.digest(id);
                let is_needed = plan.announced.contains(id);
                Ok::<_, Error>((digest, self.purge_content(&digest, is_needed, purging).await?))
            })
            .buffered(CONCURRENCY)
            .boxed();
        while let Some((digest, outcome)) = outcomes.try_next().await? {
            report.restored += u64::from(outcome.restored);
            if let Some(bytes) = outcome.purged_bytes {
                report.purged.add(bytes);
            }
            for run in outcome.unequal {
                report.skip(&layout::fossil(&digest, &run), "its size is not that of the content in its place");
            }
            left.extend(outcome.left);
        }
        Ok(())
    }

    /// Content that is needed is put back in its place whatever its age. Fossils go when their time is over: of content
    /// that is needed when it is certain to be in its place, of the rest at once.
    async fn purge_content(&self, digest: &Digest, is_needed: bool, purging: Purging<'_>) -> Result<Outcome, Error> {
        let (storage, place) = (self.registry().storage(), layout::blob(digest));
        let mut outcome = Outcome::default();
        let was_in_place = storage.stat(&place).await?.is_some();
        let mut is_in_place = was_in_place;
        let runs = self.registry().fossils(digest).await?;
        if runs.is_empty() && !self.options().dry_run {
            // A run that was cut off leaves its directory.
            storage.remove_directory(&layout::fossils(digest)).await?;
        }
        for run in runs {
            let fossil = layout::fossil(digest, &run);
            let Some(found) = storage.stat(&fossil).await? else { continue };
            let is_over = purging.is_over(&run, &found);
            if is_needed && (is_over || !is_in_place) {
                outcome.restored |= !is_in_place;
                is_in_place = true;
                if !self.options().dry_run {
                    // Also where it is in its place: the copy makes certain that it stays there over a power cut.
                    let back = storage.copy(&fossil, &place).await?;
                    if back.is_none_or(|back| back.size != found.size) {
                        outcome.unequal.push(run);
                        outcome.left.push(run);
                        continue;
                    }
                }
            }
            if !is_over || purging.is_braked {
                outcome.left.push(run);
                continue;
            }
            if !is_needed && !was_in_place {
                outcome.purged_bytes = outcome.purged_bytes.or(Some(found.size));
            }
            if !self.options().dry_run && storage.delete(&fossil).await? == Deletion::Unknown {
                outcome.left.push(run);
            }
        }
        Ok(outcome)
    }
}
