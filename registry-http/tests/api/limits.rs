//! What one client, and all of them together, may ask for.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use http::{Method, Request};
use registry_auth::{Asked, AuthenticationError, Authenticator, Basic, Challenge, Credentials, Principal};
use registry_http::{PeerAddress, RequestRate};
use tower::ServiceExt as _;

use crate::client::{Api, OCI_MANIFEST, Reply, image, sha256};

fn rate(burst: u32) -> RequestRate {
    // So slow that none comes back while a test runs.
    RequestRate { per_second: NonZeroU32::MIN, burst: NonZeroU32::new(burst).unwrap() }
}

/// Asks from an address.
async fn from(api: &Api, address: &str, authorization: Option<&str>) -> Reply {
    let mut request = Request::builder().uri("/v2/").header("host", "registry.test");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(PeerAddress(format!("{address}:1234").parse().unwrap()));
    api.send(request).await
}

#[tokio::test]
async fn who_sends_too_much_is_told_when_to_come_again() {
    let api = Api::with(|service| service.request_rate(rate(2)));
    for _ in 0..2 {
        from(&api, "192.0.2.1", None).await.assert(200);
    }
    let refused = from(&api, "192.0.2.1", None).await.assert_error(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "1");
    from(&api, "192.0.2.2", None).await.assert(200);
}

#[tokio::test]
async fn a_name_counts_wherever_it_comes_from_and_wrong_passwords_count_for_the_address() {
    let content = Api::open();
    let logins = Basic::new("test", |_: &str, password: &str| password == "x");
    let service = registry_http::service(content.service.registry().clone()).authenticator(Arc::new(logins));
    let api = Api { service: service.request_rate(rate(2)).build(), ..content };
    let (ann, bob, wrong) = (Some("Basic YW5uOng="), Some("Basic Ym9iOng="), Some("Basic YW5uOnk="));
    from(&api, "192.0.2.1", ann).await.assert(200);
    from(&api, "192.0.2.2", ann).await.assert(200);
    from(&api, "192.0.2.3", ann).await.assert(429);
    from(&api, "192.0.2.3", bob).await.assert(200);
    for expected in [401, 401, 429] {
        from(&api, "192.0.2.4", wrong).await.assert(expected);
    }
    from(&api, "192.0.2.4", bob).await.assert(200);
}

/// Logins whose good passwords are remembered, as those of a password file are.
#[derive(Debug, Default)]
struct Remembering {
    checks: AtomicUsize,
    known: OnceLock<()>,
}

#[async_trait::async_trait]
impl Authenticator for Remembering {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        self.checks.fetch_add(1, Ordering::Relaxed);
        match credentials {
            Some(Credentials::Basic { password, .. }) if password.expose() == "x" => {
                self.known.get_or_init(|| ());
                Ok(Principal::named("ann"))
            }
            _ => Err(AuthenticationError::Rejected),
        }
    }

    fn recall(&self, credentials: &Credentials) -> Option<Principal> {
        let is_good = matches!(credentials, Credentials::Basic { password, .. } if password.expose() == "x");
        (is_good && self.known.get().is_some()).then(|| Principal::named("ann"))
    }

    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        Some(Challenge::basic("test"))
    }
}

#[tokio::test]
async fn whoever_tries_passwords_is_kept_from_trying_on() {
    let content = Api::open();
    let logins = Arc::new(Remembering::default());
    let builder = registry_http::service(content.service.registry().clone()).authenticator(Arc::clone(&logins) as _);
    let api = Api { service: builder.wrong_passwords(Some(rate(3))).build(), ..content };
    let (right, wrong) = (Some("Basic YW5uOng="), Some("Basic YW5uOnk="));
    for expected in [401, 401, 401, 429, 429] {
        from(&api, "192.0.2.4", wrong).await.assert(expected);
    }
    let refused = from(&api, "192.0.2.4", right).await.assert_error(429, "TOOMANYREQUESTS");
    assert_eq!(refused.header("retry-after"), "1", "and nobody learns that it is right");
    assert_eq!(logins.checks.load(Ordering::Relaxed), 3, "nothing is checked any more");
    from(&api, "192.0.2.5", right).await.assert(200);
    from(&api, "192.0.2.4", right).await.assert(429);
    for _ in 0..3 {
        from(&api, "192.0.2.5", wrong).await.assert(401);
    }
    from(&api, "192.0.2.5", wrong).await.assert(429);
    // It was good from there before.
    from(&api, "192.0.2.5", right).await.assert(200);
    // A proxy on this machine that does not say for whom it asks.
    for _ in 0..5 {
        from(&api, "127.0.0.1", wrong).await.assert(401);
    }
}

