//! What people send with a form.

use http::header::ORIGIN;

use crate::call::Call;
use crate::content::Content;
use crate::error::Refusal;
use crate::query::Query;

/// The longest form, in bytes: some ten thousand tags.
const LIMIT_BYTES: u64 = 1024 * 1024;

/// The fields of a form.
pub(super) async fn read(call: &Call, content: Content) -> Result<Query, Refusal> {
    let mut share = call.settings.manifest_budget.share();
    let bytes = content.at_most(LIMIT_BYTES)?.into_memory(LIMIT_BYTES, &mut share).await?;
    let text = std::str::from_utf8(&bytes).map_err(|_| Refusal::form("the form is not UTF-8"))?;
    Ok(Query::parse(Some(text)))
}

/// Refuses what another site makes a browser send. Browsers say where a form comes from: in `Sec-Fetch-Site` where the
/// connection is one to trust, and in `Origin` in any case.
pub(super) fn check_origin(call: &Call) -> Result<(), Refusal> {
    let text = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let is_own = if let Some(site) = text("sec-fetch-site") {
        site == "same-origin"
    } else {
        let origin = text(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
        origin.is_some_and(|origin| call.asked_hosts().iter().any(|host| host.eq_ignore_ascii_case(origin)))
    };
    if is_own { Ok(()) } else { Err(Refusal::cross_site()) }
}
