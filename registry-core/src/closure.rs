//! What a manifest needs: the content that it names, and what that names in turn.

use std::collections::HashSet;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use crate::document::{Content, Descriptor, Document};
use crate::layout::Member;
use crate::{Digest, Error, InvalidManifest, References, Repository};

/// How sure the answer must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Certainty {
    /// It is there now.
    Present,
    /// It is there, and stays there over a power cut.
    Durable,
}

/// Checks that the repository has everything that a manifest needs, through indexes at any depth.
///
/// # Errors
/// [`Error::ReferencesUnknown`] with all that is missing, or [`Error::ManifestInvalid`].
pub(crate) async fn check(repository: &Repository, document: &Document, certainty: Certainty) -> Result<(), Error> {
    let mut closure = Closure { repository, certainty, seen: HashSet::new(), missing: Vec::new() };
    let mut level = closure.needs(document)?;
    let limit = repository.registry().limits().nesting;
    let mut depth = 1;
    while !level.is_empty() {
        if depth > limit {
            return Err(InvalidManifest::TooDeep { limit }.into());
        }
        level = closure.descend(level).await?;
        depth += 1;
    }
    if closure.missing.is_empty() {
        Ok(())
    } else {
        closure.missing.sort_unstable();
        Err(Error::ReferencesUnknown { digests: closure.missing })
    }
}

/// Something that a manifest needs.
#[derive(Debug)]
struct Need {
    digest: Digest,
    size: u64,
    is_manifest: bool,
}

struct Closure<'a> {
    repository: &'a Repository,
    certainty: Certainty,
    seen: HashSet<(Digest, bool)>,
    missing: Vec<Digest>,
}

/// How much content is looked up side by side.
const CONCURRENCY: usize = 16;

impl Closure<'_> {
    /// What the document itself names and was not met before.
    fn needs(&mut self, document: &Document) -> Result<Vec<Need>, Error> {
        let validation = self.repository.registry().validation();
        let mut needs = Vec::new();
        match &document.content {
            Content::Image { config, layers } => {
                needs.push(Need::blob(config));
                for layer in layers {
                    // A layer that lies elsewhere need not be here.
                    if layer.is_non_distributable() && !layer.urls.is_empty() {
                        self.check_urls(layer)?;
                    } else {
                        needs.push(Need::blob(layer));
                    }
                }
            }
            Content::Index { manifests } => {
                let required = manifests.iter().filter(|child| validation.platforms.require(child.platform.as_ref()));
                needs.extend(required.map(Need::manifest));
            }
        }
        if validation.references == References::Sparse {
            needs.clear();
        }
        needs.retain(|need| self.seen.insert((need.digest, need.is_manifest)));
        let limit = self.repository.registry().limits().references;
        if self.seen.len() > limit {
            return Err(InvalidManifest::TooManyReferences { limit }.into());
        }
        Ok(needs)
    }

    fn check_urls(&self, layer: &Descriptor) -> Result<(), InvalidManifest> {
        let rule = self.repository.registry().validation().urls.as_ref();
        let allowed = |url: &String| {
            let web = url.starts_with("https://") || url.starts_with("http://");
            web && !url.contains('#') && rule.is_none_or(|rule| rule(url))
        };
        match layer.urls.iter().find(|url| !allowed(url)) {
            None => Ok(()),
            Some(url) => Err(InvalidManifest::Url { digest: layer.digest, url: url.clone() }),
        }
    }

    /// Looks all of a level up, and gives the next one: what the manifests among it name.
    async fn descend(&mut self, level: Vec<Need>) -> Result<Vec<Need>, Error> {
        let (manifests, blobs): (Vec<Need>, Vec<Need>) = level.into_iter().partition(|need| need.is_manifest);
        let (repository, certainty) = (self.repository, self.certainty);
        let mut found = stream::iter(blobs)
            .map(|need| async move { Ok::<_, Error>((need.digest, find(repository, &need, certainty).await?)) })
            .buffer_unordered(CONCURRENCY);
        while let Some((digest, found)) = found.try_next().await? {
            if found.is_none() {
                self.missing.push(digest);
            }
        }
        // One at a time: each may have 4 MiB, and what it names is all that is kept of it.
        let mut next = Vec::new();
        for need in manifests {
            match self.child(&need).await? {
                None => self.missing.push(need.digest),
                Some(needs) => next.extend(needs),
            }
        }
        Ok(next)
    }

    /// What a child needs in turn; `None` if it is not there.
    async fn child(&mut self, need: &Need) -> Result<Option<Vec<Need>>, Error> {
        let Some(target) = find(self.repository, need, self.certainty).await? else {
            return Ok(None);
        };
        if need.size > self.repository.registry().limits().manifest_bytes {
            return Ok(Some(Vec::new()));
        }
        let Some(content) = self.repository.manifests().stored(&target).await? else { return Ok(None) };
        let document = self.repository.manifests().parse(content, Document::parse_stored).await?;
        // What others stored before may break today's rules; then it names nothing that counts.
        document.map_or(Ok(Some(Vec::new())), |document| self.needs(&document).map(Some))
    }
}

impl Need {
    fn blob(descriptor: &Descriptor) -> Self {
        Self { digest: descriptor.digest, size: descriptor.size, is_manifest: false }
    }

    fn manifest(descriptor: &Descriptor) -> Self {
        Self { is_manifest: true, ..Self::blob(descriptor) }
    }
}

/// The content of what is needed; `None` if it is not there. With certainty it is in its place, wherever a collector
/// had put it.
async fn find(repository: &Repository, need: &Need, certainty: Certainty) -> Result<Option<Digest>, Error> {
    let (registry, name, digest) = (repository.registry(), repository.name(), need.digest);
    let recent = (certainty == Certainty::Present && !need.is_manifest).then(|| registry.recent_blob(name, &digest));
    if recent.flatten() == Some(need.size) {
        return Ok(Some(digest));
    }
    let member = if need.is_manifest { Member::Revision } else { Member::Layer };
    let target = match certainty {
        Certainty::Present => registry.member(name, member, &digest).await?,
        Certainty::Durable => registry.hold_member(name, member, &digest).await?,
    };
    let Some(target) = target else { return Ok(None) };
    let metadata = match certainty {
        Certainty::Present => registry.stat_content(&target).await?,
        Certainty::Durable => registry.hold_content(&target).await?,
    };
    let Some(metadata) = metadata else { return Ok(None) };
    if metadata.size != need.size {
        return Err(InvalidManifest::Size { digest, stated: need.size, stored: metadata.size }.into());
    }
    if !need.is_manifest && target == digest {
        registry.saw_blob(name, &digest, metadata.size);
    }
    Ok(Some(target))
}
