//! How a notification gets to its endpoint.

use std::fmt;

use bytes::Bytes;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use reqwest::{Client, Url};

use super::envelope;
use crate::config::EndpointConfig;

/// Sends notifications to one endpoint.
pub(super) trait Transport: fmt::Debug + Send + Sync + 'static {
    /// Sends one, and gives the status of the answer. Dropping the future leaves open whether it arrived.
    fn send(&self, notice: Bytes) -> impl Future<Output = Result<StatusCode, Unanswered>> + Send;
}

/// There was no answer: why, without secrets.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(pub(super) String);

/// By HTTP, as the configuration says.
pub(super) struct Http {
    client: Client,
    url: Url,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}

impl Http {
    /// # Errors
    /// If the certificates of this machine cannot be read.
    pub(super) fn new(endpoint: &EndpointConfig) -> Result<Self, reqwest::Error> {
        let mut headers = endpoint.headers.clone();
        headers.insert(CONTENT_TYPE, envelope::MEDIA_TYPE);
        let mut builder = Client::builder()
            .user_agent(concat!("registry/", env!("CARGO_PKG_VERSION")))
            .default_headers(headers)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(endpoint.timeout);
        if endpoint.url.scheme() == "http" {
            // A machine without certificates can tell those that need none.
            builder = builder.tls_certs_only([]);
        }
        Ok(Self { client: builder.build()?, url: endpoint.url.clone() })
    }
}

impl Transport for Http {
    async fn send(&self, notice: Bytes) -> Result<StatusCode, Unanswered> {
        let answered = self.client.post(self.url.clone()).body(notice).send().await;
        answered.map(|answer| answer.status()).map_err(|error| unanswered(&error.without_url()))
    }
}

fn unanswered(error: &reqwest::Error) -> Unanswered {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    Unanswered(text)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};
    use std::time::Duration;

    use super::*;
    use crate::notifications::sample;

    /// Answers one request, and gives it.
    fn answering(answer: &'static str) -> (String, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"the body") {
                let mut bytes = [0; 1024];
                let read = stream.read(&mut bytes).unwrap();
                assert!(read > 0, "the request breaks off");
                request.extend_from_slice(&bytes[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            // Until the client has gone, or was dropped.
            let _ = stream.read_to_end(&mut Vec::new());
            String::from_utf8(request).unwrap()
        });
        (address, thread)
    }

    fn http(url: &str) -> Http {
        let mut config = sample::endpoint_config(&[]);
        config.url = url.parse().unwrap();
        config.timeout = Duration::from_millis(500);
        config.headers.insert("x-one", "two".parse().unwrap());
        config.headers.insert("content-type", "other".parse().unwrap());
        Http::new(&config).unwrap()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_sent_and_redirects_are_not_followed() {
        let (address, server) = answering("HTTP/1.1 302 Found\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n");
        let http = http(&format!("http://ann:pass@{address}/hook?a=b"));
        assert_eq!(http.send("the body".into()).await.unwrap(), StatusCode::FOUND);
        drop(http);
        let request = server.join().unwrap();
        assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{request}");
        for header in [
            "x-one: two",
            "content-type: application/vnd.docker.distribution.events.v2+json",
            "authorization: Basic YW5uOnBhc3M=",
            "content-length: 8",
        ] {
            assert!(request.contains(&format!("\r\n{header}\r\n")), "{header} in {request}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn no_answer_in_time_is_none() {
        let (address, server) = answering("");
        let http = http(&format!("http://ann:secret@{address}/?secret"));
        let Unanswered(problem) = http.send("the body".into()).await.unwrap_err();
        assert!(problem.contains("timed out") && !problem.contains("secret"), "{problem}");
        server.join().unwrap();
        let Unanswered(problem) = http.send("the body".into()).await.unwrap_err();
        assert!(problem.contains("refused") && !problem.contains("secret"), "{problem}");
        assert!(!format!("{http:?}").contains("secret"));
    }

    /// There is a provider of cryptography without anybody having chosen one for the process.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn encrypted_endpoints_need_no_preparation() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let http = http(&format!("https://{}", listener.local_addr().unwrap()));
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut first = [0];
            stream.read_exact(&mut first).unwrap();
            first[0]
        });
        http.send("the body".into()).await.unwrap_err();
        // The handshake of TLS.
        assert_eq!(server.join().unwrap(), 22);
    }
}
