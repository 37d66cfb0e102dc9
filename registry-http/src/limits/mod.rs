//! How much one client, and all of them together, may ask for.

mod in_flight;
mod open_uploads;
mod password_checks;
mod rate;
mod requester;

pub(crate) use in_flight::{Full, InFlight, Place};
#[cfg(feature = "ui")]
pub(crate) use open_uploads::UnderWay;
pub(crate) use open_uploads::{OpenUploads, TooMany};
pub(crate) use password_checks::{PasswordChecks, Unchecked};
pub use rate::RequestRate;
pub(crate) use rate::{Rates, TooFast};
pub(crate) use requester::Requester;
