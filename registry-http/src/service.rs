//! The registry as a service, and the settings it is built with.

use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use http::{HeaderMap, Request, Response};
use http_body::Body;
use registry_auth::{Access, AllowAll, Asked, Authenticator, Authorizer, Shortfall};
use registry_core::Registry;
use tower::Service;

use crate::body::ResponseBody;
use crate::budget::Budget;
use crate::content::Content;
use crate::dispatch;
use crate::forwarded::TrustedProxies;
use crate::limits::{InFlight, OpenUploads, PasswordChecks, Rates, RequestRate};
use crate::location::{ExternalUrl, Locations, Prefix};
#[cfg(feature = "metrics")]
use crate::metrics::HttpMetrics;
use crate::observer::Observer;
#[cfg(feature = "ui")]
use crate::ui::{Traffic, Ui};

/// Begins a service over `registry`. The first thing to say is who may come in:
///
/// ```
/// use std::sync::Arc;
/// use registry_auth::Anonymous;
/// use registry_core::{Registry, storage::Memory};
///
/// let registry = Registry::builder(Arc::new(Memory::new())).build();
/// // Anybody may push and pull, which has to be said aloud.
/// let service = registry_http::service(registry).authenticator(Arc::new(Anonymous)).deletes(true).build();
/// let router: axum::Router = service.into_router();
/// ```
pub fn service(registry: Registry) -> Unguarded {
    Unguarded { registry }
}

/// A service as yet without anybody at the door.
#[derive(Debug)]
#[must_use]
pub struct Unguarded {
    registry: Registry,
}

impl Unguarded {
    /// Finds out who sends a request. [`Anonymous`](registry_auth::Anonymous) makes the registry open to whoever
    /// reaches it.
    pub fn authenticator(self, authenticator: Arc<dyn Authenticator>) -> ServiceBuilder {
        let asked = Asked { wanted: &[Access::Base], shortfall: Shortfall::Missing, origin: None };
        let challenge = authenticator.challenge(&asked);
        let takes =
            |scheme| challenge.as_ref().is_some_and(|challenge| challenge.scheme().eq_ignore_ascii_case(scheme));
        ServiceBuilder(Settings {
            registry: self.registry,
            authenticator,
            authorizer: Arc::new(AllowAll),
            read_only: false,
            deletes: false,
            locations: Locations::default(),
            trust_forwarded: true,
            trusted_proxies: TrustedProxies::default(),
            prefix: Prefix::default(),
            headers: HeaderMap::new(),
            catalog_limit: 1000,
            tags_limit: 1000,
            manifest_budget: Budget::new(256 * 1024 * 1024),
            max_body_bytes: None,
            redirects: None,
            requests: InFlight::new(ServiceBuilder::DEFAULT_REQUESTS),
            rates: None,
            #[cfg(feature = "ui")]
            login: if takes("bearer") { Login::Token } else { Login::Password },
            password_checks: takes("basic").then(|| PasswordChecks::new(Some(RequestRate::WRONG_PASSWORDS))),
            open_uploads: OpenUploads::new(1000),
            observer: Observer::default(),
            #[cfg(feature = "ui")]
            ui: None,
        })
    }
}

/// Puts a [`RegistryService`] together.
#[derive(Debug)]
#[must_use]
pub struct ServiceBuilder(Settings);

impl ServiceBuilder {
    /// How many [requests may be under way](Self::max_requests) where nothing is said.
    pub const DEFAULT_REQUESTS: usize = 16_384;

