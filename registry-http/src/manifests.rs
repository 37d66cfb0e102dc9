//! `/v2/NAME/manifests/REFERENCE`

use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION};
use http::{Response, StatusCode};
use registry_core::{MediaType, Tag};

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::condition::{entity_tag, is_known_to_client};
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::header;
use crate::route::ManifestAt;

/// The stored bytes, whatever the `Accept` header says: nothing else has the digest that was asked for.
pub(crate) async fn get(call: &Call, at: Authorized<ManifestAt>) -> Answer {
    let manifest = at.repository(call).manifests().get(&at.at().reference).await?;
    let head = Response::builder()
        .header(header::CONTENT_DIGEST, manifest.digest.to_string())
        .header(ETAG, entity_tag(&manifest.digest));
    if is_known_to_client(&call.headers, &manifest.digest) {
        return Ok(head.status(StatusCode::NOT_MODIFIED).body(ResponseBody::empty())?);
    }
    let head = head.header(CONTENT_TYPE, manifest.media_type.as_str()).header(CONTENT_SECURITY_POLICY, header::SANDBOX);
    Ok(head.body(call.in_memory(manifest.content)?)?)
}

pub(crate) async fn put(call: &Call, at: Authorized<ManifestAt>, content: Content) -> Answer {
    let media_type = media_type(call)?;
    let tags = tags(call)?;
    let limit_bytes = call.settings.registry.limits().manifest_bytes;
    // It is held as long as the content is.
    let mut share = call.settings.manifest_budget.share();
    let content = content.into_memory(limit_bytes, &mut share).await?;
    let repository = at.repository(call);
    let pushed = repository.manifests().put(&at.at().reference, media_type.as_ref(), content, &tags).await?;
    let mut head = Response::builder()
        .status(StatusCode::CREATED)
        .header(LOCATION, call.root.manifest(repository.name(), &pushed.digest))
        .header(header::CONTENT_DIGEST, pushed.digest.to_string());
    if let Some(subject) = pushed.subject {
        head = head.header(header::SUBJECT, subject.to_string());
    }
    for tag in pushed.tags.iter().filter(|tag| tags.contains(tag)) {
        head = head.header(header::TAG, tag.as_str());
    }
    Ok(head.body(ResponseBody::empty())?)
}

pub(crate) async fn delete(call: &Call, at: Authorized<ManifestAt>) -> Answer {
    at.repository(call).manifests().delete(&at.at().reference).await?;
    Ok(Response::builder().status(StatusCode::ACCEPTED).body(ResponseBody::empty())?)
}

/// What the client says that it pushes; `None` if it does not say.
fn media_type(call: &Call) -> Result<Option<MediaType>, Refusal> {
    let Some(value) = call.headers.get(CONTENT_TYPE) else { return Ok(None) };
    value.to_str().unwrap_or_default().parse().map(Some).map_err(Refusal::media_type)
}

/// Further tags, as parameters or as lists in a parameter.
fn tags(call: &Call) -> Result<Vec<Tag>, Refusal> {
    let tags = call.query.all("tag").flat_map(|list| list.split(','));
    tags.map(str::parse).collect::<Result<_, _>>().map_err(Refusal::tag)
}
