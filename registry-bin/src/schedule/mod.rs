//! What the server does by the clock.

mod claim;
mod collection;
mod counts;
mod journal;
mod jumps;
mod pulls;
mod retention;
mod space;
mod uploads;
mod wishes;

use std::time::Duration;

pub use claim::{Claim, Reach};
pub use collection::Collection;
pub use counts::{CollectionCounts, Outcome, Snapshot};
pub use journal::{checkpoint, checkpoints};
pub use pulls::{note_pulls, write_pulls};
pub use space::{KnownSpace, look_at_space};
pub(crate) use uploads::end_unfinished;
pub use uploads::purge_uploads;
pub use wishes::{Wishes, Wishing, wishes};

/// How soon after the start what looks at all repositories is done for the first time: the server has first to answer.
const FIRST: Duration = Duration::from_mins(1);