    /// Decides what they may do; whoever was let in may do everything by default.
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.0.authorizer = authorizer;
        self
    }

    /// Refuses every request that would change anything; off by default.
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.0.read_only = read_only;
        self
    }

    /// Lets manifests, tags and blobs be deleted; off by default. An upload can be cancelled either way.
    pub fn deletes(mut self, deletes: bool) -> Self {
        self.0.deletes = deletes;
        self
    }

    /// The address that clients are told, for `Location` headers. By default they are told the one that they asked.
    pub fn external_url(mut self, url: ExternalUrl) -> Self {
        self.0.locations = Locations::At(url);
        self
    }

    /// Tells clients paths instead of addresses; off by default. An [external address](Self::external_url) goes
    /// before it.
    pub fn relative_urls(mut self, relative: bool) -> Self {
        if !matches!(self.0.locations, Locations::At(_)) {
            self.0.locations = if relative { Locations::Relative } else { Locations::AsAsked };
        }
        self
    }

    /// Whether to believe what a proxy says of the client's request (`Forwarded`, `X-Forwarded-*`, `X-Real-Ip`); on by
    /// default, as registries behind a proxy need it. It decides about `Location` headers, the client's address in
    /// events and logs, and whom a request from a proxy is counted for, never about access.
    pub fn trust_forwarded(mut self, trust: bool) -> Self {
        self.0.trust_forwarded = trust;
        self
    }

    /// Proxies on other hosts, whose word counts for whom a request is [counted](Self::request_rate) for. Those on this
    /// machine count anyhow. Where [no proxy is believed](Self::trust_forwarded) this is without effect.
    pub fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.0.trusted_proxies = proxies;
        self
    }

    /// The path that all routes stand behind; none by default. Docker's clients need the registry at the root of its
    /// host.
    pub fn prefix(mut self, prefix: Prefix) -> Self {
        self.0.prefix = prefix;
        self
    }

    /// Headers that are added to every answer of the API.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.0.headers = headers;
        self
    }

    /// The longest page of the catalog, in repositories; 1000 by default. A client that asks for more gets this many.
    pub fn catalog_limit(mut self, repositories: usize) -> Self {
        self.0.catalog_limit = repositories;
        self
    }

    /// The longest page of tags, in tags; 1000 by default. A client that asks for more gets this many, and one that
    /// asks for no number gets all tags.
    pub fn tags_limit(mut self, tags: usize) -> Self {
        self.0.tags_limit = tags;
        self
    }

    /// How much memory manifests may take together, in bytes; 256 MiB by default. Those that are coming in count, and
    /// so do answers of manifests and referrers over 4 KiB until their client has taken them. Beyond that clients
    /// are asked to come again, so it should be some times the limit of one manifest.
    pub fn manifest_memory(mut self, bytes: u64) -> Self {
        self.0.manifest_budget = Budget::new(bytes);
        self
    }

    /// The longest body of one request that brings content of a blob, in bytes; without a limit by default. A client
    /// that has more can send it in chunks.
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.0.max_body_bytes = Some(bytes);
        self
    }

    /// Leads clients that read blobs to the storage, with addresses that hold for `validity`, where the storage gives such
    /// (as object stores do); by default all content comes through this service.
    pub fn redirects(mut self, validity: Duration) -> Self {
        // Asked once, and not by each request.
        self.0.redirects = self.0.registry.storage().capabilities().presign.then_some(validity);
        self
    }

    /// How many requests may be under way at once, up to the last byte of their answers; 16,384 by default, of which one
    /// address may have half. Further ones get 429.
    pub fn max_requests(mut self, requests: usize) -> Self {
        self.0.requests = InFlight::new(requests);
        self
    }

    /// How many of the [requests under way](Self::max_requests) may come from one address, or one /64 network of IPv6;
    /// half of them by default. Loopback addresses have no limit.
    pub fn max_requests_per_address(mut self, requests: usize) -> Self {
        self.0.requests = self.0.requests.per_address(requests);
        self
    }

    /// How fast one principal, or one address without a login, may send requests; as fast as it can by default. Those
    /// that come too early get 429, and are told when to come again. A request with wrong credentials counts for its
    /// address.
    ///
    /// The address is that of the connection. If that is a loopback one, or of a [proxy](Self::trusted_proxies), it is the
    /// one that the proxy there names last, where [proxies are believed](Self::trust_forwarded).
    pub fn request_rate(mut self, rate: RequestRate) -> Self {
        self.0.rates = Some(Rates::new(rate));
        self
    }

    /// How many wrong passwords may come from one address; [`RequestRate::WRONG_PASSWORDS`] by default, any number with
    /// `None`. While there are too many, no password from that address is looked at, but those that were good from there
    /// before and that the authenticator [recalls](Authenticator::recall): everybody else there gets 429. Loopback
    /// addresses have no limit, as a proxy that does not say for whom it asks would be a single address. It matters where
    /// the authenticator asks for passwords, with a challenge of `Basic`.
    pub fn wrong_passwords(mut self, rate: Option<RequestRate>) -> Self {
        self.0.password_checks = self.0.password_checks.map(|_| PasswordChecks::new(rate));
        self
    }

    /// How many uploads one principal, or one address without a login, may have under way; 1,000 by default. Further
    /// ones get 429. Those that were begun by another process or have rested for an hour do not count.
    pub fn max_uploads(mut self, uploads: usize) -> Self {
        self.0.open_uploads = OpenUploads::new(uploads);
        self
    }

    /// Shows the registry to people with a browser, below `/ui/`; nothing does by default.
    #[cfg(feature = "ui")]
    pub fn ui(mut self, ui: Ui) -> Self {
        self.0.observer.traffic = Some(Traffic::new(self.0.registry.clone()));
        self.0.ui = Some(ui);
        self
    }

    /// Counts and times every request; nothing does by default.
    #[cfg(feature = "metrics")]
    pub fn metrics(mut self, metrics: HttpMetrics) -> Self {
        self.0.observer.metrics = Some(metrics);
        self
    }

    /// The service.
    #[must_use]
    pub fn build(self) -> RegistryService {
        RegistryService(Arc::new(self.0))
    }
}

