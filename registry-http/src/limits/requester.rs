//! Whom requests are counted for.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::HeaderMap;
use registry_auth::Principal;

use crate::connection::PeerAddress;

/// Whom requests are counted for: somebody with a name, or else an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Requester {
    Named(Arc<str>),
    /// One of version 4, or a /64 network of version 6.
    Address(IpAddr),
    /// There is no address, as within a process.
    Unknown,
}

impl Requester {
    /// Who is known by a name has one count, wherever they come from.
    pub(crate) fn of(principal: &Principal, address: &Self) -> Self {
        principal.name().map_or_else(|| address.clone(), |name| Self::Named(name.into()))
    }

    /// Whether it is the address of another machine. What comes from this one may come from a proxy that does not say for
    /// whom, and would be counted together.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Address(address) if !address.is_loopback())
    }

    /// Where a request comes from. What a proxy says counts if it is trusted and on this machine, and then its last
    /// word: whatever stands before that came from the client, who could be anybody with it.
    pub(crate) fn at(peer: Option<PeerAddress>, headers: &HeaderMap, trusts_proxy: bool) -> Self {
        let address = peer.map(|peer| peer.0.ip().to_canonical());
        let is_proxy = address.is_none_or(|address| address.is_loopback());
        let forwarded = (is_proxy && trusts_proxy).then(|| last_hop(headers)).flatten();
        forwarded.or(address).map_or(Self::Unknown, |address| Self::Address(network(address)))
    }
}

/// The address that the nearest proxy saw.
fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back().and_then(|value| value.to_str().ok());
    let real = headers.get("x-real-ip").and_then(|value| value.to_str().ok());
    let last = last.and_then(|value| value.rsplit(',').next());
    last.or(real)?.trim().parse().ok()
}

/// Who has one address of version 6 has the whole /64 network, but for that of this machine.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(peer: &str, headers: &[(&'static str, &'static str)], trusts_proxy: bool) -> Requester {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let peer = (!peer.is_empty()).then(|| PeerAddress(std::net::SocketAddr::new(peer.parse().unwrap(), 1)));
        Requester::at(peer, &map, trusts_proxy)
    }

    fn address(text: &str) -> Requester {
        Requester::Address(text.parse().unwrap())
    }

    #[test]
    fn a_name_goes_before_an_address() {
        let here = address("192.0.2.1");
        assert_eq!(Requester::of(&Principal::named("ann"), &here), Requester::Named("ann".into()));
        assert_eq!(Requester::of(&Principal::anonymous(), &here), here);
    }

    #[test]
    fn a_client_cannot_say_that_it_is_another() {
        let forged = [("x-forwarded-for", "198.51.100.1"), ("x-real-ip", "198.51.100.1")];
        assert_eq!(at("192.0.2.1", &forged, true), address("192.0.2.1"));
        let behind_proxy = [("x-forwarded-for", "198.51.100.1, 192.0.2.7")];
        assert_eq!(at("127.0.0.1", &behind_proxy, true), address("192.0.2.7"));
        let in_two = [("x-forwarded-for", "198.51.100.1"), ("x-forwarded-for", "192.0.2.7")];
        assert_eq!(at("", &in_two, true), address("192.0.2.7"));
        assert_eq!(at("127.0.0.1", &behind_proxy, false), address("127.0.0.1"));
        assert_eq!(at("127.0.0.1", &[("x-real-ip", "192.0.2.7")], true), address("192.0.2.7"));
        assert_eq!(at("127.0.0.1", &[("x-forwarded-for", "nobody")], true), address("127.0.0.1"));
        assert_eq!(at("", &[], true), Requester::Unknown);
    }

    #[test]
    fn a_network_of_version_6_is_one_requester() {
        assert_eq!(at("2001:db8::1", &[], true), at("2001:db8::2:0:0:1", &[], true));
        assert_ne!(at("2001:db8::1", &[], true), at("2001:db8:0:1::1", &[], true));
        assert_eq!(at("::ffff:192.0.2.1", &[], true), address("192.0.2.1"));
        assert!(at("2001:db8::1", &[], true).is_remote() && !at("::1", &[], true).is_remote());
    }
}
