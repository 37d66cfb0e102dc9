//! What protected tags keep from being deleted.

use std::collections::HashSet;

use futures::stream::{StreamExt as _, TryStreamExt as _};

use crate::document::Content;
use crate::layout::Member;
use crate::{Digest, Error, Repository, Tag, layout};

/// Refuses to delete a member of a repository that a protected tag needs: what the tag points to, and what that names,
/// through indexes at any depth.
///
/// # Errors
/// [`Error::TagProtected`] with one such tag.
pub(crate) async fn check(repository: &Repository, member: Member, digest: &Digest) -> Result<(), Error> {
    let (registry, name) = (repository.registry(), repository.name());
    if !registry.tag_rules().protects_in(name) {
        return Ok(());
    }
    let mut walk = Walk { repository, sought: (member, *digest), seen: HashSet::new() };
    let mut entries = registry.entries(layout::tags(name), None).boxed();
    while let Some(entry) = entries.try_next().await? {
        let Ok(tag) = entry.name.parse::<Tag>() else { continue };
        if registry.tag_rules().is_protected(name, &tag)
            && let Some(root) = repository.tags().resolve(&tag).await?
            && walk.finds(root).await?
        {
            return Err(Error::TagProtected { tag });
        }
    }
    Ok(())
}

struct Walk<'a> {
    repository: &'a Repository,
    sought: (Member, Digest),
    /// The manifests that were looked into: what was looked for is in none of them.
    seen: HashSet<Digest>,
}

impl Walk<'_> {
    async fn finds(&mut self, root: Digest) -> Result<bool, Error> {
        let mut next = vec![root];
        while let Some(manifest) = next.pop() {
            if self.sought == (Member::Revision, manifest) {
                return Ok(true);
            }
            if !self.seen.insert(manifest) {
                continue;
            }
            let Some((document, _)) = self.repository.manifests().document(&manifest).await? else { continue };
            match document.content {
                Content::Image { config, layers } => {
                    let mut blobs = layers.iter().chain([&*config]).map(|blob| (Member::Layer, blob.digest));
                    if blobs.any(|blob| blob == self.sought) {
                        return Ok(true);
                    }
                }
                Content::Index { manifests } => next.extend(manifests.iter().map(|child| child.digest)),
            }
        }
        Ok(false)
    }
}
