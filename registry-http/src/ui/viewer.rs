//! What all pages have in common: their frame, and what a browser may do with them.

use std::io::Write as _;

use askama::Template;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION,
    REFERRER_POLICY, VARY, X_FRAME_OPTIONS,
};
use http::{HeaderValue, Response, StatusCode};
use registry_auth::Principal;

use super::assets;
use super::route::Links;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;

/// What stands around a page.
#[derive(Debug)]
pub(super) struct Frame {
    /// The name of the registry.
    pub(super) site: String,
    pub(super) links: Links,
    /// The reader, if they have a name.
    pub(super) user: Option<String>,
    /// Whether the login came with a form, so that it can be ended.
    pub(super) may_log_out: bool,
    /// Whether a password or a token would make somebody of an anonymous reader.
    pub(super) may_log_in: bool,
    pub(super) has_activity: bool,
    /// Where clients find the registry, such as `registry.example:5000`.
    pub(super) host: String,
}

impl Frame {
    pub(super) fn new(call: &Call, reader: Option<&Principal>) -> Self {
        let settings = &call.settings;
        let user = reader.and_then(Principal::name).map(str::to_owned);
        Self {
            site: settings.ui.as_ref().map(|ui| ui.title.clone()).unwrap_or_default(),
            links: Links::new(settings.prefix.as_str()),
            may_log_out: user.is_some() && call.login.is_some(),
            has_activity: settings.ui.as_ref().is_some_and(|ui| ui.activity.is_some()),
            may_log_in: user.is_none() && (settings.password_checks.is_some() || settings.login.is_token()),
            user,
            host: call.asked_host().unwrap_or_else(|| "localhost".to_owned()),
        }
    }

    pub(super) fn style(&self) -> String {
        self.links.asset(&assets::STYLE.name())
    }

    pub(super) fn script(&self) -> String {
        self.links.asset(&assets::SCRIPT.name())
    }

    pub(super) fn icon(&self) -> String {
        self.links.asset(&assets::ICON.name())
    }
}

/// The answer that a page is.
pub(super) fn html(call: &Call, status: StatusCode, page: &impl Template) -> Answer {
    let text = page.render().map_err(Refusal::page)?;
    let head = Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "text/html; charset=utf-8")
        .header(CACHE_CONTROL, "no-store")
        .header(VARY, "Accept-Encoding, Cookie, Authorization");
    if !takes_gzip(call) {
        return Ok(head.body(call.in_memory(text.into())?)?);
    }
    let compressed = compress(text.as_bytes()).map_err(Refusal::page)?;
    Ok(head.header(CONTENT_ENCODING, "gzip").body(call.in_memory(compressed.into())?)?)
}

pub(super) fn compress(bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::fast());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// Whether the client says that it takes gzip, and not that it takes it with a weight of nothing.
pub(super) fn takes_gzip(call: &Call) -> bool {
    let values = call.headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_gzip = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
        is_gzip && !parts.any(|weight| weight.trim_start_matches("q=").trim_matches(['0', '.']).is_empty())
    })
}

/// Leads a browser to another page, which it asks for with GET.
pub(super) fn see_other(path: &str) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(path) = HeaderValue::try_from(path) {
        response.headers_mut().insert(LOCATION, path);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    frame: Frame,
    status: u16,
    reason: &'a str,
    message: &'a str,
}

/// What somebody sees who may not, or whose page is none. Who may log in does so first.
pub(super) fn refused(call: &Call, refusal: Refusal, here: &str) -> Response<ResponseBody> {
    let frame = Frame::new(call, None);
    let is_reading = matches!(call.method.as_str(), "GET" | "HEAD");
    if refusal.asks_for_login() && frame.may_log_in {
        let next = if is_reading { here } else { "" };
        return see_other(&frame.links.login_for(next));
    }
    let (status, message) = refusal.told();
    let page =
        ErrorPage { frame, status: status.as_u16(), reason: status.canonical_reason().unwrap_or("Error"), message };
    let Ok(mut response) = html(call, status, &page) else { return refusal.into_response() };
    refusal.log();
    refusal.add_headers(response.headers_mut());
    response
}

/// No script, style, picture or form of anybody else, and no place in a page of anybody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Forbids a browser what no page needs. Content that somebody pushed has a stricter policy already.
pub(super) fn guard(response: &mut Response<ResponseBody>) {
    let headers = response.headers_mut();
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With no referrer at all the forms of these pages would not say where they come from.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("same-origin"));
    }
}
