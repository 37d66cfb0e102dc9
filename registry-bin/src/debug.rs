//! What those who run the server are told, at a place of its own: the health, and numbers for Prometheus.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Request;
use http::response::Response;
use http::{HeaderValue, Method, StatusCode};
use registry_http::{ResponseBody, ServeOptions, serve};
use tower::Service;

use crate::config::DebugConfig;
use crate::health::Health;
use crate::listen::{self, Listening, Place};

/// Where the health is told.
const HEALTH_PATH: &str = "/debug/health";
/// Few look at a time, and what they get is small.
const CONNECTIONS: usize = 64;
const DRAIN_TIMEOUT: Duration = Duration::from_secs(1);

/// Gives the numbers as text.
pub trait Numbers: fmt::Debug + Send + Sync + 'static {
    /// The text and its media type.
    ///
    /// # Errors
    /// If they cannot be put together.
    fn text(&self) -> Result<(&'static str, String), Box<dyn std::error::Error + Send + Sync>>;
}

/// What those who run the server are told.
#[derive(Debug, Clone)]
pub struct Debugging {
    health: Health,
    /// Where, and what.
    numbers: Option<(Arc<str>, Arc<dyn Numbers>)>,
}

impl Debugging {
    /// Tells the health, and the numbers if the configuration has a path for them.
    #[must_use]
    pub fn new(config: &DebugConfig, health: Health, numbers: Option<Arc<dyn Numbers>>) -> Self {
        let path = config.metrics_path.as_deref().map(Arc::from);
        Self { health, numbers: path.zip(numbers) }
    }

    /// Listens, and gives what then answers until it is dropped.
    ///
    /// # Errors
    /// If something else listens there.
    pub async fn listen(self, config: &DebugConfig) -> io::Result<impl Future<Output = ()> + Send + 'static> {
        let Listening { listener, place } = listen::bind(&config.listen).await?;
        let mut options = ServeOptions::default();
        options.max_connections = CONNECTIONS;
        // Nobody else's requests are to wait behind those of one address; here there is none but the operator.
        options.max_connections_per_address = Some(CONNECTIONS);
        options.drain_timeout = DRAIN_TIMEOUT;
        greet(&place, self.numbers.as_ref().map(|(path, _)| &**path));
        Ok(async move {
            serve(listener, self, options, std::future::pending()).await;
        })
    }

    fn answer(&self, method: &Method, path: &str) -> Response<ResponseBody> {
        match &self.numbers {
            _ if path == HEALTH_PATH && method == Method::GET => self.tell_health(),
            Some((at, numbers)) if path == &**at => tell_numbers(method, &**numbers),
            _ => told(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n".to_owned()),
        }
    }

    fn tell_health(&self) -> Response<ResponseBody> {
        let failing = self.health.failing();
        let status = if failing.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        told(status, "application/json", serde_json::json!(failing).to_string())
    }
}

fn tell_numbers(method: &Method, numbers: &dyn Numbers) -> Response<ResponseBody> {
    const PLAIN: &str = "text/plain; charset=utf-8";
    if method != Method::GET && method != Method::HEAD {
        let mut answer = told(StatusCode::METHOD_NOT_ALLOWED, PLAIN, String::new());
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return answer;
    }
    match numbers.text() {
        Ok((media_type, text)) => told(StatusCode::OK, media_type, text),
        Err(error) => {
            tracing::error!(%error, "the numbers cannot be put together");
            told(StatusCode::INTERNAL_SERVER_ERROR, PLAIN, "the numbers cannot be put together\n".to_owned())
        }
    }
}

fn told(status: StatusCode, media_type: &'static str, text: String) -> Response<ResponseBody> {
    let mut answer = Response::new(ResponseBody::from(text));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

fn greet(place: &Place, metrics: Option<&str>) {
    tracing::info!(health = HEALTH_PATH, metrics, "the debug server is at {place}");
    if place.is_exposed() {
        tracing::warn!("{place} tells whoever reaches it how the server does; it asks for no login");
    }
}

impl<B> Service<Request<B>> for Debugging {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method(), request.uri().path())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Listen;

    #[derive(Debug)]
    struct Counted(bool);

    impl Numbers for Counted {
        fn text(&self) -> Result<(&'static str, String), Box<dyn std::error::Error + Send + Sync>> {
            if self.0 { Ok(("text/plain; version=0.0.4", "a 1\n".to_owned())) } else { Err("broken".into()) }
        }
    }

    fn debugging(path: Option<&str>, works: bool) -> Debugging {
        let listen = Listen::Tcp { host: String::new(), port: 1 };
        let config = DebugConfig { listen, metrics_path: path.map(str::to_owned) };
        Debugging::new(&config, Health::default(), Some(Arc::new(Counted(works))))
    }

    #[test]
    fn what_there_is_and_that_there_is_no_more() {
        let debugging = debugging(Some("/m"), true);
        for (method, path, status) in [
            (Method::GET, "/debug/health", 200),
            (Method::HEAD, "/debug/health", 404),
            (Method::POST, "/debug/health", 404),
            (Method::GET, "/debug/health/down", 404),
            (Method::GET, "/m", 200),
            (Method::HEAD, "/m", 200),
            (Method::POST, "/m", 405),
            (Method::GET, "/metrics", 404),
            (Method::GET, "/v2/", 404),
            (Method::GET, "/", 404),
        ] {
            assert_eq!(debugging.answer(&method, path).status(), status, "{method} {path}");
        }
        assert_eq!(debugging.answer(&Method::GET, "/m").headers()["content-type"], "text/plain; version=0.0.4");
        assert_eq!(debugging.answer(&Method::GET, "/debug/health").headers()["content-type"], "application/json");
    }

    #[test]
    fn numbers_that_fail_or_are_not_wanted() {
        assert_eq!(debugging(Some("/m"), false).answer(&Method::GET, "/m").status(), 500);
        assert_eq!(debugging(None, true).answer(&Method::GET, "/metrics").status(), 404);
    }
}
