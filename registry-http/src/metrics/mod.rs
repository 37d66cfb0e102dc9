//! What a service does and how long it takes, for Prometheus, under the names that CNCF Distribution has for it.

mod counted;
mod labels;

use std::fmt;
use std::sync::{Arc, OnceLock};

use http::StatusCode;
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    exponential_buckets,
};
use registry_core::{Clock, SystemClock};

pub(crate) use self::counted::Counted;
use self::labels::{CODES, Handler, Verb};
use crate::access::Admission;

/// What a service does and how long it takes. Clones count together.
///
/// ```
/// use std::sync::Arc;
/// use registry_auth::Anonymous;
/// use registry_core::{Registry, storage::Memory};
/// use registry_http::HttpMetrics;
///
/// let numbers = prometheus::Registry::new();
/// let metrics = HttpMetrics::register(&numbers)?;
/// let registry = Registry::builder(Arc::new(Memory::new())).build();
/// let service = registry_http::service(registry).authenticator(Arc::new(Anonymous)).metrics(metrics).build();
/// assert!(numbers.gather().iter().any(|family| family.name() == "registry_http_in_flight_requests"));
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Clone)]
pub struct HttpMetrics(Arc<Series>);

/// The series, those of each handler resolved once.
struct Series {
    clock: Arc<dyn Clock>,
    requests: IntCounterVec,
    durations: HistogramVec,
    request_sizes: HistogramVec,
    response_sizes: HistogramVec,
    handlers: [OfHandler; Handler::ALL.len()],
    received: IntCounter,
    sent: IntCounter,
    admissions: [IntCounter; Admission::ALL.len()],
}

/// The series of one handler. Those that are not always there are made when they are first needed.
struct OfHandler {
    in_flight: IntGauge,
    request_size: OnceLock<Histogram>,
    response_size: OnceLock<Histogram>,
    verbs: [OfVerb; Verb::ALL.len()],
}

/// The series of one method of one handler.
#[derive(Default)]
struct OfVerb {
    duration: OnceLock<Histogram>,
    codes: [OnceLock<IntCounter>; CODES.len()],
}

/// In seconds, as Distribution has them.
const DURATIONS: [f64; 13] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0];
/// How many buckets sizes have, from 1 KiB on, each twice the one before.
const SIZES: usize = 22;

impl HttpMetrics {
    /// Adds the series to `registry`.
    ///
    /// # Errors
    /// If it has series of these names already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Self::with_clock(registry, Arc::new(SystemClock))
    }

    /// Adds the series to `registry`, timed by `clock`.
    ///
    /// # Errors
    /// If it has series of these names already.
    pub fn with_clock(registry: &Registry, clock: Arc<dyn Clock>) -> prometheus::Result<Self> {
        let sizes = || exponential_buckets(1024.0, 2.0, SIZES);
        let in_flight = Opts::new("registry_http_in_flight_requests", "The requests that are being answered.");
        let in_flight = added(registry, IntGaugeVec::new(in_flight, &["handler"])?)?;
        let admissions = Opts::new("registry_auth_total", "The requests by what was decided about access.");
        let admissions = added(registry, IntCounterVec::new(admissions, &["result"])?)?;
        let requests = Opts::new("registry_http_requests_total", "The requests that were answered.");
        Ok(Self(Arc::new(Series {
            clock,
            requests: added(registry, IntCounterVec::new(requests, &["handler", "method", "code"])?)?,
            durations: histogram(
                registry,
                "registry_http_request_duration_seconds",
                "How long requests took, to the last byte of the answer.",
                DURATIONS.to_vec(),
                &["handler", "method"],
            )?,
            request_sizes: histogram(
                registry,
                "registry_http_request_size_bytes",
                "How large requests were, head and content.",
                sizes()?,
                &["handler"],
            )?,
            response_sizes: histogram(
                registry,
                "registry_http_response_size_bytes",
                "How much content answers had.",
                sizes()?,
                &["handler"],
            )?,
            handlers: Handler::ALL.map(|handler| OfHandler {
                in_flight: in_flight.with_label_values(&[handler.label()]),
                request_size: OnceLock::new(),
                response_size: OnceLock::new(),
                verbs: Default::default(),
            }),
            received: counter(registry, "registry_http_received_bytes_total", "The content of requests as it came.")?,
            sent: counter(registry, "registry_http_sent_bytes_total", "The content of answers as it was taken.")?,
            admissions: Admission::ALL.map(|admission| admissions.with_label_values(&[admission.label()])),
        })))
    }

    /// It was decided whether a request comes in.
    pub(crate) fn decided(&self, admission: Admission) {
        self.0.admissions[admission as usize].inc();
    }
}

impl fmt::Debug for HttpMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HttpMetrics")
    }
}

impl Series {
    fn of(&self, handler: Handler) -> &OfHandler {
        &self.handlers[handler as usize]
    }

    fn count(&self, handler: Handler, verb: Verb, status: StatusCode) {
        let made = |code: &str| self.requests.with_label_values(&[handler.label(), verb.label(), code]);
        let known = CODES.iter().position(|code| *code == status.as_u16());
        let cell = known.and_then(|index| self.of(handler).verbs[verb as usize].codes.get(index));
        match cell {
            Some(cell) => cell.get_or_init(|| made(status.as_str())).inc(),
            None => made(status.as_str()).inc(),
        }
    }

    fn observe_duration(&self, handler: Handler, verb: Verb, seconds: f64) {
        let made = || self.durations.with_label_values(&[handler.label(), verb.label()]);
        self.of(handler).verbs[verb as usize].duration.get_or_init(made).observe(seconds);
    }

    #[expect(clippy::cast_precision_loss, reason = "a bucket of such sizes is wide")]
    fn observe_sizes(&self, handler: Handler, request: u64, response: u64) {
        let of = self.of(handler);
        let made = || self.request_sizes.with_label_values(&[handler.label()]);
        of.request_size.get_or_init(made).observe(request as f64);
        let made = || self.response_sizes.with_label_values(&[handler.label()]);
        of.response_size.get_or_init(made).observe(response as f64);
    }
}

fn counter(registry: &Registry, name: &str, help: &str) -> prometheus::Result<IntCounter> {
    added(registry, IntCounter::new(name, help)?)
}

fn histogram(
    registry: &Registry,
    name: &str,
    help: &str,
    buckets: Vec<f64>,
    labels: &[&str],
) -> prometheus::Result<HistogramVec> {
    added(registry, HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels)?)
}

fn added<C: Collector + Clone + 'static>(registry: &Registry, collector: C) -> prometheus::Result<C> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}
