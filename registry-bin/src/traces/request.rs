//! Requests as traces, with the names of OpenTelemetry's conventions for HTTP servers.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use bytes::{Buf as _, Bytes};
use http::header::{HOST, USER_AGENT};
use http::uri::Authority;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::{Body, Frame, SizeHint};
use opentelemetry::propagation::{Extractor, TextMapPropagator as _};
use opentelemetry::trace::{FutureExt as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracer;
use registry_http::{About, Encrypted, ErrorAnswer, PeerAddress};
use tower::Service;

use super::Traces;
use crate::access_log::shown_query;

/// Traces the requests of `inner`, if there are traces.
pub fn traced<S>(inner: S, traces: Option<&Traces>) -> Traced<S> {
    Traced { inner, tracer: traces.map(Traces::tracer) }
}

/// A service whose requests are traced, each until its answer ends. A request is part of the trace that its
/// `traceparent` (W3C Trace Context) names.
#[derive(Debug, Clone)]
pub struct Traced<S> {
    inner: S,
    tracer: Option<SdkTracer>,
}

impl<S, B, R> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut TaskContext<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let following = self.tracer.as_ref().map(|tracer| Following::begin(tracer, &request));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Some(mut following) = following else {
                return Ok(answer.await?.map(|inner| TracedBody { inner, following: None }));
            };
            let answer = answer.with_context(following.context.clone()).await?;
            following.answered(&answer);
            Ok(answer.map(|inner| TracedBody { inner, following: Some(following) }))
        })
    }
}

/// The body of an answer; the trace of the request ends when it is dropped.
#[derive(Debug)]
pub struct TracedBody<R> {
    inner: R,
    following: Option<Following>,
}

impl<R: Body<Data = Bytes> + Unpin> Body for TracedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(following)) = (&frame, &mut self.following)
            && let Some(data) = frame.data_ref()
        {
            following.bytes += data.remaining() as u64;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A request whose trace has not ended. Dropping it ends it.
#[derive(Debug)]
struct Following {
    context: Context,
    /// Its method, unless that is a word that only the client knows.
    name: &'static str,
    is_answered: bool,
    bytes: u64,
}

impl Following {
    fn begin<B>(tracer: &SdkTracer, request: &Request<B>) -> Self {
        let parent = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(request.headers()));
        let method = method(request.method());
        let name = if method == OTHER { "HTTP" } else { method };
        let span = SpanBuilder::from_name(name).with_kind(SpanKind::Server).with_attributes(asked(method, request));
        let span = tracer.build_with_context(span, &parent);
        Self { context: parent.with_span(span), name, is_answered: false, bytes: 0 }
    }

    fn answered<R>(&mut self, answer: &Response<R>) {
        self.is_answered = true;
        let span = self.context.span();
        if !span.is_recording() {
            return;
        }
        let status = answer.status();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        let error = answer.extensions().get::<ErrorAnswer>();
        if let Some(error) = error {
            span.set_attribute(KeyValue::new("registry.error.code", error.code.clone()));
        }
        // What a client did wrong is no error of the server.
        if status.is_server_error() {
            span.set_attribute(KeyValue::new("error.type", status.as_str().to_owned()));
            span.set_status(Status::error(error.map(|error| error.message.clone()).unwrap_or_default()));
        }
        let Some(about) = answer.extensions().get::<About>() else { return };
        if let Some(route) = about.route() {
            span.update_name(format!("{} {route}", self.name));
            span.set_attribute(KeyValue::new("http.route", route));
        }
        for (name, value) in [
            ("http.request.id", Some(about.request_id().to_string())),
            ("user.name", about.user().map(str::to_owned)),
            ("registry.repository", about.repository().map(str::to_owned)),
            ("registry.reference", about.reference().map(ToString::to_string)),
            ("registry.digest", about.digest().map(ToString::to_string)),
        ] {
            if let Some(value) = value {
                span.set_attribute(KeyValue::new(name, value));
            }
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let span = self.context.span();
        if self.is_answered {
            let bytes = i64::try_from(self.bytes).unwrap_or(i64::MAX);
            span.set_attribute(KeyValue::new("http.response.body.size", bytes));
        } else {
            // The client left before there was an answer.
            span.set_attribute(KeyValue::new("error.type", "client_left"));
        }
        span.end();
    }
}

/// What a request tells before it is answered.
fn asked<B>(method: &'static str, request: &Request<B>) -> Vec<KeyValue> {
    let text = |name| Some(String::from_utf8_lossy(request.headers().get(name)?.as_bytes()).into_owned());
    let scheme = if request.extensions().get::<Encrypted>().is_some() { "https" } else { "http" };
    let peer = request.extensions().get::<PeerAddress>();
    let host = text(HOST).and_then(|host| host.parse::<Authority>().ok());
    let authority = request.uri().authority().or(host.as_ref());
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("url.scheme", scheme),
        KeyValue::new("url.path", request.uri().path().to_owned()),
    ];
    for (name, value) in [
        ("url.query", request.uri().query().map(shown_query)),
        ("http.request.method_original", (method == OTHER).then(|| request.method().to_string())),
        ("network.protocol.version", protocol(request.version()).map(str::to_owned)),
        ("network.peer.address", peer.map(|peer| peer.0.ip().to_canonical().to_string())),
        ("server.address", authority.map(|authority| authority.host().to_owned())),
        ("user_agent.original", text(USER_AGENT)),
    ] {
        attributes.extend(value.map(|value| KeyValue::new(name, value)));
    }
    attributes
        .extend(authority.and_then(Authority::port_u16).map(|port| KeyValue::new("server.port", i64::from(port))));
    attributes
}

const OTHER: &str = "_OTHER";

/// Clients may send any word as a method, but names of traces are few.
fn method(method: &Method) -> &'static str {
    const KNOWN: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
    KNOWN.into_iter().find(|known| *known == method.as_str()).unwrap_or(OTHER)
}

fn protocol(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
