//! How many connections each address has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that have connections, and how many each may have.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    limit: usize,
    connections: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// The address has as many connections as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

impl Addresses {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, connections: Arc::default() }
    }

    /// Counts a connection, unless where it comes from has no limit.
    pub(super) fn admit(&self, peer: Option<SocketAddr>) -> Result<Option<Place>, Full> {
        let Some(address) = peer.and_then(counted) else { return Ok(None) };
        let mut connections = self.lock();
        let count = connections.get(&address).copied().unwrap_or_default();
        if count >= self.limit {
            return Err(Full);
        }
        connections.insert(address, count + 1);
        Ok(Some(Place { addresses: self.clone(), address }))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Nothing between lock and unlock leaves half a change.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of one connection among those of its address. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    addresses: Addresses,
    address: IpAddr,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut entry) = self.addresses.lock().entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// What a peer is counted as. Who has one address of IPv6 has the whole /64 network.
fn counted(peer: SocketAddr) -> Option<IpAddr> {
    let address = match peer.ip().to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
        }
        address => address,
    };
    (!address.is_loopback()).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(addresses: &Addresses, address: &str) -> Result<Option<Place>, Full> {
        addresses.admit(Some(SocketAddr::new(address.parse().unwrap(), 1234)))
    }

    #[test]
    fn an_address_has_its_limit_and_others_theirs() {
        let addresses = Addresses::new(2);
        let first = admit(&addresses, "192.0.2.1").unwrap();
        let _second = admit(&addresses, "::ffff:192.0.2.1").unwrap();
        assert_eq!(admit(&addresses, "192.0.2.1").unwrap_err(), Full);
        let other = admit(&addresses, "192.0.2.2").unwrap();
        drop((first, other));
        assert!(admit(&addresses, "192.0.2.1").is_ok());
        assert_eq!(addresses.lock().len(), 1, "who has no connection is forgotten");
    }

    #[test]
    fn a_network_of_version_6_is_one_address() {
        let addresses = Addresses::new(1);
        let _first = admit(&addresses, "2001:db8::1").unwrap();
        assert_eq!(admit(&addresses, "2001:db8::2:0:0:1").unwrap_err(), Full);
        assert!(admit(&addresses, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn neighbours_have_no_limit() {
        let addresses = Addresses::new(0);
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(admit(&addresses, address).unwrap().is_none());
        }
        assert!(addresses.admit(None).unwrap().is_none(), "a Unix socket");
    }
}
