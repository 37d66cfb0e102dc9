//! How the API was used during the last hours.

mod chart;
mod latency;
mod page;
mod traffic;

pub(super) use page::show;
pub(crate) use traffic::{Noticed, Traffic};
