//! `/v2/NAME/tags/list`

use http::Method;
use registry_core::layout;
use registry_core::storage::{Storage as _, WriteOptions};
use serde_json::json;

use crate::client::Api;

const LIST: &str = "/v2/lib/a/tags/list";

async fn with_tags() -> Api {
    let api = Api::open();
    for tag in ["c", "a", "b", "B", "a.1"] {
        api.push_image("lib/a", Some(tag), "").await;
    }
    api
}

#[tokio::test]
async fn all_tags_in_order() {
    let api = with_tags().await;
    let reply = api.get(LIST).await.assert(200);
    assert_eq!(reply.json(), json!({"name": "lib/a", "tags": ["B", "a", "a.1", "b", "c"]}));
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(!reply.has("link"));
    let head = api.request(Method::HEAD, LIST, &[], "").await.assert(200);
    assert_eq!((head.body.len(), head.header("content-length")), (0, reply.header("content-length")));
}

#[tokio::test]
async fn page_by_page() {
    let api = with_tags().await;
    let (mut path, mut found, mut pages) = (format!("{LIST}?n=2"), Vec::new(), 0);
    loop {
        let reply = api.get(&path).await.assert(200);
        found.extend(reply.json()["tags"].as_array().unwrap().clone());
        pages += 1;
        if !reply.has("link") {
            break;
        }
        let link = reply.header("link").strip_suffix(r#">; rel="next""#).unwrap();
        path = link.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!((found, pages), (vec![json!("B"), json!("a"), json!("a.1"), json!("b"), json!("c")], 3));
}

#[tokio::test]
async fn links_and_numbers() {
    let api = with_tags().await;
    let reply = api.get(&format!("{LIST}?n=3")).await;
    assert_eq!(reply.header("link"), format!(r#"<{LIST}?last=a.1&n=3>; rel="next""#));
    let tags =
        async |parameters: &str| api.get(&format!("{LIST}?{parameters}")).await.assert(200).json()["tags"].clone();
    assert_eq!(tags("last=a").await, json!(["a.1", "b", "c"]));
    assert_eq!(tags("last=zz").await, json!([]));
    assert_eq!(tags("n=0").await, json!([]));
    assert_eq!(tags("n=9223372036854775808").await.as_array().unwrap().len(), 5);
    assert_eq!(tags("last=..%2F..%2F%00%0d%0a&n=1").await, json!(["B"]));
    for bad in ["-1", "abc", "1e100"] {
        let reply = api.get(&format!("{LIST}?n={bad}")).await.assert_error(400, "PAGINATION_NUMBER_INVALID");
        assert_eq!(reply.json()["errors"][0]["detail"]["n"], bad);
    }
}

#[tokio::test]
async fn a_long_page_is_cut_only_if_one_was_asked_for() {
    let api = with_tags().await.again(|service| service.tags_limit(2));
    assert_eq!(api.get(LIST).await.json()["tags"].as_array().unwrap().len(), 5);
    let reply = api.get(&format!("{LIST}?n=1000")).await;
    assert_eq!(reply.json()["tags"].as_array().unwrap().len(), 2);
    assert_eq!(reply.header("link"), format!(r#"<{LIST}?last=a&n=2>; rel="next""#));
}

#[tokio::test]
async fn a_repository_without_manifests_is_unknown() {
    let api = Api::open();
    for path in [LIST, "/v2/lib/a/tags/list?n=0"] {
        let reply = api.get(path).await.assert_error(404, "NAME_UNKNOWN");
        assert_eq!(reply.json()["errors"][0]["detail"], json!({"name": "lib/a"}));
    }
    api.push_image("lib/a", None, "").await;
    assert_eq!(api.get(LIST).await.assert(200).json()["tags"], json!([]));
}

#[tokio::test]
async fn very_many_tags_come_whole() {
    let api = Api::open();
    let digest = api.push_image("lib/a", Some("t00000"), "").await;
    let name = "lib/a".parse().unwrap();
    let expected: Vec<String> = (0..25_000).map(|number| format!("t{number:05}")).collect();
    for tag in &expected {
        let key = layout::tag_current(&name, &tag.parse().unwrap());
        api.storage.write(&key, layout::link(&digest), WriteOptions::default()).await.unwrap();
    }
    let reply = api.get(LIST).await.assert(200);
    assert_eq!(reply.json(), json!({"name": "lib/a", "tags": expected}));
    assert!(!reply.has("link"));
}
