//! `/v2/NAME/referrers/DIGEST`

use http::Method;
use serde_json::{Value, json};

use crate::client::{Api, OCI_INDEX, OCI_MANIFEST, image, sha256};

fn referring_to(subject: &str, artifact_type: &str, note: &str) -> String {
    format!(r#","artifactType":"{artifact_type}","annotations":{{"note":"{note}"}},"subject":{subject}"#)
}

/// An image with a signature and two reports about it; gives the digest of the image.
async fn with_referrers() -> (Api, String) {
    let api = Api::open();
    let digest = api.push_image("lib/a", Some("latest"), "").await;
    let size = image("").len();
    let subject = format!(r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{size}}}"#);
    for (artifact_type, note) in
        [("application/sig", "1"), ("application/report+x", "2"), ("application/report+x", "3")]
    {
        let content = image(&referring_to(&subject, artifact_type, note));
        let path = format!("/v2/lib/a/manifests/{}", sha256(content.as_bytes()));
        let reply = api.request(Method::PUT, &path, &[("content-type", OCI_MANIFEST)], content).await.assert(201);
        assert_eq!(reply.header("oci-subject"), digest.to_string());
    }
    (api, digest.to_string())
}

#[tokio::test]
async fn a_manifest_has_referrers() {
    let (api, digest) = with_referrers().await;
    let reply = api.get(&format!("/v2/lib/a/referrers/{digest}")).await.assert(200);
    assert_eq!(reply.header("content-type"), OCI_INDEX);
    assert!(!reply.has("oci-filters-applied") && !reply.has("link"));
    let index = reply.json();
    assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(OCI_INDEX)));
    let mut notes: Vec<_> =
        index["manifests"].as_array().unwrap().iter().map(|r| r["annotations"]["note"].clone()).collect();
    notes.sort_by_key(Value::to_string);
    assert_eq!(notes, ["1", "2", "3"]);
    api.request(Method::HEAD, &format!("/v2/lib/a/referrers/{digest}"), &[], "").await.assert(200);
}

#[tokio::test]
async fn they_can_be_filtered_and_paged() {
    let (api, digest) = with_referrers().await;
    let mut path = format!("/v2/lib/a/referrers/{digest}?artifactType=application%2Freport%2Bx&n=1");
    let mut found = Vec::new();
    loop {
        let reply = api.get(&path).await.assert(200);
        assert_eq!(reply.header("oci-filters-applied"), "artifactType");
        found.extend(reply.json()["manifests"].as_array().unwrap().clone());
        if !reply.has("link") {
            break;
        }
        let link = reply.header("link").strip_suffix(r#">; rel="next""#).unwrap();
        path = link.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|referrer| referrer["artifactType"] == "application/report+x"));
}

#[tokio::test]
async fn large_pages_have_their_bounds() {
    let api = Api::open();
    let digest = api.push_image("lib/a", Some("latest"), "").await;
    let subject = format!(r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{}}}"#, image("").len());
    let content = image(&referring_to(&subject, "application/sig", &"x".repeat(65 * 1024)));
    let path = format!("/v2/lib/a/manifests/{}", sha256(content.as_bytes()));
    api.request(Method::PUT, &path, &[("content-type", OCI_MANIFEST)], content).await.assert(201);
    let path = format!("/v2/lib/a/referrers/{digest}");
    let api = api.again(|service| service.manifest_memory(64 * 1024));
    assert!(api.get(&path).await.assert_error(429, "TOOMANYREQUESTS").has("retry-after"));
    api.request(Method::HEAD, &path, &[], "").await.assert(200);
    api.get(&format!("{path}?artifactType=application%2Fnone")).await.assert(200);
    let api = api.again(|service| service.manifest_memory(100 * 1024));
    api.get(&path).await.assert(200);
    api.get(&path).await.assert(200);
}

#[tokio::test]
async fn there_is_always_an_answer() {
    let reply = Api::open().get(&format!("/v2/nobody/referrers/{}", sha256(b"x"))).await.assert(200);
    assert_eq!(reply.header("content-type"), OCI_INDEX);
    assert_eq!(reply.json(), json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}));
}

#[tokio::test]
async fn bad_digests_and_pages_are_refused() {
    let api = Api::open();
    api.get("/v2/a/referrers/sha256:x").await.assert_error(400, "DIGEST_INVALID");
    let path = format!("/v2/a/referrers/{}", sha256(b"x"));
    api.get(&format!("{path}?last=x")).await.assert_error(400, "DIGEST_INVALID");
    api.get(&format!("{path}?n=-1")).await.assert_error(400, "PAGINATION_NUMBER_INVALID");
}
