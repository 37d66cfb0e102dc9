//! The one place where it is decided who gets in: credentials, then rights, then what the registry allows at all.

use std::sync::Arc;

use http::Method;
use http::header::AUTHORIZATION;
use registry_auth::{
    Access, Action, Asked, AuthenticationError, AuthorizationError, Credentials, Decision, Principal, Shortfall,
};
use registry_core::{Caller, Repository, RepositoryName};

use crate::call::Call;
use crate::error::Refusal;
use crate::header;
use crate::limits::{Requester, TooFast, Unchecked};
use crate::route::{BlobAt, ManifestAt, ReferrersAt, Route, TagsAt, UploadAt, UploadsAt};
use crate::service::Settings;

/// A part of a route, for a request that was let in. Handlers take nothing else, and nobody but [`admit`] makes one.
#[derive(Debug)]
pub(crate) struct Authorized<T> {
    at: T,
    principal: Principal,
    requester: Requester,
    caller: Arc<Caller>,
}

/// A route, for a request that was let in.
#[derive(Debug)]
pub(crate) enum Admitted {
    Base,
    Catalog(Authorized<()>),
    Tags(Authorized<TagsAt>),
    Manifest(Authorized<ManifestAt>),
    Blob(Authorized<BlobAt>),
    Uploads(Authorized<UploadsAt>),
    Upload(Authorized<UploadAt>),
    Referrers(Authorized<ReferrersAt>),
}

/// A part of a route that lies in a repository.
pub(crate) trait InRepository {
    /// Which one.
    fn repository(&self) -> &RepositoryName;
}

impl<T> Authorized<T> {
    /// What the request is about.
    pub(crate) fn at(&self) -> &T {
        &self.at
    }

    /// Whom the request is counted for.
    pub(crate) fn requester(&self) -> &Requester {
        &self.requester
    }

    /// Who sent the request.
    #[cfg(feature = "ui")]
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }

    /// Whether whoever sent the request may also do this. If nobody can say, they may not.
    pub(crate) async fn may(&self, call: &Call, name: &RepositoryName, action: Action) -> bool {
        let access = Access::repository(name.clone(), [action]);
        is_allowed(Some(name), call.settings.authorizer.authorize(&self.principal, &access).await)
    }

    /// Whether whoever sent the request may also maintain the registry. If nobody can say, they may not.
    #[cfg(feature = "ui")]
    pub(crate) async fn may_maintain(&self, call: &Call) -> bool {
        is_allowed(None, call.settings.authorizer.authorize(&self.principal, &Access::Maintenance).await)
    }

    /// Whether whoever sent the request is no passer-by: how a server does and who does what is for those with a name,
    /// and for whoever may do everything without one.
    #[cfg(feature = "ui")]
    pub(crate) async fn is_insider(&self, call: &Call) -> bool {
        self.principal.name().is_some() || self.may_maintain(call).await
    }

    /// Whether whoever sent the request may also read another repository. If nobody can say, they may not.
    pub(crate) async fn may_pull(&self, call: &Call, name: &RepositoryName) -> bool {
        self.may(call, name, Action::Pull).await
    }

    /// Whether the catalog names a repository to whoever sent the request. If nobody can say, it does not.
    pub(crate) async fn may_list(&self, call: &Call, name: &RepositoryName) -> bool {
        is_allowed(Some(name), call.settings.authorizer.authorize_listing(&self.principal, name).await)
    }
}

fn is_allowed(name: Option<&RepositoryName>, decision: Result<Decision, AuthorizationError>) -> bool {
    match decision {
        Ok(decision) => decision == Decision::Allow,
        Err(error) => {
            let repository = name.map(RepositoryName::as_str);
            tracing::warn!(%error, repository, "access cannot be checked; it counts as denied");
            false
        }
    }
}

impl<T: InRepository> Authorized<T> {
    /// The repository that the request is about.
    pub(crate) fn repository(&self, call: &Call) -> Repository {
        call.settings.registry.repository(self.at.repository()).on_behalf_of(Arc::clone(&self.caller))
    }
}

