//! Removes the directories of repositories in which nothing is left.

use futures::stream::TryStreamExt as _;

use super::Collector;
use super::report::GcReport;
use super::scan::Plan;
use crate::layout::{self, Member};
use crate::storage::{EntryKind, Key};
use crate::{Algorithm, Error, RepositoryName};

/// The directories of an index of referrers: algorithm and hash of the subject, and of the referrer.
const REFERRERS_DEPTH: usize = 4;

impl Collector {
    /// Removes empty repositories. Whoever pushes to one at the same time makes the directories again.
    pub(super) async fn prune(&self, plan: &Plan, report: &mut GcReport) -> Result<(), Error> {
        for repository in plan.repositories.iter().filter(|repository| repository.is_empty) {
            let name = &repository.name;
            if !self.has_remains(name).await? || self.is_in_use(name).await? {
                continue;
            }
            if self.options().dry_run || self.remove(name).await? {
                report.removed_repositories += 1;
            }
        }
        if !self.options().dry_run {
            self.prune_copies(plan).await?;
        }
        Ok(())
    }

    /// Whether directories of the repository itself are there; a name may also be no more than the parent of others.
    async fn has_remains(&self, name: &RepositoryName) -> Result<bool, Error> {
        // What belongs to the repository begins with an underscore, behind this in the order of bytes.
        let own = layout::repository_directory(name.as_str());
        let own = self.registry().storage().list(&own, Some("^"), 1).await?;
        Ok(own.entries.iter().any(|entry| entry.name.starts_with('_')))
    }

    /// Whether an upload is under way, or something came since the scan.
    async fn is_in_use(&self, name: &RepositoryName) -> Result<bool, Error> {
        let storage = self.registry().storage();
        let mut places = vec![layout::uploads(name), layout::tags(name)];
        for algorithm in Algorithm::ALL {
            places.extend(Member::ALL.map(|member| layout::members(name, member, algorithm)));
        }
        for place in places {
            if !storage.list(&place, None, 1).await?.entries.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Another registry on the same volume relies on `_layers` and `tags` where there is `_manifests`, so that goes first
    /// and as a whole.
    async fn remove(&self, name: &RepositoryName) -> Result<bool, Error> {
        let storage = self.registry().storage();
        let repository = layout::repository_directory(name.as_str());
        for algorithm in Algorithm::ALL {
            storage.remove_directory(&layout::members(name, Member::Revision, algorithm)).await?;
        }
        let tags = layout::tags(name);
        for place in [layout::all_revisions(name), tags.clone()] {
            storage.remove_directory(&place).await?;
        }
        let Some(manifests) = tags.parent() else { return Ok(false) };
        if !storage.remove_directory(&manifests).await? {
            // Somebody pushes just now.
            storage.create_directory(&tags).await?;
            return Ok(false);
        }
        for algorithm in Algorithm::ALL {
            storage.remove_directory(&layout::members(name, Member::Layer, algorithm)).await?;
        }
        storage.remove_directory(&layout::layers(name)).await?;
        storage.remove_directory(&layout::uploads(name)).await?;
        self.remove_empty(&layout::all_referrers(name), REFERRERS_DEPTH).await?;
        let mut place = Some(repository);
        while let Some(directory) = place.filter(|place| *place != layout::repositories()) {
            place = if storage.remove_directory(&directory).await? { directory.parent() } else { None };
        }
        Ok(!self.has_remains(name).await?)
    }

    /// Removes a directory and those below it, as far as they are empty.
    async fn remove_empty(&self, directory: &Key, depth: usize) -> Result<(), Error> {
        let storage = self.registry().storage();
        if depth > 0 {
            let mut entries = self.registry().entries(directory.clone(), None);
            while let Some(entry) = entries.try_next().await? {
                if let (EntryKind::Prefix, Ok(below)) = (entry.kind, directory.child(&entry.name)) {
                    Box::pin(self.remove_empty(&below, depth - 1)).await?;
                }
            }
        }
        storage.remove_directory(directory).await?;
        Ok(())
    }

    /// The directories in which copies of links lay.
    async fn prune_copies(&self, plan: &Plan) -> Result<(), Error> {
        for repository in &plan.repositories {
            for copy in &repository.copies {
                let digest = plan.digests.digest(copy.id);
                let mut place = layout::retired(&repository.name, copy.member, &digest).parent();
                while let Some(directory) = place.filter(|place| *place != layout::gc()) {
                    let removed = self.registry().storage().remove_directory(&directory).await?;
                    place = if removed { directory.parent() } else { None };
                }
            }
        }
        Ok(())
    }
}
