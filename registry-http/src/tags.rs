//! `/v2/NAME/tags/list`

use http::Response;
use http::header::{CONTENT_TYPE, LINK};
use serde::Serialize;

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::page::{PageRequest, link_to_next};
use crate::route::TagsAt;

#[derive(Serialize)]
struct TagList<'a> {
    name: &'a str,
    tags: Vec<&'a str>,
}

/// All tags, or a page of them if the client asks for one.
pub(crate) async fn list(call: &Call, at: Authorized<TagsAt>) -> Answer {
    let asked = PageRequest::parse(&call.query, call.settings.tags_limit)?;
    let repository = at.repository(call);
    let page = repository.tags().list(asked.last, asked.limit.unwrap_or(usize::MAX)).await?;
    let tags: Vec<&str> = page.tags.iter().map(registry_core::Tag::as_str).collect();
    let mut head = Response::builder().header(CONTENT_TYPE, "application/json");
    if let (true, Some(last), Some(limit)) = (page.more, tags.last(), asked.limit) {
        let path = format!("{}/v2/{}/tags/list", call.settings.prefix.as_str(), repository.name());
        head = head.header(LINK, link_to_next(&path, &[("last", last), ("n", &limit.to_string())]));
    }
    let mut body = serde_json::to_vec(&TagList { name: repository.name().as_str(), tags })?;
    body.push(b'\n');
    Ok(head.body(ResponseBody::from(body))?)
}
