//! The line of the log for a request, with the fields that Distribution has in it.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, Request, Response};
use registry_http::{About, ErrorAnswer, PeerAddress, RequestId};

use super::shown;

/// What the head of a request tells the log.
#[derive(Debug)]
pub(super) struct Completed {
    host: String,
    content_type: String,
    remote: String,
    id: RequestId,
    about: Option<About>,
    error: Option<ErrorAnswer>,
    answer_type: String,
}

/// What every line has, and the other log as well.
#[derive(Debug)]
pub(super) struct Line<'a> {
    pub(super) method: &'a str,
    pub(super) target: &'a str,
    pub(super) referer: &'a str,
    pub(super) user_agent: &'a str,
    pub(super) status: u16,
    pub(super) written: u64,
    pub(super) duration: Duration,
}

impl Completed {
    /// `None` where nobody would read it.
    pub(super) fn new<B>(request: &Request<B>, id: &RequestId) -> Option<Self> {
        if !tracing::enabled!(tracing::Level::INFO) {
            return None;
        }
        let text = |name| text(request.headers(), name);
        let peer = request.extensions().get::<PeerAddress>();
        let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let host = text(HOST);
        Some(Self {
            host: shown::authority(if host.is_empty() { authority.as_deref().unwrap_or_default() } else { &host }),
            content_type: text(CONTENT_TYPE),
            remote: peer.map(|peer| peer.0.to_string()).unwrap_or_default(),
            id: id.clone(),
            about: None,
            error: None,
            answer_type: String::new(),
        })
    }

    /// Takes over what the answer tells.
    pub(super) fn answered<B>(&mut self, answer: &Response<B>) {
        self.about = answer.extensions().get().cloned();
        self.error = answer.extensions().get().cloned();
        self.answer_type = text(answer.headers(), CONTENT_TYPE);
    }

    /// Writes the line. What a client did wrong is no error of the server.
    pub(super) fn tell(&self, line: &Line<'_>) {
        let about = self.about.as_ref();
        macro_rules! tell {
            ($level:ident, $message:literal) => {
                tracing::$level!(
                    auth.user.name = about.and_then(About::user),
                    err.code = self.error.as_ref().map(|error| error.code.as_str()),
                    err.message = self.error.as_ref().map(|error| error.message.as_str()),
                    http.request.contenttype = set(&self.content_type),
                    http.request.host = set(&self.host),
                    http.request.id = self.id.as_str(),
                    http.request.method = line.method,
                    http.request.referer = set(line.referer),
                    http.request.remoteaddr = about.and_then(About::client).or(set(&self.remote)),
                    http.request.uri = line.target,
                    http.request.useragent = set(line.user_agent),
                    http.response.contenttype = set(&self.answer_type),
                    http.response.duration = format!("{:?}", line.duration),
                    http.response.status = line.status,
                    http.response.written = line.written,
                    vars.digest = about.and_then(About::digest).map(ToString::to_string),
                    vars.name = about.and_then(About::repository),
                    vars.reference = about.and_then(About::reference).map(ToString::to_string),
                    vars.uuid = about.and_then(About::upload),
                    $message
                )
            };
        }
        match line.status {
            0..400 => tell!(info, "response completed"),
            400..500 => tell!(info, "response completed with error"),
            _ => tell!(error, "response completed with error"),
        }
    }
}

fn set(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn text(headers: &HeaderMap, name: http::HeaderName) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}
