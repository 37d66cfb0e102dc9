//! What goes wrong, as the client is told and as the log is told: the only place that knows status codes of errors.

use std::error::Error as StdError;
use std::fmt::{self, Write as _};
use std::time::Duration;

#[cfg(feature = "ui")]
use http::HeaderMap;
#[cfg(feature = "serve")]
use http::header::CONNECTION;
use http::header::{ALLOW, CONTENT_TYPE, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use registry_auth::{Access, AuthenticationError, Challenge};
use registry_core::{BodyError, Error, Reference, storage};
use serde::Serialize;
use serde_json::{Value, json};

use crate::about::ErrorAnswer;
use crate::body::ResponseBody;
use crate::page::InvalidNumber;
use crate::range::InvalidChunk;
use crate::route::RouteError;

/// A request that is not granted: everything but the success of a handler.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    errors: Vec<Entry>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// For the log alone.
    cause: Option<Box<dyn StdError + Send + Sync>>,
}

/// One entry of the `errors` of the OCI distribution specification.
#[derive(Debug, Serialize)]
struct Entry {
    code: Code,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Value>,
}

/// The codes of the OCI distribution specification, and those of CNCF Distribution beside them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum Code {
    BlobUnknown,
    BlobUploadInvalid,
    BlobUploadUnknown,
    Denied,
    DigestInvalid,
    ManifestBlobUnknown,
    ManifestInvalid,
    ManifestUnknown,
    NameInvalid,
    NameUnknown,
    PaginationNumberInvalid,
    RangeInvalid,
    SizeInvalid,
    TagInvalid,
    #[serde(rename = "TOOMANYREQUESTS")]
    TooManyRequests,
    Unauthorized,
    Unavailable,
    Unknown,
    Unsupported,
}

impl fmt::Display for Code {
    /// As the specification spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How long a client waits before it tries again, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

impl Refusal {
    fn new(status: StatusCode, code: Code, message: impl Into<String>) -> Self {
        let entry = Entry { code, message: message.into(), detail: None };
        Self { status, errors: vec![entry], headers: Vec::new(), cause: None }
    }

    fn detail(mut self, detail: Value) -> Self {
        if let Some(entry) = self.errors.first_mut() {
            entry.detail = Some(detail);
        }
        self
    }

    fn caused_by(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds a header. What cannot be one is left out.
    pub(crate) fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        if let (Ok(name), Ok(value)) = (name.try_into(), value.try_into()) {
            self.headers.push((name, value));
        }
        self
    }

    fn retry(self) -> Self {
        self.header(RETRY_AFTER, RETRY_AFTER_SECONDS)
    }

    /// Whether an upload went on elsewhere than the client believes.
    pub(crate) fn is_about_range(&self) -> bool {
        self.status == StatusCode::RANGE_NOT_SATISFIABLE
    }

