//! The heads of requests: what hyper lets through though it could be read in two ways.

use http::header::{HOST, TRANSFER_ENCODING};
use http::{Request, Version};

use crate::error::Refusal;

/// Refuses what a proxy before this server may have understood otherwise (RFC 9112 §3.2 and §6.1).
pub(super) fn check<B>(request: &Request<B>) -> Result<(), Refusal> {
    let hosts = request.headers().get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(Refusal::host());
    }
    let mut codings = request.headers().get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(coding), None) if coding.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::transfer_encoding()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(version: Version, headers: &[(&str, &str)]) -> Option<u16> {
        let request = Request::builder().version(version);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        check(&request.body(()).unwrap()).err().map(|refusal| refusal.into_response().status().as_u16())
    }

    #[test]
    fn there_is_one_host() {
        assert_eq!(status(Version::HTTP_11, &[("host", "a")]), None);
        assert_eq!(status(Version::HTTP_11, &[]), Some(400));
        assert_eq!(status(Version::HTTP_11, &[("host", "a"), ("host", "a")]), Some(400));
        assert_eq!(status(Version::HTTP_10, &[]), None);
        assert_eq!(status(Version::HTTP_10, &[("host", "a"), ("host", "b")]), Some(400));
        assert_eq!(status(Version::HTTP_2, &[]), None, "it has an authority instead");
    }

    #[test]
    fn chunks_are_the_only_coding() {
        let coded = |codings: &[&str]| {
            let codings = codings.iter().map(|coding| ("transfer-encoding", *coding));
            status(Version::HTTP_11, &std::iter::once(("host", "a")).chain(codings).collect::<Vec<_>>())
        };
        assert_eq!((coded(&["chunked"]), coded(&["Chunked"])), (None, None));
        for codings in [&["gzip, chunked"][..], &["chunked, chunked"], &["chunked", "chunked"], &["identity"], &[""]] {
            assert_eq!(coded(codings), Some(501), "{codings:?}");
        }
    }
}
