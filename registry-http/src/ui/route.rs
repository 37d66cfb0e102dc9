//! The addresses of the pages, read once and by one parser.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use registry_core::{Digest, RepositoryName, Tag};

use crate::route::{BlobAt, ManifestAt, TagsAt, decode, parse_reference};

/// What a path behind `/ui` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Page {
    /// `/`
    Repositories,
    /// `/activity`
    Activity,
    /// `/activity/stream`
    ActivityStream,
    /// `/monitoring`
    Monitoring,
    /// `/collect`
    Collect,
    /// `/login`
    Login,
    /// `/logout`
    Logout,
    /// `/assets/NAME`
    Asset(String),
    /// `/repositories/NAME`
    Repository(TagsAt),
    /// `/repositories/NAME/-/images/REFERENCE`
    Image(ManifestAt),
    /// `/repositories/NAME/-/manifests/REFERENCE`: what was pushed, to read.
    Manifest(ManifestAt),
    /// `/repositories/NAME/-/configs/REFERENCE`: the configuration of an image, to read.
    Config(ManifestAt),
    /// `/repositories/NAME/-/blobs/DIGEST`: to keep.
    Blob(BlobAt),
    /// `/repositories/NAME/-/compare`
    Compare(TagsAt),
    /// `/repositories/NAME/-/delete`
    Delete(TagsAt),
}

impl Page {
    /// Reads a path, percent-encoded. No name has a component that is a dash, so one ends the name.
    pub(super) fn parse(path: &str) -> Option<Self> {
        let decoded = decode(path).ok()?;
        match decoded.as_ref() {
            "/" => return Some(Self::Repositories),
            "/activity" => return Some(Self::Activity),
            "/activity/stream" => return Some(Self::ActivityStream),
            "/monitoring" => return Some(Self::Monitoring),
            "/collect" => return Some(Self::Collect),
            "/login" => return Some(Self::Login),
            "/logout" => return Some(Self::Logout),
            _ => {}
        }
        if let Some(name) = decoded.strip_prefix("/assets/") {
            return Some(Self::Asset(name.to_owned()));
        }
        let rest = decoded.strip_prefix("/repositories/")?;
        let Some((name, part)) = rest.split_once("/-/") else {
            return Some(Self::Repository(TagsAt { repository: rest.parse().ok()? }));
        };
        let repository: RepositoryName = name.parse().ok()?;
        match part.split_once('/') {
            None if part == "compare" => Some(Self::Compare(TagsAt { repository })),
            None if part == "delete" => Some(Self::Delete(TagsAt { repository })),
            Some(("blobs", digest)) => Some(Self::Blob(BlobAt { repository, digest: digest.parse().ok()? })),
            Some((kind, reference)) => {
                let at = ManifestAt { repository, reference: parse_reference(reference).ok()? };
                match kind {
                    "images" => Some(Self::Image(at)),
                    "manifests" => Some(Self::Manifest(at)),
                    "configs" => Some(Self::Config(at)),
                    _ => None,
                }
            }
            None => None,
        }
    }
}

/// What stands for itself in the value of a parameter.
const KEPT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'%').add(b'&').add(b'+').add(b'<').add(b'>').add(b'?');

/// The addresses of the pages, as they stand in pages. Names, tags and digests need no encoding.
#[derive(Debug, Clone)]
pub(super) struct Links {
    base: String,
}

impl Links {
    /// Below the prefix of the registry.
    pub(super) fn new(prefix: &str) -> Self {
        Self { base: format!("{prefix}/ui") }
    }

    pub(super) fn home(&self) -> String {
        format!("{}/", self.base)
    }

    pub(super) fn activity(&self) -> String {
        format!("{}/activity", self.base)
    }

    pub(super) fn activity_stream(&self) -> String {
        format!("{}/activity/stream", self.base)
    }

    pub(super) fn monitoring(&self) -> String {
        format!("{}/monitoring", self.base)
    }

    pub(super) fn collect(&self) -> String {
        format!("{}/collect", self.base)
    }

    pub(super) fn login(&self) -> String {
        format!("{}/login", self.base)
    }

    pub(super) fn login_for(&self, next: &str) -> String {
        format!("{}/login?next={}", self.base, encoded(next))
    }

    pub(super) fn logout(&self) -> String {
        format!("{}/logout", self.base)
    }

    pub(super) fn asset(&self, name: &str) -> String {
        format!("{}/assets/{name}", self.base)
    }

    pub(super) fn repository(&self, name: &RepositoryName) -> String {
        format!("{}/repositories/{name}", self.base)
    }

