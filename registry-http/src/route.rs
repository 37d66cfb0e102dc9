//! The paths of the API, read once and by one parser.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use registry_core::{
    Digest, ParseDigestError, ParseNameError, ParseReferenceError, ParseTagError, Reference, RepositoryName, UploadId,
};

/// What a path below the prefix names. It holds parsed values only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// `/v2/`
    Base,
    /// `/v2/_catalog`
    Catalog,
    /// `/v2/NAME/tags/list`
    Tags(TagsAt),
    /// `/v2/NAME/manifests/REFERENCE`
    Manifest(ManifestAt),
    /// `/v2/NAME/blobs/DIGEST`
    Blob(BlobAt),
    /// `/v2/NAME/blobs/uploads/`
    Uploads(UploadsAt),
    /// `/v2/NAME/blobs/uploads/ID`
    Upload(UploadAt),
    /// `/v2/NAME/referrers/DIGEST`
    Referrers(ReferrersAt),
}

/// The tags of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagsAt {
    /// Which repository.
    pub repository: RepositoryName,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestAt {
    /// In which repository.
    pub repository: RepositoryName,
    /// By tag or digest.
    pub reference: Reference,
}

/// A blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobAt {
    /// In which repository.
    pub repository: RepositoryName,
    /// Which one.
    pub digest: Digest,
}

/// Where uploads start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadsAt {
    /// In which repository.
    pub repository: RepositoryName,
}

/// An upload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadAt {
    /// In which repository.
    pub repository: RepositoryName,
    /// Which one.
    pub id: UploadId,
}

/// The referrers of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferrersAt {
    /// In which repository.
    pub repository: RepositoryName,
    /// Of which manifest; it need not exist.
    pub digest: Digest,
}

/// Why a path names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RouteError {
    /// The API has no such path.
    #[error("no such path")]
    NotFound,
    /// The path is another spelling of `path`, which is percent-encoded as the request was.
    #[error("moved to {path}")]
    Moved {
        /// Where to.
        path: String,
    },
    /// The percent-encoding is broken, hides a slash, or what is encoded is not UTF-8.
    #[error("the path is not encoded as it should be")]
    Encoding,
    /// What stands in the place of a name is none.
    #[error(transparent)]
    Name(#[from] ParseNameError),
    /// What stands in the place of a digest is none.
    #[error(transparent)]
    Digest(#[from] ParseDigestError),
    /// What stands in the place of a tag is none.
    #[error(transparent)]
    Tag(#[from] ParseTagError),
    /// What stands in the place of an upload's identity is none.
    #[error("there is no such upload")]
    Upload,
}

impl Route {
    /// What all paths of this kind have in common.
    pub(crate) fn template(&self) -> &'static str {
        match self {
            Self::Base => "/v2/",
            Self::Catalog => "/v2/_catalog",
            Self::Tags(_) => "/v2/{name}/tags/list",
            Self::Manifest(_) => "/v2/{name}/manifests/{reference}",
            Self::Blob(_) => "/v2/{name}/blobs/{digest}",
            Self::Uploads(_) => "/v2/{name}/blobs/uploads/",
            Self::Upload(_) => "/v2/{name}/blobs/uploads/{reference}",
            Self::Referrers(_) => "/v2/{name}/referrers/{digest}",
        }
    }

    /// Reads a path, percent-encoded and without a prefix. It is decoded once, and only here.
    ///
    /// A name may itself hold the words of the API: what stands at the end decides, so the name is as long as it
    /// can be.
    ///
    /// ```
    /// # use registry_http::fuzzing::Route;
    /// let route = Route::parse("/v2/tags/list/tags/list");
    /// assert!(matches!(route, Ok(Route::Tags(at)) if at.repository.as_str() == "tags/list"));
    /// ```
    ///
    /// # Errors
    /// For a path that names nothing.
    pub fn parse(path: &str) -> Result<Self, RouteError> {
        let rest = path.strip_prefix("/v2").ok_or(RouteError::NotFound)?;
        match rest {
            "" => return Err(RouteError::Moved { path: "/v2/".into() }),
            "/" => return Ok(Self::Base),
            _ => {}
        }
        let decoded = decode(rest.strip_prefix('/').ok_or(RouteError::NotFound)?)?;
        let Some(without_slash) = decoded.strip_suffix('/') else {
            return resource(&decoded);
        };
        match (resource(without_slash)?, path.strip_suffix('/')) {
            (uploads @ Self::Uploads(_), _) => Ok(uploads),
            (_, Some(path)) => Err(RouteError::Moved { path: path.into() }),
            (_, None) => Err(RouteError::NotFound),
        }
    }
}

/// Decodes once. An encoded slash is refused: whoever looked at the path before us saw another one.
pub(crate) fn decode(path: &str) -> Result<Cow<'_, str>, RouteError> {
    if !path.contains('%') {
        return Ok(path.into());
    }
    let mut rest = path;
    while let Some((_, escape)) = rest.split_once('%') {
        let digits = escape.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        if digits.is_none_or(|digits| digits.eq_ignore_ascii_case("2f")) {
            return Err(RouteError::Encoding);
        }
        rest = &escape[2..];
    }
    percent_decode_str(path).decode_utf8().map_err(|_| RouteError::Encoding)
}

