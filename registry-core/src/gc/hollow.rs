//! Directories of links in which no link is left, as other registries leave them when something is deleted.

use std::collections::HashSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::digests::Id;
use super::members::Members;
use super::scan::Scan;
use crate::layout::{self, Member};
use crate::{Digest, Error, RepositoryName};

/// How many links are looked at side by side.
const CONCURRENCY: usize = 16;

impl Scan<'_> {
    /// Forgets the manifests without a tag of which only the directory is left. Whether one with a tag is linked decides
    /// nothing: the tag announces it.
    pub(super) async fn drop_hollow_revisions(
        &self,
        name: &RepositoryName,
        members: &mut Members,
    ) -> Result<(), Error> {
        let tagged: HashSet<Id> = members.tags.iter().map(|(_, id)| *id).collect();
        let untagged = members.revisions.live.iter().copied().filter(|id| !tagged.contains(id));
        let hollow = self.hollow(name, Member::Revision, untagged).await?;
        members.revisions.live.retain(|id| !hollow.contains(id));
        Ok(())
    }

    /// Those of some names below which no link is left, and of which no run has a copy.
    pub(super) async fn hollow(
        &self,
        name: &RepositoryName,
        member: Member,
        ids: impl Iterator<Item = Id>,
    ) -> Result<HashSet<Id>, Error> {
        let digests: Vec<_> = ids.map(|id| (id, self.plan.digests.digest(id))).collect();
        stream::iter(digests)
            .map(|(id, digest)| async move { Ok::<_, Error>(self.is_hollow(name, member, &digest).await?.then_some(id)) })
            .buffer_unordered(CONCURRENCY)
            .try_filter_map(|hollow| async move { Ok(hollow) })
            .try_collect()
            .await
    }

    async fn is_hollow(&self, name: &RepositoryName, member: Member, digest: &Digest) -> Result<bool, Error> {
        let storage = self.registry().storage();
        let link = layout::member_link(name, member, digest);
        if storage.stat(&link).await?.is_some() {
            return Ok(false);
        }
        // Somebody may be moving it between its place and the copies, so that each look alone could miss it.
        if self.registry().member(name, member, digest).await?.is_some()
            || self.registry().retired_copies(&layout::retired(name, member, digest)).await?.iter().next().is_some()
            || storage.stat(&link).await?.is_some()
        {
            return Ok(false);
        }
        if let Some(directory) = link.parent().filter(|_| !self.options().dry_run) {
            storage.remove_directory(&directory).await?;
        }
        Ok(true)
    }
}