    /// The client has to come back with credentials.
    pub(crate) fn unauthorized(challenge: &Challenge, wanted: &[Access]) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, Code::Unauthorized, "authentication required")
            .detail(scopes(wanted))
            .header(WWW_AUTHENTICATE, challenge.to_string())
    }

    /// The client may not, and no credentials that it could send would change that.
    pub(crate) fn denied(wanted: &[Access]) -> Self {
        let message = "requested access to the resource is denied";
        Self::new(StatusCode::FORBIDDEN, Code::Denied, message).detail(scopes(wanted))
    }

    /// There is no such user with this password.
    #[cfg(feature = "ui")]
    pub(crate) fn wrong_login(is_token: bool) -> Self {
        let message = if is_token {
            "the token is not one for this registry, or its time is over"
        } else {
            "there is no such user with this password"
        };
        Self::new(StatusCode::FORBIDDEN, Code::Unauthorized, message)
    }

    /// A form that was not sent from a page of this registry.
    #[cfg(feature = "ui")]
    pub(crate) fn cross_site() -> Self {
        let message =
            "the request does not come from a page of this registry; a proxy in between must keep the Host header";
        Self::new(StatusCode::FORBIDDEN, Code::Denied, message)
    }

    /// A form that does not say what it should.
    #[cfg(feature = "ui")]
    pub(crate) fn form(message: &str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Unsupported, message)
    }

    /// No page has this address.
    #[cfg(feature = "ui")]
    pub(crate) fn no_page() -> Self {
        Self::new(StatusCode::NOT_FOUND, Code::Unknown, "there is no such page")
    }

    /// A page could not be made of what there is.
    #[cfg(feature = "ui")]
    pub(crate) fn page(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::internal(error)
    }

    /// Whether a login would help.
    #[cfg(feature = "ui")]
    pub(crate) fn asks_for_login(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Adds what an answer says in its headers, but the challenge, upon which a browser would ask for a password itself.
    #[cfg(feature = "ui")]
    pub(crate) fn add_headers(&self, headers: &mut HeaderMap) {
        let said = self.headers.iter().filter(|(name, _)| name != WWW_AUTHENTICATE);
        headers.extend(said.map(|(name, value)| (Some(name.clone()), value.clone())));
    }

    /// The status, and what people are told.
    #[cfg(feature = "ui")]
    pub(crate) fn told(&self) -> (StatusCode, &str) {
        (self.status, self.errors.first().map_or("", |entry| &entry.message))
    }

    /// Whoever knows about logins or rights is not to be asked right now.
    pub(crate) fn undecided(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "access cannot be checked right now")
            .caused_by(error)
            .retry()
    }

    /// The route does not know the method, here or at all.
    pub(crate) fn method(allow: &str) -> Self {
        Self::new(StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "the operation is unsupported")
            .header(ALLOW, allow)
    }

    /// It cannot be told which host is meant. Who cannot say that may mean other requests than the proxy before, so
    /// the connection ends.
    #[cfg(feature = "serve")]
    pub(crate) fn host() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Unsupported, "there must be one Host header")
            .header(CONNECTION, "close")
    }

    /// The request's body is not in plain chunks.
    #[cfg(feature = "serve")]
    pub(crate) fn transfer_encoding() -> Self {
        let message = "no Transfer-Encoding but chunked is understood";
        Self::new(StatusCode::NOT_IMPLEMENTED, Code::Unsupported, message).header(CONNECTION, "close")
    }

    /// The request's body is encoded.
    pub(crate) fn content_encoding() -> Self {
        let message = "a body with a Content-Encoding is not taken: send the bytes as they are";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unsupported, message)
    }

    /// The final request of an upload says no digest.
    pub(crate) fn digest_missing() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, "digest missing")
    }

    /// A digest, or the algorithm of one, that is none.
    pub(crate) fn digest(error: registry_core::ParseDigestError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::DigestInvalid, error.to_string())
    }

    /// A tag that is none.
    pub(crate) fn tag(error: registry_core::ParseTagError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::TagInvalid, error.to_string())
    }

    /// A media type that is none.
    pub(crate) fn media_type(error: registry_core::ParseMediaTypeError) -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::ManifestInvalid, error.to_string())
    }

    /// The blob has no such part.
    pub(crate) fn range(size: u64) -> Self {
        Self::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, "the blob has no such range")
            .header(http::header::CONTENT_RANGE, format!("bytes */{size}"))
    }

    /// Too much is going on at once.
    pub(crate) fn too_many() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many requests at once").retry()
    }

    /// The client has to wait for its next request.
    pub(crate) fn too_fast(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, "too many requests; slow down")
            .header(RETRY_AFTER, seconds.max(1))
    }

    /// The client has as many uploads under way as it may.
    pub(crate) fn too_many_uploads() -> Self {
        let message = "too many uploads at once; finish or cancel some";
        Self::new(StatusCode::TOO_MANY_REQUESTS, Code::TooManyRequests, message).retry()
    }

    /// The body has more bytes than one may have.
    pub(crate) fn too_large(limit_bytes: u64) -> Self {
        let message = format!("the body is longer than {limit_bytes} bytes; send chunks");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, message)
    }

    fn internal(cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, "unknown error").caused_by(cause)
    }

    fn storage(error: storage::Error) -> Self {
        match error {
            storage::Error::NoSpace { .. } => {
                let message = "the registry has no space left; try again when there is";
                Self::new(StatusCode::INSUFFICIENT_STORAGE, Code::Unavailable, message).caused_by(error)
            }
            storage::Error::Unavailable { .. } | storage::Error::Busy { .. } | storage::Error::Stopped(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "the storage is not available right now")
                    .caused_by(error)
                    .retry()
            }
            _ => Self::internal(error),
        }
    }

    /// Tells the log, and turns into the answer.
    pub(crate) fn into_response(self) -> Response<ResponseBody> {
        self.log();
        let mut body = serde_json::to_vec(&json!({ "errors": self.errors })).unwrap_or_default();
        body.push(b'\n');
        let mut response = Response::new(ResponseBody::from(body));
        *response.status_mut() = self.status;
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response.headers_mut().extend(self.headers);
        if let Some(first) = self.errors.into_iter().next() {
            let told = ErrorAnswer { code: first.code.to_string(), message: first.message };
            response.extensions_mut().insert(told);
        }
        response
    }

    pub(crate) fn log(&self) {
        let code = self.errors.first().map(|entry| tracing::field::display(entry.code));
        let mut cause = String::new();
        let mut next = self.cause.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(error) = next {
            let separator = if cause.is_empty() { "" } else { ": " };
            // Writing to a string does not fail.
            let _ = write!(cause, "{separator}{error}");
            next = error.source();
        }
        if self.status.is_server_error() {
            tracing::error!(status = self.status.as_u16(), code, cause, "a request failed");
        } else {
            let message = self.errors.first().map(|entry| entry.message.as_str());
            tracing::debug!(status = self.status.as_u16(), code, message, cause, "a request was refused");
        }
    }
}

