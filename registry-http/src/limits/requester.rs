//! Whom requests are counted for.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::HeaderMap;
use registry_auth::Principal;

use crate::connection::PeerAddress;
use crate::forwarded::TrustedProxies;

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

    /// Where a request comes from, as the connection tells, and the proxies if any are believed.
    pub(crate) fn at(peer: Option<PeerAddress>, headers: &HeaderMap, proxies: Option<&TrustedProxies>) -> Self {
        let peer = peer.map(|peer| peer.0.ip().to_canonical());
        let client = proxies.map_or(peer, |proxies| proxies.client(peer, headers));
        client.map_or(Self::Unknown, |address| Self::Address(network(address)))
    }
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
        let mut proxies = TrustedProxies::default();
        proxies.add("10.0.0.0/8").unwrap();
        proxies.add("2001:db8:f::1").unwrap();
        Requester::at(peer, &map, trusts_proxy.then_some(&proxies))
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
    fn proxies_elsewhere_count_if_they_are_named() {
        let chain = [("x-forwarded-for", "198.51.100.1, 192.0.2.7, 10.1.2.3")];
        for proxy in ["10.9.9.9", "127.0.0.1", "2001:db8:f::1", "::ffff:10.9.9.9"] {
            assert_eq!(at(proxy, &chain, true), address("192.0.2.7"), "{proxy}");
        }
        assert_eq!(at("11.0.0.1", &chain, true), address("11.0.0.1"));
        assert_eq!(at("10.9.9.9", &chain, false), address("10.9.9.9"));
        assert_eq!(at("10.9.9.9", &[("x-forwarded-for", "10.1.1.1")], true), address("10.1.1.1"));
        assert_eq!(at("10.9.9.9", &[("x-forwarded-for", "192.0.2.7, x, 10.1.1.1")], true), address("10.1.1.1"));
        for written in ["192.0.2.7", "192.0.2.7:5678", " 192.0.2.7 "] {
            let chain: &'static str = format!("198.51.100.1, {written}").leak();
            assert_eq!(at("127.0.0.1", &[("x-forwarded-for", chain)], true), address("192.0.2.7"), "{written}");
        }
        for written in ["[2001:db8::7]:5678", "[2001:db8::7]", "2001:db8::7"] {
            let wanted = at("2001:db8::7", &[], true);
            assert_eq!(at("127.0.0.1", &[("x-forwarded-for", written)], true), wanted, "{written}");
        }
        for bad in ["", "10.0.0.0/33", "example.com", "10.0.0"] {
            assert!(TrustedProxies::default().add(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_network_of_version_6_is_one_requester() {
        assert_eq!(at("2001:db8::1", &[], true), at("2001:db8::2:0:0:1", &[], true));
        assert_ne!(at("2001:db8::1", &[], true), at("2001:db8:0:1::1", &[], true));
        assert_eq!(at("::ffff:192.0.2.1", &[], true), address("192.0.2.1"));
        assert!(at("2001:db8::1", &[], true).is_remote() && !at("::1", &[], true).is_remote());
    }
}
