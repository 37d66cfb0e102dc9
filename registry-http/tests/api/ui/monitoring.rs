use std::sync::Arc;

use http::Method;
use registry_core::Registry;
use registry_core::storage::{Fault, Faulty, OperationKind};
use registry_http::Ui;

use super::{guarded, guarded_with, log_in, open};
use crate::client::Api;

#[tokio::test]
async fn requests_of_the_api_are_shown_by_what_became_of_them() {
    let mut faulty = None;
    let api = Api::over(
        |storage| Registry::builder(Arc::clone(faulty.insert(Arc::new(Faulty::new(storage)))) as _),
        |service| service.ui(Ui::new()),
    );
    let faulty = faulty.unwrap();
    let page = api.get("/ui/monitoring").await.assert(200);
    page.shows("<dt>Requests</dt><dd>0</dd>").shows("the numbers stand in the table below");
    // An upload begins and is ended, the configuration and the layer each, and then comes the manifest.
    api.push_image("a", Some("1"), "").await;
    let before = count(&api, "Requests").await;
    for path in ["/v2/a/manifests/1", "/v2/a/tags/list", "/v2/a/manifests/2", "/ui/", "/", "/nowhere"] {
        api.get(path).await;
    }
    assert_eq!(count(&api, "Requests").await, before + 3, "pages and what is nowhere are none");
    assert_eq!((count(&api, "Refused (4xx)").await, count(&api, "Failed (5xx)").await), (1, 0));
    faulty.fail_next(OperationKind::List, Fault::Before);
    api.get("/v2/a/tags/list").await.assert(503);
    assert_eq!(count(&api, "Failed (5xx)").await, 1);
    let page = api.get("/ui/monitoring?period=24h").await.assert(200);
    page.shows(r#"aria-current="page">Last day"#).shows("path class=\"failed\"").hides("<dd>0 B</dd>");
    api.get("/ui/monitoring?period=%3Cscript%3E").await.assert(200).shows(r#"aria-current="page">Last hour"#);
    api.request(Method::POST, "/ui/monitoring", &[], "").await.assert(405);
}

async fn count(api: &Api, name: &str) -> u64 {
    let page = api.get("/ui/monitoring").await.assert(200);
    let (_, rest) = page.text().split_once(&format!("<dt>{name}</dt><dd>")).unwrap();
    rest.split_once('<').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn how_a_server_does_is_nothing_for_passers_by() {
    let api = guarded_with(&open(), Ui::new());
    let reply = api.get("/ui/monitoring").await.assert(303);
    assert_eq!(reply.location(), "/ui/login?next=/ui/monitoring");
    let bob = log_in(&api, "bob").await;
    api.request(Method::GET, "/ui/monitoring", &[("cookie", &bob)], "").await.assert(200).shows("Requests");
}

#[tokio::test]
async fn bytes_are_counted_both_ways() {
    let open = open();
    let content: &'static [u8] = Box::leak(vec![7; 3_000_000].into_boxed_slice());
    let digest = crate::client::sha256(content);
    open.push_blob("a", content).await;
    open.get(&format!("/v2/a/blobs/{digest}")).await.assert(200);
    open.get("/ui/monitoring")
        .await
        .assert(200)
        .shows("<dt>Sent</dt><dd>3.00 MB")
        .shows("<dt>Received</dt><dd>3.00 MB");
    // Those of another service are its own.
    let other = guarded(&open);
    let ann = log_in(&other, "ann").await;
    other
        .request(Method::GET, "/ui/monitoring", &[("cookie", &ann)], "")
        .await
        .assert(200)
        .shows("<dt>Sent</dt><dd>0 B");
}
