//! The addresses in answers.

use http::Method;

use crate::client::Api;

async fn location(api: &Api, headers: &[(&str, &str)]) -> String {
    let reply = api.request(Method::POST, "/v2/a/blobs/uploads/", headers, "").await.assert(202);
    let location = reply.header("location");
    location.split("/v2/").next().unwrap().to_owned()
}

#[tokio::test]
async fn they_begin_as_the_client_began() {
    let api = Api::open();
    assert_eq!(location(&api, &[]).await, "http://registry.test");
    assert_eq!(location(&api, &[("host", "a:5000")]).await, "http://a:5000");
    assert_eq!(location(&api, &[("x-forwarded-proto", "https")]).await, "https://registry.test");
    assert_eq!(location(&api, &[("x-forwarded-host", "b, c"), ("x-forwarded-port", "9")]).await, "http://b");
    let both =
        [("forwarded", "host=f:1;proto=https, host=g"), ("x-forwarded-host", "b"), ("x-forwarded-proto", "http")];
    assert_eq!(location(&api, &both).await, "https://f:1");
}

#[tokio::test]
async fn or_as_they_are_told_to() {
    let forwarded = [("x-forwarded-host", "evil"), ("x-forwarded-proto", "https")];
    let relative = Api::with(|service| service.relative_urls(true));
    assert_eq!(location(&relative, &forwarded).await, "");
    let fixed = Api::with(|service| service.external_url("https://x.test/p".parse().unwrap()).relative_urls(true));
    assert_eq!(location(&fixed, &forwarded).await, "https://x.test/p");
    let wary = Api::with(|service| service.trust_forwarded(false));
    assert_eq!(location(&wary, &forwarded).await, "http://registry.test");
}

#[tokio::test]
async fn nothing_is_injected_into_them() {
    let api = Api::open();
    for (name, value) in [
        ("x-forwarded-host", "evil/v2"),
        ("x-forwarded-host", "user@evil"),
        ("x-forwarded-host", "evil?x=y"),
        ("x-forwarded-host", "evil\tx"),
        ("x-forwarded-host", "evil:port"),
        ("x-forwarded-proto", "javascript"),
        ("x-forwarded-proto", "https://evil"),
        ("forwarded", "host=\"evil/\";proto=\"x\\\"y\""),
        ("forwarded", "host=evil host=evil"),
        ("forwarded", "host=\"evil"),
    ] {
        assert_eq!(location(&api, &[(name, value)]).await, "http://registry.test", "{name}: {value}");
    }
    assert_eq!(location(&api, &[("host", "evil\"><x")]).await, "", "a path is what is left");
}
