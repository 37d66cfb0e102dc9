//! One request, from its head to the last byte of its answer.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use http::StatusCode;
use http::request::Parts;

use super::labels::{Handler, Verb};
use super::{HttpMetrics, Series};
use crate::observer::Subject;

/// A request that is counted. Dropping it counts it.
pub(crate) struct Counted {
    series: Arc<Series>,
    handler: Handler,
    verb: Verb,
    begun: SystemTime,
    /// How many bytes the head has, about.
    head: u64,
    /// How many bytes of content were announced.
    length: Option<u64>,
    received: Arc<AtomicU64>,
    status: Option<StatusCode>,
    sent: u64,
}

impl Counted {
    pub(crate) fn begin(metrics: &HttpMetrics, subject: Subject<'_>, parts: &Parts, length: Option<u64>) -> Self {
        let (series, handler) = (Arc::clone(&metrics.0), Handler::of(subject));
        series.of(handler).in_flight.inc();
        Self {
            handler,
            verb: Verb::of(&parts.method),
            begun: series.clock.now(),
            head: head(parts),
            length,
            received: Arc::default(),
            status: None,
            sent: 0,
            series,
        }
    }

    /// Is to be told of the bytes of the content as they come.
    pub(crate) fn receiving(&self) -> impl Fn(u64) + Send + use<> {
        let (series, received) = (Arc::clone(&self.series), Arc::clone(&self.received));
        move |bytes| {
            received.fetch_add(bytes, Ordering::Relaxed);
            series.received.inc_by(bytes);
        }
    }

    /// The answer begins.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Further bytes of the answer were taken.
    pub(crate) fn sent(&mut self, bytes: u64) {
        self.sent += bytes;
        self.series.sent.inc_by(bytes);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Self { series, handler, verb, .. } = self;
        // A clock that was set back meanwhile makes it nothing.
        let took = series.clock.now().duration_since(self.begun).unwrap_or_default();
        let left = StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT);
        series.of(*handler).in_flight.dec();
        series.count(*handler, *verb, self.status.unwrap_or(left));
        series.observe_duration(*handler, *verb, took.as_secs_f64());
        let content = self.length.unwrap_or_else(|| self.received.load(Ordering::Relaxed));
        series.observe_sizes(*handler, self.head + content, self.sent);
    }
}

/// As Distribution estimates it: without the separators.
fn head(parts: &Parts) -> u64 {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let headers: usize = parts.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    (parts.method.as_str().len() + target + "HTTP/1.1".len() + headers) as u64
}

impl fmt::Debug for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counted({} {})", self.handler.label(), self.verb.label())
    }
}