fn resource(path: &str) -> Result<Route, RouteError> {
    if path == "_catalog" {
        return Ok(Route::Catalog);
    }
    let (head, last) = path.rsplit_once('/').ok_or(RouteError::NotFound)?;
    let (name, kind) = head.rsplit_once('/').ok_or(RouteError::NotFound)?;
    match (kind, last) {
        ("tags", "list") => Ok(Route::Tags(TagsAt { repository: name.parse()? })),
        ("blobs", "uploads") => Ok(Route::Uploads(UploadsAt { repository: name.parse()? })),
        ("blobs", digest) => Ok(Route::Blob(BlobAt { repository: name.parse()?, digest: digest.parse()? })),
        ("referrers", digest) => {
            Ok(Route::Referrers(ReferrersAt { repository: name.parse()?, digest: digest.parse()? }))
        }
        ("manifests", reference) => {
            Ok(Route::Manifest(ManifestAt { repository: name.parse()?, reference: parse_reference(reference)? }))
        }
        ("uploads", id) => {
            let name = name.strip_suffix("/blobs").ok_or(RouteError::NotFound)?;
            let repository = name.parse()?;
            Ok(Route::Upload(UploadAt { repository, id: id.parse().map_err(|_| RouteError::Upload)? }))
        }
        _ => Err(RouteError::NotFound),
    }
}

