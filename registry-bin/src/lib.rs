//! The parts of the `registry` program.
//!
//! This is not for use by others: embed `registry-http` instead. The library exists so that tests and fuzzers reach
//! what the program is made of.

#[doc(hidden)]
pub mod access_log;
#[cfg(feature = "letsencrypt")]
#[doc(hidden)]
pub mod acme;
#[doc(hidden)]
pub mod assemble;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
#[doc(hidden)]
pub mod buckets;
#[doc(hidden)]
pub mod causes;
#[doc(hidden)]
pub mod certificates;
#[doc(hidden)]
pub mod collecting;
#[doc(hidden)]
pub mod command;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod configured;
#[doc(hidden)]
pub mod debug;
#[doc(hidden)]
pub mod descriptors;
#[doc(hidden)]
pub mod figures;
#[doc(hidden)]
pub mod followed;
#[doc(hidden)]
pub mod health;
#[doc(hidden)]
pub mod lines;
#[doc(hidden)]
pub mod listen;
#[doc(hidden)]
pub mod logins;
#[doc(hidden)]
pub mod metrics;
#[doc(hidden)]
pub mod notifications;
#[doc(hidden)]
pub mod openness;
#[doc(hidden)]
pub mod pace;
#[doc(hidden)]
pub mod rehearsal;
#[doc(hidden)]
pub mod reloads;
#[doc(hidden)]
pub mod rounds;
#[doc(hidden)]
pub mod schedule;
#[doc(hidden)]
pub mod telemetry;
#[doc(hidden)]
pub mod tokens;
#[doc(hidden)]
pub mod traces;
#[doc(hidden)]
pub mod watch;
