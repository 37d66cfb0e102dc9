//! Who may do what: every route, every method, every kind of caller.

use std::sync::Arc;

use http::Method;
use registry_auth::{
    Access, Action, Anonymous, Asked, AuthenticationError, Authenticator, AuthorizationError, Authorizer, Basic,
    Challenge, ClientCertificates, Credentials, DecideBy, Decision, OrAnonymous, Policy, Principal, Rule, Subject,
};
use registry_http::{PeerCertificate, RegistryService, ServiceBuilder, service};
use serde_json::json;

use crate::client::{Api, OCI_MANIFEST, Reply, image, sha256};

const NOBODY: &[(&str, &str)] = &[];
/// May read.
const READER: &[(&str, &str)] = &[("authorization", "Basic cmVhZGVyOng=")];
/// May read and write.
const WRITER: &[(&str, &str)] = &[("authorization", "Basic d3JpdGVyOng=")];
/// May do everything.
const OWNER: &[(&str, &str)] = &[("authorization", "Basic b3duZXI6eA==")];
/// May do nothing.
const STRANGER: &[(&str, &str)] = &[("authorization", "Basic c3RyYW5nZXI6eA==")];

/// Logins for the callers above, whose password is `x`.
fn guarded(settings: impl FnOnce(ServiceBuilder) -> ServiceBuilder, content: &Api) -> Api {
    let logins = Basic::new("test", |user: &str, password: &str| {
        ["reader", "writer", "owner", "stranger"].contains(&user) && password == "x"
    });
    let policy = |principal: &Principal, access: &Access| {
        let may: &[Action] = match principal.name() {
            Some("reader") => &[Action::Pull],
            Some("writer") => &[Action::Pull, Action::Push],
            Some("owner") => &Action::ALL,
            _ => &[],
        };
        Decision::allow_if(match access {
            Access::Base => true,
            Access::Catalog => !may.is_empty(),
            Access::Maintenance => may == Action::ALL,
            Access::Repository { actions, .. } => actions.iter().all(|action| may.contains(&action)),
        })
    };
    let registry = content.service.registry().clone();
    let builder =
        service(registry).authenticator(Arc::new(logins)).authorizer(Arc::new(DecideBy(policy))).deletes(true);
    Api { storage: content.storage.clone(), service: settings(builder).build() }
}

