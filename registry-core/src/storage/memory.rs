//! A storage in memory.

/// A storage in memory: for tests, simulation and short-lived embedding.
#[derive(Debug, Default)]
pub struct Memory;
