//! What happened, for those who want to know: notifications, audit, statistics.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;

use crate::{Digest, MediaType, RepositoryName, Tag};

/// Takes events in.
pub trait EventSink: fmt::Debug + Send + Sync + 'static {
    /// Called after the change is durable, or when a read was opened. It is called on an async worker in the middle
    /// of a request, so it must neither block nor take long: hand the event on.
    fn record(&self, event: Event);

    /// Whether it wants events of this kind; all by default. Where nobody does, none is put together.
    fn wants(&self, action: EventAction) -> bool {
        let _ = action;
        true
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What.
    pub action: EventAction,
    /// When.
    pub time: SystemTime,
    /// Where.
    pub repository: RepositoryName,
    /// The content; `None` when a tag was deleted.
    pub digest: Option<Digest>,
    /// Its size in bytes, where it is known.
    pub size: Option<u64>,
    /// Its media type; `None` for a blob.
    pub media_type: Option<MediaType>,
    /// The bytes of the manifest that was pulled or pushed.
    pub manifest: Option<Bytes>,
    /// The tag by which it was reached or changed. A push to several tags is as many events.
    pub tag: Option<Tag>,
    /// The repository that a blob was mounted from.
    pub from_repository: Option<RepositoryName>,
    /// Who did it.
    pub caller: Arc<Caller>,
}

impl Event {
    /// Something that happened, of which nothing further is known.
    #[must_use]
    pub fn new(action: EventAction, time: SystemTime, repository: RepositoryName, caller: Arc<Caller>) -> Self {
        Self {
            action,
            time,
            repository,
            digest: None,
            size: None,
            media_type: None,
            manifest: None,
            tag: None,
            from_repository: None,
            caller,
        }
    }
}

/// What happened to the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventAction {
    /// It was opened for reading, or looked at.
    Pull,
    /// It was pushed.
    Push,
    /// It was mounted from another repository.
    Mount,
    /// It was deleted.
    Delete,
}

/// On whose behalf an operation happens. The default is nobody in particular.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Caller {
    /// Who, by the name that authentication found. Uploads belong to whom started them.
    pub principal: Option<String>,
    /// By which request.
    pub request: Option<RequestOrigin>,
}

/// The request behind an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestOrigin {
    /// The identity of the request in logs.
    pub id: String,
    /// The address of the client.
    pub address: String,
    /// The host that the client asked.
    pub host: String,
    /// The method.
    pub method: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// What the addresses that this client is told begin with, up to `/v2/`: empty where it is told paths.
    pub root: String,
}