/// Every route with every method it has, on what is there and on what is not, with what it needs.
fn matrix(repository: &str) -> Vec<(Method, String, Needs)> {
    let blob = sha256(b"{}");
    let manifest = sha256(image("").as_bytes());
    let id = "0190a0b0-0000-7000-8000-000000000000";
    let mut all = vec![
        (Method::GET, "/v2/_catalog".to_owned(), Needs::Pull),
        (Method::POST, format!("/v2/{repository}/blobs/uploads/"), Needs::Push),
        (Method::POST, format!("/v2/{repository}/blobs/uploads/?digest={blob}"), Needs::Push),
        (Method::POST, format!("/v2/{repository}/blobs/uploads/?mount={blob}&from=lib/a"), Needs::Push),
        (Method::POST, format!("/v2/{repository}/blobs/uploads/?mount={blob}"), Needs::Push),
        (Method::PATCH, format!("/v2/{repository}/blobs/uploads/{id}"), Needs::Push),
        (Method::PUT, format!("/v2/{repository}/blobs/uploads/{id}?digest={blob}"), Needs::Push),
        (Method::DELETE, format!("/v2/{repository}/blobs/uploads/{id}"), Needs::Delete),
        (Method::PUT, format!("/v2/{repository}/manifests/latest"), Needs::Push),
        (Method::PUT, format!("/v2/{repository}/manifests/{manifest}?tag=other"), Needs::Push),
        (Method::DELETE, format!("/v2/{repository}/manifests/latest"), Needs::Delete),
        (Method::DELETE, format!("/v2/{repository}/manifests/{manifest}"), Needs::Delete),
        (Method::DELETE, format!("/v2/{repository}/blobs/{blob}"), Needs::Delete),
    ];
    for method in [Method::GET, Method::HEAD] {
        for path in [
            format!("/v2/{repository}/tags/list"),
            format!("/v2/{repository}/manifests/latest"),
            format!("/v2/{repository}/manifests/{manifest}"),
            format!("/v2/{repository}/blobs/{blob}"),
            format!("/v2/{repository}/blobs/uploads/{id}"),
            format!("/v2/{repository}/referrers/{manifest}"),
        ] {
            all.push((method.clone(), path, Needs::Pull));
        }
    }
    all
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Needs {
    Pull,
    Push,
    Delete,
}

async fn with_content() -> Api {
    let api = Api::open();
    api.push_image("lib/a", Some("latest"), "").await;
    api
}

async fn send(api: &Api, method: &Method, path: &str, who: &[(&str, &str)]) -> Reply {
    let content = if path.contains("/manifests/") { image("") } else { "{}".into() };
    let headers = [who, &[("content-type", OCI_MANIFEST)]].concat();
    api.request(method.clone(), path, &headers, content).await
}

#[tokio::test]
async fn nothing_changes_where_nothing_may() {
    let content = with_content().await;
    let at = content.start_upload("lib/a").await;
    let read_only: fn(ServiceBuilder) -> ServiceBuilder = |service| service.read_only(true);
    let keeping: fn(ServiceBuilder) -> ServiceBuilder = |service| service.deletes(false);
    for (settings, refused) in [(read_only, Needs::Push), (keeping, Needs::Delete)] {
        let api = guarded(settings, &content);
        let before = api.snapshot().await;
        for (method, path, needs) in matrix("lib/a") {
            if needs < refused || (refused == Needs::Delete && path.contains("/uploads/")) {
                continue;
            }
            let reply = send(&api, &method, &path, OWNER).await.assert_error(405, "UNSUPPORTED");
            assert!(!reply.header("allow").contains(method.as_str()), "{method} {path}");
        }
        assert_eq!(api.snapshot().await, before);
        send(&api, &Method::GET, "/v2/lib/a/manifests/latest", OWNER).await.assert(200);
    }
    // To cancel an upload is not to delete content.
    let api = content.again(|service| service.deletes(false));
    api.request(Method::DELETE, &at, &[], "").await.assert(204);
}

#[tokio::test]
async fn an_upload_belongs_to_whom_started_it() {
    let api = guarded(|service| service, &Api::open());
    let reply = send(&api, &Method::POST, "/v2/lib/a/blobs/uploads/", WRITER).await.assert(202);
    let at = reply.location();
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        send(&api, &method, &at, OWNER).await.assert_error(404, "BLOB_UPLOAD_UNKNOWN");
    }
    send(&api, &Method::PATCH, &at, WRITER).await.assert(202);
}

#[tokio::test]
async fn an_upload_of_others_looks_like_one_that_is_not_there() {
    let api = guarded(|service| service, &Api::open());
    let reply = send(&api, &Method::POST, "/v2/lib/a/blobs/uploads/", WRITER).await.assert(202);
    let (at, id) = (reply.location(), reply.header("docker-upload-uuid").to_owned());
    let elsewhere = at.replace("/lib/a/", "/lib/b/");
    let unknown = "0190a0b0-0000-7000-8000-000000000000";
    let blob = sha256(b"{}");
    for method in [Method::GET, Method::HEAD, Method::PATCH, Method::PUT, Method::DELETE] {
        for (path, who) in [(&at, OWNER), (&elsewhere, OWNER), (&elsewhere, WRITER)] {
            if method == Method::DELETE && who == WRITER {
                continue;
            }
            let joint = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{joint}digest={blob}");
            let foreign = send(&api, &method, &path, who).await.assert(404);
            let missing = send(&api, &method, &path.replace(&id, unknown), who).await.assert(404);
            let told = |reply: &Reply| String::from_utf8_lossy(&reply.body).replace(&id, unknown);
            assert_eq!(told(&foreign), told(&missing), "{method} {path}");
            assert_eq!(foreign.headers, missing.headers, "{method} {path}");
        }
    }
    send(&api, &Method::PATCH, &at, WRITER).await.assert(202);
}

