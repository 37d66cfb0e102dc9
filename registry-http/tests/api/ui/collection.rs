use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Method;
use registry_core::{Clock as _, Registry, SystemClock};
use registry_http::{Collect, CollectionEnd, CollectionRun, Figures, ReadFigures, Reclaimable, RunUnderWay, Ui};

use super::{guarded_with, log_in, open, submit};
use crate::client::Api;

/// Notes what it is asked for.
#[derive(Debug, Default)]
struct Asked {
    runs: Mutex<Vec<(bool, Option<String>)>>,
    figures: Mutex<Figures>,
}

impl Collect for Asked {
    fn begin(&self, dry_run: bool, principal: Option<&str>) -> bool {
        self.runs.lock().unwrap().push((dry_run, principal.map(str::to_owned)));
        true
    }
}

impl ReadFigures for Asked {
    fn figures(&self) -> Figures {
        *self.figures.lock().unwrap()
    }
}

fn ui(asked: &Arc<Asked>) -> Ui {
    Ui::new().activity(registry_http::Activity::new()).collect(Arc::clone(asked) as _).figures(Arc::clone(asked) as _)
}

#[tokio::test]
async fn who_may_do_everything_may_have_garbage_collected() {
    let asked = Arc::new(Asked::default());
    let api = guarded_with(&open(), ui(&asked));
    let (ann, bob) = (log_in(&api, "ann").await, log_in(&api, "bob").await);
    let page = api.request(Method::GET, "/ui/activity", &[("cookie", &ann)], "").await.assert(200);
    page.shows("Collect garbage").shows(r#"action="/ui/collect""#);
    for (form, dry_run) in [("run=look", true), ("run=collect", false)] {
        let reply = submit(&api, "/ui/collect", &[("cookie", &ann)], form).await.assert(303);
        assert_eq!(reply.location(), "/ui/activity");
        assert_eq!(asked.runs.lock().unwrap().pop(), Some((dry_run, Some("ann".to_owned()))));
    }
    // Bob may pull, and nobody may look around.
    let page = api.request(Method::GET, "/ui/activity", &[("cookie", &bob)], "").await.assert(200);
    page.hides("Collect garbage").shows("Last garbage collection");
    submit(&api, "/ui/collect", &[("cookie", &bob)], "run=collect").await.assert(403);
    api.get("/ui/activity").await.assert(200).hides("Collect garbage");
    let reply = submit(&api, "/ui/collect", &[], "run=collect").await.assert(303);
    assert_eq!(reply.location(), "/ui/login?next=");
    assert!(asked.runs.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_wish_begins_nothing() {
    let asked = Arc::new(Asked::default());
    let api = guarded_with(&open(), ui(&asked));
    let ann = log_in(&api, "ann").await;
    for form in ["", "run=", "run=everything", "look=1"] {
        submit(&api, "/ui/collect", &[("cookie", &ann)], form).await.assert(400);
    }
    api.request(Method::GET, "/ui/collect", &[("cookie", &ann)], "").await.assert(405);
    let elsewhere = [("cookie", ann.as_str()), ("origin", "https://evil.example")];
    api.request(Method::POST, "/ui/collect", &elsewhere, "run=collect").await.assert(403);
    assert!(asked.runs.lock().unwrap().is_empty());
    // A server that has no collector has no such page.
    let api = guarded_with(&open(), Ui::new());
    let ann = log_in(&api, "ann").await;
    submit(&api, "/ui/collect", &[("cookie", &ann)], "run=collect").await.assert(404);
}

#[tokio::test]
async fn how_it_goes_is_told() {
    let asked = Arc::new(Asked::default());
    let api = Api::over(Registry::builder, |service| service.ui(ui(&asked)));
    let now = SystemClock.now();
    let told = async |change: &dyn Fn(&mut Figures)| {
        let mut figures = Figures::default();
        change(&mut figures);
        *asked.figures.lock().unwrap() = figures;
        api.get("/ui/activity").await.assert(200)
    };
    let page = told(&|figures| figures.collection = Some(RunUnderWay { dry_run: true, begun: now })).await;
    page.shows("Looking at what could go").shows("data-busy").shows(r#"value="look" disabled"#);
    let page = told(&|figures| figures.collection = Some(RunUnderWay { dry_run: false, begun: now })).await;
    page.shows("Garbage is being collected");
    let found = Reclaimable { seen: now - Duration::from_mins(5), blobs: 12, bytes: 3_400_000_000 };
    let page = told(&|figures| figures.reclaimable = Some(found)).await;
    page.shows("3.40 GB in 12 blobs").shows("5 minutes ago").hides("data-busy");
    for (dry_run, end, text) in [
        (true, CollectionEnd::Looked { blobs: 2, bytes: 1_000 }, "2 blobs of 1.00 kB can go"),
        (
            false,
            CollectionEnd::Collected { links: 7, blobs: 2, bytes: 1_000, freed_bytes: 5_000 },
            "took away 7 links, put 2 blobs of 1.00 kB into quarantine and freed 5.00 kB",
        ),
        (false, CollectionEnd::Braked { blobs: 900, of: 1_000 }, "900 of 1000 blobs would go, more than one run may"),
        (false, CollectionEnd::Elsewhere, "Another process is in charge"),
        (true, CollectionEnd::Failed, "the log says why"),
    ] {
        let run = CollectionRun { dry_run, ended: now - Duration::from_mins(1), end };
        told(&|figures| figures.last_run = Some(run)).await.shows(text).shows("1 minute ago");
    }
}
