//! The collector.

mod run_id;

pub use run_id::{ParseRunIdError, RunId};
