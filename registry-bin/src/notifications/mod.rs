//! Telling others what happens, by webhooks as CNCF Distribution has them. What is told survives a restart.

mod counts;
mod envelope;
mod filter;
mod references;
#[cfg(test)]
mod sample;
mod spool;
