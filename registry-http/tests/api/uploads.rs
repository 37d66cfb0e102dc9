//! `/v2/NAME/blobs/uploads/`

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Method, Request};
use registry_auth::{Access, DecideBy, Decision, Principal};

use crate::client::{Api, Reply, sha256};

const START: &str = "/v2/lib/a/blobs/uploads/";

async fn patch(api: &Api, at: &str, range: Option<&str>, content: &'static [u8]) -> Reply {
    let range: Vec<_> = range.map(|range| ("content-range", range)).into_iter().collect();
    api.request(Method::PATCH, at, &range, content).await
}

async fn put(api: &Api, at: &str, digest: &str, range: Option<&str>, content: &'static [u8]) -> Reply {
    let range: Vec<_> = range.map(|range| ("content-range", range)).into_iter().collect();
    api.request(Method::PUT, &format!("{at}&digest={digest}"), &range, content).await
}

#[tokio::test]
async fn in_one_request() {
    let api = Api::open();
    let digest = sha256(b"hello");
    let reply = api.request(Method::POST, &format!("{START}?digest={digest}"), &[], "hello").await.assert(201);
    assert_eq!(reply.location(), format!("/v2/lib/a/blobs/{digest}"));
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    assert_eq!(reply.header("content-length"), "0");
    let refused = api.request(Method::POST, &format!("{START}?digest={digest}"), &[], "other").await;
    refused.assert_error(400, "DIGEST_INVALID");
    let reply = api.request(Method::POST, &format!("{START}?digest={digest}"), &[], "").await.assert(202);
    assert!(reply.has("docker-upload-uuid"), "content may come later");
}

#[tokio::test]
async fn start_then_the_whole() {
    let api = Api::open();
    let reply = api.request(Method::POST, START, &[], "").await.assert(202);
    let id = reply.header("docker-upload-uuid").to_owned();
    assert!(reply.header("location").starts_with(&format!("http://registry.test{START}{id}?")));
    assert_eq!((reply.header("range"), reply.header("content-length")), ("0-0", "0"));
    assert_eq!(reply.header("oci-chunk-min-length"), "1");
    let digest = sha256(b"hello").to_string();
    let done = put(&api, &reply.location(), &digest, None, b"hello").await.assert(201);
    assert_eq!(done.location(), format!("/v2/lib/a/blobs/{digest}"));
    assert_eq!(api.get(&done.location()).await.body, "hello");
    api.get(&reply.location()).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn in_chunks() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let reply = patch(&api, &at, Some("0-4"), b"hello").await.assert(202);
    assert_eq!((reply.header("range"), reply.header("content-length")), ("0-4", "0"));
    let reply = patch(&api, &reply.location(), Some("bytes 5-5/11"), b" ").await.assert(202);
    assert_eq!(reply.header("range"), "0-5");
    for method in [Method::GET, Method::HEAD] {
        let status = api.request(method, &at, &[], "").await.assert(204);
        assert_eq!(status.header("range"), "0-5");
        assert!(status.has("location") && status.has("docker-upload-uuid"));
        assert!(!status.has("content-length"));
    }
    let digest = sha256(b"hello world").to_string();
    put(&api, &reply.location(), &digest, Some("6-10"), b"world").await.assert(201);
}

#[tokio::test]
async fn as_a_stream_of_unknown_length() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let frames = stream::iter((0..10).map(|_| Ok::<_, std::io::Error>(Bytes::from_static(&[1; 1000]))));
    let request = Request::patch(&at).body(Body::from_stream(frames)).unwrap();
    assert_eq!(api.send(request).await.assert(202).header("range"), "0-9999");
    put(&api, &at, &sha256(&[1; 10_000]).to_string(), None, b"").await.assert(201);
}

#[tokio::test]
async fn a_chunk_out_of_order_is_refused_and_the_upload_goes_on() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    patch(&api, &at, Some("5-9"), b"world").await.assert_error(416, "RANGE_INVALID");
    patch(&api, &at, Some("0-4"), b"hello").await.assert(202);
    let digest = sha256(b"helloworld").to_string();
    for wrong in ["0-4", "6-10", "3-7"] {
        let reply = patch(&api, &at, Some(wrong), b"world").await.assert_error(416, "RANGE_INVALID");
        assert_eq!(reply.header("range"), "0-4");
        assert!(reply.has("location") && reply.has("docker-upload-uuid"));
        let reply = put(&api, &at, &digest, Some(wrong), b"world").await.assert_error(416, "RANGE_INVALID");
        assert_eq!(reply.header("range"), "0-4");
        assert_eq!(api.get(&format!("{at}&digest={digest}")).await.assert(204).header("range"), "0-4");
    }
    put(&api, &at, &digest, Some("5-9"), b"world").await.assert(201);
}

#[tokio::test]
async fn a_chunk_must_agree_with_itself() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let lengths = [("content-range", "0-9"), ("content-length", "5")];
    api.request(Method::PATCH, &at, &lengths, "hello").await.assert_error(400, "SIZE_INVALID");
    for bad in ["9-0", "-1-4", "a-b", "0-99999999999999999999999999"] {
        let reply = patch(&api, &at, Some(bad), b"hello").await;
        assert!([400, 416].contains(&reply.status.as_u16()), "{bad}: {reply:?}");
    }
    // The length is that of the range, also where no header says so.
    let frames = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"hello"))]);
    let request = Request::patch(&at).header("content-range", "0-2").body(Body::from_stream(frames)).unwrap();
    api.send(request).await.assert_error(400, "SIZE_INVALID");
    assert_eq!(api.get(&at).await.assert(204).header("range"), "0-0");
}