/// Lets a request in, or tells why not.
///
/// The answer to whoever may not come in does not depend on what there is: a repository of others looks like one that
/// does not exist.
pub(crate) async fn admit(call: &Call, route: Route) -> Result<Admitted, Refusal> {
    let Some(access) = access(&route, &call.method) else {
        return Err(Refusal::method(&allow(&route, &call.settings)));
    };
    let (principal, requester) = authorize(call, access).await?;
    let method = call.method.as_str();
    if route != Route::Base && !(methods(&route).contains(&method) && permits(&call.settings, &route, method)) {
        return Err(Refusal::method(&allow(&route, &call.settings)));
    }
    let caller = Arc::new(call.caller(&principal));
    Ok(match route {
        Route::Base => Admitted::Base,
        Route::Catalog => Admitted::Catalog(Authorized { at: (), principal, requester, caller }),
        Route::Tags(at) => Admitted::Tags(Authorized { at, principal, requester, caller }),
        Route::Manifest(at) => Admitted::Manifest(Authorized { at, principal, requester, caller }),
        Route::Blob(at) => Admitted::Blob(Authorized { at, principal, requester, caller }),
        Route::Uploads(at) => Admitted::Uploads(Authorized { at, principal, requester, caller }),
        Route::Upload(at) => Admitted::Upload(Authorized { at, principal, requester, caller }),
        Route::Referrers(at) => Admitted::Referrers(Authorized { at, principal, requester, caller }),
    })
}

/// Lets somebody in to a page that shows what `access` is about, or tells why not.
#[cfg(feature = "ui")]
pub(crate) async fn admit_to<T>(call: &Call, at: T, access: Access) -> Result<Authorized<T>, Refusal> {
    let (principal, requester) = authorize(call, access).await?;
    let caller = Arc::new(call.caller(&principal));
    Ok(Authorized { at, principal, requester, caller })
}

/// Lets somebody in to a page about the server itself, which is nothing for passers-by, or tells why not.
#[cfg(feature = "ui")]
pub(crate) async fn admit_insider(call: &Call) -> Result<Authorized<()>, Refusal> {
    let at = admit_to(call, (), Access::Catalog).await?;
    if at.is_insider(call).await {
        return Ok(at);
    }
    refuse(call, Admission::Missing, unauthorized(call, Access::Maintenance, Shortfall::Missing))
}

/// Finds out whose the login of a request is, as often as it may be tried.
#[cfg(feature = "ui")]
pub(crate) async fn log_in(call: &Call) -> Result<Principal, Refusal> {
    match authenticate(call, &call.requester()).await {
        Ok((principal, _)) => {
            call.settings.observer.decided(Admission::Known);
            Ok(principal)
        }
        Err(Unknown::TooFast(TooFast { wait })) => refuse(call, Admission::TooFast, Refusal::too_fast(wait)),
        Err(Unknown::Refused(error)) => match unknown(call, &Access::Base, error) {
            // A form has no challenge to answer.
            (Admission::Missing | Admission::Invalid, _) => {
                refuse(call, Admission::Invalid, Refusal::wrong_login(call.settings.login.is_token()))
            }
            (admission, refusal) => refuse(call, admission, refusal),
        },
    }
}

/// The methods that a route has in this registry, as the `Allow` header lists them.
pub(crate) fn allow(route: &Route, settings: &Settings) -> String {
    let allowed = methods(route).iter().copied().filter(|method| permits(settings, route, method));
    allowed.collect::<Vec<_>>().join(", ")
}

/// The methods that a route has, ordered.
fn methods(route: &Route) -> &'static [&'static str] {
    match route {
        Route::Base | Route::Catalog | Route::Tags(_) | Route::Referrers(_) => &["GET", "HEAD"],
        Route::Manifest(_) => &["DELETE", "GET", "HEAD", "PUT"],
        Route::Blob(_) => &["DELETE", "GET", "HEAD"],
        Route::Uploads(_) => &["POST"],
        Route::Upload(_) => &["DELETE", "GET", "HEAD", "PATCH", "PUT"],
    }
}

/// What the registry allows, whoever asks.
fn permits(settings: &Settings, route: &Route, method: &str) -> bool {
    match (method, route) {
        ("GET" | "HEAD", _) => true,
        ("DELETE", Route::Manifest(_) | Route::Blob(_)) => permits_deletes(settings),
        _ => !settings.read_only,
    }
}

/// Whether the registry lets manifests, tags and blobs be deleted, whoever asks.
pub(crate) fn permits_deletes(settings: &Settings) -> bool {
    settings.deletes && !settings.read_only
}

/// What a request asks for; `None` for a method that no route has.
fn access(route: &Route, method: &Method) -> Option<Access> {
    let name = match route {
        // Every method: that is how clients find out that they have to log in.
        Route::Base => return Some(Access::Base),
        Route::Catalog => None,
        Route::Tags(at) => Some(&at.repository),
        Route::Manifest(at) => Some(&at.repository),
        Route::Blob(at) => Some(&at.repository),
        Route::Uploads(at) => Some(&at.repository),
        Route::Upload(at) => Some(&at.repository),
        Route::Referrers(at) => Some(&at.repository),
    };
    let actions: &[Action] = match method.as_str() {
        "GET" | "HEAD" => &[Action::Pull],
        "POST" | "PUT" | "PATCH" => &[Action::Pull, Action::Push],
        "DELETE" => &[Action::Delete],
        _ => return None,
    };
    Some(name.map_or(Access::Catalog, |name| Access::Repository {
        name: name.clone(),
        actions: actions.iter().copied().collect(),
    }))
}

