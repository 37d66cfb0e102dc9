//! What is not a caller's to pull is not there for them: neither in the catalog, nor as the source of a mount.

use std::sync::Arc;

use http::Method;
use registry_auth::{Action, Policy, Rule, Subject};
use registry_core::Registry;
use registry_core::storage::{Faulty, Memory, Operation};
use registry_http::service;
use serde_json::json;

use crate::client::{Api, optional_logins, sha256};

const NOBODY: &[(&str, &str)] = &[];
const ANN: &[(&str, &str)] = &[("authorization", "Basic YW5uOng=")];
const BOB: &[(&str, &str)] = &[("authorization", "Basic Ym9iOng=")];

/// Everybody pulls below `public`; ann and bob do everything below their names.
fn policy() -> Policy {
    let public = Rule::new(vec![Subject::Anyone], vec!["public/**".parse().unwrap()], [Action::Pull].into());
    let own = Rule::new(vec![Subject::Authenticated], vec!["{user}/**".parse().unwrap()], Action::ALL.into());
    Policy::new(vec![public, own], [].into())
}

fn guarded(registry: Registry, storage: Arc<Memory>) -> Api {
    let service = service(registry).authenticator(optional_logins("x")).authorizer(Arc::new(policy())).build();
    Api { storage, service }
}

async fn with_repositories() -> Api {
    let api = Api::open();
    for name in ["ann/a", "ann/b", "bob/a", "bob/b", "bob/c", "public/a", "public/b", "zed/a"] {
        api.push_image(name, Some("latest"), "").await;
    }
    guarded(api.service.registry().clone(), api.storage)
}

/// The names on all pages of `n`, and the links between these.
async fn walk(api: &Api, who: &[(&str, &str)], n: usize) -> (Vec<String>, Vec<String>) {
    let (mut names, mut links) = (Vec::new(), Vec::new());
    let mut next = format!("/v2/_catalog?n={n}");
    loop {
        let reply = api.request(Method::GET, &next, who, "").await.assert(200);
        let page: Vec<String> = serde_json::from_value(reply.json()["repositories"].clone()).unwrap();
        assert!(!page.is_empty() && page.len() <= n, "{page:?}");
        assert!(page.len() == n || !reply.has("link"), "a page with a next one is full");
        names.extend(page);
        if !reply.has("link") {
            return (names, links);
        }
        let link = reply.header("link").to_owned();
        link.split(['<', '>']).nth(1).unwrap().clone_into(&mut next);
        links.push(link);
    }
}

#[tokio::test]
async fn the_catalog_names_nothing_hidden() {
    let api = with_repositories().await;
    for (who, expected) in [
        (NOBODY, &["public/a", "public/b"] as &[_]),
        (ANN, &["ann/a", "ann/b", "public/a", "public/b"]),
        (BOB, &["bob/a", "bob/b", "bob/c", "public/a", "public/b"]),
    ] {
        for n in [1, 2, 3, 100] {
            let (names, links) = walk(&api, who, n).await;
            assert_eq!(names, expected, "{n}");
            assert_eq!(links.len(), expected.len().div_ceil(n) - 1);
            for link in links {
                assert!(expected.iter().any(|name| link.contains(&name.replace('/', "%2F"))), "{link}");
            }
        }
    }
    let behind = api.get("/v2/_catalog?last=bob%2Fb&n=1").await.assert(200);
    assert_eq!(behind.json(), json!({"repositories": ["public/a"]}));
}

#[tokio::test]
async fn public_content_does_not_hide_that_there_are_logins() {
    let api = with_repositories().await;
    assert_eq!(api.get("/v2/").await.assert(401).header("www-authenticate"), r#"Basic realm="test""#);
    api.get("/v2/public/a/manifests/latest").await.assert(200);
    api.request(Method::GET, "/v2/", ANN, "").await.assert(200);
}

/// What the storage is asked for by a mount into `ann/x`.
async fn work(api: &Api, faulty: &Faulty, query: &str) -> (u16, Vec<Operation>) {
    let before = faulty.operations().len();
    let reply = api.request(Method::POST, &format!("/v2/ann/x/blobs/uploads/?{query}"), ANN, "").await;
    (reply.status.as_u16(), faulty.operations().split_off(before))
}

fn touches(operations: &[Operation], text: &str) -> bool {
    operations.iter().any(|operation| operation.key.to_string().contains(text))
}

#[tokio::test]
async fn a_mount_does_not_touch_what_the_caller_may_not_pull() {
    let open = Api::open();
    let hidden = open.push_blob("bob/a", b"hidden").await;
    let shared = open.push_blob("public/a", b"shared").await;
    let missing = sha256(b"missing");
    let faulty = Arc::new(Faulty::new(open.storage.clone()));
    let api = guarded(Registry::builder(faulty.clone()).build(), open.storage);
    for from in ["&from=bob/a", ""] {
        let (status, there) = work(&api, &faulty, &format!("mount={hidden}{from}")).await;
        assert_eq!(status, 202);
        assert!(!touches(&there, "bob/a/_"), "{there:?}");
        assert!(!touches(&there, "v2/blobs/"), "{there:?}");
        let (_, absent) = work(&api, &faulty, &format!("mount={missing}{from}")).await;
        let kinds = |operations: &[Operation]| operations.iter().map(|operation| operation.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&there), kinds(&absent));
    }
    for from in ["&from=public/a", ""] {
        assert_eq!(work(&api, &faulty, &format!("mount={shared}{from}")).await.0, 201);
    }
}