#[tokio::test]
async fn the_digest_must_be_there_and_right() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    patch(&api, &at, None, b"hello").await.assert(202);
    api.request(Method::PUT, &at, &[], "").await.assert_error(400, "DIGEST_INVALID");
    for bad in ["x", "sha256:x", "md5:aaaa", "sha256%3A..%2F..%2Fx"] {
        put(&api, &at, bad, None, b"").await.assert_error(400, "DIGEST_INVALID");
    }
    assert_eq!(api.get(&at).await.assert(204).header("range"), "0-4");
    put(&api, &at, &sha256(b"other").to_string(), None, b"").await.assert_error(400, "DIGEST_INVALID");
    api.get(&format!("/v2/lib/a/blobs/{}", sha256(b"other"))).await.assert(404);
}

#[tokio::test]
async fn what_a_client_says_of_the_type_or_the_state_does_not_matter() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let path = at.split('?').next().unwrap();
    let reply = api.request(Method::PATCH, path, &[("content-type", "text/plain; x=y")], "hello").await.assert(202);
    let path = reply.location();
    let path = format!("{}?_state=nonsense&digest={}", path.split('?').next().unwrap(), sha256(b"hello"));
    api.request(Method::PUT, &path, &[], "").await.assert(201);
}

#[tokio::test]
async fn an_upload_can_be_cancelled() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let reply = api.request(Method::DELETE, &at, &[], "").await.assert(204);
    assert!(reply.has("docker-upload-uuid"));
    api.get(&at).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    for method in [Method::PATCH, Method::DELETE] {
        api.request(method, &at, &[], "x").await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    put(&api, &at, &sha256(b"x").to_string(), None, b"x").await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await.replace("lib/a", "lib/b");
    api.get(&at).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    patch(&api, &at, None, b"x").await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
}

#[tokio::test]
async fn a_body_that_breaks_off_keeps_what_came() {
    let api = Api::open();
    let at = api.start_upload("lib/a").await;
    let frames = [Ok(Bytes::from_static(b"hello")), Err(std::io::Error::other("reset"))];
    let request = Request::patch(&at).body(Body::from_stream(stream::iter(frames))).unwrap();
    api.send(request).await.assert_error(400, "BLOB_UPLOAD_INVALID");
    assert_eq!(api.get(&at).await.assert(204).header("range"), "0-4");
}

#[tokio::test]
async fn the_algorithm_can_be_chosen() {
    let api = Api::open();
    let reply = api.request(Method::POST, &format!("{START}?digest-algorithm=sha512"), &[], "").await.assert(202);
    let digest = registry_core::Digest::of(registry_core::Algorithm::Sha512, b"hello").to_string();
    put(&api, &reply.location(), &digest, None, b"hello").await.assert(201);
    let path = format!("{START}?digest-algorithm=md5");
    api.request(Method::POST, &path, &[], "").await.assert_error(400, "DIGEST_INVALID");
}

#[tokio::test]
async fn a_blob_of_another_repository_is_mounted() {
    let api = Api::open();
    let digest = api.push_blob("lib/b", b"hello").await;
    for from in ["&from=lib/b", "&from=lib%2Fb", ""] {
        let path = format!("{START}?mount={digest}{from}");
        let reply = api.request(Method::POST, &path, &[], "").await.assert(201);
        assert_eq!(reply.location(), format!("/v2/lib/a/blobs/{digest}"));
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
        assert_eq!(api.get(&reply.location()).await.assert(200).body, "hello");
        api.request(Method::DELETE, &reply.location(), &[], "").await.assert(202);
    }
}

#[tokio::test]
async fn what_cannot_be_mounted_is_uploaded() {
    let api = Api::open();
    let digest = api.push_blob("lib/b", b"hello").await;
    let missing = sha256(b"missing");
    for parameters in [
        format!("mount={missing}&from=lib/b"),
        format!("mount={missing}"),
        format!("mount={digest}&from=lib/c"),
        format!("mount={digest}&from=../b"),
        "mount=nonsense&from=lib/b".into(),
        "from=lib/b".into(),
    ] {
        let reply = api.request(Method::POST, &format!("{START}?{parameters}"), &[], "").await.assert(202);
        assert!(reply.has("location") && reply.has("docker-upload-uuid"), "{parameters}");
    }
}

#[tokio::test]
async fn nothing_is_mounted_from_where_the_caller_may_not_read() {
    let hidden = |_: &Principal, access: &Access| {
        Decision::allow_if(!matches!(access, Access::Repository { name, .. } if name.as_str() == "secret"))
    };
    let open = Api::open();
    let digest = open.push_blob("secret", b"hello").await;
    let api = open.again(|service| service.authorizer(Arc::new(DecideBy(hidden))));
    let missing = sha256(b"missing");
    for from in ["&from=secret", ""] {
        let denied = api.request(Method::POST, &format!("{START}?mount={digest}{from}"), &[], "").await;
        let absent = api.request(Method::POST, &format!("{START}?mount={missing}{from}"), &[], "").await;
        assert_eq!(denied.assert(202).headers.len(), absent.assert(202).headers.len());
    }
    api.get(&format!("/v2/lib/a/blobs/{digest}")).await.assert(404);
    open.push_blob("public", b"hello").await;
    api.request(Method::POST, &format!("{START}?mount={digest}"), &[], "").await.assert(201);
}
