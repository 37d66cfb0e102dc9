//! What the server does by the clock.

mod collection;
mod counts;
mod journal;
mod pulls;
mod retention;
mod space;
mod uploads;

use std::time::Duration;

pub use collection::{Claim, Collection, Reach};
pub use counts::{CollectionCounts, Outcome, Snapshot};
pub use journal::{checkpoint, checkpoints};
pub use pulls::{note_pulls, write_pulls};
pub use space::{KnownSpace, look_at_space};
pub use uploads::purge_uploads;

/// How soon after the start what looks at all repositories is done for the first time: the server has first to answer.
const FIRST: Duration = Duration::from_mins(1);
