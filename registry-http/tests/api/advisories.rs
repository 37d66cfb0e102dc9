//! What was found in other registries: each test is named after what it prevents.
//!
//! Those of tokens lie with `Token` in registry-auth, those of smuggled requests in `connections`, and those of what a
//! stranger may see in `matrix` as well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures::StreamExt as _;
use http::{Method, Request};
use registry_auth::{Action, Basic, OrAnonymous, Policy, Reloadable, Rule, Subject};
use registry_http::service;

use crate::client::{Api, OCI_INDEX, OCI_MANIFEST, descriptor, image, sha256};

const ANN: (&str, &str) = ("authorization", "Basic YW5uOng=");

/// `ann` does everything below `ann`, anybody pulls below `public`.
fn rules() -> Policy {
    let everything = |who, below: &str, actions| Rule::new(vec![who], vec![below.parse().unwrap()], actions);
    Policy::new(
        vec![
            everything(Subject::User("ann".into()), "ann/**", Action::ALL.into()),
            everything(Subject::Anyone, "public/**", [Action::Pull].into()),
        ],
        [].into(),
    )
}

async fn guarded() -> (Api, Arc<Reloadable<Policy>>) {
    let content = Api::open();
    for repository in ["ann/app", "public/app", "hidden/app"] {
        content.push_image(repository, Some("latest"), "").await;
    }
    let logins = Basic::new("test", |user: &str, password: &str| user == "ann" && password == "x");
    let rules = Arc::new(Reloadable::new(rules()));
    let service = service(content.service.registry().clone())
        .authenticator(Arc::new(OrAnonymous(Arc::new(logins))))
        .authorizer(Arc::clone(&rules) as _)
        .deletes(true)
        .build();
    (Api { storage: content.storage, service }, rules)
}

/// CVE-2026-41888: deleting by tag went past the switch that forbids deleting.
#[tokio::test]
async fn cve_2026_41888_no_way_of_deleting_goes_past_the_switch() {
    let content = Api::open();
    let digest = content.push_image("a", Some("latest"), "").await;
    let api = content.again(|service| service.deletes(false));
    let before = api.snapshot().await;
    for path in [
        "/v2/a/manifests/latest".to_owned(),
        format!("/v2/a/manifests/{digest}"),
        format!("/v2/a/manifests/{digest}?tag=latest"),
        format!("/v2/a/blobs/{}", sha256(b"{}")),
        "/v2/a/manifests/missing".to_owned(),
    ] {
        api.request(Method::DELETE, &path, &[], "").await.assert_error(405, "UNSUPPORTED");
    }
    assert_eq!(api.snapshot().await, before);
}

/// CVE-2026-35172: what was deleted from one repository came back when another had it.
#[tokio::test]
async fn cve_2026_35172_what_was_deleted_here_stays_away_when_it_comes_there() {
    let api = Api::open();
    let blob = api.push_blob("a", b"content").await;
    api.push_blob("b", b"content").await;
    let path = format!("/v2/a/blobs/{blob}");
    api.get(&path).await.assert(200);
    api.request(Method::DELETE, &path, &[], "").await.assert(202);
    for method in [Method::GET, Method::HEAD] {
        api.request(method, &path, &[], "").await.assert(404);
    }
    api.push_blob("b", b"content").await;
    api.get(&path).await.assert(404);
    api.get(&format!("/v2/b/blobs/{blob}")).await.assert(200);
}

/// CVE-2023-2253: the length of a page was taken for memory to be had. An allocation of these lengths would abort.
#[tokio::test]
async fn cve_2023_2253_a_huge_page_takes_no_memory() {
    let api = Api::with(|service| service.catalog_limit(usize::MAX).tags_limit(usize::MAX));
    api.push_image("a", Some("latest"), "").await;
    for list in ["/v2/_catalog", "/v2/a/tags/list"] {
        for n in ["2147483647", "9223372036854775807", "18446744073709551615"] {
            api.get(&format!("{list}?n={n}")).await.assert(200);
        }
        for n in ["-1", "99999999999999999999999", "1e100", "0x7fffffff", ""] {
            let status = api.get(&format!("{list}?n={n}")).await.status.as_u16();
            assert!([200, 400].contains(&status), "{list}?n={n}: {status}");
        }
    }
}

