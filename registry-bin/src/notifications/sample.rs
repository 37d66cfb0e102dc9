//! Events to test with.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use registry_core::{Algorithm, Caller, Digest, Event, EventAction, RequestOrigin};

use super::Endpoint;
use super::counts::EndpointSnapshot;
use super::filter::Filter;
use super::spool::{Bounds, Spool};
use crate::config::EndpointConfig;

/// 2026-11-24T12:21:05Z
pub(super) fn time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_522_865)
}

fn event(action: EventAction, content: &[u8]) -> Event {
    let request = RequestOrigin {
        id: "request".into(),
        address: "127.0.0.1:42702".into(),
        host: "127.0.0.1:5000".into(),
        method: "PUT".into(),
        user_agent: "curl/7.88.1".into(),
        root: "http://127.0.0.1:5000".into(),
    };
    let caller = Arc::new(Caller { principal: None, request: Some(request) });
    let mut event = Event::new(action, time(), "a/b".parse().unwrap(), caller);
    event.digest = Some(Digest::of(Algorithm::Sha256, content));
    event.size = Some(content.len() as u64);
    event
}

/// Of a blob with the content `{}`.
pub(super) fn blob(action: EventAction) -> Event {
    event(action, b"{}")
}

/// Of a small image with the tag `v1`.
pub(super) fn manifest(action: EventAction) -> Event {
    let manifest = Bytes::from_static(
        br#"{"schemaVersion":2,"config":{"mediaType":"x/config","digest":"sha256:1","size":2},"layers":[{"mediaType":"x/layer","digest":"sha256:2","size":13,"annotations":{"a":"b"}}]}"#,
    );
    let mut event = event(action, &manifest);
    event.media_type = Some("application/vnd.oci.image.manifest.v1+json".parse().unwrap());
    event.tag = Some("v1".parse().unwrap());
    event.manifest = Some(manifest);
    event
}

/// Of an endpoint that ignores these actions.
pub(super) fn endpoint_config(ignored: &[&str]) -> EndpointConfig {
    EndpointConfig {
        name: "a".into(),
        url: "http://127.0.0.1/".parse().unwrap(),
        headers: http::HeaderMap::new(),
        timeout: Duration::from_secs(1),
        threshold: 1,
        backoff: Duration::from_secs(1),
        ignored_media_types: HashSet::new(),
        ignored_actions: ignored.iter().map(|action| (*action).to_owned()).collect(),
    }
}

/// An endpoint that ignores these actions and has room in memory for a thousand events.
pub(super) fn endpoint(ignored: &[&str]) -> Endpoint {
    let config = endpoint_config(ignored);
    let spool = Arc::new(Spool::in_memory(Bounds { events: 1000, bytes: 100_000_000 }));
    Endpoint { name: config.name.clone(), filter: Filter::new(&config), spool, counts: Arc::default() }
}

impl Endpoint {
    /// Its numbers.
    pub(super) fn counted(&self) -> EndpointSnapshot {
        self.counts.snapshot(&self.name, self.spool.pending())
    }
}
