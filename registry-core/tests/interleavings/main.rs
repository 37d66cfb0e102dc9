//! The registry's own code under a scheduler that decides which operation of the storage comes next: all orders of small
//! programs, many orders of larger ones, and a look at the storage after every single step.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod chance;
mod collectors;
mod explore;
mod ledger;
mod limits;
mod mirror;
mod mutants;
mod naive;
mod oracle;
mod processes;
mod program;
mod random;
mod request;
mod run;
mod sabotage;
mod storage;
mod universe;
mod world;
mod writers;
