//! Referrers: manifests that point to another one by their `subject`, such as signatures.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, PoisonError};

use futures::stream::{StreamExt as _, TryStreamExt as _};
use serde::Serialize;

use crate::document::{self, Document};
use crate::layout::Member;
use crate::storage::{self, Durability, Precondition, WriteOptions};
use crate::{Algorithm, Digest, Error, MediaType, Registry, Repository, RepositoryName, layout};

/// The referrers of the manifests in a repository.
#[derive(Debug, Clone, Copy)]
pub struct Referrers<'a>(&'a Repository);

/// A referrer as the referrers API describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// What kind of manifest it is.
    #[serde(serialize_with = "as_text")]
    pub media_type: MediaType,
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// What kind of artifact it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Its annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

fn as_text<S: serde::Serializer>(media_type: &MediaType, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(media_type.as_str())
}

/// One page of referrers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReferrerPage {
    /// The referrers, ordered by digest.
    pub referrers: Vec<Referrer>,
    /// What to go on behind, if there may be more. A page that looked through much and found little may be short.
    pub next: Option<Digest>,
}

impl<'a> Referrers<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self(repository)
    }

    /// At most `limit` referrers of `subject` behind `after`, which need not exist, of one artifact type if that is
    /// asked for. A subject that nothing refers to has none; it need not exist itself.
    ///
    /// The first call for a repository in a process looks through its manifests for those that another registry
    /// left behind without an index.
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn list(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
        after: Option<&Digest>,
        limit: usize,
    ) -> Result<ReferrerPage, Error> {
        let mut digests = self.index(subject).await?;
        digests.retain(|digest| after.is_none_or(|after| digest > after));
        let mut page = ReferrerPage::default();
        let (mut page_bytes, mut searched_bytes, mut last) = (0, 0, None);
        let limits = self.registry().limits();
        for digest in digests.into_iter().take_while(|_| limit > 0) {
            if page.referrers.len() == limit || searched_bytes > limits.referrers_search_bytes {
                page.next = last;
                break;
            }
            let (referrer, size) = self.describe(subject, &digest, artifact_type).await?;
            searched_bytes += size;
            if let Some(referrer) = referrer {
                page_bytes += referrer.bytes();
                if page_bytes > limits.referrers_page_bytes && !page.referrers.is_empty() {
                    page.next = last;
                    break;
                }
                page.referrers.push(referrer);
            }
            last = Some(digest);
        }
        Ok(page)
    }

    /// The digests of what may refer to `subject`, in order.
    async fn index(&self, subject: &Digest) -> Result<Vec<Digest>, Error> {
        let mut digests = self.absorb(subject).await?;
        for algorithm in Algorithm::ALL {
            let entries = self.registry().entries(layout::referrers(self.name(), subject, algorithm), None);
            let found: Vec<Digest> = entries
                .try_filter_map(|entry| async move { Ok(Digest::from_parts(algorithm, &entry.name).ok()) })
                .try_collect()
                .await?;
            digests.extend(found);
        }
        digests.sort_unstable();
        digests.dedup();
        Ok(digests)
    }

    /// What the referrers API says of a manifest, if it is there, does refer to `subject` and is of the type that is
    /// asked for; and how many bytes were looked through for that.
    async fn describe(
        &self,
        subject: &Digest,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<(Option<Referrer>, u64), Error> {
        let Some((document, content)) = self.0.manifests().document(digest).await? else {
            return Ok((None, 0));
        };
        let size = content.len() as u64;
        let wanted = artifact_type.is_none_or(|wanted| document.artifact_type.as_deref() == Some(wanted));
        if document.subject != Some(*subject) || !wanted {
            return Ok((None, size));
        }
        let annotations = self.0.manifests().parse(content, document::annotations).await?;
        let Document { media_type, artifact_type, .. } = document;
        Ok((Some(Referrer { media_type, digest: *digest, size, artifact_type, annotations }), size))
    }

    /// Notes that a manifest refers to `subject`.
    pub(crate) async fn add(&self, subject: &Digest, referrer: &Digest) -> Result<(), Error> {
        self.registry().write_link(&layout::referrer_link(self.name(), subject, referrer), referrer).await
    }

    /// Puts back those referrers of a manifest that a collector took away: now somebody wants the manifest, and with it
    /// what refers to it.
    pub(crate) async fn hold(&self, subject: &Digest) -> Result<(), Error> {
        // Mostly there is nothing: one look tells.
        let mut algorithms = self.registry().entries(layout::any_retired(self.name(), Member::Revision), None);
        while let Some(algorithm) = algorithms.try_next().await? {
            let Ok(algorithm) = algorithm.name.parse::<Algorithm>() else { continue };
            let retired = layout::all_retired(self.name(), Member::Revision, algorithm);
            let mut entries = self.registry().entries(retired, None);
            while let Some(entry) = entries.try_next().await? {
                let Ok(referrer) = Digest::from_parts(algorithm, &entry.name) else { continue };
                let link = layout::referrer_link(self.name(), subject, &referrer);
                if self.registry().storage().stat(&link).await?.is_some() {
                    // A delete of the referrer is over or has not begun: nobody may undo a part of it.
                    let _order = self.0.lock_tags().await;
                    self.registry().hold_member(self.name(), Member::Revision, &referrer).await?;
                }
            }
        }
        Ok(())
    }

    /// Forgets that a manifest refers to `subject`.
    pub(crate) async fn remove(&self, subject: &Digest, referrer: &Digest) -> Result<(), Error> {
        self.registry().delete(&layout::referrer_link(self.name(), subject, referrer)).await
    }

    /// Indexes what other registries left on the volume, once in the life of the process, and gives those referrers
    /// of `subject` that the index could not take, as on a volume that is mounted read-only.
    async fn absorb(&self, subject: &Digest) -> Result<Vec<Digest>, Error> {
        if self.registry().indexed().contains(self.name()) {
            return Ok(Vec::new());
        }
        let mut unindexed = Vec::new();
        let mut complete = true;
        for algorithm in Algorithm::ALL {
            let revisions = self.registry().entries(layout::revisions(self.name(), algorithm), None);
            let subjects = revisions
                .try_filter_map(|entry| async move { Ok(Digest::from_parts(algorithm, &entry.name).ok()) })
                .map(|digest| async move {
                    let digest = digest?;
                    let document = self.0.manifests().document(&digest).await?;
                    Ok::<_, Error>((digest, document.and_then(|(document, _)| document.subject)))
                });
            let mut subjects = subjects.buffer_unordered(CONCURRENCY).boxed();
            while let Some((referrer, of)) = subjects.try_next().await? {
                let Some(of) = of else { continue };
                if let Err(error) = self.index_one(&of, &referrer).await {
                    tracing::debug!(%error, repository = %self.name(), %referrer, "a referrer cannot be indexed");
                    complete = false;
                    unindexed.extend((of == *subject).then_some(referrer));
                }
            }
        }
        if complete {
            self.registry().indexed().insert(self.name());
        }
        Ok(unindexed)
    }

    async fn index_one(&self, subject: &Digest, referrer: &Digest) -> Result<(), Error> {
        if self.registry().is_read_only() {
            return Err(storage::Error::Unsupported { capability: "be written in a read-only registry" }.into());
        }
        let key = layout::referrer_link(self.name(), subject, referrer);
        // It can be made again at any time, so it need not survive a power cut.
        let options = WriteOptions { precondition: Precondition::Absent, durability: Durability::Volatile };
        match self.registry().storage().write(&key, layout::link(referrer), options).await {
            Ok(()) | Err(storage::Error::Exists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn registry(self) -> &'a Registry {
        self.0.registry()
    }

    fn name(self) -> &'a RepositoryName {
        self.0.name()
    }
}

/// How many manifests are looked into side by side. Each may have 4 MiB.
const CONCURRENCY: usize = 4;

impl Referrer {
    /// About how many bytes it takes in an answer.
    fn bytes(&self) -> usize {
        let annotations = self.annotations.iter().map(|(key, value)| key.len() + value.len() + 8);
        256 + self.artifact_type.as_ref().map_or(0, String::len) + annotations.sum::<usize>()
    }
}

/// The repositories whose referrers are all in the index, as far as this process knows.
#[derive(Debug, Default)]
pub(crate) struct Indexed(Mutex<HashSet<RepositoryName>>);

/// Beyond this many the process forgets, and looks again when asked.
const REMEMBERED: usize = 10_000;

impl Indexed {
    fn contains(&self, name: &RepositoryName) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    fn insert(&self, name: &RepositoryName) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= REMEMBERED {
            names.clear();
        }
        names.insert(name.clone());
    }
}
