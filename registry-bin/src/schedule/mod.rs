//! What the server does by the clock.

mod collection;
mod counts;
mod journal;
mod pulls;
mod retention;
mod uploads;

pub use collection::{Claim, Collection, Reach};
pub use counts::{CollectionCounts, Outcome, Snapshot};
pub use journal::{checkpoint, checkpoints};
pub use pulls::{note_pulls, write_pulls};
pub use uploads::purge_uploads;