/// What was decided about a request, for those who count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Somebody with a login comes in.
    Known,
    /// Somebody without one comes in.
    Anonymous,
    /// A login is needed.
    Missing,
    /// The login is none.
    Invalid,
    /// The login does not suffice.
    Denied,
    /// More requests come than may.
    TooFast,
    /// Too many are logging in.
    Busy,
    /// Nobody can tell.
    Unavailable,
}

/// Why nobody was authenticated.
enum Unknown {
    TooFast(TooFast),
    Refused(AuthenticationError),
}

fn refuse<T>(call: &Call, admission: Admission, refusal: Refusal) -> Result<T, Refusal> {
    call.settings.observer.decided(admission);
    Err(refusal)
}

async fn authorize(call: &Call, access: Access) -> Result<(Principal, Requester), Refusal> {
    // Whoever has not shown a name counts by address, those with wrong passwords as well.
    let address = call.requester();
    let authenticated = authenticate(call, &address).await;
    let (principal, requester) = match authenticated {
        Ok(authenticated) => authenticated,
        Err(Unknown::TooFast(TooFast { wait })) => return refuse(call, Admission::TooFast, Refusal::too_fast(wait)),
        Err(Unknown::Refused(error)) => {
            let (admission, refusal) = unknown(call, &access, error);
            return refuse(call, admission, refusal);
        }
    };
    if let Some(name) = principal.name() {
        call.about.is_from(name);
    }
    match decide(call, &principal, &access).await {
        Ok(Decision::Allow) if principal.is_anonymous() => call.settings.observer.decided(Admission::Anonymous),
        Ok(Decision::Allow) => call.settings.observer.decided(Admission::Known),
        Ok(Decision::Deny) if principal.is_anonymous() => {
            return refuse(call, Admission::Missing, unauthorized(call, access, Shortfall::Missing));
        }
        Ok(Decision::Deny) => {
            return refuse(call, Admission::Denied, unauthorized(call, access, Shortfall::Insufficient));
        }
        Err(error) => return refuse(call, Admission::Unavailable, Refusal::undecided(error)),
    }
    Ok((principal, requester))
}

/// Finds out who sent a request, and whom it is counted for. What takes no work comes first, so that those who are known
/// come in however many passwords are being tried.
async fn authenticate(call: &Call, address: &Requester) -> Result<(Principal, Requester), Unknown> {
    let authenticator = &call.settings.authenticator;
    let principal = match recalled(call) {
        Recalled::Known(principal, credentials) => known(call, address, principal, credentials.as_ref()),
        Recalled::Work(password @ Credentials::Basic { .. }) => checked(call, address, &password).await,
        Recalled::Work(credentials) => authenticator.authenticate(Some(&credentials)).await.map_err(Unknown::Refused),
        Recalled::Nothing => authenticator.authenticate(None).await.map_err(Unknown::Refused),
    };
    let requester = principal.as_ref().map_or(address.clone(), |principal| Requester::of(principal, address));
    if let Some(Err(too_fast)) = call.settings.rates.as_ref().map(|rates| rates.admit(&requester)) {
        return Err(Unknown::TooFast(too_fast));
    }
    Ok((principal?, requester))
}

/// What is known of a request without work.
enum Recalled {
    /// It is this one, by what the header has if it was that.
    Known(Principal, Option<Credentials>),
    /// These have to be looked at.
    Work(Credentials),
    Nothing,
}

fn recalled(call: &Call) -> Recalled {
    let authenticator = &call.settings.authenticator;
    let certificate =
        call.certificate_subject().map(|subject| Credentials::Certificate { subject: subject.to_owned() });
    if let Some(principal) = certificate.as_ref().and_then(|certificate| authenticator.recall(certificate)) {
        return Recalled::Known(principal, None);
    }
    let Some(credentials) = header(call).or_else(|| call.login.clone()).or(certificate) else {
        return Recalled::Nothing;
    };
    match authenticator.recall(&credentials) {
        Some(principal) => Recalled::Known(principal, Some(credentials)),
        None => Recalled::Work(credentials),
    }
}

