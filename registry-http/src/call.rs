//! One request, as handlers see it: without its path, which the route holds, and without its body.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{HOST, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use registry_auth::{Credentials, Principal};
use registry_core::{Caller, RequestOrigin};

use crate::about::About;
use crate::body::ResponseBody;
use crate::budget::Exhausted;
use crate::connection::{Encrypted, PeerAddress, PeerCertificate};
use crate::error::Refusal;
use crate::forwarded::Origin;
use crate::limits::Requester;
use crate::location::{Locations, Root};
use crate::query::Query;
use crate::service::Settings;

/// One request.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) settings: Arc<Settings>,
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) query: Query,
    /// Who the client said it was earlier, where the request has no header that says so now.
    pub(crate) login: Option<Credentials>,
    version: Version,
    pub(crate) about: About,
    /// What the addresses in the answer begin with.
    pub(crate) root: Root,
    origin: Option<Origin>,
    peer: Option<PeerAddress>,
    certificate: Option<PeerCertificate>,
}

impl Call {
    pub(crate) fn new(settings: Arc<Settings>, parts: Parts, about: About) -> Self {
        let is_encrypted = parts.extensions.get::<Encrypted>().is_some();
        let origin = Origin::of(&parts.headers, &parts.uri, is_encrypted, settings.trust_forwarded);
        let root = Root::new(&settings.locations, origin.as_ref(), &settings.prefix);
        Self {
            query: Query::parse(parts.uri.query()),
            login: None,
            version: parts.version,
            root,
            origin,
            peer: parts.extensions.get().copied(),
            certificate: parts.extensions.get().cloned(),
            method: parts.method,
            headers: parts.headers,
            about,
            settings,
        }
    }

    /// The body of an answer that is in memory as a whole. It counts until the client has taken it; that of HEAD is
    /// never sent.
    pub(crate) fn in_memory(&self, content: Bytes) -> Result<ResponseBody, Refusal> {
        if self.method == Method::HEAD {
            return Ok(content.into());
        }
        let counted = self.settings.manifest_budget.count(content);
        counted.map(ResponseBody::from).map_err(|Exhausted| Refusal::too_many())
    }

    /// How much of a file is read at once. Over HTTP/2 each of many requests on one connection may hold a frame that the
    /// client takes no byte of, and the connection cuts frames into small ones anyhow.
    pub(crate) fn frame_bytes(&self) -> u64 {
        if self.version == Version::HTTP_2 { 32 * 1024 } else { 256 * 1024 }
    }

    /// On whose behalf the registry does what is asked.
    pub(crate) fn caller(&self, principal: &Principal) -> Caller {
        let text = |name| self.headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
        let host = self.origin.as_ref().map(Origin::authority).or(text(HOST));
        let request = RequestOrigin {
            id: self.about.request_id().to_string(),
            address: self.about.client().unwrap_or_default().to_owned(),
            host: host.unwrap_or_default().to_owned(),
            method: self.method.to_string(),
            user_agent: self.user_agent(),
            root: self.root.as_str().to_owned(),
        };
        Caller { principal: principal.name().map(str::to_owned), request: Some(request) }
    }

    /// What the client calls itself, in whatever letters.
    fn user_agent(&self) -> String {
        let value = self.headers.get(USER_AGENT).map(http::HeaderValue::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(value).into_owned()
    }

    /// The address of the registry as this client knows it, without a path; `None` if it did not say.
    pub(crate) fn asked_address(&self) -> Option<String> {
        match &self.settings.locations {
            Locations::At(url) => Some(url.origin().to_owned()),
            Locations::AsAsked | Locations::Relative => self.origin.as_ref().map(Origin::address),
        }
    }

    /// The host as this client knows it, with the port if there is one, and the path that the registry lies at.
    #[cfg(feature = "ui")]
    pub(crate) fn asked_host(&self) -> Option<String> {
        match &self.settings.locations {
            Locations::At(url) => url.to_string().split_once("://").map(|(_, host)| host.to_owned()),
            Locations::AsAsked | Locations::Relative => {
                self.origin.as_ref().map(|origin| origin.authority().to_owned())
            }
        }
    }

    /// The hosts that a page of this registry may have come from.
    #[cfg(feature = "ui")]
    pub(crate) fn asked_hosts(&self) -> Vec<String> {
        let told = self.asked_address();
        let told = told.as_deref().and_then(|address| address.split_once("://")).map(|(_, host)| host);
        let asked = self.origin.as_ref().map(Origin::authority);
        told.into_iter().chain(asked).map(str::to_owned).collect()
    }

    /// Whether the client came encrypted, to the registry or to a proxy before it.
    #[cfg(feature = "ui")]
    pub(crate) fn is_encrypted(&self) -> bool {
        self.asked_address().is_some_and(|address| address.starts_with("https://"))
    }

    /// Whom the request is counted for, as long as nobody has a name.
    pub(crate) fn requester(&self) -> Requester {
        let proxies = self.settings.trust_forwarded.then_some(&self.settings.trusted_proxies);
        Requester::at(self.peer, &self.headers, proxies)
    }

    /// Whether the connection itself is from there, and no proxy said so.
    pub(crate) fn is_from(&self, address: &Requester) -> bool {
        Requester::at(self.peer, &self.headers, None) == *address
    }

    /// Whom the client's certificate was made for; `None` if none was verified.
    pub(crate) fn certificate_subject(&self) -> Option<&str> {
        self.certificate.as_ref().map(PeerCertificate::subject)
    }
}