#[tokio::test]
async fn a_part_of_a_blob_is_no_way_around() {
    let api = guarded(|service| service, &with_content().await);
    for range in ["bytes=0-0", "bytes=-1", "bytes=9-", "bytes=x"] {
        for (who, status) in [(NOBODY, 401), (STRANGER, 403)] {
            for blob in [sha256(b"{}"), sha256(b"missing")] {
                let headers = [who, &[("range", range)]].concat();
                let reply = api.request(Method::GET, &format!("/v2/lib/a/blobs/{blob}"), &headers, "").await;
                assert!(!reply.assert(status).has("content-range"));
            }
        }
    }
    let headers = [READER, &[("range", "bytes=0-0")]].concat();
    let path = format!("/v2/lib/a/blobs/{}", sha256(b"{}"));
    assert_eq!(api.request(Method::GET, &path, &headers, "").await.assert(206).body, "{");
}

#[tokio::test]
async fn a_tag_named_in_the_query_is_not_set_by_who_may_not_push() {
    let content = with_content().await;
    let api = guarded(|service| service, &content);
    let path = format!("/v2/lib/a/manifests/{}?tag=other", sha256(image("").as_bytes()));
    for (who, status) in [(NOBODY, 401), (STRANGER, 403), (READER, 403)] {
        send(&api, &Method::PUT, &path, who).await.assert(status);
        send(&api, &Method::GET, "/v2/lib/a/manifests/other", OWNER).await.assert(404);
    }
    send(&api, &Method::PUT, &path, WRITER).await.assert(201);
    send(&api, &Method::GET, "/v2/lib/a/manifests/other", OWNER).await.assert(200);
}

#[tokio::test]
async fn browsers_may_ask_first() {
    let api = guarded(|service| service, &Api::open());
    for (path, allow) in [
        ("/v2/", "GET, HEAD"),
        ("/v2/_catalog", "GET, HEAD"),
        ("/v2/lib/a/manifests/latest", "DELETE, GET, HEAD, PUT"),
        ("/v2/lib/a/blobs/uploads/", "POST"),
    ] {
        let reply = send(&api, &Method::OPTIONS, path, NOBODY).await.assert(204);
        assert_eq!(reply.header("allow"), allow);
    }
    let api = guarded(|service| service.read_only(true), &Api::open());
    let reply = send(&api, &Method::OPTIONS, "/v2/lib/a/manifests/latest", NOBODY).await.assert(204);
    assert_eq!(reply.header("allow"), "GET, HEAD");
}

/// Where there is no login, the base is open to whoever may look around: clients ask there first.
#[tokio::test]
async fn without_logins_whoever_may_pull_something_comes_in() {
    let content = with_content().await;
    let rule = |action| Rule::new(vec![Subject::Anyone], vec!["lib/**".parse().unwrap()], [action].into());
    for (authenticator, may) in [
        (Arc::new(Anonymous) as Arc<dyn Authenticator>, true),
        (Arc::new(ClientCertificates), true),
        (Arc::new(OrAnonymous(Arc::new(Basic::new("test", |_: &str, _: &str| false)))), false),
    ] {
        let builder = service(content.service.registry().clone()).authenticator(authenticator);
        let service = builder.authorizer(Arc::new(Policy::new(vec![rule(Action::Pull)], [].into()))).build();
        let api = Api { service, ..content.clone() };
        api.get("/v2/").await.assert(if may { 200 } else { 401 });
        api.get("/v2/lib/a/manifests/latest").await.assert(200);
    }
    let nothing = content.again(|service| service.authorizer(Arc::new(Policy::default())));
    nothing.get("/v2/").await.assert(403);
}

/// A proxy that asks for logins itself may pass on what it was sent.
#[tokio::test]
async fn a_header_means_nothing_where_there_are_no_logins() {
    let content = with_content().await;
    let long = format!("Bearer {}", "x".repeat(9000));
    for header in ["Negotiate abc", "AWS4-HMAC-SHA256 Credential=x", "Basic !", "Basic YW5uOng=", "nonsense", &long] {
        let reply = content.request(Method::GET, "/v2/lib/a/manifests/latest", &[("authorization", header)], "").await;
        reply.assert(200);
    }
}