/// CVE-2017-11468: a manifest of any size was read into memory.
#[tokio::test]
async fn cve_2017_11468_a_manifest_without_end_is_cut() {
    let api = Api::open();
    let taken = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&taken);
    // A GiB, of which nobody may want more than the limit and what is on its way.
    let chunk = Bytes::from(vec![b' '; 64 * 1024]);
    let chunks = futures::stream::iter(0..16 * 1024).map(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
        Ok::<_, std::io::Error>(chunk.clone())
    });
    let request =
        Request::put("/v2/a/manifests/1").header("host", "registry.test").header("content-type", OCI_MANIFEST);
    let reply = api.send(request.body(Body::from_stream(chunks)).unwrap()).await;
    reply.assert_error(413, "MANIFEST_INVALID");
    assert!(taken.load(Ordering::Relaxed) <= 65, "{taken:?}");
}

/// CVE-2026-31801: the tag `latest` could be set by who may not change tags. No name of a tag is special.
#[tokio::test]
async fn cve_2026_31801_no_tag_goes_past_the_rules() {
    let (api, rules) = guarded().await;
    let ann = Rule::new(vec![Subject::User("ann".into())], vec!["**".parse().unwrap()], [Action::Pull].into());
    rules.reload(Policy::new(vec![ann], [].into()));
    let digest = sha256(image("").as_bytes());
    let before = api.snapshot().await;
    let headers = [ANN, ("content-type", OCI_MANIFEST)];
    for tag in ["latest", "LATEST", "stable", "v1", "sha256-x", "_"] {
        for path in [format!("/v2/ann/app/manifests/{tag}"), format!("/v2/ann/app/manifests/{digest}?tag={tag}")] {
            api.request(Method::PUT, &path, &headers, image("")).await.assert(403);
            api.request(Method::DELETE, &path, &headers, "").await.assert(403);
        }
    }
    assert_eq!(api.snapshot().await, before);
}

/// In 2023 GHCR told the name of a private repository in a header of a mount. What headers there may be is written down
/// here, so that a new one is thought about.
#[tokio::test]
async fn no_header_tells_more_than_is_meant() {
    const KNOWN: [&str; 20] = [
        "accept-ranges",
        "allow",
        "cache-control",
        "content-length",
        "content-range",
        "content-security-policy",
        "content-type",
        "docker-content-digest",
        "docker-distribution-api-version",
        "docker-upload-uuid",
        "etag",
        "link",
        "location",
        "oci-chunk-min-length",
        "oci-subject",
        "oci-tag",
        "range",
        "www-authenticate",
        "x-content-type-options",
        "x-request-id",
    ];
    let (api, _) = guarded().await;
    let blob = sha256(b"{}");
    let manifest = sha256(image("").as_bytes());
    let push = [ANN, ("content-type", OCI_MANIFEST)];
    let mut seen = BTreeSet::new();
    for (method, path) in [
        (Method::GET, "/v2/".to_owned()),
        (Method::GET, "/v2/_catalog?n=1".to_owned()),
        (Method::GET, "/v2/ann/app/tags/list".to_owned()),
        (Method::GET, "/v2/ann/app/manifests/latest".to_owned()),
        (Method::PUT, format!("/v2/ann/app/manifests/{manifest}?tag=x")),
        (Method::GET, format!("/v2/ann/app/blobs/{blob}")),
        (Method::GET, format!("/v2/ann/app/referrers/{manifest}")),
        (Method::POST, format!("/v2/ann/app/blobs/uploads/?mount={blob}&from=hidden/app")),
        (Method::POST, format!("/v2/ann/app/blobs/uploads/?mount={blob}")),
        (Method::POST, "/v2/ann/app/blobs/uploads/".to_owned()),
        (Method::PUT, "/v2/ann/app/blobs/uploads/".to_owned()),
        (Method::GET, "/v2/hidden/app/tags/list".to_owned()),
        (Method::DELETE, "/v2/ann/app/manifests/x".to_owned()),
    ] {
        let reply = api.request(method, &path, &push, image("")).await;
        assert!(!format!("{:?}", reply.headers).contains("hidden"), "{path}: {:?}", reply.headers);
        seen.extend(reply.headers.keys().map(ToString::to_string));
    }
    let unknown: Vec<_> = seen.iter().filter(|name| !KNOWN.contains(&name.as_str())).collect();
    assert!(unknown.is_empty() && seen.len() > 12, "{unknown:?} {seen:?}");
}

