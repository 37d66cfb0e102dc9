//! The real program, as a person or a supervisor runs it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod client;
mod copy_storage;
mod debug;
mod fixtures;
mod garbage;
mod health;
mod lifecycle;
mod logins;
mod notifications;
mod program;
mod push_pull;
mod refusals;
mod retention;
mod secrets;
mod settings;
mod tokens;
mod traces;
mod verify;
