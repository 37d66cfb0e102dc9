//! Takes content away.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::digests::Id;
use super::options::is_older;
use super::report::{Brake, Found, GcReport};
use super::scan::Plan;
use super::{Collector, Copied, RunId};
use crate::storage::{Deletion, Key};
use crate::{Digest, Error, content, layout};

/// Content that is to go, and how many bytes it has.
pub(super) type Condemned = (Id, u64);

/// How many are taken away side by side.
const CONCURRENCY: usize = 16;

impl Collector {
    /// The content that nothing needs and that was not just uploaded.
    pub(super) async fn condemn(&self, plan: &Plan) -> Result<Vec<Condemned>, Error> {
        let storage = self.registry().storage();
        let garbage = plan.blobs.iter().copied().filter(|id| !plan.announced.contains(*id));
        stream::iter(garbage.map(|id| (id, layout::blob(&plan.digests.digest(id)))))
            .map(|(id, place)| async move {
                let found = storage.stat(&place).await?;
                let old = found.filter(|found| is_older(plan.now, found.modified, self.options().lease));
                Ok::<_, Error>(old.map(|old| (id, old.size)))
            })
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(|condemned| async move { Ok(condemned) })
            .try_collect()
            .await
    }

    /// Whether too much would go.
    pub(super) fn brake(&self, condemned: usize, blobs: usize) -> Option<Brake> {
        Brake::on(condemned as u64, blobs as u64, self.options().max_condemned?)
    }

    /// Takes the condemned away: first the second place, then the first. Tells whether anything went.
    pub(super) async fn sweep(
        &self,
        plan: &Plan,
        condemned: Vec<Condemned>,
        report: &mut GcReport,
    ) -> Result<bool, Error> {
        let run = report.run;
        let mut swept = stream::iter(condemned)
            .map(|(id, bytes)| {
                let digest = plan.digests.digest(id);
                async move {
                    self.tell(Found::GarbageBlob(&digest, bytes));
                    if self.options().dry_run {
                        return Ok(Swept::Gone(Deletion::Acked, bytes));
                    }
                    self.take_away(&digest, bytes, &run).await
                }
            })
            .buffer_unordered(CONCURRENCY)
            .boxed();
        let (mut took_away, mut failed) = (false, None);
        // Each that began is ended, also after another has failed: no delete may come later than the end of the run.
        while let Some(swept) = swept.next().await {
            match swept {
                Ok(Swept::Stays) => {}
                Ok(Swept::Corrupt(place)) => report.skip(&place, "content that is not what its name says"),
                Ok(Swept::Gone(deletion, bytes)) => {
                    took_away = true;
                    report.quarantined.add(bytes);
                    self.settle(deletion, report);
                }
                Ok(Swept::Purged(deletion, bytes)) => {
                    report.quarantined.add(bytes);
                    report.purged.add(bytes);
                    self.settle(deletion, report);
                }
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(took_away), Err)
    }

    async fn take_away(&self, digest: &Digest, bytes: u64, run: &RunId) -> Result<Swept, Error> {
        let storage = self.registry().storage();
        let (place, fossil) = (layout::blob(digest), layout::fossil(digest, run));
        let removal = self.prepare(&place).await?;
        let copy = match self.copy_or_do_without(&place, &fossil).await? {
            Copied::Done(copy) => copy,
            Copied::Absent => return Ok(Swept::Stays),
            Copied::NoRoom => return Ok(Swept::Purged(storage.delete(&place).await?, bytes)),
        };
        // A torn one may be healed just now. Only when the copy is what it should be, whatever lies in its place may go.
        if content::digest_of(self.registry(), &fossil, digest.algorithm()).await? != Some(*digest) {
            storage.delete(&fossil).await?;
            return Ok(Swept::Corrupt(place));
        }
        let removed = self.remove_copied(removal, &fossil, &copy).await?;
        Ok(removed.map_or(Swept::Stays, |deletion| Swept::Gone(deletion, bytes)))
    }
}

/// What became of content that was condemned.
enum Swept {
    Gone(Deletion, u64),
    /// There was no room for a copy.
    Purged(Deletion, u64),
    Stays,
    Corrupt(Key),
}