/// A password that is known to be good comes in, but not from where too many wrong ones came from and this one never did.
fn known(
    call: &Call,
    address: &Requester,
    principal: Principal,
    credentials: Option<&Credentials>,
) -> Result<Principal, Unknown> {
    let admitted = match (&call.settings.password_checks, credentials) {
        (Some(checks), Some(password)) => checks.admit_known(address, password),
        _ => Ok(()),
    };
    admitted.map_err(|too_fast| kept_out(call, address, too_fast))?;
    Ok(principal)
}

/// Checks a password, if its address may try one.
async fn checked(call: &Call, address: &Requester, credentials: &Credentials) -> Result<Principal, Unknown> {
    let authenticator = &call.settings.authenticator;
    let Some(checks) = &call.settings.password_checks else {
        return authenticator.authenticate(Some(credentials)).await.map_err(Unknown::Refused);
    };
    let begun = checks.begin(address, credentials).await;
    let mut running = begun.map_err(|unchecked| match unchecked {
        Unchecked::TooFast(too_fast) => kept_out(call, address, too_fast),
        Unchecked::Busy => Unknown::Refused(AuthenticationError::Busy),
    })?;
    let authenticated = authenticator.authenticate(Some(credentials)).await;
    match &authenticated {
        Ok(_) => running.was_right(),
        Err(AuthenticationError::Rejected) => {}
        Err(_) => running.give_back(),
    }
    authenticated.map_err(Unknown::Refused)
}

fn kept_out(call: &Call, address: &Requester, too_fast: TooFast) -> Unknown {
    if call.settings.password_checks.as_ref().is_some_and(|checks| checks.is_worth_telling(address)) {
        // Then all its clients are one address.
        let may_be_proxy = call.headers.contains_key(header::FORWARDED_FOR) && call.is_from(address);
        tracing::warn!(
            ?address,
            may_be_proxy,
            "too many wrong passwords from one address; for a while no other password from there is looked at"
        );
    }
    Unknown::TooFast(too_fast)
}

/// The credentials in the header; one that makes no sense is there all the same.
fn header(call: &Call) -> Option<Credentials> {
    let mut values = call.headers.get_all(AUTHORIZATION).iter();
    let value = values.next()?;
    let read = value.to_str().map_err(|_| AuthenticationError::Malformed).and_then(Credentials::parse);
    match read {
        Ok(credentials) if values.next().is_none() => Some(credentials),
        _ => {
            tracing::debug!(bytes = value.len(), limit = Credentials::MAX_BYTES, "credentials that cannot be read");
            Some(Credentials::Unreadable)
        }
    }
}

/// What whoever nobody knows is told.
fn unknown(call: &Call, access: &Access, error: AuthenticationError) -> (Admission, Refusal) {
    match error {
        AuthenticationError::Busy => (Admission::Busy, error.into()),
        AuthenticationError::Unavailable(_) => (Admission::Unavailable, error.into()),
        AuthenticationError::Missing => (Admission::Missing, unauthorized(call, access.clone(), Shortfall::Missing)),
        _ => (Admission::Invalid, unauthorized(call, access.clone(), Shortfall::Invalid)),
    }
}

async fn decide(call: &Call, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
    let authorizer = &call.settings.authorizer;
    let decision = authorizer.authorize(principal, access).await?;
    // The base is where clients learn that they have to log in. Where there is no login, who may look around comes in.
    if (decision, access) == (Decision::Deny, &Access::Base) && principal.is_anonymous() {
        let asked = Asked { wanted: &[Access::Base], shortfall: Shortfall::Missing, origin: None };
        if call.settings.authenticator.challenge(&asked).is_none() {
            return authorizer.authorize(principal, &Access::Catalog).await;
        }
    }
    Ok(decision)
}

fn unauthorized(call: &Call, access: Access, shortfall: Shortfall) -> Refusal {
    let mut wanted = vec![access];
    wanted.extend(mount_source(call));
    let origin = call.asked_address();
    let asked = Asked { wanted: &wanted, shortfall, origin: origin.as_deref() };
    match call.settings.authenticator.challenge(&asked) {
        Some(challenge) => Refusal::unauthorized(&challenge, &wanted),
        None => Refusal::denied(&wanted),
    }
}

/// A mount reads another repository. It is no condition for coming in, but who asks for rights should ask for this one.
fn mount_source(call: &Call) -> Option<Access> {
    call.query.get("mount")?;
    Some(Access::repository(call.query.get("from")?.parse().ok()?, [Action::Pull]))
}

macro_rules! in_repository {
    ($($at:ty),*) => {
        $(impl InRepository for $at {
            fn repository(&self) -> &RepositoryName {
                &self.repository
            }
        })*
    };
}

in_repository!(TagsAt, ManifestAt, BlobAt, UploadsAt, UploadAt, ReferrersAt);
