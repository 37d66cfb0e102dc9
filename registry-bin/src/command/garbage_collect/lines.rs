//! The lines of Distribution's `garbage-collect`, in its order.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::gc::Found;
use registry_core::{Digest, RepositoryName, Tag};

use super::progress::Progress;

/// Prints what is kept as it is found, and keeps what goes for the end: it comes out over several runs.
#[derive(Debug)]
pub(super) struct Lines {
    progress: Arc<Progress>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What is kept was told by the first run.
    is_later: bool,
    manifests: Vec<GarbageManifest>,
    blobs: Vec<Digest>,
    layers: Vec<(RepositoryName, Digest)>,
}

#[derive(Debug)]
struct GarbageManifest {
    repository: RepositoryName,
    digest: Digest,
    /// All tags of the repository, which many manifests share.
    tags: Arc<[Tag]>,
}

impl Lines {
    pub(super) fn new(progress: Arc<Progress>) -> Self {
        Self { progress, state: Mutex::default() }
    }

    /// Nothing panics while it holds the lock, so what is behind a poisoned one is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn print(&self, line: &dyn Display) {
        self.progress.make_room();
        // Where nobody reads the lines there is nobody to tell; what they are about goes on.
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// What is found from now on is what a later run finds.
    pub(super) fn begin_later_run(&self) {
        self.state().is_later = true;
    }

    pub(super) fn note(&self, found: &Found<'_>) {
        let mut state = self.state();
        match *found {
            Found::GarbageManifest(repository, digest, tags) => state.note_manifest(repository, digest, tags),
            Found::GarbageLayer(repository, digest) => state.layers.push((repository.clone(), *digest)),
            Found::GarbageBlob(digest, _) => state.blobs.push(*digest),
            _ if state.is_later => {}
            Found::Repository(repository) => self.print(repository),
            Found::Manifest(repository, digest) => {
                self.print(&format_args!("{repository}: marking manifest {digest} "));
            }
            Found::Blob(repository, digest) => self.print(&format_args!("{repository}: marking blob {digest}")),
            _ => {}
        }
    }

    /// Prints what goes. So much content is `marked` as needed.
    pub(super) fn finish(&self, marked: u64) {
        let State { manifests, blobs, layers, .. } = &*self.state();
        for GarbageManifest { repository, digest, tags } in manifests {
            let tags: Vec<&str> = tags.iter().map(Tag::as_str).collect();
            self.print(&format_args!("manifest eligible for deletion: {{{repository} {digest} [{}]}}", tags.join(" ")));
        }
        self.print(&format_args!(
            "\n{marked} blobs marked, {} blobs and {} manifests eligible for deletion",
            blobs.len(),
            manifests.len()
        ));
        for digest in blobs {
            self.print(&format_args!("blob eligible for deletion: {digest}"));
        }
        for (repository, digest) in layers {
            self.print(&format_args!("{repository}: layer link eligible for deletion: {digest}"));
        }
    }
}

impl State {
    fn note_manifest(&mut self, repository: &RepositoryName, digest: &Digest, tags: &[Tag]) {
        let shared = self.manifests.last().filter(|last| last.repository == *repository && *last.tags == *tags);
        let tags = shared.map_or_else(|| tags.into(), |last| Arc::clone(&last.tags));
        self.manifests.push(GarbageManifest { repository: repository.clone(), digest: *digest, tags });
    }
}
