use http::Method;
use registry_http::Ui;

use super::open;
use crate::client::{Api, OCI_INDEX, OCI_MANIFEST, descriptor, sha256};

const BROWSER: [(&str, &str); 1] = [("accept", "text/html,application/xhtml+xml,*/*;q=0.8")];

async fn put(api: &Api, repository: &str, reference: &str, media_type: &str, content: String) {
    let path = format!("/v2/{repository}/manifests/{reference}");
    api.request(Method::PUT, &path, &[("content-type", media_type)], content).await.assert(201);
}

#[tokio::test]
async fn the_root_is_a_page_for_browsers_alone() {
    let api = open();
    let mut root = api.service.clone();
    let mut ask = async |headers: &[(&str, &str)]| {
        let mut request = http::Request::builder().uri("/").header("host", "registry.test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(axum::body::Body::empty()).unwrap();
        tower::Service::call(&mut root, request).await.unwrap()
    };
    let shown = ask(&BROWSER).await;
    assert_eq!((shown.status().as_u16(), &shown.headers()["location"]), (303, &"/ui/".parse().unwrap()));
    for other in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        let alive = ask(other).await;
        assert_eq!((alive.status().as_u16(), &alive.headers()["content-length"]), (200, &"0".parse().unwrap()));
    }
    Api::open().get("/ui/").await.assert(404);
}

#[tokio::test]
async fn an_empty_registry_tells_how_to_begin() {
    let page = open().get("/ui/").await.assert(200);
    page.shows("<title>Repositories – Our images</title>")
        .shows("docker login registry.test")
        .shows("docker push registry.test/");
    let prefixed = Api::with(|service| service.ui(Ui::new()).prefix("/p/".parse().unwrap()));
    prefixed.get("/p/ui/").await.assert(200).shows(r#"href="/p/ui/assets/style."#);
    let external =
        Api::with(|service| service.ui(Ui::new()).external_url("https://images.example:8443".parse().unwrap()));
    external.get("/ui/").await.assert(200).shows("docker login images.example:8443");
}

#[tokio::test]
async fn every_page_forbids_what_none_needs() {
    let api = open();
    let digest = api.push_image("a", Some("1"), "").await;
    for path in [
        "/ui/".to_owned(),
        "/ui/?q=x".into(),
        "/ui/repositories/a".into(),
        "/ui/repositories/none".into(),
        "/ui/nothing".into(),
        "/ui/repositories/a/-/images/1".into(),
        "/ui/repositories/a/-/compare?from=1&to=1".into(),
        format!("/ui/repositories/a/-/manifests/{digest}"),
        format!("/ui/repositories/a/-/configs/{digest}"),
    ] {
        let page = api.get(&path).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8", "{path}");
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("base-uri 'none'"));
        assert_eq!(page.header("x-content-type-options"), "nosniff");
        assert_eq!(page.header("cache-control"), "no-store");
        assert!(!page.has("docker-distribution-api-version"));
        // Neither scripts nor styles in the text, and nothing from elsewhere.
        for word in ["<style", "style=", "onclick", "<script>", "src=\"http", "@import"] {
            assert!(!page.text().contains(word), "{path}: {word}");
        }
    }
    api.get("/ui/repositories/none").await.assert(404).shows("404 Not Found");
    api.get("/ui/nothing").await.assert(404);
    for (method, path) in
        [(Method::POST, "/ui/"), (Method::DELETE, "/ui/repositories/a"), (Method::GET, "/ui/repositories/a/-/delete")]
    {
        assert!(api.request(method, path, &[super::SAME_ORIGIN], "").await.assert(405).has("allow"));
    }
}

