//! What a request was about, for logs.

use std::sync::{Arc, OnceLock};

use registry_core::{Digest, Reference};

use crate::request_id::RequestId;
use crate::route::Route;

/// What a request was about, as an extension of its answer: for layers that log or count.
///
/// ```
/// # use registry_http::About;
/// fn line(answer: &http::Response<registry_http::ResponseBody>) -> Option<String> {
///     let about = answer.extensions().get::<About>()?;
///     Some(format!("{} {}", about.request_id(), about.repository().unwrap_or("-")))
/// }
/// ```
#[derive(Debug, Clone)]
pub struct About(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: RequestId,
    route: Option<Route>,
    client: Option<String>,
    user: OnceLock<Arc<str>>,
}

/// The first error in an answer, as an extension of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorAnswer {
    /// Its code, such as `MANIFEST_UNKNOWN`.
    pub code: String,
    /// What the client was told.
    pub message: String,
}

impl About {
    pub(crate) fn new(id: RequestId, route: Option<Route>, client: Option<String>) -> Self {
        Self(Arc::new(Inner { id, route, client, user: OnceLock::new() }))
    }

    /// The request comes from somebody with a name.
    pub(crate) fn is_from(&self, user: &str) {
        // Who sends a request is found out once.
        let _ = self.0.user.set(user.into());
    }

    /// The name of the request.
    #[must_use]
    pub fn request_id(&self) -> &RequestId {
        &self.0.id
    }

    /// Where it came from: the client's address as a proxy tells it, where [proxies are
    /// believed](crate::ServiceBuilder::trust_forwarded), or else address and port of the connection; `None` if there is
    /// none.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.0.client.as_deref()
    }

    /// Who sent it; `None` for somebody anonymous or refused.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.0.user.get().map(|user| &**user)
    }

    /// Which of the API's paths it has, such as `/v2/{name}/manifests/{reference}`; `None` for any other.
    #[must_use]
    pub fn route(&self) -> Option<&'static str> {
        self.0.route.as_ref().map(Route::template)
    }

    /// The repository in its path.
    #[must_use]
    pub fn repository(&self) -> Option<&str> {
        let name = match self.0.route.as_ref()? {
            Route::Base | Route::Catalog => return None,
            Route::Tags(at) => &at.repository,
            Route::Manifest(at) => &at.repository,
            Route::Blob(at) => &at.repository,
            Route::Uploads(at) => &at.repository,
            Route::Upload(at) => &at.repository,
            Route::Referrers(at) => &at.repository,
        };
        Some(name.as_str())
    }

    /// The tag or digest of the manifest in its path.
    #[must_use]
    pub fn reference(&self) -> Option<&Reference> {
        match self.0.route.as_ref()? {
            Route::Manifest(at) => Some(&at.reference),
            _ => None,
        }
    }

    /// The digest in its path.
    #[must_use]
    pub fn digest(&self) -> Option<&Digest> {
        match self.0.route.as_ref()? {
            Route::Blob(at) => Some(&at.digest),
            Route::Referrers(at) => Some(&at.digest),
            _ => None,
        }
    }

    /// The upload in its path.
    #[must_use]
    pub fn upload(&self) -> Option<String> {
        match self.0.route.as_ref()? {
            Route::Upload(at) => Some(at.id.to_string()),
            _ => None,
        }
    }
}
