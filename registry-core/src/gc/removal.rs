//! Deletes that cannot come later than somebody counts on.
//!
//! A collector that is stopped between a copy and the delete behind it, and goes on when the copy was purged, would delete
//! the only one there is; and so does a request that was on its way for as long. Where a service takes no notice of a request
//! that is too old, each delete is made ready before its copy is made: then a copy of some age is one whose delete is over,
//! whatever became of the run.

use std::time::{Duration, SystemTime};

use super::Collector;
use crate::Error;
use crate::storage::{self, Deletion, Key, Metadata, PreparedDelete};

/// So long a delete can be sent after it was made ready: enough to copy content and read the copy.
const VALIDITY: Duration = Duration::from_hours(1);

/// So much a clock may be ahead of the storage's.
const AHEAD: Duration = Duration::from_mins(5);

/// When a copy is so old, the delete behind it is over: it was made ready before, and what a service has begun does not take
/// it longer than the rest of this.
pub(super) const OVER: Duration = Duration::from_hours(2);

/// A delete that is to follow a copy.
pub(super) enum Removal {
    /// It can be sent until it is too old.
    Ready { delete: PreparedDelete, made: SystemTime },
    /// It is sent when it is its turn, at any time.
    Plain(Key),
}

impl Collector {
    /// Whether each delete of a run is over some time after its copy.
    pub(super) fn is_fenced(&self) -> bool {
        let capabilities = self.registry().storage().capabilities();
        capabilities.expiring_deletes && !capabilities.prompt_deletes
    }

    /// Makes a delete ready. To be called before the copy is made.
    pub(super) async fn prepare(&self, key: &Key) -> Result<Removal, Error> {
        if !self.is_fenced() {
            return Ok(Removal::Plain(key.clone()));
        }
        let made = self.registry().clock().now();
        let delete = self.registry().storage().prepare_delete(key, VALIDITY).await?;
        let delete = delete.ok_or(storage::Error::Unsupported { capability: "make a delete ready" })?;
        Ok(Removal::Ready { delete, made })
    }

    /// Deletes what has a copy at `place` now; `None` if it may not, because clocks differ too much to tell when the delete is
    /// over. Then there is no copy any more.
    pub(super) async fn remove_copied(
        &self,
        removal: Removal,
        place: &Key,
        copy: &Metadata,
    ) -> Result<Option<Deletion>, Error> {
        match removal {
            Removal::Plain(key) => Ok(Some(self.registry().storage().delete(&key).await?)),
            Removal::Ready { delete, made } => {
                let is_ahead = copy.modified.is_none_or(|copied| copied + AHEAD < made);
                if is_ahead {
                    tracing::warn!("the clock of this machine is ahead of the storage's: nothing is taken away");
                    self.registry().storage().delete(place).await?;
                    return Ok(None);
                }
                Ok(Some(delete.await?))
            }
        }
    }
}
