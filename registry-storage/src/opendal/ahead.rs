//! Reading large objects in several pieces at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How large objects are read: one connection to a service of the large clouds gives some 100 MB in a second, several give
/// several times as much.
///
/// A reader that reads ahead holds up to [`pieces`](Self::new) pieces in memory. When as many do so as may, further ones read
/// as usual, one frame after the other.
#[derive(Debug, Clone)]
pub struct ReadAhead {
    pieces: usize,
    piece_bytes: usize,
    readers: Arc<Semaphore>,
}

impl Default for ReadAhead {
    /// Four pieces of 4 MiB for each of four readers.
    fn default() -> Self {
        Self::new(4, 4 * 1024 * 1024, 4)
    }
}

impl ReadAhead {
    /// `pieces` of `piece_bytes` at once, for at most so many `readers`.
    #[must_use]
    pub fn new(pieces: usize, piece_bytes: usize, readers: usize) -> Self {
        Self { pieces, piece_bytes, readers: Arc::new(Semaphore::new(readers)) }
    }

    /// Leave to read so many bytes ahead, if it is worth it and there is room.
    pub(super) fn begin(&self, bytes: u64) -> Option<Pieces> {
        if bytes < 2 * self.piece_bytes as u64 {
            return None;
        }
        let permit = Arc::clone(&self.readers).try_acquire_owned().ok()?;
        Some(Pieces { at_once: self.pieces, bytes: self.piece_bytes, _permit: permit })
    }
}

/// Leave to read ahead, for as long as it lives.
#[derive(Debug)]
pub(super) struct Pieces {
    pub(super) at_once: usize,
    pub(super) bytes: usize,
    _permit: OwnedSemaphorePermit,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_read_much_ahead() {
        let ahead = ReadAhead::new(3, 1000, 2);
        assert!(ahead.begin(1999).is_none());
        let (first, second) = (ahead.begin(2000), ahead.begin(5000));
        assert!(first.is_some() && second.is_some() && ahead.begin(5000).is_none());
        drop(first);
        assert!(ahead.begin(5000).is_some());
    }
}