    pub(super) fn tag(&self, name: &RepositoryName, tag: &Tag) -> String {
        format!("{}/repositories/{name}/-/images/{tag}", self.base)
    }

    pub(super) fn image_by_digest(&self, name: &RepositoryName, digest: &Digest) -> String {
        format!("{}/repositories/{name}/-/images/{digest}", self.base)
    }

    pub(super) fn manifest(&self, name: &RepositoryName, digest: &Digest) -> String {
        format!("{}/repositories/{name}/-/manifests/{digest}", self.base)
    }

    pub(super) fn config(&self, name: &RepositoryName, digest: &Digest) -> String {
        format!("{}/repositories/{name}/-/configs/{digest}", self.base)
    }

    pub(super) fn blob(&self, name: &RepositoryName, digest: &Digest) -> String {
        format!("{}/repositories/{name}/-/blobs/{digest}", self.base)
    }

    pub(super) fn compare(&self, name: &RepositoryName) -> String {
        format!("{}/repositories/{name}/-/compare", self.base)
    }

    pub(super) fn delete(&self, name: &RepositoryName) -> String {
        format!("{}/repositories/{name}/-/delete", self.base)
    }

    /// Whether an address leads to a page of this registry, so that a login may lead there.
    pub(super) fn is_own(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&self.base);
        rest.is_some_and(|rest| {
            rest.starts_with('/') && rest.chars().all(|letter| letter.is_ascii_graphic() && letter != '\\')
        })
    }
}

/// The value of a parameter, encoded.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, KEPT).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_pages() {
        let repository: RepositoryName = "a/b".parse().unwrap();
        let at = TagsAt { repository: repository.clone() };
        assert_eq!(Page::parse("/"), Some(Page::Repositories));
        assert_eq!(
            Page::parse("/repositories/login"),
            Some(Page::Repository(TagsAt { repository: "login".parse().unwrap() }))
        );
        assert_eq!(Page::parse("/repositories/a/b"), Some(Page::Repository(at.clone())));
        assert_eq!(Page::parse("/repositories/a/b/-/compare"), Some(Page::Compare(at.clone())));
        assert_eq!(Page::parse("/repositories/a/b/-/delete"), Some(Page::Delete(at)));
        let reference: registry_core::Reference = "1.0".parse().unwrap();
        assert_eq!(
            Page::parse("/repositories/a/b/-/images/1.0"),
            Some(Page::Image(ManifestAt { repository, reference }))
        );
    }

    #[test]
    fn other_addresses_name_none() {
        for path in [
            "",
            "/x",
            "/repositories",
            "/repositories/",
            "/repositories/A",
            "/repositories/a/-/",
            "/repositories/a/-/x",
            "/repositories/a/-/images/",
            "/repositories/a/-/images/a/b",
            "/repositories/../-/images/1",
            "/repositories/a/-/blobs/1",
            "/repositories/a%2fb",
            "/repositories/a/-/-/images/1",
        ] {
            assert_eq!(Page::parse(path), None, "{path}");
        }
    }

    #[test]
    fn a_login_leads_only_to_own_pages() {
        let links = Links::new("/p");
        for own in ["/p/ui/", "/p/ui/repositories/a?q=x&sort=-name"] {
            assert!(links.is_own(own), "{own}");
        }
        for other in
            ["", "/", "//evil/p/ui/", "/p/uix", "https://evil/p/ui/", "/p/ui/\\evil", "/p/ui/ x", "/p/ui/\r\nX: y"]
        {
            assert!(!links.is_own(other), "{other}");
        }
    }

    #[test]
    fn links_lead_to_their_pages() {
        let (links, name) = (Links::new(""), "a/b".parse().unwrap());
        let digest = Digest::of(registry_core::Algorithm::Sha256, b"x");
        for link in [
            links.activity(),
            links.activity_stream(),
            links.monitoring(),
            links.collect(),
            links.home(),
            links.login(),
            links.logout(),
            links.repository(&name),
            links.image_by_digest(&name, &digest),
            links.tag(&name, &"t".parse().unwrap()),
            links.manifest(&name, &digest),
            links.config(&name, &digest),
            links.blob(&name, &digest),
            links.compare(&name),
            links.delete(&name),
            links.asset("x.css"),
        ] {
            assert!(Page::parse(link.strip_prefix("/ui").unwrap()).is_some(), "{link}");
        }
        assert_eq!(links.login_for("/ui/?q=a b&c"), "/ui/login?next=/ui/%3Fq=a%20b%26c");
    }
}
