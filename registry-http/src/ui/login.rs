//! `/ui/login` and `/ui/logout`

use askama::Template;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{Response, StatusCode};
use registry_auth::Credentials;

use super::viewer::{Frame, html, see_other};
use super::{form, session};
use crate::access;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    frame: Frame,
    /// Whether a token is asked for, and no password.
    takes_tokens: bool,
    user: &'a str,
    next: &'a str,
    complaint: Option<&'a str>,
}

pub(super) fn show(call: &Call) -> Answer {
    let frame = Frame::new(call, None);
    if !frame.may_log_in {
        return Ok(see_other(&frame.links.home()));
    }
    // Who has a login and is led here has one that did not do.
    let complaint = call.login.is_some().then_some("your login has ended, or does not reach as far as that page");
    let next = call.query.get("next").unwrap_or_default();
    let page = LoginPage { frame, takes_tokens: call.settings.login.is_token(), user: "", next, complaint };
    html(call, StatusCode::OK, &page)
}

/// Begins a session for whoever knows a password or has a token, and leads to where they came from.
pub(super) async fn log_in(call: &mut Call, content: Content) -> Answer {
    let fields = form::read(call, content).await?;
    let (user, next) = (fields.get("user").unwrap_or_default(), fields.get("next").unwrap_or_default());
    let credentials = match fields.get("token") {
        Some(token) if call.settings.login.is_token() => Credentials::parse(&format!("Bearer {}", token.trim())).ok(),
        _ => Credentials::basic(user, fields.get("password").unwrap_or_default()),
    };
    // Of a login that there was until now nothing is left, whatever comes of this one.
    session::end(call);
    call.login = Some(credentials.unwrap_or(Credentials::Unreadable));
    // What was typed counts, not what the browser remembers.
    call.headers.remove(AUTHORIZATION);
    let frame = Frame::new(call, None);
    match access::log_in(call).await {
        Ok(principal) if principal.is_anonymous() => {
            complain(call, frame, &Refusal::wrong_login(call.settings.login.is_token()), user, next)
        }
        Ok(_) => {
            let next = if frame.links.is_own(next) { next.to_owned() } else { frame.links.home() };
            let mut response = see_other(&next);
            let cookie = call.login.take().and_then(|credentials| session::begin(call, credentials));
            if let Some(cookie) = cookie.and_then(|cookie| cookie.try_into().ok()) {
                response.headers_mut().insert(SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Err(refusal) => complain(call, frame, &refusal, user, next),
    }
}

fn complain(call: &Call, frame: Frame, refusal: &Refusal, user: &str, next: &str) -> Answer {
    let (status, message) = refusal.told();
    let page = LoginPage { frame, takes_tokens: call.settings.login.is_token(), user, next, complaint: Some(message) };
    let mut response = html(call, status, &page)?;
    refusal.log();
    refusal.add_headers(response.headers_mut());
    Ok(response)
}

pub(super) fn log_out(call: &Call) -> Response<ResponseBody> {
    let mut response = see_other(&Frame::new(call, None).links.login());
    if let Ok(cookie) = session::end(call).try_into() {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}
