//! `/v2/NAME/manifests/REFERENCE`

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use registry_core::{Algorithm, Digest};
use tower::ServiceExt as _;

use crate::client::{Api, OCI_INDEX, OCI_MANIFEST, Reply, descriptor, image, sha256};

async fn put(api: &Api, reference: &str, media_type: &str, content: impl Into<Bytes>) -> Reply {
    let path = format!("/v2/lib/a/manifests/{reference}");
    api.request(Method::PUT, &path, &[("content-type", media_type)], content).await
}

#[tokio::test]
async fn a_manifest_comes_back_as_it_was_pushed() {
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    let content = image(" ");
    let digest = sha256(content.as_bytes()).to_string();
    let reply = put(&api, "latest", &format!("{OCI_MANIFEST}; charset=utf-8"), content.clone()).await.assert(201);
    assert_eq!(reply.location(), format!("/v2/lib/a/manifests/{digest}"));
    assert_eq!((reply.header("docker-content-digest"), reply.header("content-length")), (&*digest, "0"));
    assert!(!reply.has("oci-tag") && !reply.has("oci-subject"));
    for reference in ["latest", &digest] {
        for method in [Method::GET, Method::HEAD] {
            let reply = api.request(method.clone(), &format!("/v2/lib/a/manifests/{reference}"), &[], "").await;
            let reply = reply.assert(200);
            assert_eq!(reply.body, if method == Method::GET { content.as_bytes() } else { b"" });
            for (name, value) in [
                ("content-type", OCI_MANIFEST),
                ("content-length", &content.len().to_string()),
                ("docker-content-digest", &digest),
                ("etag", &format!("\"{digest}\"")),
                ("x-content-type-options", "nosniff"),
                ("content-security-policy", "default-src 'none'; sandbox"),
            ] {
                assert_eq!(reply.header(name), value);
            }
            assert!(!reply.has("cache-control"));
        }
    }
}

#[tokio::test]
async fn the_stored_bytes_are_served_whatever_is_accepted() {
    let api = Api::open();
    api.push_image("lib/a", Some("latest"), "").await;
    for accept in ["*/*", "text/html", OCI_INDEX, "application/vnd.docker.distribution.manifest.v2+json", ""] {
        let reply = api.request(Method::GET, "/v2/lib/a/manifests/latest", &[("accept", accept)], "").await;
        assert_eq!(reply.assert(200).header("content-type"), OCI_MANIFEST);
    }
}

#[tokio::test]
async fn who_has_it_is_not_sent_it() {
    let api = Api::open();
    let digest = api.push_image("lib/a", Some("latest"), "").await;
    for condition in [format!("\"{digest}\""), digest.to_string(), format!("\"a\",W/\"{digest}\"")] {
        let headers = [("if-none-match", condition.as_str())];
        let reply = api.request(Method::GET, "/v2/lib/a/manifests/latest", &headers, "").await.assert(304);
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    }
}

#[tokio::test]
async fn what_is_not_there_is_unknown() {
    let api = Api::open();
    let reply = api.get("/v2/lib/a/manifests/zzz").await.assert_error(404, "MANIFEST_UNKNOWN");
    assert_eq!(reply.json()["errors"][0]["detail"], "unknown tag=zzz");
    api.get(&format!("/v2/lib/a/manifests/{}", sha256(b"x"))).await.assert_error(404, "MANIFEST_UNKNOWN");
    let reply = api.request(Method::HEAD, "/v2/lib/a/manifests/zzz", &[], "").await.assert(404);
    assert!(reply.body.is_empty());
}

#[tokio::test]
async fn bad_references_are_refused() {
    let api = Api::open();
    for method in [Method::PUT, Method::GET, Method::HEAD, Method::DELETE] {
        for (reference, code) in [("sha256:baddigeststring", "DIGEST_INVALID"), (".hidden", "TAG_INVALID")] {
            let reply = api.request(method.clone(), &format!("/v2/lib/a/manifests/{reference}"), &[], "").await;
            if method == Method::HEAD {
                reply.assert(400)
            } else {
                reply.assert_error(400, code)
            };
        }
    }
}

#[tokio::test]
async fn what_a_manifest_names_must_be_there() {
    let api = Api::open();
    let layer = descriptor("application/octet-stream", b"a layer");
    let content = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{layer}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", b"a configuration")
    );
    let reply = put(&api, "latest", OCI_MANIFEST, content).await.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
    let details: Vec<_> = reply.json()["errors"].as_array().unwrap().iter().map(|e| e["detail"].clone()).collect();
    assert_eq!(details.len(), 2);
    assert!(details.contains(&sha256(b"a layer").to_string().into()));
    api.get("/v2/lib/a/manifests/latest").await.assert(404);
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(OCI_MANIFEST, b"a child"));
    put(&api, "latest", OCI_INDEX, index).await.assert_error(400, "MANIFEST_BLOB_UNKNOWN");
}

