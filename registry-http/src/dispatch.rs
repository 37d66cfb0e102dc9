//! From a request to the handler of its route and method, and what all answers have in common.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body as _;
use tracing::Instrument as _;

use crate::about::About;
use crate::access::{self, Admitted};
use crate::body::ResponseBody;
use crate::call::Call;
use crate::connection::PeerAddress;
use crate::content::Content;
use crate::error::Refusal;
use crate::limits::Full;
use crate::observer::Subject;
use crate::request_id::RequestId;
use crate::route::{Route, RouteError};
use crate::service::Settings;
#[cfg(feature = "ui")]
use crate::ui;
use crate::{base, blobs, catalog, manifests, referrers, tags, uploads};
use crate::{forwarded, header};

/// What a handler gives.
pub(crate) type Answer = Result<Response<ResponseBody>, Refusal>;

/// Answers any request.
pub(crate) async fn answer(settings: Arc<Settings>, parts: Parts, content: Content) -> Response<ResponseBody> {
    let id = RequestId::of(&parts.headers, &parts.extensions);
    let span = tracing::debug_span!("request", %id, method = %parts.method, path = parts.uri.path());
    async move {
        let method = parts.method.clone();
        let is_root = parts.uri.path() == "/";
        #[cfg(feature = "ui")]
        let page = ui::asked_for(&settings, &parts);
        #[cfg(not(feature = "ui"))]
        let page: Option<std::convert::Infallible> = None;
        let route = settings.prefix.strip(parts.uri.path()).ok_or(RouteError::NotFound).and_then(Route::parse);
        let subject = match (&page, &route) {
            #[cfg(feature = "ui")]
            (Some(_), _) => Subject::Page,
            (_, Ok(route)) => Subject::Api(route),
            (_, Err(_)) => Subject::Nothing,
        };
        let observation = settings.observer.begin(subject, &parts, content.length());
        let content = observation.content(content);
        let about = About::new(id, route.as_ref().ok().cloned(), client(&settings, &parts));
        let is_api = !is_root && page.is_none();
        let mut response = match page {
            #[cfg(feature = "ui")]
            // Apart, so that what a page keeps in mind is not moved about with every request of the API.
            Some(page) => Box::pin(ui::answer(settings, parts, content, page, &about)).await,
            #[cfg(not(feature = "ui"))]
            Some(none) => match none {},
            None if is_root => alive(),
            None => within(settings, parts, content, route, &about).await,
        };
        response.headers_mut().extend(about.request_id().header().map(|id| (RequestId::HEADER, id)));
        response.extensions_mut().insert(about);
        if is_api {
            let version = HeaderValue::from_static("registry/2.0");
            response.headers_mut().insert(header::API_VERSION, version);
        }
        finish(&mut response, &method);
        observation.finish(response)
    }
    .instrument(span)
    .await
}

/// Where a request came from, for those who are told of it.
fn client(settings: &Settings, parts: &Parts) -> Option<String> {
    let forwarded = settings.trust_forwarded.then(|| forwarded::client_address(&parts.headers)).flatten();
    let peer = parts.extensions.get::<PeerAddress>().map(|peer| peer.0);
    let peer = peer.map(|peer| SocketAddr::new(peer.ip().to_canonical(), peer.port()).to_string());
    forwarded.map(|address| address.to_string()).or(peer)
}

/// What load balancers ask for.
fn alive() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

async fn within(
    settings: Arc<Settings>,
    parts: Parts,
    content: Content,
    route: Result<Route, RouteError>,
    about: &About,
) -> Response<ResponseBody> {
    let route = match route {
        Ok(route) => route,
        Err(RouteError::NotFound) => return not_found(),
        Err(RouteError::Moved { path }) => return moved(&settings, &parts, &path),
        Err(error) => return Refusal::from(error).into_response(),
    };
    let call = Call::new(Arc::clone(&settings), parts, about.clone());
    let place = match settings.requests.enter(&call.requester()) {
        Ok(place) => place,
        Err(Full) => return Refusal::too_many().into_response(),
    };
    let mut response = handle(&call, route, content).await.unwrap_or_else(Refusal::into_response);
    response.body_mut().hold(place);
    for (name, value) in &settings.headers {
        response.headers_mut().append(name, value.clone());
    }
    response
}

async fn handle(call: &Call, route: Route, content: Content) -> Answer {
    if call.method == Method::OPTIONS {
        return preflight(call, &route);
    }
    if is_encoded(call) {
        return Err(Refusal::content_encoding());
    }
    let admitted = access::admit(call, route).await?;
    match (admitted, call.method.as_str()) {
        (Admitted::Base, _) => base::get(),
        (Admitted::Catalog(at), _) => catalog::list(call, at).await,
        (Admitted::Tags(at), _) => tags::list(call, at).await,
        (Admitted::Referrers(at), _) => referrers::list(call, at).await,
        (Admitted::Manifest(at), "PUT") => manifests::put(call, at, content).await,
        (Admitted::Manifest(at), "DELETE") => manifests::delete(call, at).await,
        (Admitted::Manifest(at), _) => manifests::get(call, at).await,
        (Admitted::Blob(at), "DELETE") => blobs::delete(call, at).await,
        (Admitted::Blob(at), "HEAD") => blobs::head(call, at).await,
        (Admitted::Blob(at), _) => blobs::get(call, at).await,
        (Admitted::Uploads(at), _) => uploads::start(call, at, content).await,
        (Admitted::Upload(at), "PATCH") => uploads::append(call, at, content).await,
        (Admitted::Upload(at), "PUT") => uploads::finish(call, at, content).await,
        (Admitted::Upload(at), "DELETE") => uploads::cancel(call, at).await,
        (Admitted::Upload(at), _) => uploads::status(call, at).await,
    }
}

/// Browsers ask before they send credentials, and send none with this.
fn preflight(call: &Call, route: &Route) -> Answer {
    let allow = access::allow(route, &call.settings);
    Ok(Response::builder().status(StatusCode::NO_CONTENT).header(ALLOW, allow).body(ResponseBody::empty())?)
}

fn is_encoded(call: &Call) -> bool {
    let mut encodings = call.headers.get_all(CONTENT_ENCODING).iter();
    encodings.any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn not_found() -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::from("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn moved(settings: &Settings, parts: &Parts, path: &str) -> Response<ResponseBody> {
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let Ok(location) = HeaderValue::try_from(format!("{}{path}{query}", settings.prefix.as_str())) else {
        return not_found();
    };
    let mut response = Response::new(ResponseBody::empty());
    // Clients turn other methods into GET at a 301.
    let safe = parts.method == Method::GET || parts.method == Method::HEAD;
    *response.status_mut() = if safe { StatusCode::MOVED_PERMANENTLY } else { StatusCode::PERMANENT_REDIRECT };
    response.headers_mut().insert(LOCATION, location);
    response
}

/// What every answer has, unless its handler said otherwise.
fn finish(response: &mut Response<ResponseBody>, method: &Method) {
    let has_length = !matches!(response.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if let (true, Some(length)) = (has_length, response.body().size_hint().exact()) {
        response.headers_mut().entry(CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    response.headers_mut().entry(X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    if method == Method::HEAD {
        *response.body_mut() = ResponseBody::empty();
    }
}
