//! The values that labels can have: all of them are known, so that no client makes new ones.

use http::Method;

use crate::access::Admission;
use crate::observer::Subject;
use crate::route::Route;

/// What a request is about, by Distribution's names of its handlers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handler {
    Base,
    Manifest,
    Tags,
    Blob,
    BlobUpload,
    BlobUploadChunk,
    Catalog,
    /// Distribution has none.
    Referrers,
    /// A page for people, which Distribution has none of.
    Ui,
    /// A path that there is not.
    Other,
}

impl Handler {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 10] = [
        Self::Base,
        Self::Manifest,
        Self::Tags,
        Self::Blob,
        Self::BlobUpload,
        Self::BlobUploadChunk,
        Self::Catalog,
        Self::Referrers,
        Self::Ui,
        Self::Other,
    ];

    pub(super) fn of(subject: Subject<'_>) -> Self {
        let route = match subject {
            Subject::Api(route) => route,
            #[cfg(feature = "ui")]
            Subject::Page => return Self::Ui,
            Subject::Nothing => return Self::Other,
        };
        match route {
            Route::Base => Self::Base,
            Route::Catalog => Self::Catalog,
            Route::Tags(_) => Self::Tags,
            Route::Manifest(_) => Self::Manifest,
            Route::Blob(_) => Self::Blob,
            Route::Uploads(_) => Self::BlobUpload,
            Route::Upload(_) => Self::BlobUploadChunk,
            Route::Referrers(_) => Self::Referrers,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Manifest => "manifest",
            Self::Tags => "tags",
            Self::Blob => "blob",
            Self::BlobUpload => "blob_upload",
            Self::BlobUploadChunk => "blob_upload_chunk",
            Self::Catalog => "catalog",
            Self::Referrers => "referrers",
            Self::Ui => "ui",
            Self::Other => "other",
        }
    }
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Head,
    Put,
    Post,
    Patch,
    Delete,
    Options,
    Other,
}

impl Verb {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 8] =
        [Self::Get, Self::Head, Self::Put, Self::Post, Self::Patch, Self::Delete, Self::Options, Self::Other];

    pub(super) fn of(method: &Method) -> Self {
        match method.as_str() {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "PUT" => Self::Put,
            "POST" => Self::Post,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            "OPTIONS" => Self::Options,
            _ => Self::Other,
        }
    }

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Head => "head",
            Self::Put => "put",
            Self::Post => "post",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::Options => "options",
            Self::Other => "other",
        }
    }
}

/// The statuses whose series are looked up once; any other is looked up each time. 499 is a client that left before
/// there was an answer.
pub(super) const CODES: [u16; 23] =
    [200, 201, 202, 204, 206, 301, 304, 307, 308, 400, 401, 403, 404, 405, 412, 413, 415, 416, 429, 499, 500, 503, 507];

impl Admission {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 8] = [
        Self::Known,
        Self::Anonymous,
        Self::Missing,
        Self::Invalid,
        Self::Denied,
        Self::TooFast,
        Self::Busy,
        Self::Unavailable,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Known => "ok",
            Self::Anonymous => "anonymous",
            Self::Missing => "missing",
            Self::Invalid => "invalid",
            Self::Denied => "denied",
            Self::TooFast => "too_fast",
            Self::Busy => "busy",
            Self::Unavailable => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_in_the_order_of_their_numbers() {
        assert!(Handler::ALL.iter().enumerate().all(|(number, handler)| *handler as usize == number));
        assert!(Verb::ALL.iter().enumerate().all(|(number, verb)| *verb as usize == number));
        assert!(Admission::ALL.iter().enumerate().all(|(number, admission)| *admission as usize == number));
    }

    #[test]
    fn a_client_makes_no_new_methods() {
        for verb in Verb::ALL.iter().filter(|verb| **verb != Verb::Other) {
            assert_eq!(Verb::of(&verb.label().to_ascii_uppercase().parse().unwrap()), *verb);
        }
        for method in ["get", "BREW", "TRACE"] {
            assert_eq!(Verb::of(&method.parse().unwrap()), Verb::Other, "{method}");
        }
    }
}
