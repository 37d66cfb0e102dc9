//! What a proxy says of the request that it passes on.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, Uri, header};
use ipnet::IpNet;

use crate::header::{FORWARDED_FOR, FORWARDED_HOST, FORWARDED_PROTO, REAL_IP};

/// Where a client believes the registry to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    scheme: &'static str,
    authority: String,
}

impl Origin {
    /// Reads it out of a request: `Forwarded` (RFC 7239, its first element) before `X-Forwarded-Proto` and
    /// `X-Forwarded-Host`, before how the request came. With `trusted` unset only that counts.
    ///
    /// A value that is no scheme or no host counts as absent, so nothing but a scheme and a host ever comes out.
    /// `None` if there is no host at all.
    #[must_use]
    pub fn of(headers: &HeaderMap, uri: &Uri, is_encrypted: bool, trusted: bool) -> Option<Self> {
        let forwarded = if trusted { Forwarded::of(headers) } else { Forwarded::default() };
        let first = |name: &HeaderName| {
            let value = trusted.then(|| headers.get(name)?.to_str().ok()).flatten()?;
            value.split(',').next().map(str::trim)
        };
        let encrypted = is_encrypted.then_some("https");
        let scheme = [forwarded.proto.as_deref(), first(&FORWARDED_PROTO), encrypted, uri.scheme_str()];
        let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = [
            forwarded.host.as_deref(),
            first(&FORWARDED_HOST),
            host,
            uri.authority().map(http::uri::Authority::as_str),
        ];
        Some(Self {
            scheme: scheme.into_iter().flatten().find_map(known_scheme).unwrap_or("http"),
            authority: authority.into_iter().flatten().find(|text| is_authority(text))?.to_owned(),
        })
    }

    /// Scheme and host as the front of an address, such as `https://registry.example:5000`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// Host, and port if there is one.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// The address of the client, as a trusted proxy tells it: the first address of `X-Forwarded-For`, else `X-Real-Ip`.
pub(crate) fn client_address(headers: &HeaderMap) -> Option<IpAddr> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let forwarded = text(FORWARDED_FOR).into_iter().flat_map(|value| value.split(','));
    forwarded.chain(text(REAL_IP)).find_map(|address| address.trim().parse().ok())
}

/// Proxies whose word counts: addresses such as `10.0.0.7` and networks such as `10.0.0.0/8`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustedProxies(Vec<IpNet>);

/// A text that is neither an address nor a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an address such as 10.0.0.7, or a network such as 10.0.0.0/8")]
pub struct ParseProxyError;

impl TrustedProxies {
    /// Adds an address or a network.
    ///
    /// # Errors
    /// If it is neither.
    pub fn add(&mut self, text: &str) -> Result<(), ParseProxyError> {
        let network = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        self.0.push(network.map_err(|_| ParseProxyError)?);
        Ok(())
    }

    /// How many were added.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is that of a proxy. Those on this machine always are.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        address.is_loopback() || self.0.iter().any(|network| network.contains(&address))
    }

    /// Where a request that came from `peer` comes from: the nearest address that is none of a proxy. What stands before
    /// it came from the client, who could be anybody with it. `None` stands for within the process.
    pub(crate) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if peer.is_some_and(|peer| !self.has(peer)) {
            return peer;
        }
        let mut nearest = peer;
        for address in hops(headers) {
            let Some(address) = address else { break };
            nearest = Some(address);
            if !self.has(address) {
                break;
            }
        }
        nearest
    }
}

/// The addresses that proxies name, the nearest first; `None` for what is none.
fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<IpAddr>> {
    let read = |text: &str| address(text.trim()).map(|address| address.to_canonical());
    let lines = headers.get_all(FORWARDED_FOR).iter().rev();
    let hops = lines.flat_map(move |line| line.to_str().unwrap_or_default().rsplit(',').map(read));
    let single = headers.get(REAL_IP).filter(|_| !headers.contains_key(FORWARDED_FOR));
    hops.chain(single.map(move |line| line.to_str().ok().and_then(read)))
}

/// An address, behind which some proxies write a port, and around which they then write brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::from);
    text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).or_else(bare)
}

fn known_scheme(text: &str) -> Option<&'static str> {
    ["https", "http"].into_iter().find(|scheme| scheme.eq_ignore_ascii_case(text))
}

/// `host`, `host:port`, `[address]` or `[address]:port`; neither user nor path.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rfind(']') {
        Some(end) if text.starts_with('[') => (&text[..=end], text[end + 1..].strip_prefix(':')),
        Some(_) => return false,
        None => text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let rest = port.map_or(0, |port| port.len() + 1);
    let host_is_good = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok()),
        None => {
            (1..=255).contains(&host.len())
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    host_is_good && host.len() + rest == text.len() && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// The parameters of the first element of a `Forwarded` header.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forwarded {
    proto: Option<String>,
    host: Option<String>,
}

