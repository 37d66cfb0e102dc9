use http::Method;
use registry_http::Ui;

use super::{SAME_ORIGIN, guarded, log_in, open, submit};
use crate::client::{Api, OCI_INDEX, OCI_MANIFEST, descriptor, image, sha256};

async fn tags(api: &Api, name: &str) -> Vec<String> {
    let reply = api.get(&format!("/v2/{name}/tags/list")).await;
    if reply.status == 404 {
        return Vec::new();
    }
    serde_json::from_value(reply.json()["tags"].clone()).unwrap()
}

async fn has(api: &Api, name: &str, digest: &registry_core::Digest) -> bool {
    api.get(&format!("/v2/{name}/manifests/{digest}")).await.status == 200
}

const THERE: &str = "/ui/repositories/a/-/delete";

#[tokio::test]
async fn nothing_goes_before_it_is_confirmed() {
    let api = open();
    let digest = api.push_image("a", Some("1"), "").await;
    let before = api.snapshot().await;
    submit(&api, THERE, &[], "tag=1").await.assert(200).shows("Delete from a?").shows("Deleting this frees <b>");
    submit(&api, THERE, &[], "everything=1").await.assert(200).shows("Delete a?");
    submit(&api, THERE, &[], "everything=1&confirmed=1").await.assert(200).shows("That is not its name.");
    submit(&api, THERE, &[], "everything=1&confirmed=1&name=b").await.assert(200).shows("That is not its name.");
    submit(&api, THERE, &[], "").await.assert(400);
    submit(&api, THERE, &[], "tag=../x").await.assert(400);
    submit(&api, THERE, &[], "digest=x").await.assert(400);
    assert_eq!(api.snapshot().await, before);
    let done = submit(&api, THERE, &[], "tag=1&confirmed=1&images=1").await.assert(303);
    assert_eq!(done.location(), "/ui/?deleted=1%20tag,%201%20manifest");
    assert!(!has(&api, "a", &digest).await);
}

#[tokio::test]
async fn other_sites_delete_nothing() {
    let open = open();
    open.push_image("a", Some("1"), "").await;
    let api = guarded(&open);
    let ann = log_in(&api, "ann").await;
    let before = api.snapshot().await;
    for headers in [
        &[][..],
        &[("origin", "http://evil.example")],
        &[("sec-fetch-site", "cross-site"), SAME_ORIGIN],
        &[("origin", "null")],
    ] {
        let mut headers = headers.to_vec();
        headers.push(("cookie", &ann));
        api.request(Method::POST, THERE, &headers, "tag=1&confirmed=1&images=1").await.assert(403);
    }
    assert_eq!(api.snapshot().await, before);
}

#[tokio::test]
async fn nobody_deletes_who_may_not() {
    let open = open();
    open.push_image("a", Some("1"), "").await;
    let api = guarded(&open);
    let before = api.snapshot().await;
    assert_eq!(submit(&api, THERE, &[], "tag=1&confirmed=1").await.assert(303).location(), "/ui/login?next=");
    let bob = log_in(&api, "bob").await;
    submit(&api, THERE, &[("cookie", &bob)], "tag=1&confirmed=1").await.assert(403);
    submit(&api, THERE, &[("cookie", &bob)], "everything=1&confirmed=1&name=a").await.assert(403);
    for fixed in [
        open.again(|service| service.ui(Ui::new()).deletes(false)),
        open.again(|service| service.ui(Ui::new()).read_only(true)),
    ] {
        fixed.get("/ui/repositories/a").await.assert(200).hides("Delete");
        submit(&fixed, THERE, &[], "tag=1&confirmed=1&images=1").await.assert(400);
    }
    assert_eq!(api.snapshot().await, before);
    let ann = log_in(&api, "ann").await;
    submit(&api, THERE, &[("cookie", &ann)], "tag=1&confirmed=1&images=1").await.assert(303);
    assert_eq!(tags(&open, "a").await, Vec::<String>::new());
}

