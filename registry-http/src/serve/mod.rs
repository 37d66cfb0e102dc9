//! Serving on a listener: connections, their timeouts, and a graceful end.

mod activity;
mod addresses;
mod head;
mod lingering;
mod listener;
mod paced;
mod security;
mod taking;
mod watched;

use std::convert::Infallible;
use std::error::Error as StdError;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONNECTION;
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::{Service, ServiceExt as _};

use self::activity::Activity;
use self::addresses::Addresses;
pub use self::listener::Listener;
use self::listener::Socket;
pub use self::paced::RequestBody;
use self::security::{Protocol, Secured};
use self::watched::{MAX_HEAD_BYTES, Watched};
use crate::limits::{Rates, RequestRate, Requester};
use crate::{Encrypted, PeerAddress};

/// How [`serve`] treats connections. The defaults are safe on an open network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServeOptions {
    /// How long a TLS handshake may take, from the beginning of the connection; 10 s.
    pub handshake_timeout: Duration,
    /// How often one address may begin a TLS handshake; [`RequestRate::HANDSHAKES`]. Connections beyond it are closed at
    /// once. Loopback addresses have no limit.
    pub handshake_rate: Option<RequestRate>,
    /// How long a request's head may take, from its first byte on, or from the beginning of the connection; 10 s.
    pub header_timeout: Duration,
    /// How long a connection may do nothing between requests; 60 s. What HTTP/2 sends beside requests is nothing.
    pub idle_timeout: Duration,
    /// How long a request's body may stand still while it is waited for; 30 s. In this time as many bytes have to come
    /// as [`body_rate_bytes_per_second`](Self::body_rate_bytes_per_second) says.
    pub body_timeout: Duration,
    /// How fast a request's body has to come while it is waited for, in bytes per second over the
    /// [`body_timeout`](Self::body_timeout); 1024. With 0 it is enough that something comes.
    pub body_rate_bytes_per_second: u64,
    /// How long a client may take no byte of an answer; 60 s, and up to a quarter more where it only keeps the window of
    /// HTTP/2 shut. The connection ends then, with all its requests.
    pub write_timeout: Duration,
    /// How long requests may go on after the end was asked for; 10 s.
    pub drain_timeout: Duration,
    /// How many connections there may be at once; further ones wait to be accepted; 16,384.
    pub max_connections: usize,
    /// How many connections one address may have, or one /64 network of IPv6; `None` is half of
    /// [`max_connections`](Self::max_connections), which is the default. Further ones are closed at once. Loopback
    /// addresses and Unix sockets have no limit, as proxies come from there, and neither have
    /// [other proxies](Listener::with_trusted_proxies).
    pub max_connections_per_address: Option<usize>,
    /// Whether HTTP/2 is spoken with clients that begin with it, without TLS; off.
    pub h2c: bool,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(10),
            handshake_rate: Some(RequestRate::HANDSHAKES),
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_mins(1),
            body_timeout: Duration::from_secs(30),
            body_rate_bytes_per_second: 1024,
            write_timeout: Duration::from_mins(1),
            drain_timeout: Duration::from_secs(10),
            max_connections: 16_384,
            max_connections_per_address: None,
            h2c: false,
        }
    }
}

impl ServeOptions {
    fn connections_per_address(&self) -> usize {
        self.max_connections_per_address.unwrap_or(self.max_connections.div_ceil(2))
    }
}

/// How serving ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// How many connections were cut because they took longer than the [`drain_timeout`](ServeOptions::drain_timeout).
    pub cut: usize,
}

