//! What is counted of requests, and under which names.

use std::sync::Arc;

use axum::body::Body;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use prometheus::proto::{LabelPair, Metric, MetricFamily};
use prometheus::{Encoder as _, Registry, TextEncoder};
use registry_auth::{Anonymous, Authenticator, Basic, DecideBy, Decision};
use registry_http::{HttpMetrics, service};
use tower::ServiceExt as _;

use crate::client::{Api, sha256};

/// A registry in memory, and its numbers.
fn counted() -> (Api, Registry) {
    counted_with(Arc::new(Anonymous))
}

fn counted_with(authenticator: Arc<dyn Authenticator>) -> (Api, Registry) {
    let numbers = Registry::new();
    let metrics = HttpMetrics::register(&numbers).unwrap();
    let api = Api::open();
    let rules = DecideBy(|principal: &registry_auth::Principal, _: &registry_auth::Access| {
        Decision::allow_if(principal.name() != Some("stranger"))
    });
    let builder = service(api.service.registry().clone()).authenticator(authenticator).authorizer(Arc::new(rules));
    let service = builder.deletes(true).metrics(metrics).build();
    (Api { service, ..api }, numbers)
}

fn family(numbers: &Registry, name: &str) -> MetricFamily {
    numbers.gather().into_iter().find(|family| family.name() == name).unwrap_or_else(|| panic!("no {name}"))
}

/// The series with these values of its labels, ordered by the names of these.
#[track_caller]
fn series(numbers: &Registry, name: &str, labels: &[&str]) -> Metric {
    let family = family(numbers, name);
    let is_asked = |metric: &&Metric| metric.get_label().iter().map(LabelPair::value).eq(labels.iter().copied());
    family.get_metric().iter().find(is_asked).unwrap_or_else(|| panic!("no {name} {labels:?}: {family:?}")).clone()
}

#[track_caller]
fn count(numbers: &Registry, labels: [&str; 3]) -> u64 {
    // Counters count whole requests.
    format!("{}", series(numbers, "registry_http_requests_total", &labels).get_counter().get_value()).parse().unwrap()
}

#[tokio::test]
async fn each_handler_with_its_method_and_code() {
    let (api, numbers) = counted();
    let digest = api.push_blob("a", b"hello").await;
    api.push_image("a", Some("1"), "").await;
    let upload = api.start_upload("a").await;
    api.request(Method::PATCH, &upload, &[], "x").await.assert(202);
    for path in ["/v2/", "/v2/_catalog", "/v2/a/tags/list", "/v2/a/manifests/1", "/v2/a/manifests/2", "/v2/a/nothing"] {
        api.get(path).await;
    }
    api.get(&format!("/v2/a/blobs/{digest}")).await.assert(200);
    api.get(&format!("/v2/a/referrers/{digest}")).await.assert(200);
    api.request(Method::HEAD, &format!("/v2/a/blobs/{digest}"), &[], "").await.assert(200);
    api.request("BREW".parse().unwrap(), "/v2/a/tags/list", &[], "").await.assert(405);
    for (code, handler, method, times) in [
        ("200", "base", "get", 1),
        ("200", "catalog", "get", 1),
        ("200", "tags", "get", 1),
        ("405", "tags", "other", 1),
        ("200", "manifest", "get", 1),
        ("404", "manifest", "get", 1),
        ("201", "manifest", "put", 1),
        ("200", "blob", "get", 1),
        ("200", "blob", "head", 1),
        ("201", "blob_upload", "post", 2),
        ("202", "blob_upload", "post", 1),
        ("202", "blob_upload_chunk", "patch", 1),
        ("200", "referrers", "get", 1),
        ("404", "other", "get", 1),
    ] {
        assert_eq!(count(&numbers, [code, handler, method]), times, "{code} {handler} {method}");
        let durations = series(&numbers, "registry_http_request_duration_seconds", &[handler, method]);
        assert!(durations.get_histogram().get_sample_count() >= times, "{handler} {method}");
        assert!(series(&numbers, "registry_http_in_flight_requests", &[handler]).get_gauge().get_value().abs() < 0.1);
    }
}

#[tokio::test]
async fn sizes_and_bytes() {
    let (api, numbers) = counted();
    let content = vec![7; 5000];
    let digest = sha256(&content);
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    api.request(Method::POST, &path, &[], content).await.assert(201);
    api.get(&format!("/v2/a/blobs/{digest}")).await.assert(200);
    api.request(Method::HEAD, &format!("/v2/a/blobs/{digest}"), &[], "").await.assert(200);
    let bytes = |name| family(&numbers, name).get_metric()[0].get_counter().get_value();
    assert!((bytes("registry_http_received_bytes_total") - 5000.0).abs() < 0.1);
    assert!((bytes("registry_http_sent_bytes_total") - 5000.0).abs() < 0.1, "HEAD sends nothing");
    let pushed = series(&numbers, "registry_http_request_size_bytes", &["blob_upload"]);
    let sum = pushed.get_histogram().get_sample_sum();
    assert!((5000.0..5400.0).contains(&sum), "with its head: {sum}");
    let pulled = series(&numbers, "registry_http_response_size_bytes", &["blob"]);
    let pulled = pulled.get_histogram();
    assert!((pulled.get_sample_sum() - 5000.0).abs() < 0.1 && pulled.get_sample_count() == 2);
}

