//! The addresses that the registry hands out.

use std::fmt;
use std::str::FromStr;

use http::Uri;
use registry_core::{Digest, RepositoryName, UploadStatus};

use crate::forwarded::Origin;

/// Where clients reach the registry: scheme, host, and a path if there is one before the prefix.
///
/// ```
/// let url: registry_http::ExternalUrl = "https://registry.example.com/".parse()?;
/// assert_eq!(url.to_string(), "https://registry.example.com");
/// assert!("registry.example.com".parse::<registry_http::ExternalUrl>().is_err());
/// # Ok::<(), registry_http::ParseExternalUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalUrl(String);

/// A text that is no address of a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an external address has the form http://host or https://host, and a path if need be")]
pub struct ParseExternalUrlError;

impl FromStr for ExternalUrl {
    type Err = ParseExternalUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri: Uri = text.parse().map_err(|_| ParseExternalUrlError)?;
        let authority = uri.authority().map(http::uri::Authority::as_str).unwrap_or_default();
        let good =
            matches!(uri.scheme_str(), Some("http" | "https")) && !authority.contains('@') && uri.query().is_none();
        if good { Ok(Self(text.trim_end_matches('/').to_owned())) } else { Err(ParseExternalUrlError) }
    }
}

impl ExternalUrl {
    /// Scheme and host, without the path.
    pub(crate) fn origin(&self) -> &str {
        let host = self.0.find("://").map_or(0, |scheme| scheme + 3);
        self.0.get(host..).and_then(|rest| rest.find('/')).map_or(&self.0, |path| &self.0[..host + path])
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path that all routes stand behind, such as `/registry`; empty by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Prefix(String);

/// A text that is no prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a prefix is a path of letters, digits, . _ ~ and -")]
pub struct ParsePrefixError;

impl Prefix {
    /// The path without a slash at its end; empty if there is none.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands behind the prefix, if `path` begins with it.
    pub(crate) fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&self.0).filter(|rest| rest.starts_with('/'))
    }
}

impl FromStr for Prefix {
    type Err = ParsePrefixError;

    /// Slashes at either end are optional.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim_matches('/');
        if text.is_empty() {
            return Ok(Self::default());
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._~-".contains(&byte);
        let segment = |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(plain);
        if text.split('/').all(segment) { Ok(Self(format!("/{text}"))) } else { Err(ParsePrefixError) }
    }
}

/// How addresses begin.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Locations {
    /// As the client addressed the registry.
    #[default]
    AsAsked,
    /// With the path.
    Relative,
    /// With this address.
    At(ExternalUrl),
}

/// What all addresses in one answer begin with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Root(String);

impl Root {
    pub(crate) fn new(locations: &Locations, origin: Option<&Origin>, prefix: &Prefix) -> Self {
        let address = match locations {
            Locations::At(url) => url.to_string(),
            Locations::AsAsked => origin.map(Origin::address).unwrap_or_default(),
            Locations::Relative => String::new(),
        };
        Self(address + prefix.as_str())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> String {
        format!("{}/v2/{repository}/blobs/{digest}", self.0)
    }

    pub(crate) fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> String {
        format!("{}/v2/{repository}/manifests/{digest}", self.0)
    }

    /// The parameter means nothing to us: scripts made for CNCF Distribution add `&digest=` behind the address as it
    /// is, so there must be one.
    pub(crate) fn upload(&self, repository: &RepositoryName, status: &UploadStatus) -> String {
        format!("{}/v2/{repository}/blobs/uploads/{}?_state={}", self.0, status.id, status.size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_addresses() {
        for good in ["http://a", "https://a:5000", "https://a/b"] {
            assert_eq!(good.parse::<ExternalUrl>().unwrap().to_string(), good);
        }
        let origin = |text: &str| text.parse::<ExternalUrl>().unwrap().origin().to_owned();
        assert_eq!((origin("https://a:5000"), origin("http://a/b/c")), ("https://a:5000".into(), "http://a".into()));
        for bad in ["", "a", "//a", "ftp://a", "https://u@a", "https://a/?q", "https://", "https://a b", "/a"] {
            assert_eq!(bad.parse::<ExternalUrl>(), Err(ParseExternalUrlError), "{bad}");
        }
    }

    #[test]
    fn prefixes() {
        for (text, prefix) in [("", ""), ("/", ""), ("/a", "/a"), ("a/b/", "/a/b"), ("/a/", "/a")] {
            assert_eq!(text.parse::<Prefix>().unwrap().as_str(), prefix);
        }
        for bad in ["/a/../b", "/a//b", "/a b", "/{x}", "/é", "/a?b"] {
            assert_eq!(bad.parse::<Prefix>(), Err(ParsePrefixError), "{bad}");
        }
        let prefix: Prefix = "/a".parse().unwrap();
        assert_eq!(prefix.strip("/a/v2/"), Some("/v2/"));
        assert_eq!(prefix.strip("/av2/"), None);
        assert_eq!(prefix.strip("/v2/"), None);
        assert_eq!(Prefix::default().strip("/v2/"), Some("/v2/"));
    }

    #[test]
    fn addresses_begin_as_told() {
        let origin = Origin::of(
            &[(http::header::HOST, "h:1".parse().unwrap())].into_iter().collect(),
            &Uri::from_static("/"),
            false,
            true,
        );
        let prefix = "/p".parse().unwrap();
        let root = |locations| Root::new(&locations, origin.as_ref(), &prefix).0;
        assert_eq!(root(Locations::AsAsked), "http://h:1/p");
        assert_eq!(root(Locations::Relative), "/p");
        assert_eq!(root(Locations::At("https://x/y".parse().unwrap())), "https://x/y/p");
        assert_eq!(Root::new(&Locations::AsAsked, None, &prefix).0, "/p");
    }
}