#[tokio::test]
async fn an_image_goes_with_its_last_tag() {
    let api = open();
    let digest = api.push_image("a", Some("1"), "").await;
    api.push_image("a", Some("2"), "").await;
    let other = api.push_image("a", Some("other"), r#","annotations":{"x":"y"}"#).await;
    // The second tag still needs it, and so nothing is freed.
    submit(&api, THERE, &[], "tag=1").await.assert(200).shows("frees <b>0 B</b>").shows("Also the 0 manifests");
    submit(&api, THERE, &[], "tag=1&confirmed=1&images=1").await.assert(303);
    assert!(has(&api, "a", &digest).await);
    assert_eq!(tags(&api, "a").await, ["2", "other"]);
    // Without its images a tag goes alone.
    submit(&api, THERE, &[], "tag=2&confirmed=1").await.assert(303);
    assert!(has(&api, "a", &digest).await);
    api.get("/ui/repositories/a?untagged=1").await.assert(200).shows(&format!("value=\"{digest}\""));
    submit(&api, THERE, &[], &format!("digest={digest}&confirmed=1&images=1")).await.assert(303);
    assert!(!has(&api, "a", &digest).await && has(&api, "a", &other).await);
}

#[tokio::test]
async fn what_an_index_names_goes_with_it_unless_others_need_it() {
    let api = open();
    let children = [r#","annotations":{"n":"1"}"#, r#","annotations":{"n":"2"}"#, r#","annotations":{"n":"3"}"#];
    let mut digests = Vec::new();
    for extra in children {
        digests.push(api.push_image("a", None, extra).await);
    }
    let index = |of: &[usize]| {
        let named =
            of.iter().map(|at| descriptor(OCI_MANIFEST, image(children[*at]).as_bytes())).collect::<Vec<_>>().join(",");
        format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{named}]}}"#)
    };
    for (tag, content) in [("one", index(&[0, 1, 2])), ("two", index(&[1]))] {
        api.request(Method::PUT, &format!("/v2/a/manifests/{tag}"), &[("content-type", OCI_INDEX)], content)
            .await
            .assert(201);
    }
    api.push_image("a", Some("third"), children[2]).await;
    let subject = descriptor(OCI_INDEX, index(&[0, 1, 2]).as_bytes());
    let signature = api.push_image("a", None, &format!(r#","artifactType":"x/sig","subject":{subject}"#)).await;
    // The index, the child that nothing else names, and the signature.
    submit(&api, THERE, &[], "tag=one").await.assert(200).shows("Also the 3 manifests");
    let freed = index(&[0, 1, 2]).len()
        + image(children[0]).len()
        + image(&format!(r#","artifactType":"x/sig","subject":{subject}"#)).len();
    assert!((1_000..2_000).contains(&freed), "{freed}");
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let shown = format!("frees <b>{:.2} kB</b>", freed as f64 / 1000.0);
    submit(&api, THERE, &[], "tag=one").await.assert(200).shows(&shown);
    submit(&api, THERE, &[], "tag=one&confirmed=1&images=1").await.assert(303);
    let kept =
        [has(&api, "a", &digests[0]).await, has(&api, "a", &digests[1]).await, has(&api, "a", &digests[2]).await];
    assert_eq!(kept, [false, true, true]);
    assert!(!has(&api, "a", &signature).await && !has(&api, "a", &sha256(index(&[0, 1, 2]).as_bytes())).await);
    assert_eq!(tags(&api, "a").await, ["third", "two"]);
}

#[tokio::test]
async fn a_repository_goes_as_a_whole() {
    let api = open();
    for tag in ["1", "2"] {
        api.push_image("a", Some(tag), "").await;
    }
    api.push_image("a", None, r#","annotations":{"x":"y"}"#).await;
    api.push_image("a/b", Some("1"), "").await;
    let done = submit(&api, THERE, &[], "everything=1&confirmed=1&name=a").await.assert(303);
    assert_eq!(done.location(), "/ui/?deleted=a%20with%202%20tags");
    api.get(&done.location()).await.assert(200).shows("Deleted: a with 2 tags.");
    assert_eq!(api.get("/v2/_catalog").await.json()["repositories"], serde_json::json!(["a/b"]));
    api.get("/ui/repositories/a").await.assert(404);
    // Deleting it again says so, and harms nothing.
    submit(&api, THERE, &[], "everything=1&confirmed=1&name=a").await.assert(303);
    submit(&api, THERE, &[], "tag=1&confirmed=1&images=1").await.assert(303);
}
