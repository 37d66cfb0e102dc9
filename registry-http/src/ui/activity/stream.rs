//! `/ui/activity/stream`: says when something happened, as a stream of events (WHATWG HTML, server-sent events).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use registry_auth::{Access, Action, Authorizer, Decision, Principal};
use registry_core::RepositoryName;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;

/// After so long without a word there is one, so that nobody in between takes the connection for dead.
const QUIET: Duration = Duration::from_secs(15);

/// After so long a stream ends. The browser asks again, and is looked at anew.
const LIFE: Duration = Duration::from_mins(10);

pub(in crate::ui) fn watch(call: &Call, at: &Authorized<()>) -> Answer {
    let activity = call.settings.ui.as_ref().and_then(|ui| ui.activity.as_ref());
    let happenings = activity.and_then(super::Activity::subscribe).ok_or_else(Refusal::no_page)?;
    let watcher = Watcher {
        happenings,
        authorizer: Arc::clone(&call.settings.authorizer),
        principal: at.principal().clone(),
        until: Instant::now() + LIFE,
    };
    let begin = stream::once(async { Ok(Bytes::from_static(b"retry: 2000\n\n")) });
    let rest = stream::unfold(watcher, |mut watcher| async move {
        let said = watcher.next().await?;
        Some((Ok(Bytes::from_static(said)), watcher))
    });
    Ok(Response::builder()
        .header(CONTENT_TYPE, "text/event-stream")
        .header(CACHE_CONTROL, "no-store")
        // nginx would keep it back otherwise.
        .header("x-accel-buffering", "no")
        .body(ResponseBody::unmeasured(begin.chain(rest).boxed()))?)
}

/// Somebody who watches.
struct Watcher {
    happenings: Receiver<RepositoryName>,
    authorizer: Arc<dyn Authorizer>,
    principal: Principal,
    until: Instant,
}

impl Watcher {
    /// What is said next; `None` at the end.
    async fn next(&mut self) -> Option<&'static [u8]> {
        loop {
            let happened = timeout_at(self.until, timeout(QUIET, self.happenings.recv())).await;
            match happened {
                Err(_) | Ok(Ok(Err(RecvError::Closed))) => return None,
                Ok(Err(_)) => return Some(b": still here\n\n"),
                Ok(Ok(Err(RecvError::Lagged(_)))) => return Some(b"data: happened\n\n"),
                Ok(Ok(Ok(name))) if self.may_see(&name).await => return Some(b"data: happened\n\n"),
                Ok(Ok(Ok(_))) => {}
            }
        }
    }

    async fn may_see(&self, name: &RepositoryName) -> bool {
        let access = Access::repository(name.clone(), [Action::Pull]);
        matches!(self.authorizer.authorize(&self.principal, &access).await, Ok(Decision::Allow))
    }
}