#[tokio::test]
async fn what_was_pushed_is_text() {
    let api = open();
    let evil = r#""><script>alert(1)</script><img src=x onerror=alert(1)>"#;
    let json = serde_json::to_string(evil).unwrap();
    let config = format!(
        r#"{{"architecture":{json},"os":{json},"created":{json},"config":{{"Env":[{json}],"Cmd":[{json}],"User":{json},
        "Labels":{{{json}:{json},"link":"javascript:alert(1)","good":"https://example.com/x"}}}},"history":[{{"created_by":{json}}}]}}"#
    );
    let config: &'static [u8] = Box::leak(config.into_bytes().into_boxed_slice());
    api.push_blob("a", config).await;
    api.push_blob("a", b"layer").await;
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{},"layers":[{}],"annotations":{{{json}:{json},"url":"data:text/html,x"}}}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", config),
        descriptor("application/vnd.oci.image.layer.v1.tar", b"layer")
    );
    let subject = descriptor(OCI_MANIFEST, image.as_bytes());
    let digest = sha256(image.as_bytes());
    put(&api, "a", "1", OCI_MANIFEST, image).await;
    api.push_blob("a", b"{}").await;
    let layer = descriptor("application/octet-stream", b"layer");
    let layer = layer.replace('}', &format!(r#","annotations":{{"org.opencontainers.image.title":{json}}}}}"#));
    let artifact = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","artifactType":{json},"config":{},"layers":[{layer}],"subject":{subject},
        "annotations":{{"org.opencontainers.image.created":{json}}}}}"#,
        descriptor("application/vnd.oci.empty.v1+json", b"{}")
    );
    put(&api, "a", "art", OCI_MANIFEST, artifact).await;
    for path in [
        "/ui/repositories/a".to_owned(),
        "/ui/repositories/a/-/images/1".into(),
        "/ui/repositories/a/-/images/art".into(),
        "/ui/repositories/a/-/compare?from=1&to=art".into(),
        format!("/ui/repositories/a/-/manifests/{digest}"),
        "/ui/repositories/a/-/configs/1".into(),
        "/ui/?q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E".into(),
        "/ui/repositories/a?q=%22%3E%3Cscript%3Ealert(1)".into(),
        "/ui/repositories/a?deleted=%3Cscript%3Ealert(1)".into(),
        "/ui/repositories/a/-/compare?from=%3Cscript%3Ealert(1)&to=".into(),
        "/ui/login?next=%22%3E%3Cscript%3Ealert(1)".into(),
    ] {
        let page = api.get(&path).await;
        assert!(!page.text().contains("<script>alert") && !page.text().contains("<img"), "{path}: {}", page.text());
        assert!(!page.text().contains("href=\"javascript") && !page.text().contains("href=\"data:"), "{path}");
    }
    api.get("/ui/repositories/a/-/images/1")
        .await
        .assert(200)
        .shows(r#"<a href="https://example.com/x""#)
        .shows("&#60;script&#62;");
}

