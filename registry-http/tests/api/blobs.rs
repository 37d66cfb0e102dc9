//! `/v2/NAME/blobs/DIGEST`

use http::Method;

use crate::client::{Api, sha256};

const CONTENT: &[u8] = &[7; 2048];

async fn with_blob() -> (Api, String) {
    let api = Api::open();
    let digest = api.push_blob("lib/a", CONTENT).await;
    (api, format!("/v2/lib/a/blobs/{digest}"))
}

#[tokio::test]
async fn a_blob_comes_with_what_is_said_of_it() {
    let (api, path) = with_blob().await;
    let digest = sha256(CONTENT).to_string();
    for (method, body) in [(Method::GET, CONTENT), (Method::HEAD, &[][..])] {
        let reply = api.request(method, &path, &[], "").await.assert(200);
        assert_eq!(reply.body, body);
        for (name, value) in [
            ("accept-ranges", "bytes"),
            ("cache-control", "max-age=31536000"),
            ("content-length", "2048"),
            ("content-type", "application/octet-stream"),
            ("docker-content-digest", &digest),
            ("etag", &format!("\"{digest}\"")),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; sandbox"),
        ] {
            assert_eq!(reply.header(name), value);
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    let (api, _) = with_blob().await;
    let other = sha256(b"other");
    let reply = api.get(&format!("/v2/lib/a/blobs/{other}")).await.assert_error(404, "BLOB_UNKNOWN");
    assert_eq!(reply.json()["errors"][0]["detail"], other.to_string());
    let blob = sha256(CONTENT);
    api.get(&format!("/v2/lib/b/blobs/{blob}")).await.assert_error(404, "BLOB_UNKNOWN");
    let reply = api.request(Method::HEAD, &format!("/v2/lib/b/blobs/{blob}"), &[], "").await.assert(404);
    assert!(reply.body.is_empty() && reply.header("content-length") != "0");
}

#[tokio::test]
async fn parts_of_a_blob() {
    let (api, path) = with_blob().await;
    for (range, from, to) in [
        ("bytes=500-1499", 500, 1499),
        ("bytes=500-", 500, 2047),
        ("bytes=-500", 1548, 2047),
        ("bytes=2000-5000", 2000, 2047),
        ("bytes=0-0", 0, 0),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let reply = api.request(method.clone(), &path, &[("range", range)], "").await.assert(206);
            assert_eq!(reply.header("content-range"), format!("bytes {from}-{to}/2048"));
            assert_eq!(reply.header("content-length"), (to - from + 1).to_string());
            assert_eq!(reply.body.len(), if method == Method::GET { to - from + 1 } else { 0 });
        }
    }
    for range in ["bytes=500-0", "bytes=5000-10000", "bytes=-0", "bytes=18446744073709551615-"] {
        let reply = api.request(Method::GET, &path, &[("range", range)], "").await.assert_error(416, "RANGE_INVALID");
        assert_eq!(reply.header("content-range"), "bytes */2048");
    }
}

#[tokio::test]
async fn what_is_no_single_range_gets_the_whole() {
    let (api, path) = with_blob().await;
    let many = format!("bytes=0-0{}", ",0-".repeat(1000));
    for range in ["bytes=0-0,5-6", &many, "items=0-5", "nonsense"] {
        let reply = api.request(Method::GET, &path, &[("range", range)], "").await.assert(200);
        assert_eq!(reply.body.len(), 2048);
    }
    let reply = api.request(Method::GET, &path, &[("range", "bytes=0-0"), ("if-range", "\"other\"")], "").await;
    assert_eq!(reply.assert(200).body.len(), 2048);
}

#[tokio::test]
async fn who_has_it_is_not_sent_it() {
    let (api, path) = with_blob().await;
    let digest = sha256(CONTENT).to_string();
    for condition in [format!("\"{digest}\""), format!("W/\"{digest}\""), format!("\"x\", \"{digest}\""), "*".into()] {
        for method in [Method::GET, Method::HEAD] {
            let reply = api.request(method, &path, &[("if-none-match", &condition)], "").await.assert(304);
            assert!(reply.body.is_empty() && !reply.has("content-length"));
            assert_eq!(reply.header("docker-content-digest"), digest);
            assert_eq!(reply.header("etag"), format!("\"{digest}\""));
            assert_eq!(reply.header("cache-control"), "max-age=31536000");
        }
    }
    api.request(Method::GET, &path, &[("if-none-match", "\"sha256:x\"")], "").await.assert(200);
}

#[tokio::test]
async fn the_empty_blob() {
    let api = Api::open();
    let digest = api.push_blob("a", b"").await;
    let path = format!("/v2/a/blobs/{digest}");
    assert_eq!(api.get(&path).await.assert(200).header("content-length"), "0");
    let reply = api.request(Method::GET, &path, &[("range", "bytes=0-")], "").await.assert(416);
    assert_eq!(reply.header("content-range"), "bytes */0");
}

#[tokio::test]
async fn a_deleted_blob_is_gone_here_and_stays_elsewhere() {
    let (api, path) = with_blob().await;
    api.push_blob("lib/b", CONTENT).await;
    let reply = api.request(Method::DELETE, &path, &[], "").await.assert(202);
    assert_eq!(reply.header("content-length"), "0");
    api.get(&path).await.assert_error(404, "BLOB_UNKNOWN");
    api.request(Method::DELETE, &path, &[], "").await.assert_error(404, "BLOB_UNKNOWN");
    api.get(&path.replace("lib/a", "lib/b")).await.assert(200);
}

#[tokio::test]
async fn sha512_is_as_good() {
    let api = Api::open();
    let digest = registry_core::Digest::of(registry_core::Algorithm::Sha512, CONTENT);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let reply = api.request(Method::POST, &path, &[], CONTENT).await.assert(201);
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    let reply = api.get(&reply.location()).await.assert(200);
    assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    assert_eq!(reply.body, CONTENT);
}