#[tokio::test]
async fn a_request_lasts_to_the_end_of_its_answer() {
    let (api, numbers) = counted();
    let digest = api.push_blob("a", b"hello").await;
    let request = Request::get(format!("/v2/a/blobs/{digest}")).body(Body::empty()).unwrap();
    let in_flight = || series(&numbers, "registry_http_in_flight_requests", &["blob"]).get_gauge().get_value();
    let answer = api.service.clone().oneshot(request).await.unwrap();
    assert!((in_flight() - 1.0).abs() < 0.1);
    answer.into_body().collect().await.unwrap();
    assert!(in_flight().abs() < 0.1);
    assert_eq!(count(&numbers, ["200", "blob", "get"]), 1);
}

#[tokio::test]
async fn a_client_that_leaves_is_counted_as_such() {
    let (api, numbers) = counted();
    let endless = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let upload = api.start_upload("a").await;
    let request = Request::patch(upload).body(Body::from_stream(endless)).unwrap();
    let in_flight =
        || series(&numbers, "registry_http_in_flight_requests", &["blob_upload_chunk"]).get_gauge().get_value();
    let mut left = Box::pin(api.service.clone().oneshot(request));
    assert!(futures::poll!(&mut left).is_pending());
    assert!((in_flight() - 1.0).abs() < 0.1);
    drop(left);
    assert!(in_flight().abs() < 0.1);
    assert_eq!(count(&numbers, ["499", "blob_upload_chunk", "patch"]), 1);
}

#[tokio::test]
async fn what_was_decided_about_access() {
    let logins = Basic::new("test", |user: &str, password: &str| user != "nobody" && password == "x");
    let (api, numbers) = counted_with(Arc::new(logins));
    let (ann, stranger, nobody) = ("Basic YW5uOng=", "Basic c3RyYW5nZXI6eA==", "Basic bm9ib2R5Ong=");
    api.get("/v2/").await.assert(401);
    api.request(Method::GET, "/v2/", &[("authorization", ann)], "").await.assert(200);
    api.request(Method::GET, "/v2/", &[("authorization", stranger)], "").await.assert(403);
    api.request(Method::GET, "/v2/", &[("authorization", nobody)], "").await.assert(401);
    let (open, anybody) = counted();
    open.get("/v2/").await.assert(200);
    for (numbers, result, times) in [
        (&numbers, "missing", 1.0),
        (&numbers, "ok", 1.0),
        (&numbers, "denied", 1.0),
        (&numbers, "invalid", 1.0),
        (&numbers, "busy", 0.0),
        (&numbers, "anonymous", 0.0),
        (&anybody, "anonymous", 1.0),
    ] {
        let told = series(numbers, "registry_auth_total", &[result]).get_counter().get_value();
        assert!((told - times).abs() < 0.1, "{result}: {told}");
    }
}

#[tokio::test]
async fn names_and_buckets_are_those_of_distribution() {
    let (api, numbers) = counted();
    api.get("/v2/").await;
    let mut text = Vec::new();
    TextEncoder::new().encode(&numbers.gather(), &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    for line in [
        "registry_http_requests_total{code=\"200\",handler=\"base\",method=\"get\"} 1",
        "registry_http_in_flight_requests{handler=\"base\"} 0",
        "registry_http_request_duration_seconds_count{handler=\"base\",method=\"get\"} 1",
        "registry_http_request_size_bytes_bucket{handler=\"base\",le=\"1024\"} 1",
        "registry_http_response_size_bytes_bucket{handler=\"base\",le=\"2147483648\"} 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    let bounds = |name, labels: &[&str]| {
        let series = series(&numbers, name, labels);
        let buckets = series.get_histogram().get_bucket().iter().map(|bucket| format!("{}", bucket.upper_bound()));
        buckets.collect::<Vec<_>>().join(" ")
    };
    let durations = bounds("registry_http_request_duration_seconds", &["base", "get"]);
    assert_eq!(durations, "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 25 60");
    let sizes: Vec<_> = (0..22).map(|power| (1024_u64 << power).to_string()).collect();
    assert_eq!(bounds("registry_http_request_size_bytes", &["base"]), sizes.join(" "));
    assert!(HttpMetrics::register(&numbers).is_err(), "they are there already");
}
