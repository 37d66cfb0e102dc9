//! Takes content away.

use std::time::SystemTime;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::digests::Id;
use super::options::is_older;
use super::report::{Brake, Found, GcReport};
use super::scan::Plan;
use super::{Collector, RunId};
use crate::storage::Deletion;
use crate::{Digest, Error, layout};

/// Content that is to go, and how many bytes it has.
pub(super) type Condemned = (Id, u64);

/// How many are taken away side by side.
const CONCURRENCY: usize = 16;

impl Collector {
    /// The content that nothing needs and that was not just uploaded.
    pub(super) async fn condemn(&self, plan: &Plan, now: SystemTime) -> Result<Vec<Condemned>, Error> {
        let storage = self.registry().storage();
        let garbage = plan.blobs.iter().copied().filter(|id| !plan.announced.contains(*id));
        stream::iter(garbage.map(|id| (id, layout::blob(&plan.digests.digest(id)))))
            .map(|(id, place)| async move {
                let found = storage.stat(&place).await?;
                let old = found.filter(|found| is_older(now, found.modified, self.options().lease));
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
                        return Ok::<_, Error>(Some((bytes, Deletion::Acked)));
                    }
                    Ok(self.take_away(&digest, &run).await?.map(|deletion| (bytes, deletion)))
                }
            })
            .buffer_unordered(CONCURRENCY)
            .boxed();
        let mut took_away = false;
        while let Some(gone) = swept.try_next().await? {
            let Some((bytes, deletion)) = gone else { continue };
            took_away = true;
            report.quarantined.add(bytes);
            self.settle(deletion, report);
        }
        Ok(took_away)
    }

    async fn take_away(&self, digest: &Digest, run: &RunId) -> Result<Option<Deletion>, Error> {
        let storage = self.registry().storage();
        let place = layout::blob(digest);
        let Some(copied) = storage.copy(&place, &layout::fossil(digest, run)).await? else { return Ok(None) };
        match storage.stat(&place).await? {
            Some(found) if found.size == copied.size => Ok(Some(storage.delete(&place).await?)),
            // Another collector was faster.
            None => Ok(Some(Deletion::Acked)),
            // It was torn, and somebody heals it just now.
            Some(_) => {
                storage.delete(&layout::fossil(digest, run)).await?;
                Ok(None)
            }
        }
    }
}