#[tokio::test]
async fn hostile_manifests_are_refused() {
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    let before = api.snapshot().await;
    let deep = format!(r#"{{"schemaVersion":2,"x":{}"#, "[".repeat(100_000));
    for content in [
        String::new(),
        "{".into(),
        "null".into(),
        "\u{feff}{}".into(),
        deep,
        image(r#","manifests":[]"#),
        image(r#","layers":[]"#),
        image(r#","annotations":{"a":"b","a":"c"}"#),
        image("").replace("\"schemaVersion\":2", "\"schemaVersion\":1"),
        image("").replace(OCI_MANIFEST, OCI_INDEX),
        image("") + "x",
    ] {
        put(&api, "latest", OCI_MANIFEST, content).await.assert_error(400, "MANIFEST_INVALID");
    }
    for media_type in ["application/json", "nonsense", "text/html; charset=utf-8", OCI_INDEX] {
        put(&api, "latest", media_type, image("")).await.assert_error(400, "MANIFEST_INVALID");
    }
    put(&api, &sha256(b"other").to_string(), OCI_MANIFEST, image("")).await.assert_error(400, "DIGEST_INVALID");
    assert_eq!(api.snapshot().await, before, "a refused manifest leaves nothing behind");
}

#[tokio::test]
async fn a_manifest_has_at_most_four_mebibytes() {
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    let padded = |size: usize| {
        let content = image("");
        let pad = " ".repeat(size - content.len());
        content + &pad
    };
    put(&api, "most", OCI_MANIFEST, padded(4 * 1024 * 1024)).await.assert(201);
    let over = put(&api, "over", OCI_MANIFEST, padded(4 * 1024 * 1024 + 1)).await;
    over.assert_error(413, "MANIFEST_INVALID");
    // Without a length it is found out on the way, long before the end.
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8192])));
    let request = Request::put("/v2/lib/a/manifests/over").header("content-type", OCI_MANIFEST);
    api.send(request.body(Body::from_stream(endless)).unwrap()).await.assert_error(413, "MANIFEST_INVALID");
}

#[tokio::test]
async fn all_manifests_together_have_their_bounds() {
    let api = Api::with(|service| service.manifest_memory(1000));
    api.push_blob("lib/a", b"{}").await;
    for _ in 0..10 {
        put(&api, "latest", OCI_MANIFEST, image("")).await.assert(201);
    }
    let reply = put(&api, "latest", OCI_MANIFEST, image("") + &" ".repeat(1000)).await;
    assert!(reply.assert_error(429, "TOOMANYREQUESTS").has("retry-after"));
}

#[tokio::test]
async fn manifests_that_nobody_takes_have_their_bounds() {
    let size = 1024 * 1024;
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    put(&api, "large", OCI_MANIFEST, image("") + &" ".repeat(size - image("").len())).await.assert(201);
    put(&api, "small", OCI_MANIFEST, image("")).await.assert(201);
    let api = api.again(|service| service.manifest_memory(2 * size as u64 + 1));
    let answer = async |method, reference| {
        let request = Request::builder().method(method).uri(format!("/v2/lib/a/manifests/{reference}"));
        api.service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    };
    let mut first = answer(Method::GET, "large").await;
    let second = answer(Method::GET, "large").await;
    assert_eq!((first.status().as_u16(), second.status().as_u16()), (200, 200));
    let refused = api.get("/v2/lib/a/manifests/large").await.assert_error(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(answer(Method::HEAD, "large").await.status(), 200);
    assert_eq!(answer(Method::GET, "small").await.status(), 200);
    // The connection still has a part of it to send when the rest is gone.
    let frame = first.body_mut().frame().await.unwrap().unwrap();
    drop(first);
    api.get("/v2/lib/a/manifests/large").await.assert(429);
    drop(frame);
    assert_eq!(api.get("/v2/lib/a/manifests/large").await.assert(200).body.len(), size);
    drop(second);
}

#[tokio::test]
async fn a_push_can_set_tags() {
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    let digest = sha256(image("").as_bytes());
    let reply = put(&api, &format!("{digest}?tag=a&tag=b,c"), OCI_MANIFEST, image("")).await.assert(201);
    let tags: Vec<_> = reply.headers.get_all("oci-tag").iter().map(|tag| tag.to_str().unwrap()).collect();
    assert_eq!(tags, ["a", "b", "c"]);
    for tag in tags {
        let reply = api.get(&format!("/v2/lib/a/manifests/{tag}")).await.assert(200);
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
    }
    put(&api, &format!("{digest}?tag=.bad"), OCI_MANIFEST, image("")).await.assert_error(400, "TAG_INVALID");
    let many: Vec<String> = (0..100).map(|index| format!("t{index}")).collect();
    let reply = put(&api, &format!("{digest}?tag={}", many.join(",")), OCI_MANIFEST, image("")).await;
    reply.assert_error(414, "TAG_INVALID");
}

#[tokio::test]
async fn sha512_names_manifests_too() {
    let api = Api::open();
    api.push_blob("lib/a", b"{}").await;
    let digest = Digest::of(Algorithm::Sha512, image("").as_bytes()).to_string();
    let reply = put(&api, &format!("{digest}?tag=x"), OCI_MANIFEST, image("")).await.assert(201);
    assert_eq!(reply.header("docker-content-digest"), digest);
    assert_eq!(api.get("/v2/lib/a/manifests/x").await.assert(200).header("docker-content-digest"), digest);
}

#[tokio::test]
async fn a_tag_is_deleted_alone_and_a_manifest_with_its_tags() {
    let api = Api::open();
    let digest = api.push_image("lib/a", Some("a"), "").await;
    api.push_image("lib/a", Some("b"), "").await;
    let delete =
        async |reference: &str| api.request(Method::DELETE, &format!("/v2/lib/a/manifests/{reference}"), &[], "").await;
    assert_eq!(delete("a").await.assert(202).header("content-length"), "0");
    delete("a").await.assert_error(404, "MANIFEST_UNKNOWN");
    api.get("/v2/lib/a/manifests/b").await.assert(200);
    delete(&digest.to_string()).await.assert(202);
    api.get("/v2/lib/a/manifests/b").await.assert(404);
    delete(&digest.to_string()).await.assert_error(404, "MANIFEST_UNKNOWN");
}
