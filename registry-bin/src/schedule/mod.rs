//! What the server does by the clock.

mod collection;
mod counts;
mod uploads;

pub use collection::{Claim, Collection, Reach};
pub use counts::{CollectionCounts, Outcome, Snapshot};
pub use uploads::purge_uploads;