impl Forwarded {
    fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(header::FORWARDED).and_then(|value| value.to_str().ok());
        value.and_then(Self::parse).unwrap_or_default()
    }

    /// `None` if the first element is not of the form of RFC 7239 §4.
    fn parse(value: &str) -> Option<Self> {
        let mut found = Self::default();
        let mut rest = value;
        loop {
            let (name, value) = rest.split_once('=')?;
            let (value, behind) = parameter(value)?;
            match name.trim() {
                name if name.eq_ignore_ascii_case("proto") => found.proto = Some(value),
                name if name.eq_ignore_ascii_case("host") => found.host = Some(value),
                _ => {}
            }
            match behind.trim_start().split_at_checked(1) {
                None | Some((",", _)) => return Some(found),
                Some((";", more)) => rest = more,
                Some(_) => return None,
            }
        }
    }
}

/// A token or a quoted string, and what stands behind it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ',']).unwrap_or(text.len());
        return Some((text[..end].trim().to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((index, character)) = characters.next() {
        match character {
            '"' => return Some((value, &quoted[index + 1..])),
            '\\' => value.push(characters.next()?.1),
            other => value.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin(pairs: &[(&str, &str)]) -> Option<String> {
        let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        Origin::of(&headers, &Uri::from_static("/v2/"), false, true).map(|origin| origin.address())
    }

    #[test]
    fn the_nearest_to_the_client_wins() {
        let host = ("host", "inner:5000");
        assert_eq!(origin(&[]), None);
        assert_eq!(origin(&[host]).unwrap(), "http://inner:5000");
        assert_eq!(origin(&[host, ("x-forwarded-proto", "https")]).unwrap(), "https://inner:5000");
        assert_eq!(origin(&[host, ("x-forwarded-host", "outer, middle")]).unwrap(), "http://outer");
        assert_eq!(
            origin(&[
                host,
                ("forwarded", "for=1.2.3.4; Host=\"first:443\";proto=HTTPS, host=second"),
                ("x-forwarded-host", "other"),
                ("x-forwarded-proto", "http"),
            ])
            .unwrap(),
            "https://first:443"
        );
        assert_eq!(origin(&[host, ("forwarded", "for=x"), ("x-forwarded-host", "o")]).unwrap(), "http://o");
        assert_eq!(origin(&[("host", "[::1]:5000")]).unwrap(), "http://[::1]:5000");
    }

    #[test]
    fn hostile_values_count_as_absent() {
        for bad in [
            "evil/path",
            "evil?x",
            "evil#x",
            "user@evil",
            "evil:port",
            "evil:99999",
            "evil:1:2",
            "",
            "a b",
            "[::1",
            "::1]",
            "[x]",
            "evil\"",
            "evil%0d%0a",
            "evil>",
            "evil\\",
            "é",
            "[::1]x",
        ] {
            let Ok(value) = http::HeaderValue::from_str(bad) else { continue };
            let headers = [("x-forwarded-host", value.clone()), ("host", http::HeaderValue::from_static("inner"))];
            let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value)).collect();
            let origin = Origin::of(&headers, &Uri::from_static("/"), false, true).unwrap();
            assert_eq!(origin.address(), "http://inner", "{bad}");
        }
        for bad in ["javascript", "https://x", "ftp", ""] {
            assert_eq!(origin(&[("host", "h"), ("x-forwarded-proto", bad)]).unwrap(), "http://h", "{bad}");
        }
        for bad in ["host=\"evil", "host=\"a\"b", "host", "=", "host=\"evil/\\\"\"", ";;", "host=evil/path"] {
            assert_eq!(origin(&[("host", "h"), ("forwarded", bad)]).unwrap(), "http://h", "{bad}");
        }
    }

    #[test]
    fn nobody_is_trusted_unless_told() {
        let headers = [("host", "inner"), ("x-forwarded-host", "outer"), ("forwarded", "host=outer;proto=https")];
        let headers =
            headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        let origin = Origin::of(&headers, &Uri::from_static("/"), true, false).unwrap();
        assert_eq!(origin.address(), "https://inner");
    }

    #[test]
    fn the_client_is_the_first_address() {
        let of = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            client_address(&headers).map(|address| address.to_string())
        };
        assert_eq!(of("x-forwarded-for", "unknown, 10.0.0.1, 10.0.0.2").as_deref(), Some("10.0.0.1"));
        assert_eq!(of("x-real-ip", "::1").as_deref(), Some("::1"));
        assert_eq!(of("x-forwarded-for", "nobody"), None);
    }

    proptest! {
        #[test]
        fn an_address_has_nothing_but_scheme_and_host(
            forwarded in "\\PC{0,20}|(host|proto)=\\PC{0,12}(;(host|proto)=\"?\\PC{0,12}\"?){0,2}", host in "[!-~]{0,12}",
        ) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = forwarded.parse() {
                headers.insert(header::FORWARDED, value);
            }
            if let Ok(value) = host.parse() {
                headers.insert(header::HOST, value);
            }
            if let Some(origin) = Origin::of(&headers, &Uri::from_static("/"), false, true) {
                let address = origin.address();
                let uri: Uri = address.parse().unwrap();
                prop_assert_eq!(uri.authority().unwrap().as_str(), origin.authority());
                prop_assert!(!origin.authority().contains(['@', '/', '?', '#', '"', '\\', ' ']));
            }
        }
    }
}
