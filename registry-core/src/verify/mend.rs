//! Writes links again that can only mean one thing.

use futures::stream::TryStreamExt as _;

use super::Scrub;
use super::faults::Fault;
use super::needs::Looked;
use crate::gc::digests::Id;
use crate::gc::documents::Reading;
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::Key;
use crate::{Algorithm, Digest, Error, Registry, RepositoryName, RunId, Tag};

impl Scrub<'_> {
    /// Mends a fault if there is only one way to; tells whether it is mended.
    pub(super) async fn mend(
        &mut self,
        name: &RepositoryName,
        fault: &Fault,
        looked: &mut Looked,
    ) -> Result<bool, Error> {
        match fault {
            Fault::TornLink(member, id, run) => {
                let is_mended = self.mend_link(name, *member, *id, run.as_ref()).await?;
                if is_mended {
                    looked.readable.insert((*member, *id));
                }
                Ok(is_mended)
            }
            Fault::TornTag(tag) => self.mend_tag(name, tag, looked).await,
            _ => Ok(false),
        }
    }

    /// A link is named after what it points to. So if that is there and whole, it says so again.
    async fn mend_link(
        &mut self,
        name: &RepositoryName,
        member: Member,
        id: Id,
        run: Option<&RunId>,
    ) -> Result<bool, Error> {
        if self.content(id).await?.is_none() {
            return Ok(false);
        }
        let is_readable = !matches!(self.documents.reading(id), Reading::Absent | Reading::Corrupt);
        if member == Member::Revision && !is_readable {
            return Ok(false);
        }
        let digest = self.digests.digest(id);
        let place = match run {
            None => layout::member_link(name, member, &digest),
            Some(run) => copy_and_mark(&layout::retired(name, member, &digest), run).0,
        };
        let rewritten = rewrite(self.registry(), &place, &digest).await;
        self.registry().link_changed(name, member);
        rewritten
    }

    /// A tag that ever pointed to one manifest of those that are there still does.
    async fn mend_tag(&mut self, name: &RepositoryName, tag: &Tag, looked: &Looked) -> Result<bool, Error> {
        let registry = self.registry();
        let mut candidates = Vec::new();
        for algorithm in Algorithm::ALL {
            let mut entries = registry.entries(layout::tag_indexes(name, tag, algorithm), None);
            while let Some(entry) = entries.try_next().await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else { continue };
                if looked.readable.contains(&(Member::Revision, self.digests.id(&digest))) {
                    candidates.push(digest);
                }
            }
        }
        let [target] = candidates[..] else { return Ok(false) };
        let repository = registry.repository(name);
        let _order = repository.lock_tags().await;
        rewrite(registry, &layout::tag_current(name, tag), &target).await
    }
}

/// Writes a link again that is still there and still torn; tells whether it says now what it should.
async fn rewrite(registry: &Registry, place: &Key, target: &Digest) -> Result<bool, Error> {
    if registry.storage().stat(place).await?.is_none() {
        return Ok(false);
    }
    if let Some(found) = registry.link(place).await? {
        return Ok(found == *target);
    }
    registry.write_link(place, target).await?;
    tracing::warn!(%place, %target, "a torn link was written again");
    Ok(true)
}
