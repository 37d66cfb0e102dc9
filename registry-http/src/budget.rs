//! How much memory manifests may take together, on their way in and on their way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// Bytes that many requests share.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    taken: Arc<AtomicU64>,
    limit_bytes: u64,
}

/// Answers up to this size are not counted: the limit of requests bounds them.
const SMALL_BYTES: usize = 4 * 1024;

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

    /// Counts an answer until the client has taken it, which means until the last part of these bytes is dropped: the
    /// connection holds them longer than the body of the answer is there.
    pub(crate) fn count(&self, answer: Bytes) -> Result<Bytes, Exhausted> {
        if answer.len() <= SMALL_BYTES {
            return Ok(answer);
        }
        let mut share = self.share();
        share.take(answer.len() as u64)?;
        Ok(Bytes::from_owner(Counted { bytes: answer, _share: share }))
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

/// Bytes with the share that they take.
struct Counted {
    bytes: Bytes,
    _share: Share,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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

    #[test]
    fn an_answer_counts_as_long_as_any_part_of_it_is_there() {
        let size = SMALL_BYTES + 1;
        let budget = Budget::new(size as u64);
        let answer = || budget.count(Bytes::from(vec![7; size]));
        let mut first = answer().unwrap();
        assert_eq!(answer(), Err(Exhausted));
        let part = first.split_to(1);
        drop(first);
        assert_eq!((&part[..], answer()), (&[7][..], Err(Exhausted)));
        drop(part);
        assert_eq!(answer().unwrap().len(), size);
    }

    #[test]
    fn small_answers_are_not_counted() {
        let answer = Bytes::from(vec![7; SMALL_BYTES]);
        assert_eq!(Budget::new(0).count(answer.clone()), Ok(answer));
    }
}