/// What a client asked for, as CNCF Distribution tells it.
fn scopes(wanted: &[Access]) -> Value {
    let entry =
        |kind: &str, name: &str, action: &str| json!({"Type": kind, "Class": "", "Name": name, "Action": action});
    let entries: Vec<Value> = wanted
        .iter()
        .flat_map(|access| match access {
            Access::Base => Vec::new(),
            Access::Catalog => vec![entry("registry", "catalog", "*")],
            Access::Maintenance => vec![entry("registry", "maintenance", "*")],
            Access::Repository { name, actions } => {
                actions.iter().map(|action| entry("repository", name.as_str(), action.as_str())).collect()
            }
        })
        .collect();
    if entries.is_empty() { Value::Null } else { Value::Array(entries) }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        let refuse = |status, code| Self::new(status, code, message.clone());
        match error {
            Error::NameUnknown { name } => {
                refuse(StatusCode::NOT_FOUND, Code::NameUnknown).detail(json!({"name": name.as_str()}))
            }
            Error::BlobUnknown { digest } => refuse(StatusCode::NOT_FOUND, Code::BlobUnknown).detail(json!(digest)),
            Error::ManifestUnknown { reference } => {
                let detail = match reference {
                    Reference::Tag(tag) => format!("unknown tag={tag}"),
                    Reference::Digest(digest) => format!("unknown manifest revision={digest}"),
                };
                refuse(StatusCode::NOT_FOUND, Code::ManifestUnknown).detail(json!(detail))
            }
            Error::ManifestInvalid(_) => refuse(StatusCode::BAD_REQUEST, Code::ManifestInvalid),
            Error::ManifestTooLarge { .. } => refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::ManifestInvalid),
            Error::ReferencesUnknown { digests } => {
                let message = "content that the manifest names is not in the repository";
                let entry = |digest| Entry {
                    code: Code::ManifestBlobUnknown,
                    message: message.into(),
                    detail: Some(json!(digest)),
                };
                let errors = digests.iter().map(entry).collect();
                Self { errors, ..refuse(StatusCode::BAD_REQUEST, Code::ManifestBlobUnknown) }
            }
            Error::TooManyTags { .. } => refuse(StatusCode::URI_TOO_LONG, Code::TagInvalid),
            Error::TagImmutable { .. } | Error::TagProtected { .. } => refuse(StatusCode::FORBIDDEN, Code::Denied),
            Error::DigestMismatch { .. } => refuse(StatusCode::BAD_REQUEST, Code::DigestInvalid),
            Error::UploadUnknown { .. } => refuse(StatusCode::NOT_FOUND, Code::BlobUploadUnknown),
            Error::OffsetMismatch { .. } => refuse(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid),
            Error::Contended | Error::DeleteUnknown => {
                refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable).caused_by(error).retry()
            }
            Error::Body(BodyError::Length) => refuse(StatusCode::BAD_REQUEST, Code::SizeInvalid),
            Error::Body(BodyError::TooLarge) => refuse(StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid),
            Error::Body(BodyError::TimedOut) => refuse(StatusCode::REQUEST_TIMEOUT, Code::BlobUploadInvalid),
            Error::Body(error) => refuse(StatusCode::BAD_REQUEST, Code::BlobUploadInvalid).caused_by(error),
            Error::Storage(error) => Self::storage(error),
            other => Self::internal(other),
        }
    }
}

impl From<AuthenticationError> for Refusal {
    /// For those errors that no credentials would change.
    fn from(error: AuthenticationError) -> Self {
        match error {
            AuthenticationError::Busy => Self::too_many(),
            error => Self::undecided(error),
        }
    }
}

impl From<InvalidNumber> for Refusal {
    fn from(InvalidNumber(text): InvalidNumber) -> Self {
        let message = "invalid number of results requested";
        Self::new(StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, message).detail(json!({"n": text}))
    }
}

impl From<InvalidChunk> for Refusal {
    fn from(error: InvalidChunk) -> Self {
        match error {
            InvalidChunk::Range(error) => {
                Self::new(StatusCode::RANGE_NOT_SATISFIABLE, Code::RangeInvalid, error.to_string())
            }
            InvalidChunk::Length => Self::new(StatusCode::BAD_REQUEST, Code::SizeInvalid, error.to_string()),
        }
    }
}

impl From<RouteError> for Refusal {
    fn from(error: RouteError) -> Self {
        let bad = |code| Self::new(StatusCode::BAD_REQUEST, code, error.to_string());
        match error {
            RouteError::Encoding | RouteError::Name(_) => bad(Code::NameInvalid),
            RouteError::Digest(_) => bad(Code::DigestInvalid),
            RouteError::Tag(_) => bad(Code::TagInvalid),
            RouteError::Upload => Self::new(StatusCode::NOT_FOUND, Code::BlobUploadUnknown, error.to_string()),
            RouteError::NotFound | RouteError::Moved { .. } => Self::internal(error),
        }
    }
}

impl From<http::Error> for Refusal {
    fn from(error: http::Error) -> Self {
        Self::internal(error)
    }
}

impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Self {
        Self::internal(error)
    }
}

#[cfg(test)]
mod tests;