#[tokio::test]
async fn content_is_for_keeping_and_never_shown() {
    let api = open();
    api.push_image("a", Some("1"), "").await;
    let digest = sha256(b"{}");
    let kept = api.get(&format!("/ui/repositories/a/-/blobs/{digest}?name=../x%22y.html")).await.assert(200);
    assert_eq!(kept.header("content-disposition"), r#"attachment; filename="x_y.html""#);
    assert_eq!(kept.header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(kept.header("content-type"), "application/octet-stream");
    assert_eq!(&kept.body[..], b"{}");
    let raw = api.get("/ui/repositories/a/-/manifests/1?download=1").await.assert(200);
    assert!(raw.header("content-disposition").starts_with("attachment"));
    assert_eq!(raw.header("content-security-policy"), "default-src 'none'; sandbox");
    api.get(&format!("/ui/repositories/b/-/blobs/{digest}")).await.assert(404);
}

#[tokio::test]
async fn tags_are_sorted_searched_and_paged() {
    let api = open();
    for tag in ["1.9", "1.10", "1.2", "latest"] {
        api.push_image("a", Some(tag), "").await;
    }
    let order = |text: &str| {
        let places = ["1.2", "1.9", "1.10", "latest"].map(|tag| text.find(&format!("/-/images/{tag}\"")));
        places.windows(2).all(|pair| pair[0] < pair[1])
    };
    assert!(order(api.get("/ui/repositories/a").await.assert(200).shows("4 tags").text()));
    api.get("/ui/repositories/a?q=1.1")
        .await
        .assert(200)
        .shows("images/1.10\"")
        .hides("images/1.9\"")
        .shows("1 tag with");
    for tag in 0..60 {
        api.push_image("a", Some(&format!("n{tag}")), "").await;
    }
    let first = api
        .get("/ui/repositories/a?q=n")
        .await
        .assert(200)
        .shows("60 tags")
        .shows("images/n49\"")
        .hides("images/n50\"");
    first.shows(r#"href="?q=n&#38;page=2" rel="next""#);
    api.get("/ui/repositories/a?q=n&page=2")
        .await
        .assert(200)
        .shows("images/n50\"")
        .shows("images/n59\"")
        .hides("images/n49\"");
    api.get("/ui/repositories/a?q=n&page=99999999999999999999").await.assert(200);
    api.get("/ui/repositories/a?q=n&page=18446744073709551615").await.assert(200).shows("60 tags");
}

#[tokio::test]
async fn repositories_are_sorted_searched_and_paged() {
    let api = open();
    for number in 0..60 {
        api.push_image(&format!("many/r{number:02}"), Some("1"), "").await;
    }
    for tag in ["1", "2", "3"] {
        api.push_image("team/app", Some(tag), "").await;
    }
    let first = api.get("/ui/").await.assert(200).shows("<span class=\"namespace\">many/</span>r49").hides("r50<");
    first.shows("?after=many/r49");
    api.get("/ui/?after=many/r49").await.assert(200).shows("r50<").shows("app<").hides("r49<");
    api.get("/ui/?q=R5").await.assert(200).shows("10 found").shows("r59<").hides("app<");
    let by_tags = api.get("/ui/?sort=tags").await.assert(200).shows("61 found").shows(r#"aria-sort="descending""#);
    let (app, other) = (by_tags.text().find("app<").unwrap(), by_tags.text().find("r00<").unwrap());
    assert!(app < other);
    api.get("/ui/?q=nothing-like-it").await.assert(200).shows("No repository has");
}

#[tokio::test]
async fn an_image_shows_what_it_is_made_of() {
    let api = open();
    let config: &[u8] = br#"{"architecture":"arm64","os":"linux","variant":"v8","config":{"Env":["A=b"],"Entrypoint":["/app"]},"history":[{"created_by":"/bin/sh -c make it"}]}"#;
    api.push_blob("t/a", config).await;
    api.push_blob("t/a", b"layer").await;
    let image = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{},"layers":[{}]}}"#,
        descriptor("application/vnd.oci.image.config.v1+json", config),
        descriptor("application/vnd.oci.image.layer.v1.tar", b"layer")
    );
    let child = descriptor(OCI_MANIFEST, image.as_bytes())
        .replace('}', r#","platform":{"os":"linux","architecture":"arm64","variant":"v8"}}"#);
    let digest = sha256(image.as_bytes());
    put(&api, "t/a", &digest.to_string(), OCI_MANIFEST, image).await;
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{child}]}}"#);
    put(&api, "t/a", "multi", OCI_INDEX, index.clone()).await;
    put(&api, "t/a", "same", OCI_INDEX, index).await;
    let page = api.get("/ui/repositories/t/a/-/images/multi").await.assert(200);
    let page = page.shows("multi-platform image").shows("linux/arm64/v8").shows("RUN make it").shows("Entrypoint");
    let page = page.shows("docker pull registry.test/t/a:multi").shows("skopeo copy docker://registry.test/t/a:multi");
    page.shows("/-/images/same\"").shows(&format!("/-/manifests/{digest}"));
    api.get("/ui/repositories/t/a").await.assert(200).shows("linux/arm64/v8").shows("2 tags");
    api.get("/ui/repositories/t/a?untagged=1").await.assert(200).shows("There are none.");
    api.get(&format!("/ui/repositories/t/a/-/images/{digest}"))
        .await
        .assert(200)
        .shows(&format!("registry.test/t/a@{digest}"));
}

#[tokio::test]
async fn referrers_are_shown_and_told_by_badges() {
    let api = open();
    api.push_image("a", Some("1"), "").await;
    let subject = descriptor(OCI_MANIFEST, crate::client::image("").as_bytes());
    let extra = format!(r#","artifactType":"application/vnd.dev.cosign.artifact.sig.v1+json","subject":{subject}"#);
    let signature = api.push_image("a", None, &extra).await;
    api.get("/ui/repositories/a").await.assert(200).shows(r#"<span class="badge">signed</span>"#);
    api.get("/ui/repositories/a/-/images/1").await.assert(200).shows(&format!("/-/images/{signature}")).shows("signed");
    api.get(&format!("/ui/repositories/a/-/images/{signature}")).await.assert(200).shows("Refers to");
}

#[tokio::test]
async fn answers_are_compressed_for_those_who_take_it() {
    let api = open();
    let gzip = [("accept-encoding", "br, gzip;q=0.5")];
    let page = api.request(Method::GET, "/ui/", &gzip, "").await.assert(200);
    assert_eq!((page.header("content-encoding"), &page.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    for other in ["", "br", "gzip;q=0", "gzip;q=0.0", "x-gzip-not"] {
        assert!(
            !api.request(Method::GET, "/ui/", &[("accept-encoding", other)], "").await.has("content-encoding"),
            "{other}"
        );
    }
    let page = api.get("/ui/").await;
    let assets: Vec<&str> = page.text().split('"').filter(|part| part.starts_with("/ui/assets/")).collect();
    assert_eq!(assets.len(), 3);
    for path in assets {
        let asset = api.request(Method::GET, path, &gzip, "").await.assert(200);
        assert_eq!(asset.header("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(asset.header("content-encoding"), "gzip");
        assert!(!api.get(path).await.assert(200).has("content-encoding"));
    }
    api.get("/ui/assets/style.css").await.assert(404);
}