/// Logins by something else than passwords, which tell whoever sends one where to go.
#[derive(Debug)]
struct Elsewhere;

#[async_trait::async_trait]
impl Authenticator for Elsewhere {
    async fn authenticate(&self, _: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        Err(AuthenticationError::Rejected)
    }

    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        Some(Challenge::new("Bearer").with("realm", "https://auth.example/token"))
    }
}

#[tokio::test]
async fn where_passwords_are_not_asked_for_none_is_counted() {
    let content = Api::open();
    let builder = registry_http::service(content.service.registry().clone()).authenticator(Arc::new(Elsewhere));
    let api = Api { service: builder.wrong_passwords(Some(rate(1))).build(), ..content };
    for _ in 0..5 {
        let refused = from(&api, "192.0.2.4", Some("Basic YW5uOng=")).await.assert(401);
        assert!(refused.header("www-authenticate").starts_with("Bearer "));
    }
}

#[tokio::test]
async fn a_request_is_under_way_until_its_answer_is_taken() {
    let api = Api::with(|service| service.max_requests(1));
    let request = || Request::builder().uri("/v2/").header("host", "registry.test").body(Body::empty()).unwrap();
    let held = api.service.clone().oneshot(request()).await.unwrap();
    let refused = api.get("/v2/").await.assert(429);
    assert_eq!(refused.header("retry-after"), "1");
    drop(held);
    api.get("/v2/").await.assert(200);
}

#[tokio::test]
async fn uploads_count_until_they_end() {
    let api = Api::with(|service| service.max_uploads(2));
    let first = api.start_upload("lib/a").await;
    let second = api.start_upload("lib/b").await;
    let start = async || api.request(Method::POST, "/v2/lib/a/blobs/uploads/", &[], "").await;
    let refused = start().await.assert(429);
    assert_eq!(refused.header("retry-after"), "1");
    // Whole blobs are no uploads that stay.
    api.push_blob("lib/a", b"whole").await;
    api.request(Method::DELETE, &first, &[], "").await.assert(204);
    start().await.assert(202);
    start().await.assert(429);
    let digest = sha256(b"content");
    let separator = if second.contains('?') { '&' } else { '?' };
    api.request(Method::PUT, &format!("{second}{separator}digest={digest}"), &[], "content").await.assert(201);
    start().await.assert(202);
}

#[tokio::test]
async fn a_body_may_have_a_limit_and_chunks_of_it_any_number() {
    let api = Api::with(|service| service.max_body(4));
    let digest = sha256(b"content");
    let whole = format!("/v2/lib/a/blobs/uploads/?digest={digest}");
    api.request(Method::POST, &whole, &[], "content").await.assert_error(413, "SIZE_INVALID");
    let upload = api.start_upload("lib/a").await;
    api.request(Method::PATCH, &upload, &[], "content").await.assert(413);
    api.request(Method::PATCH, &upload, &[], "cont").await.assert(202);
    let separator = if upload.contains('?') { '&' } else { '?' };
    api.request(Method::PUT, &format!("{upload}{separator}digest={digest}"), &[], "ent").await.assert(201);
    // A manifest has a limit of its own.
    api.push_blob("lib/a", b"{}").await;
    let manifest = [("content-type", OCI_MANIFEST)];
    api.request(Method::PUT, "/v2/lib/a/manifests/1", &manifest, image("")).await.assert(201);
}
