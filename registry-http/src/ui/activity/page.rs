//! `/ui/activity`: uploads under way, and what happened last.

use std::collections::HashMap;
use std::time::SystemTime;

use askama::Template;
use http::StatusCode;
use registry_auth::Action;
use registry_core::{EventAction, RepositoryName};

use super::Happening;
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::limits::UnderWay;
use crate::ui::collection::{CollectionEnd, CollectionRun};
use crate::ui::figures::Figures;
use crate::ui::shown::{Moment, Size, Took};
use crate::ui::viewer::{Frame, html};

/// So many uploads are shown.
const MOST_UPLOADS: usize = 100;

#[derive(Template)]
#[template(path = "activity.html")]
struct ActivityPage {
    frame: Frame,
    uploads: Vec<Upload>,
    happenings: Vec<Row>,
    figures: Option<Shown>,
    may_collect: bool,
}

struct Upload {
    under_way: UnderWay,
    begun: Moment,
}

struct Row {
    happening: Happening,
    time: Moment,
}

/// What a reader with a name is told of the server.
struct Shown {
    figures: Figures,
    last_collection: Option<Moment>,
    now: SystemTime,
}

impl ActivityPage {
    /// Whether something goes on without a word, so that it is worth looking often.
    fn is_busy(&self) -> bool {
        !self.uploads.is_empty() || self.figures.as_ref().is_some_and(|shown| shown.figures.collection.is_some())
    }
}

impl Row {
    fn verb(&self) -> &'static str {
        match self.happening.action {
            EventAction::Push => "pushed",
            EventAction::Delete => "deleted",
            EventAction::Pull => "pulled",
            _ => "changed",
        }
    }

    fn is_there(&self) -> bool {
        self.happening.action == EventAction::Push
    }
}

impl CollectionRun {
    fn is_bad(&self) -> bool {
        matches!(self.end, CollectionEnd::Failed | CollectionEnd::Braked { .. })
    }
}

impl Shown {
    fn new(figures: Figures, now: SystemTime) -> Self {
        Self { last_collection: figures.last_collection.map(|time| Moment::new(time, now)), figures, now }
    }

    fn looked(&self) -> Option<Moment> {
        self.figures.reclaimable.map(|found| Moment::new(found.seen, self.now))
    }

    fn took(&self) -> Option<Took> {
        self.figures.collection_took.map(Took)
    }

    /// How a run ended, in a sentence.
    fn told(&self, run: &CollectionRun) -> String {
        let when = Moment::new(run.ended, self.now);
        match run.end {
            CollectionEnd::Looked { blobs, bytes } => {
                format!("{blobs} blobs of {} can go; looked {when}.", Size(bytes))
            }
            CollectionEnd::Collected { links, blobs, bytes, freed_bytes } => format!(
                "The last run took away {links} links, put {blobs} blobs of {} into quarantine and freed {}, {when}.",
                Size(bytes),
                Size(freed_bytes)
            ),
            CollectionEnd::Braked { blobs, of } => format!(
                "{blobs} of {of} blobs would go, more than one run may ({when}). Nothing was taken away. If \
                 that is meant, let it go with: registry garbage-collect --force"
            ),
            CollectionEnd::Elsewhere => format!("Another process is in charge of collecting; asked {when}."),
            CollectionEnd::Failed => format!("The last run failed {when}; the log says why."),
        }
    }

    fn quarantine(&self) -> Option<Size> {
        self.figures.quarantine_bytes.map(Size)
    }

    fn freed(&self) -> Option<Size> {
        self.figures.freed_bytes.map(Size)
    }
}

pub(in crate::ui) async fn show(call: &Call, at: Authorized<()>) -> Answer {
    let Some(ui) = &call.settings.ui else { return Err(Refusal::no_page()) };
    let now = call.settings.registry.clock().now();
    let frame = Frame::new(call, Some(at.principal()));
    // Who does what, and how full the disk is, is nothing for passers-by.
    let is_insider = at.is_insider(call).await;
    let mut seen = Seen { call, at: &at, known: HashMap::new() };
    let mut uploads = Vec::new();
    for mut under_way in call.settings.open_uploads.list() {
        under_way.user.take_if(|_| !is_insider);
        if uploads.len() < MOST_UPLOADS && seen.may_see(&under_way.repository).await {
            uploads.push(Upload { begun: Moment::new(under_way.begun, now), under_way });
        }
    }
    let mut happenings = Vec::new();
    for mut happening in ui.activity.as_ref().map(super::Activity::recent).unwrap_or_default() {
        happening.who.take_if(|_| !is_insider);
        if seen.may_see(&happening.repository).await {
            happenings.push(Row { time: Moment::new(happening.time, now), happening });
        }
    }
    let figures = ui.figures.as_ref().filter(|_| is_insider).map(|read| Shown::new(read.figures(), now));
    let may_collect = ui.collect.is_some() && at.may_maintain(call).await;
    html(call, StatusCode::OK, &ActivityPage { frame, uploads, happenings, figures, may_collect })
}

/// Which repositories a reader may see, each asked once.
struct Seen<'a> {
    call: &'a Call,
    at: &'a Authorized<()>,
    known: HashMap<RepositoryName, bool>,
}

impl Seen<'_> {
    async fn may_see(&mut self, name: &RepositoryName) -> bool {
        if let Some(may) = self.known.get(name) {
            return *may;
        }
        let may = self.at.may(self.call, name, Action::Pull).await;
        self.known.insert(name.clone(), may);
        may
    }
}
