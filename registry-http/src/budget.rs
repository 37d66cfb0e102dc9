//! How much memory the manifests that are coming in may take together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that many requests share.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    taken: Arc<AtomicU64>,
    limit_bytes: u64,
}

/// More bytes are wanted than there are; some come back when other requests end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Exhausted;

impl Budget {
    pub(crate) fn new(limit_bytes: u64) -> Self {
        Self { taken: Arc::default(), limit_bytes }
    }

    /// A share of nothing yet.
    pub(crate) fn share(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// What one request has taken. It goes back when this is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    budget: Budget,
    bytes: u64,
}

impl Share {
    /// Takes some more.
    pub(crate) fn take(&mut self, bytes: u64) -> Result<(), Exhausted> {
        let taken = self.budget.taken.fetch_add(bytes, Ordering::Relaxed);
        self.bytes += bytes;
        if taken.saturating_add(bytes) > self.budget.limit_bytes { Err(Exhausted) } else { Ok(()) }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(10);
        let (mut first, mut second) = (budget.share(), budget.share());
        assert_eq!((first.take(4), first.take(4)), (Ok(()), Ok(())));
        assert_eq!(second.take(4), Err(Exhausted));
        drop(second);
        assert_eq!(budget.share().take(2), Ok(()));
        drop(first);
        assert_eq!(budget.share().take(10), Ok(()));
    }
}
