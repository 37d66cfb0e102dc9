use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request};
use http_body_util::BodyExt as _;
use registry_core::Registry;
use registry_http::{Activity, DiskSpace, Figures, ReadFigures, Ui};
use tower::ServiceExt as _;

use super::{guarded_with, log_in};
use crate::client::Api;

#[derive(Debug)]
struct Full;

impl ReadFigures for Full {
    fn figures(&self) -> Figures {
        let mut figures = Figures::default();
        figures.space = Some(DiskSpace { total_bytes: 1_000_000_000, available_bytes: 250_000_000 });
        figures.quarantine_bytes = Some(5_000_000);
        figures
    }
}

fn watched() -> (Api, Activity) {
    let activity = Activity::new();
    let sink = Arc::new(activity.clone());
    let api = Api::over(
        |storage| Registry::builder(storage).events(sink),
        |service| service.ui(Ui::new().activity(activity.clone()).figures(Arc::new(Full))),
    );
    (api, activity)
}

#[tokio::test]
async fn what_happened_lately_is_told() {
    let (api, _) = watched();
    api.get("/ui/activity").await.assert(200).shows("Nothing was pushed or deleted");
    api.push_image("a/b", Some("1"), "").await;
    api.push_image("c", Some("2"), "").await;
    api.get("/v2/c/manifests/2").await.assert(200);
    api.request(Method::DELETE, "/v2/c/manifests/2", &[], "").await.assert(202);
    let page = api.get("/ui/activity").await.assert(200).shows(r#"<a href="/ui/repositories/a/b/-/images/1">1</a>"#);
    let page = page.shows("deleted").hides("pulled").shows("250 MB of 1.00 GB").shows("5.00 MB");
    // The last comes first.
    assert!(page.text().find("deleted").unwrap() < page.text().find("pushed").unwrap());
    api.get("/ui/").await.assert(200).shows("/ui/activity\"");
}

#[tokio::test]
async fn uploads_under_way_are_told_with_what_came() {
    let (api, _) = watched();
    api.get("/ui/activity").await.assert(200).shows("None.").hides("data-busy");
    let upload = api.start_upload("team/app").await;
    api.request(Method::PATCH, &upload, &[], vec![7; 1_234]).await.assert(202);
    api.get("/ui/activity").await.assert(200).shows("team/app").shows("1.23 kB").shows("data-busy");
    api.request(Method::DELETE, &upload, &[], "").await.assert(204);
    api.get("/ui/activity").await.assert(200).hides("team/app");
}

#[tokio::test]
async fn nobody_is_told_of_what_they_may_not_see() {
    let (open, activity) = watched();
    let ui = Ui::new().activity(activity).figures(Arc::new(Full));
    let api = guarded_with(&open, ui);
    for name in ["public/app", "secret/app"] {
        open.push_image(name, Some("1"), "").await;
    }
    let ann = ("authorization", "Basic YW5uOnNlY3JldA==");
    api.request(Method::POST, "/v2/secret/upload/blobs/uploads/", &[ann], "").await.assert(202);
    let by_ann = open.service.registry().repository(&"public/app".parse().unwrap());
    let caller = registry_core::Caller { principal: Some("ann".into()), request: None };
    by_ann.on_behalf_of(Arc::new(caller)).tags().delete(&"1".parse().unwrap()).await.unwrap();
    let page = api.get("/ui/activity").await.assert(200).shows("public/app").shows("deleted");
    page.hides("secret/").hides("250 MB").hides(">ann<");
    let bob = log_in(&api, "bob").await;
    let page = api.request(Method::GET, "/ui/activity", &[("cookie", &bob)], "").await.assert(200);
    page.shows("secret/app").shows("secret/upload").shows("250 MB").shows(">ann<");
}

#[tokio::test]
async fn those_who_watch_are_told_when_something_happens() {
    let (api, activity) = watched();
    let request = Request::get("/ui/activity/stream").header("host", "registry.test").body(axum::body::Body::empty());
    let response = api.service.clone().into_router().oneshot(request.unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body();
    let mut next = async || {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap()?;
        Some(frame.unwrap().into_data().unwrap())
    };
    assert_eq!(next().await.unwrap(), "retry: 2000\n\n");
    api.push_image("a", Some("1"), "").await;
    assert_eq!(next().await.unwrap(), "data: happened\n\n");
    activity.close();
    assert_eq!(next().await, None);
    api.get("/ui/activity/stream").await.assert(404);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_stream_says_that_it_is_there_and_ends_some_day() {
    let (api, _activity) = watched();
    let begun = tokio::time::Instant::now();
    let all = api.get("/ui/activity/stream").await.assert(200);
    assert_eq!(begun.elapsed(), Duration::from_mins(10));
    // At the very end either may come first.
    assert!((39..=40).contains(&all.text().matches(": still here\n\n").count()));
}

#[tokio::test]
async fn a_watcher_is_not_told_of_what_they_may_not_see() {
    let (open, activity) = watched();
    let api = guarded_with(&open, Ui::new().activity(activity.clone()));
    let request = Request::get("/ui/activity/stream").header("host", "registry.test").body(axum::body::Body::empty());
    let response = api.service.clone().into_router().oneshot(request.unwrap()).await.unwrap();
    open.push_image("secret/app", Some("1"), "").await;
    activity.close();
    let all = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(all, "retry: 2000\n\n");
}
