//! What clients are told while something fails, and `/healthz` for those who ask.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Request;
use http::response::Response;
use http::{HeaderName, HeaderValue, Method, StatusCode};
use registry_http::ResponseBody;
use tower::Service;

use super::Health;

/// Where load balancers and supervisors ask. It tells no more than whether all is well, so anybody may.
const PATH: &str = "/healthz";
/// As Distribution tells it.
const REFUSAL: &str = "{\"errors\":[{\"code\":\"UNAVAILABLE\",\"message\":\"service unavailable\",\
                       \"detail\":\"health check failed: please see /debug/health\"}]}\n";

/// A service that is kept from clients while something fails.
#[derive(Debug, Clone)]
pub struct Gated<S> {
    inner: S,
    health: Health,
}

impl<S> Gated<S> {
    /// Keeps clients from `inner` while `health` is bad.
    pub fn new(inner: S, health: Health) -> Self {
        Self { inner, health }
    }
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<ResponseBody>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = if request.uri().path() == PATH {
            tell(request.method(), self.health.is_healthy())
        } else if self.health.is_healthy() {
            return Box::pin(self.inner.call(request));
        } else {
            refuse(request.method())
        };
        Box::pin(std::future::ready(Ok(answer)))
    }
}

fn tell(method: &Method, is_healthy: bool) -> Response<ResponseBody> {
    if method != Method::GET && method != Method::HEAD {
        let mut answer = answer(StatusCode::METHOD_NOT_ALLOWED, method, "");
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    if is_healthy {
        answer(StatusCode::OK, method, "{}\n")
    } else {
        answer(StatusCode::SERVICE_UNAVAILABLE, method, "{\"status\":\"unavailable\"}\n")
    }
}

fn refuse(method: &Method) -> Response<ResponseBody> {
    let mut answer = answer(StatusCode::SERVICE_UNAVAILABLE, method, REFUSAL);
    let version = HeaderName::from_static("docker-distribution-api-version");
    answer.headers_mut().insert(version, HeaderValue::from_static("registry/2.0"));
    answer
}

fn answer(status: StatusCode, method: &Method, body: &'static str) -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::from(if method == Method::HEAD { "" } else { body }));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_LENGTH, body.len().into());
    if !body.is_empty() {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    answer
}

#[cfg(test)]
mod tests {
    use std::future::{Ready, poll_fn, ready};

    use http_body::Body as _;

    use super::*;

    /// Always answers 418.
    #[derive(Debug, Clone)]
    struct Behind;

    impl Service<Request<()>> for Behind {
        type Response = Response<ResponseBody>;
        type Error = Infallible;
        type Future = Ready<Result<Self::Response, Infallible>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            let mut answer = Response::new(ResponseBody::from(""));
            *answer.status_mut() = StatusCode::IM_A_TEAPOT;
            ready(Ok(answer))
        }
    }

    async fn ask(health: &Health, method: Method, path: &str) -> (Response<()>, String) {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        let (parts, mut body) = Gated::new(Behind, health.clone()).call(request).await.unwrap().into_parts();
        let mut text = Vec::new();
        while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            text.extend(frame.unwrap().into_data().unwrap());
        }
        (Response::from_parts(parts, ()), String::from_utf8(text).unwrap())
    }

    #[tokio::test]
    async fn clients_come_through_while_all_is_well() {
        let health = Health::default();
        for (method, path, status) in [
            (Method::GET, "/v2/", 418),
            (Method::GET, "/healthz/", 418),
            (Method::GET, "/healthz", 200),
            (Method::HEAD, "/healthz?x", 200),
            (Method::POST, "/healthz", 405),
            (Method::OPTIONS, "/healthz", 405),
        ] {
            assert_eq!(ask(&health, method.clone(), path).await.0.status(), status, "{method} {path}");
        }
        let (answer, body) = ask(&health, Method::GET, "/healthz").await;
        assert_eq!((body.as_str(), &answer.headers()["cache-control"]), ("{}\n", &"no-store".parse().unwrap()));
        assert_eq!(ask(&health, Method::POST, "/healthz").await.0.headers()["allow"], "GET, HEAD");
    }

    #[tokio::test]
    async fn nobody_comes_through_while_something_fails() {
        let health = Health::default();
        health.set("secret place", Some("secret reason".into()));
        let (answer, body) = ask(&health, Method::PUT, "/v2/a/manifests/1").await;
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (503, &"application/json".parse().unwrap())
        );
        assert!(body.contains("\"UNAVAILABLE\"") && !body.contains("secret"), "{body}");
        let (answer, body) = ask(&health, Method::HEAD, "/v2/").await;
        assert_eq!((answer.status().as_u16(), body.as_str()), (503, ""));
        let (answer, body) = ask(&health, Method::GET, "/healthz").await;
        assert_eq!((answer.status().as_u16(), &answer.headers()["cache-control"]), (503, &"no-store".parse().unwrap()));
        assert!(!body.contains("secret"), "{body}");
        assert_eq!(ask(&health, Method::DELETE, "/healthz").await.0.status(), 405);
    }
}
