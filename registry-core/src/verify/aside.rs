//! Takes corrupt content out of its place.

use super::Verifier;
use super::inspect::{Flaw, Look, Reason};
use crate::storage::{Deletion, Key};
use crate::{Digest, Error, RunId, layout};

/// What became of corrupt content.
#[derive(Debug)]
pub(super) enum Aside {
    /// It lies there now, and its place is empty.
    At(Key),
    /// Something else lies in its place now, or nothing.
    Changed,
    /// It lies there now, and it is not known whether its place is empty.
    Unknown(Key),
}

impl Verifier {
    /// Gives what lies at a place a second place among what is corrupt, and then deletes the first.
    ///
    /// A push heals what is torn by replacing it, and must not be undone. So what is deleted is looked at twice more: the
    /// copy, by its bytes; and right before the delete the place, by size and time.
    pub(super) async fn set_aside(&self, digest: &Digest, place: &Key, flaw: &Flaw) -> Result<Aside, Error> {
        let storage = self.registry().storage();
        let run = RunId::new(self.registry().clock().now(), self.registry().random().bytes());
        let aside = layout::corrupt(digest, &run);
        let found = storage.stat(place).await?;
        if found.is_none() || (flaw.metadata.is_some() && found != flaw.metadata) {
            return Ok(Aside::Changed);
        }
        if storage.copy(place, &aside).await?.is_none() {
            return Ok(Aside::Changed);
        }
        let copied = self.look(digest, &aside).await?;
        if !matches!(&copied, Look::Flawed(copied) if is_same(copied, flaw)) {
            // What was copied still lies in its place.
            storage.delete(&aside).await?;
            return Ok(Aside::Changed);
        }
        if storage.stat(place).await? != found {
            return Ok(Aside::Changed);
        }
        match storage.delete(place).await? {
            Deletion::Acked => {
                tracing::warn!(%place, %aside, "corrupt content was set aside");
                Ok(Aside::At(aside))
            }
            Deletion::Unknown => Ok(Aside::Unknown(aside)),
        }
    }

    /// Puts content back in its place from a good copy that a collector took; tells whether there was one.
    pub(super) async fn restore(&self, digest: &Digest) -> Result<bool, Error> {
        let storage = self.registry().storage();
        for run in self.registry().fossils(digest).await? {
            let fossil = layout::fossil(digest, &run);
            let Look::Sound(bytes) = self.look(digest, &fossil).await? else { continue };
            let copied = storage.copy(&fossil, &layout::blob(digest)).await?;
            if copied.is_some_and(|copied| copied.size == bytes) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether two objects are damaged in the same way.
fn is_same(one: &Flaw, other: &Flaw) -> bool {
    match (&one.reason, &other.reason) {
        (Reason::Computed(one), Reason::Computed(other)) => one == other,
        (Reason::Unreadable(_), Reason::Unreadable(_)) => true,
        _ => false,
    }
}
