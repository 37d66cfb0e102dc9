//! `/v2/_catalog`

use http::Method;
use serde_json::json;

use crate::client::Api;

async fn with_repositories() -> Api {
    let api = Api::open();
    for name in ["a/b", "a-b", "a", "c/d/e"] {
        api.push_image(name, Some("latest"), "").await;
    }
    api.push_blob("blobs/only", b"x").await;
    api
}

#[tokio::test]
async fn all_repositories_in_order() {
    let api = with_repositories().await;
    let reply = api.get("/v2/_catalog").await.assert(200);
    assert_eq!(reply.json(), json!({"repositories": ["a", "a/b", "a-b", "c/d/e"]}));
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.has("link"));
    api.request(Method::HEAD, "/v2/_catalog", &[], "").await.assert(200);
    assert_eq!(Api::open().get("/v2/_catalog").await.assert(200).json(), json!({"repositories": []}));
}

#[tokio::test]
async fn page_by_page() {
    let api = with_repositories().await;
    let reply = api.get("/v2/_catalog?n=2").await.assert(200);
    assert_eq!(reply.json()["repositories"], json!(["a", "a/b"]));
    assert_eq!(reply.header("link"), r#"</v2/_catalog?last=a%2Fb&n=2>; rel="next""#);
    let reply = api.get("/v2/_catalog?last=a%2Fb&n=2").await.assert(200);
    assert_eq!(reply.json()["repositories"], json!(["a-b", "c/d/e"]));
    assert!(!reply.has("link"));
    assert_eq!(api.get("/v2/_catalog?n=0").await.assert(200).json()["repositories"], json!([]));
    for bad in ["-1", "abc", "1e100"] {
        api.get(&format!("/v2/_catalog?n={bad}")).await.assert_error(400, "PAGINATION_NUMBER_INVALID");
    }
}

#[tokio::test]
async fn who_asks_for_too_many_gets_the_most() {
    let api = with_repositories().await.again(|service| service.catalog_limit(3));
    for asked in ["?n=100000", "?n=99999999999999999999", ""] {
        let reply = api.get(&format!("/v2/_catalog{asked}")).await.assert(200);
        assert_eq!(reply.json()["repositories"].as_array().unwrap().len(), 3, "{asked}");
        assert_eq!(reply.header("link"), r#"</v2/_catalog?last=a-b&n=3>; rel="next""#);
    }
}
