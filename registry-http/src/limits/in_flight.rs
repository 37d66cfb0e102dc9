//! How many requests are being answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use dashmap::DashMap;

use super::Requester;

/// The requests that are being answered, how many there may be, and how many of them from one address.
#[derive(Debug, Clone)]
pub(crate) struct InFlight {
    running: Arc<AtomicUsize>,
    addresses: Arc<DashMap<Requester, usize>>,
    limit: usize,
    limit_per_address: usize,
}

/// As many requests as there may be are being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

impl InFlight {
    pub(crate) fn new(limit: usize) -> Self {
        Self { running: Arc::default(), addresses: Arc::default(), limit, limit_per_address: limit.div_ceil(2) }
    }

    pub(crate) fn per_address(self, limit: usize) -> Self {
        Self { limit_per_address: limit, ..self }
    }

    /// Counts a request until what this gives is dropped.
    pub(crate) fn enter(&self, address: &Requester) -> Result<Place, Full> {
        // Beyond the limit the place is given back at once.
        let mut place = Place { requests: self.clone(), address: None };
        if self.running.fetch_add(1, Ordering::Relaxed) >= self.limit {
            return Err(Full);
        }
        if address.is_remote() {
            let mut running = self.addresses.entry(address.clone()).or_default();
            if *running >= self.limit_per_address {
                return Err(Full);
            }
            *running += 1;
            place.address = Some(address.clone());
        }
        Ok(place)
    }
}

/// The place of one request. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    requests: InFlight,
    /// `None` where addresses are not counted.
    address: Option<Requester>,
}

impl Place {
    /// The same bytes, which keep the place for as long as any of them is there.
    pub(crate) fn held_by(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Holding { bytes, _place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.requests.running.fetch_sub(1, Ordering::Relaxed);
        let Some(address) = &self.address else { return };
        self.requests.addresses.remove_if_mut(address, |_, running| {
            *running -= 1;
            *running == 0
        });
    }
}

struct Holding {
    bytes: Bytes,
    _place: Place,
}

impl AsRef<[u8]> for Holding {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Requester {
        Requester::Address(text.parse().unwrap())
    }

    #[test]
    fn a_place_is_free_again_when_its_request_ends() {
        let requests = InFlight::new(2);
        let here = address("127.0.0.1");
        let first = requests.enter(&here).unwrap();
        let _second = requests.enter(&here).unwrap();
        for _ in 0..3 {
            assert_eq!(requests.enter(&here).unwrap_err(), Full);
        }
        drop(first);
        assert!(requests.enter(&here).is_ok());
    }

    #[test]
    fn an_address_has_half_of_them() {
        let requests = InFlight::new(4);
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = requests.enter(&one).unwrap();
        let second = requests.enter(&one).unwrap();
        assert_eq!(requests.enter(&one).unwrap_err(), Full);
        let third = requests.enter(&other).unwrap();
        drop(first);
        let fourth = requests.clone().per_address(3).enter(&one).unwrap();
        drop(fourth);
        assert_eq!(requests.addresses.len(), 2);
        drop((second, third));
        assert!(requests.addresses.is_empty(), "nobody is kept for ever");
        assert_eq!(requests.running.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn bytes_keep_a_place() {
        let requests = InFlight::new(1);
        let place = requests.enter(&Requester::Unknown).unwrap();
        let mut bytes = place.held_by(Bytes::from_static(b"answer"));
        let part = bytes.split_to(1);
        drop(bytes);
        assert!(requests.enter(&Requester::Unknown).is_err());
        assert_eq!(part, "a");
        drop(part);
        assert!(requests.enter(&Requester::Unknown).is_ok());
    }
}