pub(crate) fn parse_reference(text: &str) -> Result<Reference, RouteError> {
    text.parse().map_err(|error| match error {
        ParseReferenceError::Digest(error) => RouteError::Digest(error),
        // The enum may grow; what is neither digest nor tag is a bad tag.
        _ => RouteError::Tag(ParseTagError),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
    const ID: &str = "0190a0b0-0000-7000-8000-000000000000";

    fn name(path: &str) -> String {
        match Route::parse(path) {
            Ok(Route::Tags(at)) => at.repository.to_string(),
            Ok(Route::Manifest(at)) => at.repository.to_string(),
            Ok(Route::Blob(at)) => at.repository.to_string(),
            Ok(Route::Uploads(at)) => at.repository.to_string(),
            Ok(Route::Upload(at)) => at.repository.to_string(),
            Ok(Route::Referrers(at)) => at.repository.to_string(),
            other => panic!("{path}: {other:?}"),
        }
    }

    #[test]
    fn every_resource_has_its_path() {
        assert_eq!(Route::parse("/v2/"), Ok(Route::Base));
        assert_eq!(Route::parse("/v2/_catalog"), Ok(Route::Catalog));
        assert!(matches!(Route::parse("/v2/a/b/tags/list"), Ok(Route::Tags(_))));
        assert!(matches!(Route::parse("/v2/a/b/manifests/latest"), Ok(Route::Manifest(_))));
        assert!(matches!(Route::parse(&format!("/v2/a/b/manifests/{DIGEST}")), Ok(Route::Manifest(_))));
        assert!(matches!(Route::parse(&format!("/v2/a/b/blobs/{DIGEST}")), Ok(Route::Blob(_))));
        assert!(matches!(Route::parse("/v2/a/b/blobs/uploads/"), Ok(Route::Uploads(_))));
        assert!(matches!(Route::parse("/v2/a/b/blobs/uploads"), Ok(Route::Uploads(_))));
        assert!(matches!(Route::parse(&format!("/v2/a/b/blobs/uploads/{ID}")), Ok(Route::Upload(_))));
        assert!(matches!(Route::parse(&format!("/v2/a/b/referrers/{DIGEST}")), Ok(Route::Referrers(_))));
    }

    #[test]
    fn the_name_is_as_long_as_it_can_be() {
        assert_eq!(name("/v2/tags/list/tags/list"), "tags/list");
        assert_eq!(name("/v2/x/blobs/uploads/tags/list"), "x/blobs/uploads");
        assert_eq!(name("/v2/x/blobs/uploads/blobs/uploads/"), "x/blobs/uploads");
        assert_eq!(name(&format!("/v2/x/blobs/uploads/blobs/{DIGEST}")), "x/blobs/uploads");
        assert_eq!(name("/v2/x/manifests/tags/list"), "x/manifests");
        assert_eq!(name("/v2/x/manifests/manifests/manifests"), "x/manifests");
        assert_eq!(name("/v2/blobs/blobs/uploads/"), "blobs");
        assert_eq!(name(&format!("/v2/{}/tags/list", ["a"; 40].join("/"))), ["a"; 40].join("/"));
    }

    #[test]
    fn a_path_is_decoded_once() {
        assert_eq!(name(&format!("/v2/a%2Db/blobs/{}", DIGEST.replace(':', "%3A"))), "a-b");
        for bad in [
            "/v2/a%2fb/tags/list",
            "/v2/a%2Fb/tags/list",
            "/v2/a%/tags/list",
            "/v2/a%2/tags/list",
            "/v2/a%zz/tags/list",
            "/v2/a%ff/tags/list",
            "/v2/%é/tags/list",
        ] {
            assert_eq!(Route::parse(bad), Err(RouteError::Encoding), "{bad}");
        }
        assert_eq!(Route::parse("/v2/a%252fb/tags/list"), Err(RouteError::Name(ParseNameError::Grammar)));
    }

    #[test]
    fn what_is_not_a_name_is_told_so() {
        for bad in [
            "..",
            "a/..",
            "../a",
            "%2e%2e",
            "a/%2e%2e/b",
            "a/./b",
            "",
            "a//b",
            "a%00",
            "a\\b",
            "UPPER",
            "a%20b",
            "_uploads",
            "a/_manifests",
            ".tmp-x",
            "localhost:5000/a",
            "%e2%80%ae",
            "%c3%a9",
        ] {
            let path = format!("/v2/{bad}/tags/list");
            assert_eq!(Route::parse(&path), Err(RouteError::Name(ParseNameError::Grammar)), "{bad}");
        }
        let long = format!("/v2/{}/tags/list", "a".repeat(256));
        assert_eq!(Route::parse(&long), Err(RouteError::Name(ParseNameError::TooLong)));
    }

    #[test]
    fn what_is_not_a_digest_a_tag_or_an_upload_is_told_so() {
        for bad in
            ["/v2/a/manifests/sha256:baddigeststring", "/v2/a/blobs/sha256:bad", "/v2/a/referrers/x", "/v2/a/blobs/"]
        {
            assert!(matches!(
                Route::parse(bad.trim_end_matches('/')),
                Err(RouteError::Digest(_) | RouteError::NotFound)
            ));
        }
        for bad in [".a", "-a", "a%20b", &"a".repeat(129), "%00"] {
            let path = format!("/v2/a/manifests/{bad}");
            assert_eq!(Route::parse(&path), Err(RouteError::Tag(ParseTagError)), "{bad}");
        }
        for bad in ["x", "..", &ID.to_uppercase().replace("0190", "A190")] {
            assert_eq!(Route::parse(&format!("/v2/a/blobs/uploads/{bad}")), Err(RouteError::Upload), "{bad}");
        }
        assert!(matches!(Route::parse("/v2/a/blobs/uploads/../../etc"), Err(RouteError::NotFound)));
    }

    #[test]
    fn other_paths_are_not_found() {
        for other in [
            "",
            "/",
            "/v1/",
            "/v3/",
            "/v2x",
            "/v22/",
            "/v2/_catalog/x",
            "/v2/tags/list",
            "/v2/a",
            "/v2/a/b",
            "/v2//",
            "/v2/a/",
            "/v2/manifests/latest",
            "/v2/blobs/uploads/",
            "/v2/a/uploads/x",
            "/V2/",
            "/v2/a/tags",
            "/v2/a/tags/lists",
        ] {
            assert_eq!(Route::parse(other), Err(RouteError::NotFound), "{other}");
        }
    }

    #[test]
    fn a_slash_too_many_or_too_few_moves() {
        let moved = |path: &str| match Route::parse(path) {
            Err(RouteError::Moved { path }) => path,
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(moved("/v2"), "/v2/");
        assert_eq!(moved("/v2/_catalog/"), "/v2/_catalog");
        assert_eq!(moved("/v2/a/tags/list/"), "/v2/a/tags/list");
        assert_eq!(moved("/v2/a%2Db/manifests/latest/"), "/v2/a%2Db/manifests/latest");
    }

    proptest! {
        #[test]
        fn never_panics_and_never_leaves(path in "(/v2|/v2/|)(/|[a-z%._:]|%2e|%2f|%00|blobs|uploads|tags/list|manifests|\\PC){0,12}") {
            if let Ok(Route::Tags(TagsAt { repository }) | Route::Uploads(UploadsAt { repository })) = Route::parse(&path) {
                prop_assert!(repository.components().all(|part| !part.is_empty() && !part.starts_with(['.', '_'])));
            }
        }

        #[test]
        fn any_name_round_trips(text in "[a-z0-9]{1,8}(/(blobs|uploads|tags|list|manifests|referrers|[a-z0-9]{1,5})){0,4}") {
            prop_assert_eq!(name(&format!("/v2/{text}/tags/list")), text.clone());
            prop_assert_eq!(name(&format!("/v2/{text}/manifests/latest")), text.clone());
            prop_assert_eq!(name(&format!("/v2/{text}/blobs/uploads/")), text.clone());
            prop_assert_eq!(name(&format!("/v2/{text}/blobs/uploads/{ID}")), text.clone());
            prop_assert_eq!(name(&format!("/v2/{text}/referrers/{DIGEST}")), text);
        }
    }
}
