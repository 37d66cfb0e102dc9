//! From what is wrong in a repository to what that breaks.

use std::collections::HashMap;

use super::Scrub;
use super::contents::Reported;
use super::faults::{Fault, Faults};
use super::finding::{Finding, Remedy};
use super::needs::Looked;
use super::report::Seen;
use crate::gc::digests::Id;
use crate::{Error, RepositoryName, Tag};

/// A fault that two looks agree on.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    /// Its position in the report, if that lists it.
    listed: Option<usize>,
    /// Whether it was made whole.
    is_mended: bool,
}

impl Scrub<'_> {
    /// Looks through a repository, and again if something seems wrong: a writer or a collector may be at work in it.
    pub(super) async fn verify_repository(&mut self, name: &RepositoryName) -> Result<(), Error> {
        tokio::task::consume_budget().await;
        let first = self.look_at(name).await?;
        let members = &first.members;
        self.report.repositories += u64::from(!members.revisions.live.is_empty());
        self.report.links += (members.revisions.live.len() + members.layers.live.len()) as u64;
        self.report.tags += (members.tags.len() + members.torn_tags.len()) as u64;
        if !first.faults.is_empty() {
            let mut again = self.look_at(name).await?;
            self.report_faults(name, &first.faults, &mut again).await?;
        }
        self.verifier.tell(&Seen::Repository(name));
        Ok(())
    }

    async fn report_faults(&mut self, name: &RepositoryName, first: &Faults, again: &mut Looked) -> Result<(), Error> {
        let mut confirmed = HashMap::new();
        let faults: Vec<Fault> = again.faults.iter().cloned().collect();
        for (position, fault) in faults.into_iter().enumerate() {
            if first.has(&fault)
                && let Some(told) = self.report_fault(name, fault, again).await?
            {
                confirmed.insert(position, told);
            }
        }
        let mut tags: HashMap<Id, Vec<&Tag>> = HashMap::new();
        for (tag, id) in &again.members.tags {
            tags.entry(*id).or_default().push(tag);
        }
        for manifest in again.manifests() {
            let faults = again.faults.reach(manifest);
            let faults: Vec<Confirmed> =
                faults.iter().filter_map(|position| confirmed.get(position)).copied().collect();
            let tags = tags.get(&manifest).map_or(&[][..], Vec::as_slice);
            for listed in faults.iter().filter_map(|fault| fault.listed) {
                self.report.findings[listed].breaks(name, self.digests.digest(manifest), tags);
            }
            if faults.iter().any(|fault| !fault.is_mended) {
                self.report.broken_manifests += 1;
                self.report.broken_tags += tags.len() as u64;
            }
        }
        let of_tags = again.faults.iter().enumerate();
        let of_tags = of_tags.filter(|(_, fault)| matches!(fault, Fault::TornTag(_) | Fault::DeadTag(..)));
        let broken = of_tags.filter(|(position, _)| confirmed.get(position).is_some_and(|told| !told.is_mended));
        self.report.broken_tags += broken.count() as u64;
        Ok(())
    }

    /// Takes a fault into the report, and mends it if it is to; `None` if it is none any more.
    async fn report_fault(
        &mut self,
        name: &RepositoryName,
        fault: Fault,
        looked: &mut Looked,
    ) -> Result<Option<Confirmed>, Error> {
        if let Fault::Content(id) = fault {
            return Ok(self.report_lack(name, id));
        }
        let (place, damage) = fault.tell(name, &self.digests);
        let mut finding = Finding::new(&place, damage);
        if self.verifier.options().repair && self.mend(name, &fault, looked).await? {
            finding.remedy = Some(Remedy::Rewritten);
        }
        let is_mended = finding.is_mended();
        Ok(Some(Confirmed { listed: self.add(finding), is_mended }))
    }

    /// Content that several repositories need is reported once.
    fn report_lack(&mut self, name: &RepositoryName, id: Id) -> Option<Confirmed> {
        let listed = match self.contents.lack_mut(id)?.reported {
            Reported::At(listed) => listed,
            Reported::NotYet => {
                let (place, damage) = Fault::Content(id).tell(name, &self.digests);
                self.add(Finding::new(&place, damage))
            }
        };
        if let Some(lack) = self.contents.lack_mut(id) {
            lack.reported = Reported::At(listed);
        }
        Some(Confirmed { listed, is_mended: false })
    }
}
