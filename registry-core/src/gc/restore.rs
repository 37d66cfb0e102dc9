//! What is in quarantine, and how people bring it back.

use std::time::SystemTime;

use futures::stream::{self, BoxStream, StreamExt as _, TryStreamExt as _};

use super::RunId;
use super::members::names;
use crate::layout::{self, Member};
use crate::quarantine::copy_and_mark;
use crate::storage::Key;
use crate::{Algorithm, Digest, Error, Registry, RepositoryName};

/// Something that a run took away, and that was not purged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// What it is.
    pub place: Quarantine,
    /// The content, or what the link points to.
    pub digest: Digest,
    /// The run that took it away.
    pub run: RunId,
    /// How many bytes it has.
    pub bytes: u64,
}

/// What it is that lies in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quarantine {
    /// Content.
    Content,
    /// What makes a manifest a member of a repository.
    Manifest {
        /// The repository.
        repository: RepositoryName,
        /// Whether a client deleted the manifest since.
        deleted: bool,
    },
    /// What makes a blob a member of a repository.
    Layer {
        /// The repository.
        repository: RepositoryName,
        /// Whether a client deleted the blob since.
        deleted: bool,
    },
}

impl Quarantined {
    /// When the run began that took it away.
    #[must_use]
    pub fn since(&self) -> SystemTime {
        self.run.started_at()
    }

    /// Whether a client deleted it after it was taken away.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        match &self.place {
            Quarantine::Content => false,
            Quarantine::Manifest { deleted, .. } | Quarantine::Layer { deleted, .. } => *deleted,
        }
    }
}

impl Registry {
    /// All that runs took away and that was not purged yet: the content, and then the links by repository.
    pub fn quarantined(&self) -> BoxStream<'_, Result<Quarantined, Error>> {
        let content = stream::iter(Algorithm::ALL).flat_map(move |algorithm| {
            names(self, layout::all_fossils(algorithm))
                .map_ok(move |entry| self.content_copies(algorithm, &entry.name))
                .try_flatten()
        });
        let links = self
            .walk_in(layout::retired_directory, None)
            .map_ok(move |name| {
                let kinds =
                    Member::ALL.into_iter().flat_map(|member| Algorithm::ALL.map(|algorithm| (member, algorithm)));
                stream::iter(kinds.map(Ok::<_, Error>))
                    .map_ok(move |(member, algorithm)| self.link_copies(name.clone(), member, algorithm))
                    .try_flatten()
            })
            .try_flatten();
        content.chain(links).boxed()
    }

    fn content_copies(&self, algorithm: Algorithm, name: &str) -> BoxStream<'_, Result<Quarantined, Error>> {
        let Ok(digest) = Digest::from_parts(algorithm, name) else { return stream::empty().boxed() };
        let found = async move {
            let mut found = Vec::new();
            for run in self.fossils(&digest).await? {
                if let Some(fossil) = self.storage().stat(&layout::fossil(&digest, &run)).await? {
                    found.push(Ok(Quarantined { place: Quarantine::Content, digest, run, bytes: fossil.size }));
                }
            }
            Ok::<_, Error>(stream::iter(found))
        };
        stream::once(found).try_flatten().boxed()
    }

    fn link_copies(
        &self,
        repository: RepositoryName,
        member: Member,
        algorithm: Algorithm,
    ) -> BoxStream<'_, Result<Quarantined, Error>> {
        names(self, layout::all_retired(&repository, member, algorithm))
            .try_filter_map(move |entry| {
                let repository = repository.clone();
                async move {
                    let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else { return Ok(None) };
                    self.copies_of(&repository, member, digest).await.map(Some)
                }
            })
            .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn copies_of(
        &self,
        repository: &RepositoryName,
        member: Member,
        digest: Digest,
    ) -> Result<Vec<Quarantined>, Error> {
        let place = layout::retired(repository, member, &digest);
        let mut found = Vec::new();
        for (run, deleted) in self.retired_copies(&place).await?.iter() {
            let (copy, _) = copy_and_mark(&place, &run);
            let Some(copy) = self.storage().stat(&copy).await? else { continue };
            let repository = repository.clone();
            let place = match member {
                Member::Layer => Quarantine::Layer { repository, deleted },
                Member::Revision => Quarantine::Manifest { repository, deleted },
            };
            found.push(Quarantined { place, digest, run, bytes: copy.size });
        }
        Ok(found)
    }

    /// Puts something back that a run took away; `false` if it is not in quarantine any more. What is in its place already
    /// stays as it is.
    ///
    /// A link is as good as new then. Content is as old as it was: the next run takes it away again if nothing needs it.
    /// Nothing leaves the quarantine; that is left to the next runs.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn restore(&self, item: &Quarantined) -> Result<bool, Error> {
        match &item.place {
            Quarantine::Content => {
                let fossil = layout::fossil(&item.digest, &item.run);
                Ok(self.storage().copy(&fossil, &layout::blob(&item.digest)).await?.is_some())
            }
            Quarantine::Manifest { repository, .. } => self.restore_manifest(repository, item).await,
            Quarantine::Layer { repository, .. } => {
                let Some(target) = self.retired_target(repository, Member::Layer, item).await? else {
                    return Ok(false);
                };
                self.write_link(&layout::layer_link(repository, &item.digest), &target).await?;
                Ok(true)
            }
        }
    }

    /// As a push does it: the link, and then what tells of it.
    async fn restore_manifest(&self, name: &RepositoryName, item: &Quarantined) -> Result<bool, Error> {
        let Some(target) = self.retired_target(name, Member::Revision, item).await? else { return Ok(false) };
        // Distribution's collector gives up on a repository that has manifests and no `_layers`, or no tags.
        for directory in [layout::layers(name), layout::tags(name)] {
            self.storage().create_directory(&directory).await?;
        }
        let repository = self.repository(name);
        let _order = repository.lock_tags().await;
        self.write_link(&layout::revision_link(name, &item.digest), &target).await?;
        self.hold_content(&target).await?;
        if let Some(subject) = repository.manifests().subject(&target).await? {
            repository.referrers().add(&subject, &item.digest).await?;
        }
        Ok(true)
    }

    async fn retired_target(
        &self,
        name: &RepositoryName,
        member: Member,
        item: &Quarantined,
    ) -> Result<Option<Digest>, Error> {
        let copies: Key = layout::retired(name, member, &item.digest);
        self.link(&copy_and_mark(&copies, &item.run).0).await
    }
}
