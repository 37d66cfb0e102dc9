//! `/v2/NAME/tags/list`

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::Response;
use http::header::{CONTENT_TYPE, LINK};
use registry_core::storage::Error as StorageError;
use registry_core::{Error, Repository, Tag, TagPage};
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

/// A client that asks for no number gets all tags; what is more than this is sent as it is read. Enough that a large
/// directory is not read too often.
const TAGS_AT_ONCE: usize = 10_000;

/// All tags, or a page of them if the client asks for one.
pub(crate) async fn list(call: &Call, at: Authorized<TagsAt>) -> Answer {
    let asked = PageRequest::parse(&call.query, call.settings.tags_limit)?;
    let repository = at.repository(call);
    let page = repository.tags().list(asked.last, asked.limit.unwrap_or(TAGS_AT_ONCE)).await?;
    let mut head = Response::builder().header(CONTENT_TYPE, "application/json");
    if let (true, Some(last), Some(limit)) = (page.more, page.tags.last(), asked.limit) {
        let path = format!("{}/v2/{}/tags/list", call.settings.prefix.as_str(), repository.name());
        head = head.header(LINK, link_to_next(&path, &[("last", last.as_str()), ("n", &limit.to_string())]));
    }
    let tags: Vec<&str> = page.tags.iter().map(Tag::as_str).collect();
    let mut body = serde_json::to_vec(&TagList { name: repository.name().as_str(), tags })?;
    if page.more && asked.limit.is_none() {
        return Ok(head.body(going_on(repository, page, body))?);
    }
    body.push(b'\n');
    Ok(head.body(ResponseBody::from(body))?)
}

/// The JSON of the first page, and then the pages behind it.
fn going_on(repository: Repository, first: TagPage, mut body: Vec<u8>) -> ResponseBody {
    // The list and the object around it are closed behind the last page.
    body.truncate(body.len() - b"]}".len());
    let begin = stream::once(async move { Ok(Bytes::from(body)) });
    let rest = stream::try_unfold((repository, Some(first)), |(repository, page)| async move {
        let Some(page) = page else { return Ok(None) };
        let next = behind(&repository, &page).await?;
        let json = next.as_ref().map_or_else(|| "]}\n".to_owned(), further);
        Ok(Some((Bytes::from(json), (repository, next))))
    });
    ResponseBody::unmeasured(begin.chain(rest).boxed())
}

/// The tags of a further page, in the list that the first one began. No character of a tag needs escaping.
fn further(page: &TagPage) -> String {
    let mut json = String::new();
    for tag in &page.tags {
        json.extend([",\"", tag.as_str(), "\""]);
    }
    json
}

/// The page behind another one; `None` if that was the last.
async fn behind(repository: &Repository, page: &TagPage) -> Result<Option<TagPage>, StorageError> {
    let (true, Some(last)) = (page.more, page.tags.last()) else { return Ok(None) };
    match repository.tags().list(Some(last.as_str()), TAGS_AT_ONCE).await {
        Ok(page) => Ok(Some(page)),
        Err(Error::Storage(error)) => Err(error),
        // Everything was deleted meanwhile.
        Err(_) => Ok(None),
    }
}
