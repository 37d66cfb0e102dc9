//! Requests that nobody means well by: a clear answer, and nothing written.

use http::{Method, Request};

use crate::client::{Api, sha256};

const NAMES: [&str; 24] = [
    "..",
    "%2e%2e",
    ".",
    "a/..",
    "../../etc",
    "%2e%2e/%2e%2e/etc",
    "a%2Fb",
    "a%2f..%2fb",
    "%00",
    "a%00b",
    "a%5Cb",
    "a//b",
    "%E2%80%AEa",
    "%C3%A9",
    "e%CC%81",
    "_uploads",
    "a/_manifests",
    ".tmp-x",
    "UPPER",
    "a%0d%0aX:y",
    "a%20b",
    "%ff",
    "%zz",
    "localhost:5000/a",
];

fn every_path(name: &str) -> Vec<(Method, String)> {
    let digest = sha256(b"x");
    let id = "0190a0b0-0000-7000-8000-000000000000";
    vec![
        (Method::GET, format!("/v2/{name}/tags/list")),
        (Method::PUT, format!("/v2/{name}/manifests/latest")),
        (Method::GET, format!("/v2/{name}/manifests/{digest}")),
        (Method::DELETE, format!("/v2/{name}/manifests/latest")),
        (Method::GET, format!("/v2/{name}/blobs/{digest}")),
        (Method::DELETE, format!("/v2/{name}/blobs/{digest}")),
        (Method::POST, format!("/v2/{name}/blobs/uploads/")),
        (Method::POST, format!("/v2/{name}/blobs/uploads/?digest={digest}")),
        (Method::PATCH, format!("/v2/{name}/blobs/uploads/{id}")),
        (Method::PUT, format!("/v2/{name}/blobs/uploads/{id}?digest={digest}")),
        (Method::GET, format!("/v2/{name}/referrers/{digest}")),
    ]
}

#[tokio::test]
async fn names_that_are_none() {
    let api = Api::open();
    let long = "a".repeat(300);
    for name in NAMES.into_iter().chain([long.as_str()]) {
        for (method, path) in every_path(name) {
            // What is no address at all never gets here.
            if Request::get(&path).body(()).is_err() {
                continue;
            }
            api.request(method, &path, &[], "x").await.assert_error(400, "NAME_INVALID");
        }
    }
    assert_eq!(api.snapshot().await, []);
}

#[tokio::test]
async fn digests_and_uploads_that_are_none() {
    let api = Api::open();
    let upper = sha256(b"x").to_string().to_uppercase();
    for bad in [
        "sha256:x",
        "sha256:",
        ":",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
        &upper,
        "sha256+b64u:x",
        "sha256:%00",
        "latest",
        "sha384:aa",
        "sha256:%2e%2e",
    ] {
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            api.request(method, &format!("/v2/a/blobs/{bad}"), &[], "").await.assert(400);
        }
        api.get(&format!("/v2/a/referrers/{bad}")).await.assert_error(400, "DIGEST_INVALID");
    }
    for bad in ["..", "x", "%00", "0190A0B0-0000-7000-8000-000000000000", "%2e%2e", "0190a0b0000070008000000000000000"]
    {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            let reply = api.request(method, &format!("/v2/a/blobs/uploads/{bad}"), &[], "x").await;
            reply.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
        }
    }
    api.get("/v2/a/blobs/sha256:../../x").await.assert(404);
    assert_eq!(api.snapshot().await, []);
}

#[tokio::test]
async fn no_parameter_makes_the_server_fail() {
    let api = Api::open();
    api.push_image("a", Some("latest"), "").await;
    let digest = sha256(b"x");
    let at = api.start_upload("a").await;
    let at = at.split('?').next().unwrap();
    for value in
        ["%00", "%ff%fe", "..%2f..", "%", "a%0d%0ab", "18446744073709551616", "-0", &"x".repeat(5000), "%F0%9F%92%A9"]
    {
        for (method, path) in [
            (Method::GET, format!("/v2/_catalog?n={value}")),
            (Method::GET, format!("/v2/_catalog?last={value}")),
            (Method::GET, format!("/v2/a/tags/list?n={value}")),
            (Method::GET, format!("/v2/a/tags/list?last={value}&n=1")),
            (Method::GET, format!("/v2/a/referrers/{digest}?artifactType={value}&last={value}&n={value}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?mount={value}&from={value}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?mount={digest}&from={value}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?digest={value}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?digest-algorithm={value}")),
            (Method::PUT, format!("{at}?digest={value}&_state={value}")),
            (Method::PUT, format!("/v2/a/manifests/{digest}?tag={value}")),
        ] {
            let reply = api.request(method, &path, &[], "x").await;
            assert!(reply.status.as_u16() < 500, "{path}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn no_header_makes_the_server_fail() {
    let api = Api::open();
    let digest = api.push_blob("a", b"content").await;
    let blob = format!("/v2/a/blobs/{digest}");
    let cookie = "a=b; ".repeat(13_000);
    for value in ["", "\u{ff}", "bytes=-", "bytes=0-18446744073709551616", "*/*;q=\"", "\"", "W/", ",,,,", &cookie] {
        for name in
            ["range", "if-range", "if-none-match", "accept", "authorization", "cookie", "content-type", "expect"]
        {
            let reply = api.request(Method::GET, &blob, &[(name, value)], "").await;
            assert!(reply.status.as_u16() < 500, "{name}: {value}: {reply:?}");
        }
    }
}
