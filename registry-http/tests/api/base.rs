//! `/`, `/v2/`, and what all answers have in common.

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::client::{Api, Reply};

#[tokio::test]
async fn this_is_a_registry() {
    let api = Api::open();
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
        let reply = api.request(method, "/v2/", &[], "").await.assert(200);
        assert_eq!((&reply.body[..], reply.header("content-length")), (&b"{}"[..], "2"));
        assert_eq!(reply.header("content-type"), "application/json");
    }
    let reply = api.request(Method::HEAD, "/v2/", &[], "").await.assert(200);
    assert_eq!((reply.body.len(), reply.header("content-length")), (0, "2"));
}

#[tokio::test]
async fn every_answer_names_the_version_of_the_api() {
    let api = Api::open();
    for (method, path) in [
        (Method::GET, "/v2/"),
        (Method::GET, "/v2"),
        (Method::GET, "/v2/x"),
        (Method::GET, "/v2/UPPER/tags/list"),
        (Method::GET, "/v2/a/tags/list"),
        (Method::GET, "/v2/a/manifests/x"),
        (Method::PUT, "/v2/a/tags/list"),
        (Method::OPTIONS, "/v2/a/tags/list"),
        (Method::GET, "/v2/_catalog?n=x"),
    ] {
        let reply = api.request(method, path, &[], "").await;
        assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0", "{path}");
        assert_eq!(reply.header("x-content-type-options"), "nosniff", "{path}");
    }
}

#[tokio::test]
async fn other_paths_are_not_found() {
    let reply = Api::open().get("/v2/nothing").await.assert(404);
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(reply.body, "404 page not found\n");
}

#[tokio::test]
async fn slashes_are_put_right() {
    let api = Api::open();
    for (method, path, status, location) in [
        (Method::GET, "/v2", 301, "/v2/"),
        (Method::GET, "/v2/x/tags/list/?n=5", 301, "/v2/x/tags/list?n=5"),
        (Method::HEAD, "/v2/x/manifests/latest/", 301, "/v2/x/manifests/latest"),
        (Method::PUT, "/v2/x/manifests/latest/", 308, "/v2/x/manifests/latest"),
    ] {
        let reply = api.request(method, path, &[], "").await.assert(status);
        assert_eq!(reply.header("location"), location);
    }
    api.request(Method::POST, "/v2/x/blobs/uploads", &[], "").await.assert(202);
}

#[tokio::test]
async fn methods_that_a_route_has_not_are_refused() {
    let api = Api::open();
    let digest = crate::client::sha256(b"");
    for (method, path, allow) in [
        (Method::POST, "/v2/_catalog", "GET, HEAD"),
        (Method::DELETE, "/v2/a/tags/list", "GET, HEAD"),
        (Method::PATCH, "/v2/a/manifests/x", "DELETE, GET, HEAD, PUT"),
        (Method::PUT, &format!("/v2/a/blobs/{digest}"), "DELETE, GET, HEAD"),
        (Method::GET, "/v2/a/blobs/uploads/", "POST"),
        (Method::TRACE, &format!("/v2/a/referrers/{digest}"), "GET, HEAD"),
    ] {
        let reply = api.request(method, path, &[], "").await.assert_error(405, "UNSUPPORTED");
        assert_eq!(reply.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn load_balancers_get_an_answer_of_their_own() {
    let service = Api::open().service;
    let response = service.clone().oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["cache-control"], "no-cache");
    assert!(!response.headers().contains_key("docker-distribution-api-version"));
    let response = service.oneshot(Request::get("/other").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn configured_headers_are_added_where_there_is_a_route() {
    let headers = [("x-extra", "1"), ("access-control-allow-origin", "*"), ("x-content-type-options", "nosniff")];
    let headers = headers.into_iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
    let api = Api::with(|service| service.headers(headers));
    let extra = |reply: &Reply| reply.has("x-extra");
    assert!(extra(&api.get("/v2/").await));
    assert!(extra(&api.get("/v2/a/tags/list").await));
    assert!(extra(&api.request(Method::OPTIONS, "/v2/_catalog", &[], "").await));
    assert!(!extra(&api.get("/v2/nothing").await));
    let reply = api.get("/v2/").await;
    assert_eq!(reply.headers.get_all("x-content-type-options").iter().count(), 1);
}

#[tokio::test]
async fn all_routes_can_stand_behind_a_prefix() {
    let api = Api::with(|service| service.prefix("/registry/".parse().unwrap()));
    api.get("/registry/v2/").await.assert(200);
    api.get("/v2/").await.assert(404);
    let reply = api.request(Method::POST, "/registry/v2/a/blobs/uploads/", &[], "").await.assert(202);
    assert!(reply.header("location").starts_with("http://registry.test/registry/v2/a/blobs/uploads/"));
    assert_eq!(api.get("/registry/v2").await.assert(301).header("location"), "/registry/v2/");
}

#[tokio::test]
async fn the_router_merges_into_an_application() {
    let application = Router::new().route("/", get(|| async { "home" })).merge(Api::open().service.into_router());
    let body = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        application.clone().oneshot(request).await.unwrap().into_body().collect().await.unwrap().to_bytes()
    };
    assert_eq!(body("/").await, "home");
    assert_eq!(body("/v2/").await, "{}");
    assert_eq!(body("/v2/a/b/c/tags/list").await.first(), Some(&b'{'));
}

#[tokio::test]
async fn encoded_bodies_are_refused() {
    let api = Api::open();
    let path = "/v2/a/blobs/uploads/";
    api.request(Method::POST, path, &[("content-encoding", "gzip")], "").await.assert_error(415, "UNSUPPORTED");
    api.request(Method::POST, path, &[("content-encoding", "identity")], "").await.assert(202);
}
