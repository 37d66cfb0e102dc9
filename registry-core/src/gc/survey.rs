//! What there is beside what repositories have: content, and names that are none.

use futures::stream::TryStreamExt as _;

use super::members::{STRAY, names};
use super::scan::Scan;
use crate::storage::{EntryKind, Key};
use crate::{Algorithm, Digest, Error, layout, name};

impl Scan<'_> {
    /// All content that there is.
    pub(super) async fn list_blobs(&mut self) -> Result<(), Error> {
        for algorithm in Algorithm::ALL {
            let root = layout::blobs(algorithm);
            let mut spread = self.registry().entries(root.clone(), None);
            while let Some(entry) = spread.try_next().await? {
                let Ok(directory) = root.child(&entry.name) else { continue };
                let mut hashes = names(self.registry(), directory.clone());
                while let Some(entry) = hashes.try_next().await? {
                    if let Ok(digest) = Digest::from_parts(algorithm, &entry.name) {
                        let id = self.plan.digests.id(&digest);
                        self.plan.blobs.push(id);
                        self.plan.present.insert(id);
                    } else {
                        self.report.skip(&format!("{directory}/{}", entry.name), STRAY);
                    }
                }
            }
        }
        Ok(())
    }

    /// A directory that no name leads to may be a repository of another registry, with whatever it needs.
    pub(super) async fn look_for_strangers(&mut self, directory: &Key) -> Result<(), Error> {
        let registry = self.registry();
        let mut entries = registry.entries(directory.clone(), None);
        while let Some(entry) = entries.try_next().await? {
            let is_own = entry.name.starts_with('_');
            if entry.kind == EntryKind::Prefix && !is_own && !name::is_component(&entry.name) {
                self.report
                    .skip(&format!("{directory}/{}", entry.name), "no repository has such a name; no content goes");
                self.plan.has_strangers = true;
            }
        }
        Ok(())
    }
}
