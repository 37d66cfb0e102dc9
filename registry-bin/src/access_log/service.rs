//! Following requests to the end of their answers.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::{Buf as _, Bytes};
use http::header::{REFERER, USER_AGENT};
use http::request::Request;
use http::response::Response;
use http::{Method, Uri, Version};
use http_body::{Body, Frame, SizeHint};
use registry_core::{Clock, SystemClock};
use registry_http::{PeerAddress, RequestId};
use tower::Service;

use super::completed::{Completed, Line, text};
use super::{AccessLog, Entry, shown};

/// What a request without an answer is told as: its client left before there was one.
const CLIENT_LEFT: u16 = 499;

/// A service whose requests are written to the log, and to the access log if there is one, when their answers end.
#[derive(Debug, Clone)]
pub struct AccessLogged<S> {
    inner: S,
    log: Option<AccessLog>,
    clock: Arc<dyn Clock>,
}

impl<S> AccessLogged<S> {
    /// Follows the requests of `inner`.
    pub fn new(inner: S, log: Option<AccessLog>) -> Self {
        Self { inner, log, clock: Arc::new(SystemClock) }
    }
}

impl<S, B, R> Service<Request<B>> for AccessLogged<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
{
    type Response = Response<CountedBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let id = RequestId::of(request.headers(), request.extensions());
        request.extensions_mut().insert(id.clone());
        let mut pending = Pending::new(self.log.clone(), &self.clock, &request, &id);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            // Also what is answered before the registry is asked has a name.
            if let Some(id) = id.header() {
                answer.headers_mut().insert(RequestId::HEADER, id);
            }
            if let Some(pending) = &mut pending {
                pending.answered(&answer);
            }
            Ok(answer.map(|inner| CountedBody { inner, pending }))
        })
    }
}

/// The body of an answer; the line is written when it is dropped.
#[derive(Debug)]
pub struct CountedBody<R> {
    inner: R,
    pending: Option<Pending>,
}

impl<R: Body<Data = Bytes> + Unpin> Body for CountedBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let frame = Pin::new(&mut self.inner).poll_frame(cx);
        if let (Poll::Ready(Some(Ok(frame))), Some(pending)) = (&frame, &mut self.pending)
            && let Some(data) = frame.data_ref()
        {
            pending.bytes += data.remaining() as u64;
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

/// A request whose lines are not written yet. Dropping it writes them.
#[derive(Debug)]
struct Pending {
    log: Option<AccessLog>,
    completed: Option<Completed>,
    clock: Arc<dyn Clock>,
    time: SystemTime,
    client: Option<String>,
    method: Method,
    target: Uri,
    version: Version,
    referer: String,
    user_agent: String,
    status: u16,
    bytes: u64,
}

impl Pending {
    /// `None` where nobody would read a line.
    fn new<B>(log: Option<AccessLog>, clock: &Arc<dyn Clock>, request: &Request<B>, id: &RequestId) -> Option<Self> {
        let completed = Completed::new(request, id);
        if log.is_none() && completed.is_none() {
            return None;
        }
        let peer = request.extensions().get::<PeerAddress>();
        Some(Self {
            log,
            completed,
            clock: Arc::clone(clock),
            time: clock.now(),
            client: peer.map(|peer| peer.0.ip().to_canonical().to_string()),
            method: request.method().clone(),
            target: request.uri().clone(),
            version: request.version(),
            referer: shown::referer(&text(request.headers(), REFERER)),
            user_agent: text(request.headers(), USER_AGENT),
            status: CLIENT_LEFT,
            bytes: 0,
        })
    }

    fn answered<B>(&mut self, answer: &Response<B>) {
        self.status = answer.status().as_u16();
        if let Some(completed) = &mut self.completed {
            completed.answered(answer);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let (method, target) = (self.method.as_str(), shown::target(&self.target));
        if let Some(log) = &self.log {
            log.record(&Entry {
                client: self.client.as_deref(),
                time: self.time,
                method,
                target: &target,
                protocol: protocol(self.version),
                status: self.status,
                bytes: self.bytes,
                referer: &self.referer,
                user_agent: &self.user_agent,
            });
        }
        if let Some(completed) = &self.completed {
            completed.tell(&Line {
                method,
                target: &target,
                referer: &self.referer,
                user_agent: &self.user_agent,
                status: self.status,
                written: self.bytes,
                // A clock that was set back tells of no time.
                duration: self.clock.now().duration_since(self.time).unwrap_or_default(),
            });
        }
    }
}

fn protocol(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2.0",
        Version::HTTP_3 => "HTTP/3.0",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::sync::mpsc;

    use registry_http::ResponseBody;

    use super::*;

    #[derive(Debug)]
    struct Lines(mpsc::Sender<Vec<u8>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn request() -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = "/v2/?a=b".parse().unwrap();
        request.extensions_mut().insert(PeerAddress("[::ffff:192.0.2.7]:1234".parse::<SocketAddr>().unwrap()));
        request
    }

    /// The lines of the access log after `serve` was done with the service.
    async fn logged<F, A>(answer: A, serve: impl FnOnce(AccessLogged<Answering<A>>) -> F) -> Vec<String>
    where
        F: Future<Output = ()>,
    {
        let (sender, lines) = mpsc::channel();
        let written = crate::lines::Lines::start("test", Lines(sender), |_| {}).unwrap();
        serve(AccessLogged::new(Answering(answer), Some(AccessLog::new(written.clone())))).await;
        assert!(written.finish());
        drop(written);
        lines.iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    /// Answers once.
    #[derive(Clone)]
    struct Answering<A>(A);

    impl<A> Service<Request<()>> for Answering<A>
    where
        A: Future<Output = Response<ResponseBody>> + Clone + Send + 'static,
    {
        type Response = Response<ResponseBody>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<ResponseBody>, Infallible>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            let answer = self.0.clone();
            Box::pin(async move { Ok(answer.await) })
        }
    }

    #[derive(Clone)]
    struct Now;

    impl Future for Now {
        type Output = Response<ResponseBody>;

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
            Poll::Ready(Response::new(ResponseBody::from("hello")))
        }
    }

    #[tokio::test]
    async fn the_line_comes_with_the_end_of_the_answer() {
        let lines = logged(Now, |mut service| async move {
            let answer = service.call(request()).await.unwrap();
            let mut body = answer.into_body();
            let frame = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await;
            assert_eq!(frame.unwrap().unwrap().into_data().unwrap(), "hello");
        });
        let lines = lines.await;
        assert!(lines[0].starts_with("192.0.2.7 - - ["), "{lines:?}");
        assert!(lines[0].ends_with("] \"GET /v2/?a=… HTTP/1.1\" 200 5 \"\" \"\"\n"), "{lines:?}");
        assert_eq!(lines.len(), 1);
    }

    #[tokio::test]
    async fn a_client_that_leaves_early_is_told_as_such() {
        let lines = logged(std::future::pending(), |mut service| async move {
            drop(service.call(request()));
        });
        assert!(lines.await[0].contains("\" 499 0 "));
    }
}