/// What somebody logs in with.
#[cfg(feature = "ui")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Login {
    Password,
    Token,
}

#[cfg(feature = "ui")]
impl Login {
    pub(crate) fn is_token(self) -> bool {
        self == Self::Token
    }
}

/// What a service was built with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) registry: Registry,
    pub(crate) authenticator: Arc<dyn Authenticator>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) read_only: bool,
    pub(crate) deletes: bool,
    pub(crate) locations: Locations,
    pub(crate) trust_forwarded: bool,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) prefix: Prefix,
    pub(crate) headers: HeaderMap,
    pub(crate) catalog_limit: usize,
    pub(crate) tags_limit: usize,
    pub(crate) manifest_budget: Budget,
    pub(crate) max_body_bytes: Option<u64>,
    /// How long an address holds that clients are led to.
    pub(crate) redirects: Option<Duration>,
    pub(crate) requests: InFlight,
    pub(crate) rates: Option<Rates>,
    /// `None` where the authenticator asks for something else.
    pub(crate) password_checks: Option<PasswordChecks>,
    /// What the authenticator asks for, if it asks for anything.
    #[cfg(feature = "ui")]
    pub(crate) login: Login,
    pub(crate) open_uploads: OpenUploads,
    pub(crate) observer: Observer,
    #[cfg(feature = "ui")]
    pub(crate) ui: Option<Ui>,
}

/// The HTTP API of a registry. Clones are handles to the same service.
///
/// It is a [`tower::Service`] for requests with any body, and answers everything: `/v2/…` below its
/// [prefix](ServiceBuilder::prefix), `/` for load balancers, `/ui/…` for people if it has pages, and 404 elsewhere. Inside an
/// application that has other routes, [`into_router`](Self::into_router) gives those of the API and the pages alone.
///
/// Dropping the future of a request leaves what the operation behind it says of cancellation: an upload keeps what
/// came, a manifest is pushed or not.
#[derive(Clone)]
pub struct RegistryService(Arc<Settings>);

impl RegistryService {
    /// The routes of the API, and of the pages if there are any, to be merged into an application.
    pub fn into_router(self) -> Router {
        let base = format!("{}/v2", self.0.prefix.as_str());
        let router = Router::new();
        #[cfg(feature = "ui")]
        let router = match &self.0.ui {
            Some(_) => below(router, &format!("{}/ui", self.0.prefix.as_str()), &self),
            None => router,
        };
        below(router, &base, &self)
    }

    /// How many uploads were begun here and have not ended. Those that rested for an hour do not count.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.0.open_uploads.len()
    }

    /// The registry behind it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }
}

impl<B> Service<Request<B>> for RegistryService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let settings = Arc::clone(&self.0);
        let (parts, body) = request.into_parts();
        dispatch::answer(settings, parts, Content::new(body)).map(Ok).boxed()
    }
}

fn below(router: Router, base: &str, service: &RegistryService) -> Router {
    router
        .route_service(base, service.clone())
        .route_service(&format!("{base}/"), service.clone())
        .route_service(&format!("{base}/{{*rest}}"), service.clone())
}

impl fmt::Debug for RegistryService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RegistryService").field(&self.0).finish()
    }
}
