//! `/v2/_catalog`

use http::Response;
use http::header::{CONTENT_TYPE, LINK};
use registry_core::RepositoryName;
use serde::Serialize;

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::page::{PageRequest, link_to_next};

/// The page of a client that does not ask for a number.
const DEFAULT_LIMIT: usize = 100;

#[derive(Serialize)]
struct Catalog<'a> {
    repositories: Vec<&'a str>,
}

/// A page of the repositories that the caller may know of. No other is named, in a link neither.
pub(crate) async fn list(call: &Call, at: Authorized<()>) -> Answer {
    let max = call.settings.catalog_limit;
    let asked = PageRequest::parse(&call.query, max)?;
    let limit = asked.limit.unwrap_or(DEFAULT_LIMIT.min(max));
    let at = &at;
    let may_list = |name: RepositoryName| async move { at.may_list(call, &name).await };
    let page = call.settings.registry.catalog_of(asked.last, limit, may_list).await?;
    let repositories: Vec<&str> = page.repositories.iter().map(RepositoryName::as_str).collect();
    let mut head = Response::builder().header(CONTENT_TYPE, "application/json");
    if let (true, Some(last)) = (page.more, repositories.last()) {
        let path = format!("{}/v2/_catalog", call.settings.prefix.as_str());
        head = head.header(LINK, link_to_next(&path, &[("last", last), ("n", &limit.to_string())]));
    }
    let mut body = serde_json::to_vec(&Catalog { repositories })?;
    body.push(b'\n');
    Ok(head.body(ResponseBody::from(body))?)
}
