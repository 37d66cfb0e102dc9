//! The name of a request, by which its traces are found in several logs.

use std::fmt;
use std::sync::Arc;

use http::{Extensions, HeaderMap, HeaderName, HeaderValue};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The name of a request. It comes from a layer that set it as an extension of the request, from the client's
/// `X-Request-Id`, or is a new UUID; the answer carries it, as a header and as an extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// The header that it comes and goes by.
    pub const HEADER: HeaderName = X_REQUEST_ID;
    /// The longest that is taken from a client, in bytes.
    pub const MAX_BYTES: usize = 128;

    /// Takes a name that is 1 to 128 letters, digits and `-_.:/+=@`: what cannot be mistaken for anything else in a log.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(&byte);
        let is_good = (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(is_plain);
        is_good.then(|| Self(text.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a request with these headers and extensions. A layer that needs it before the service has it sets what
    /// this gives as an extension of the request.
    #[must_use]
    pub fn of(headers: &HeaderMap, extensions: &Extensions) -> Self {
        let sent = || Self::parse(headers.get(X_REQUEST_ID)?.to_str().ok()?);
        let known = extensions.get().cloned().or_else(sent);
        known.unwrap_or_else(|| Self(uuid::Uuid::new_v4().to_string().into()))
    }

    /// The value of the header; `None` never happens, as the name is plain.
    #[must_use]
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_plain() {
        assert_eq!(RequestId::parse("0190-a_b.c:d/e+f=@").unwrap().as_str(), "0190-a_b.c:d/e+f=@");
        for bad in ["", "a b", "a\nb", "\"", "é", "a,b", &"x".repeat(129)] {
            assert_eq!(RequestId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_layer_goes_before_the_client_and_both_before_a_new_one() {
        let of = |sent: Option<&'static str>, set: Option<&str>| {
            let headers = sent.map(|sent| (X_REQUEST_ID, HeaderValue::from_static(sent))).into_iter().collect();
            let mut extensions = Extensions::new();
            set.and_then(RequestId::parse).and_then(|id| extensions.insert(id));
            RequestId::of(&headers, &extensions).to_string()
        };
        assert_eq!((of(Some("a"), Some("b")), of(Some("a"), None)), ("b".into(), "a".into()));
        assert_eq!(of(None, None).len(), 36);
        assert_eq!(of(Some("two words"), None).len(), 36);
        assert_ne!(of(None, None), of(None, None));
    }
}