/// A client with a certificate that also has a password from somewhere else is known by the certificate.
#[tokio::test]
async fn a_certificate_goes_before_a_header() {
    let content = with_content().await;
    let ann = Rule::new(vec![Subject::User("ann".into())], vec!["**".parse().unwrap()], [Action::Pull].into());
    let builder = service(content.service.registry().clone()).authenticator(Arc::new(ClientCertificates));
    let service = builder.authorizer(Arc::new(Policy::new(vec![ann], [].into()))).build();
    let api = Api { service, ..content };
    for (header, certificate, status) in [
        (None, true, 200),
        (Some("Basic Ym9iOng="), true, 200),
        (Some("Basic Og=="), true, 200),
        (Some("nonsense"), true, 200),
        (Some("Basic YW5uOng="), false, 403),
        (None, false, 403),
    ] {
        let mut request = http::Request::builder().uri("/v2/lib/a/manifests/latest").header("host", "registry.test");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let mut request = request.body(axum::body::Body::empty()).unwrap();
        if certificate {
            request.extensions_mut().insert(PeerCertificate::verified("ann").unwrap());
        }
        api.send(request).await.assert(status);
    }
}

#[tokio::test]
async fn logging_in() {
    let api = guarded(|service| service, &Api::open());
    let reply = api.get("/v2/").await.assert_error(401, "UNAUTHORIZED");
    assert_eq!(reply.json()["errors"][0]["detail"], json!(null));
    assert_eq!(reply.header("docker-distribution-api-version"), "registry/2.0");
    send(&api, &Method::GET, "/v2/", STRANGER).await.assert(200);
    for bad in ["Basic", "Basic !", "Basic d3JpdGVyOndyb25n", "Bearer x", "Basic cmVhZGVy", "Basic /w==", "nonsense"] {
        api.request(Method::GET, "/v2/", &[("authorization", bad)], "").await.assert_error(401, "UNAUTHORIZED");
    }
    let twice = [READER, OWNER].concat();
    api.request(Method::GET, "/v2/", &twice, "").await.assert_error(401, "UNAUTHORIZED");
}

#[tokio::test]
async fn those_who_are_refused_learn_what_to_ask_for() {
    let api = guarded(|service| service, &Api::open());
    let path = format!("/v2/lib/a/blobs/uploads/?mount={}&from=lib/b", sha256(b"x"));
    let reply = send(&api, &Method::POST, &path, NOBODY).await.assert(401);
    let entry = |name: &str, action: &str| json!({"Type": "repository", "Class": "", "Name": name, "Action": action});
    let wanted = json!([entry("lib/a", "pull"), entry("lib/a", "push"), entry("lib/b", "pull")]);
    assert_eq!(reply.json()["errors"][0]["detail"], wanted);
}

/// Knows nobody right now.
#[derive(Debug)]
struct Broken(fn() -> AuthenticationError);

#[async_trait::async_trait]
impl Authenticator for Broken {
    async fn authenticate(&self, _: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        Err((self.0)())
    }

    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        None
    }
}

#[async_trait::async_trait]
impl Authorizer for Broken {
    async fn authorize(&self, _: &Principal, _: &Access) -> Result<Decision, AuthorizationError> {
        Err(AuthorizationError::Unavailable("secret of the back end".into()))
    }
}

#[tokio::test]
async fn who_cannot_be_asked_lets_nobody_in() {
    let content = with_content().await;
    let registry = content.service.registry().clone();
    let answer = async |service: RegistryService| {
        let api = Api { storage: content.storage.clone(), service };
        let reply = api.get("/v2/lib/a/manifests/latest").await;
        assert!(!String::from_utf8_lossy(&reply.body).contains("secret"));
        reply
    };
    for (error, status) in [
        ((|| AuthenticationError::Unavailable("secret".into())) as fn() -> AuthenticationError, 503),
        (|| AuthenticationError::Busy, 429),
    ] {
        let service = service(registry.clone()).authenticator(Arc::new(Broken(error))).build();
        assert!(answer(service).await.assert(status).has("retry-after"));
    }
    let denying = service(registry.clone()).authenticator(Arc::new(Broken(|| AuthenticationError::Rejected))).build();
    answer(denying).await.assert(403);
    let undecided = content.again(|service| service.authorizer(Arc::new(Broken(|| AuthenticationError::Busy))));
    answer(undecided.service).await.assert(503);
}
