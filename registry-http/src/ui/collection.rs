//! `/ui/collect`: garbage collection, for those who may have it done.

use std::fmt;
use std::time::SystemTime;

use super::form;
use super::viewer::{Frame, see_other};
use crate::access::Authorized;
use crate::call::Call;
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;

/// Collects garbage when somebody asks for it, for the [pages](super::Ui::collect).
pub trait Collect: fmt::Debug + Send + Sync + 'static {
    /// Begins a run in the background, on behalf of `principal`, or with `dry_run` a look at what would go. Tells whether
    /// it begins: it does not while another is under way. It is called in the middle of a request, so it must not block.
    fn begin(&self, dry_run: bool, principal: Option<&str>) -> bool;
}

/// A garbage collection that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunUnderWay {
    /// Whether it only looks.
    pub dry_run: bool,
    /// When it was asked for, or began by itself.
    pub begun: SystemTime,
}

/// A garbage collection that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectionRun {
    /// Whether it only looked.
    pub dry_run: bool,
    /// When it was over.
    pub ended: SystemTime,
    /// How.
    pub end: CollectionEnd,
}

/// How a garbage collection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectionEnd {
    /// It took away what nothing needs.
    Collected {
        /// How many links of manifests and layers were taken away. What only these linked goes by a later run.
        links: u64,
        /// How many contents were put into quarantine.
        blobs: u64,
        /// How many bytes these have.
        bytes: u64,
        /// How many bytes became free, of what earlier runs had put there.
        freed_bytes: u64,
    },
    /// It looked, and nothing else.
    Looked {
        /// How many contents would be gone in the end.
        blobs: u64,
        /// How many bytes these have.
        bytes: u64,
    },
    /// It would have taken so much that it took nothing.
    Braked {
        /// How many contents would have gone.
        blobs: u64,
        /// How many there are.
        of: u64,
    },
    /// Another process is collecting, or was left in charge of it.
    Elsewhere,
    /// It failed; the log says why.
    Failed,
}

/// What a look found that nothing needs, with what lies in quarantine already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reclaimable {
    /// When that was.
    pub seen: SystemTime,
    /// How many contents will be gone in the end.
    pub blobs: u64,
    /// How many bytes they have.
    pub bytes: u64,
}

/// Begins a run, or a look at what one would take.
pub(super) async fn begin(call: &Call, at: &Authorized<()>, content: Content) -> Answer {
    let collect = call.settings.ui.as_ref().and_then(|ui| ui.collect.as_ref()).ok_or_else(Refusal::no_page)?;
    let fields = form::read(call, content).await?;
    let dry_run = match fields.get("run") {
        Some("look") => true,
        Some("collect") => false,
        _ => return Err(Refusal::form("it was not said what to do")),
    };
    // If another is under way, the page says so.
    let is_new = collect.begin(dry_run, at.principal().name());
    tracing::info!(dry_run, is_new, user = at.principal().name(), "somebody asked for garbage collection");
    Ok(see_other(&Frame::new(call, Some(at.principal())).links.activity()))
}