/// Serves `service` on `listener` until `shutdown` is done, then lets the requests under way come to their end.
///
/// A request over HTTP/1.1 without a `Host`, with several, or with a `Transfer-Encoding` other than `chunked` is refused
/// before it comes to the service.
///
/// The service is any: a [`RegistryService`](crate::RegistryService), or one with layers around it. Requests have
/// their [`PeerAddress`] as an extension, and over TLS [`Encrypted`] and, where one was verified, the client's
/// [`PeerCertificate`](crate::PeerCertificate). An error of the listener is logged and tried again, as it passes with the
/// shortage behind it.
///
/// Dropping the future cuts every connection.
pub async fn serve<S, B>(
    listener: impl Into<Listener>,
    service: S,
    options: ServeOptions,
    shutdown: impl Future<Output = ()> + Send,
) -> Drained
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let listener = listener.into();
    let graceful = GracefulShutdown::new();
    let (stopping, going_on) = watch::channel(());
    let mut connections = JoinSet::new();
    let accepting = async {
        let slots = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
        let addresses = Addresses::new(options.connections_per_address());
        let handshakes = options.handshake_rate.filter(|_| listener.security().is_encrypted()).map(Rates::new);
        loop {
            let slot = Arc::clone(&slots).acquire_owned().await;
            let (socket, peer) = accept(&listener).await;
            let counted = peer.filter(|_| !listener.is_proxy(peer));
            let Ok(place) = addresses.admit(counted) else {
                tracing::debug!(?peer, "a connection was refused: its address has too many");
                continue;
            };
            if is_flooding(handshakes.as_ref(), counted) {
                tracing::debug!(?peer, "a connection was refused: its address begins too many handshakes");
                continue;
            }
            let security = listener.security().clone();
            let (service, watcher, mut going_on) = (service.clone(), graceful.watcher(), going_on.clone());
            connections.spawn(async move {
                let secured = tokio::select! {
                    secured = security.secure(socket, &options) => secured,
                    // There is no request yet that would have to come to its end.
                    _ = going_on.changed() => return,
                };
                match secured {
                    Ok(secured) => connection(secured, peer, service, options, watcher).await,
                    Err(error) => tell_unsecured(&error, peer),
                }
                drop((slot, place));
            });
            // What has ended is let go of, so that the set does not grow.
            while connections.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    drop((listener, stopping));
    drain(graceful, connections, options.drain_timeout).await
}

fn is_flooding(handshakes: Option<&Rates>, peer: Option<SocketAddr>) -> bool {
    let address = Requester::at(peer.map(PeerAddress), &HeaderMap::new(), None);
    address.is_remote() && handshakes.is_some_and(|handshakes| handshakes.admit(&address).is_err())
}

async fn drain(graceful: GracefulShutdown, mut connections: JoinSet<()>, timeout: Duration) -> Drained {
    let drained = async {
        graceful.shutdown().await;
        while connections.join_next().await.is_some() {}
    };
    if tokio::time::timeout(timeout, drained).await.is_err() {
        while connections.try_join_next().is_some() {}
    }
    let cut = connections.len();
    connections.shutdown().await;
    Drained { cut }
}

/// The shortest and the longest pause after the listener failed.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Waits for a connection. When there are no file descriptors left, the failure would come again at once, so it
/// pauses.
async fn accept(listener: &Listener) -> (Socket, Option<SocketAddr>) {
    let mut pause = PAUSES.0;
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if concerns_one_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it was accepted");
            }
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted");
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Serves one connection to its end.
async fn connection<S, B>(
    secured: Secured,
    peer: Option<SocketAddr>,
    service: S,
    options: ServeOptions,
    watcher: Watcher,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let Secured { socket, protocol, is_encrypted, certificate } = secured;
    let activity = Arc::new(Activity::new());
    let io = TokioIo::new(Watched::new(socket, protocol, Arc::clone(&activity), options));
    let service = service_fn(move |request: Request<Incoming>| {
        let running = activity.begin();
        let (activity, version) = (Arc::clone(&activity), request.version());
        let answer = head::check(&request).map(|()| {
            let of_request = Arc::clone(&activity);
            let mut request = request.map(|body| RequestBody::new(body, of_request, &options));
            let extensions = request.extensions_mut();
            peer.and_then(|peer| extensions.insert(PeerAddress(peer)));
            is_encrypted.then(|| extensions.insert(Encrypted));
            certificate.clone().and_then(|certificate| extensions.insert(certificate));
            service.clone().oneshot(request)
        });
        async move {
            let mut response = match answer {
                Ok(answer) => answer.await?.map(Either::Left),
                Err(refusal) => refusal.into_response().map(Either::Right),
            };
            // What is left of the request's body stands before the next request: nobody reads that.
            if version <= Version::HTTP_11 && response.status().as_u16() >= 400 && activity.has_left_over() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| running.with(body)))
        }
    });
    let connection = builder(&options, protocol).serve_connection(io, service).into_owned();
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(error, "a connection broke off");
    }
}

/// Of certificates that are refused whoever runs the server wants to know; of handshakes that fail the internet is full.
fn tell_unsecured(error: &io::Error, peer: Option<SocketAddr>) {
    #[cfg(feature = "tls")]
    if let Some(rustls::Error::InvalidCertificate(why)) = error.get_ref().and_then(|source| source.downcast_ref()) {
        return tracing::info!(%why, ?peer, "a client's certificate was refused");
    }
    tracing::debug!(%error, ?peer, "a connection was not secured");
}

fn builder(options: &ServeOptions, protocol: Protocol) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        // Idle time counts here as well; the watch on the connection tells the two apart.
        .header_read_timeout(options.idle_timeout + options.header_timeout)
        // This bounds heads, which are then answered with 431.
        .max_buf_size(MAX_HEAD_BYTES)
        // As Go writes them: there are scripts that look for `Docker-Content-Digest`.
        .title_case_headers(true);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(128)
        .max_header_list_size(16 * 1024)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024);
    match protocol {
        Protocol::AsItBegins => builder,
        Protocol::Http1 => builder.http1_only(),
        Protocol::Http2 => builder.http2_only(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_half_of_the_connections() {
        let with = |max_connections, max_connections_per_address| {
            ServeOptions { max_connections, max_connections_per_address, ..ServeOptions::default() }
                .connections_per_address()
        };
        assert_eq!((with(16_384, None), with(1, None), with(10, Some(7))), (8192, 1, 7));
    }
}