/// CVE-2025-23208: who was taken out of a group kept its rights.
#[tokio::test]
async fn cve_2025_23208_rights_that_are_taken_away_are_gone() {
    let (api, rules) = guarded().await;
    api.request(Method::GET, "/v2/ann/app/manifests/latest", &[ANN], "").await.assert(200);
    rules.reload(Policy::default());
    api.request(Method::GET, "/v2/ann/app/manifests/latest", &[ANN], "").await.assert(403);
    api.get("/v2/public/app/manifests/latest").await.assert(401);
}

/// CVE-2024-39897: content of others could be looked at and mounted by who knew its digest.
#[tokio::test]
async fn cve_2024_39897_a_digest_is_no_key_to_the_content_of_others() {
    let (api, _) = guarded().await;
    let content = Api {
        service: service(api.service.registry().clone()).authenticator(Arc::new(registry_auth::Anonymous)).build(),
        ..api.clone()
    };
    let secret = content.push_blob("hidden/app", b"secret").await;
    for method in [Method::GET, Method::HEAD] {
        api.request(method, &format!("/v2/ann/app/blobs/{secret}"), &[ANN], "").await.assert(404);
    }
    for mount in [format!("mount={secret}&from=hidden/app"), format!("mount={secret}")] {
        let path = format!("/v2/ann/app/blobs/uploads/?{mount}");
        let missing = path.replace(&secret.to_string(), &sha256(b"nowhere").to_string());
        let seen = api.request(Method::POST, &path, &[ANN], "").await.assert(202);
        let unseen = api.request(Method::POST, &missing, &[ANN], "").await.assert(202);
        let names = |reply: &crate::client::Reply| {
            let mut names: Vec<_> = reply.headers.keys().map(ToString::to_string).collect();
            names.sort();
            names
        };
        // Nor does a header tell of it.
        assert_eq!(names(&seen), names(&unseen));
        assert!(!format!("{:?}", seen.headers).contains("hidden"));
    }
    api.request(Method::HEAD, &format!("/v2/ann/app/blobs/{secret}"), &[ANN], "").await.assert(404);
}

/// CVE-2026-27771: what was private could be pulled without a login by some of the routes.
#[tokio::test]
async fn cve_2026_27771_nothing_private_is_read_without_a_login() {
    let (api, _) = guarded().await;
    let (blob, manifest) = (sha256(b"{}"), sha256(image("").as_bytes()));
    for path in [
        "/v2/ann/app/tags/list".to_owned(),
        "/v2/ann/app/manifests/latest".to_owned(),
        format!("/v2/ann/app/manifests/{manifest}"),
        format!("/v2/ann/app/blobs/{blob}"),
        format!("/v2/ann/app/referrers/{manifest}"),
        "/v2/ann/app/blobs/uploads/0190a0b0-0000-7000-8000-000000000000".to_owned(),
    ] {
        for method in [Method::GET, Method::HEAD] {
            for range in [None, Some(("range", "bytes=0-0"))] {
                let headers: Vec<_> = range.into_iter().collect();
                api.request(method.clone(), &path, &headers, "").await.assert(401);
            }
        }
    }
    assert_eq!(api.get("/v2/_catalog").await.assert(200).json()["repositories"], serde_json::json!(["public/app"]));
}

/// CVE-2021-41190: one text was a manifest to some and an index to others.
#[tokio::test]
async fn cve_2021_41190_a_manifest_is_of_one_type() {
    let api = Api::open();
    api.push_blob("a", b"{}").await;
    let part = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    let both = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{part},"layers":[{part}],"manifests":[{part}]}}"#
    );
    let untyped = format!(r#"{{"schemaVersion":2,"config":{part},"layers":[{part}],"manifests":[{part}]}}"#);
    for (content, media_type) in
        [(both.clone(), OCI_MANIFEST), (both, OCI_INDEX), (untyped, OCI_MANIFEST), (image(""), OCI_INDEX)]
    {
        let reply = api.request(Method::PUT, "/v2/a/manifests/1", &[("content-type", media_type)], content).await;
        reply.assert_error(400, "MANIFEST_INVALID");
    }
    api.push_image("a", Some("1"), "").await;
    for accept in [OCI_MANIFEST, OCI_INDEX, "*/*"] {
        let reply = api.request(Method::GET, "/v2/a/manifests/1", &[("accept", accept)], "").await.assert(200);
        assert_eq!(reply.header("content-type"), OCI_MANIFEST);
    }
}
