//! How many requests are being answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The requests that are being answered, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    running: Arc<AtomicUsize>,
    limit: usize,
}

/// As many requests as there may be are being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self { running: Arc::default(), limit }
    }

    /// Counts a request until what this gives is dropped.
    pub(crate) fn enter(&self) -> Result<Place, Full> {
        // Beyond the limit the place is given back at once.
        let place = Place(Arc::clone(&self.running));
        if self.running.fetch_add(1, Ordering::Relaxed) < self.limit { Ok(place) } else { Err(Full) }
    }
}

/// The place of one request. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_ends() {
        let requests = InFlight::new(2);
        let first = requests.enter().unwrap();
        let _second = requests.enter().unwrap();
        for _ in 0..3 {
            assert_eq!(requests.enter().unwrap_err(), Full);
        }
        drop(first);
        assert!(requests.enter().is_ok());
    }
}
