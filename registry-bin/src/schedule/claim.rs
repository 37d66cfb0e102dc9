//! Who may collect, when several could.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use registry_core::Blocking;
use registry_storage::filesystem::{CollectingLock, Filesystem, LockError};

/// Who else may collect the same content.
#[derive(Debug, Clone)]
pub enum Reach {
    /// Whoever comes to the folder first, for as long as they hold their claim.
    Folder(Filesystem, Claim),
    /// Nobody: it is in the memory of this process.
    Process,
    /// Anybody.
    Shared,
}

/// The claim for collecting a folder. It is taken when a run begins, and must outlive all that a run began.
#[derive(Debug, Clone, Default)]
pub struct Claim(Arc<Mutex<Option<CollectingLock>>>);

/// Why somebody may not collect.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unclaimed {
    /// Whoever else does so goes on doing it.
    #[error("no garbage is collected this time: {0}")]
    Elsewhere(LockError),
    #[error(transparent)]
    Lock(LockError),
    /// The program is ending.
    #[error(transparent)]
    Stopped(#[from] registry_core::Stopped),
}

impl Claim {
    fn lock(&self) -> MutexGuard<'_, Option<CollectingLock>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reach {
    /// Makes sure that nobody else collects what only one may.
    pub(super) async fn claim(&self, blocking: &dyn Blocking) -> Result<(), Unclaimed> {
        let Self::Folder(folder, claim) = self else { return Ok(()) };
        if claim.lock().is_some() {
            return Ok(());
        }
        let folder = folder.clone();
        match blocking.run(move || folder.lock_for_collecting()).await? {
            Ok(lock) => {
                *claim.lock() = Some(lock);
                Ok(())
            }
            Err(held @ LockError::Held { .. }) => Err(Unclaimed::Elsewhere(held)),
            Err(error) => Err(Unclaimed::Lock(error)),
        }
    }

    /// Lets others collect again, when nothing is under way that a run began.
    pub(super) fn release(&self) {
        if let Self::Folder(_, claim) = self {
            claim.lock().take();
        }
    }
}
