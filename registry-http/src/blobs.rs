//! `/v2/NAME/blobs/DIGEST`

use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, LOCATION,
};
use http::{Response, StatusCode, response};
use registry_core::storage::Presigned;
use registry_core::{BlobInfo, Span};

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::condition::{entity_tag, is_known_to_client};
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::header;
use crate::range::{Wanted, wanted};
use crate::route::BlobAt;

pub(crate) async fn head(call: &Call, at: Authorized<BlobAt>) -> Answer {
    if let Some(elsewhere) = elsewhere(call, &at, Presigned::Head).await? {
        return Ok(elsewhere);
    }
    let info = at.repository(call).blobs().stat(&at.at().digest).await?;
    match plan(call, &info)? {
        Plan::NotModified => not_modified(&info),
        Plan::Send(span, head) => Ok(head.header(CONTENT_LENGTH, span.length()).body(ResponseBody::empty())?),
    }
}

pub(crate) async fn get(call: &Call, at: Authorized<BlobAt>) -> Answer {
    if let Some(elsewhere) = elsewhere(call, &at, Presigned::Get).await? {
        return Ok(elsewhere);
    }
    let blob = at.repository(call).blobs().open(&at.at().digest).await?;
    let info = blob.info();
    match plan(call, &info)? {
        Plan::NotModified => not_modified(&info),
        Plan::Send(span, head) => {
            let content = blob.read(span).await?;
            Ok(head.body(ResponseBody::from_storage(content, call.settings.registry.blocking(), call.frame_bytes()))?)
        }
    }
}

/// Leads a client to where the storage gives out the bytes itself, if it does. A client that has them already is told so
/// here.
async fn elsewhere(
    call: &Call,
    at: &Authorized<BlobAt>,
    request: Presigned,
) -> Result<Option<Response<ResponseBody>>, Refusal> {
    let digest = &at.at().digest;
    let Some(validity) = call.settings.redirects.filter(|_| !is_known_to_client(&call.headers, digest)) else {
        return Ok(None);
    };
    let Some(found) = at.repository(call).blobs().locate(digest, request, validity).await? else { return Ok(None) };
    let head = Response::builder()
        .status(StatusCode::TEMPORARY_REDIRECT)
        .header(LOCATION, found.address)
        // The address opens for a while only.
        .header(CACHE_CONTROL, "no-store")
        .header(header::CONTENT_DIGEST, digest.to_string());
    Ok(Some(head.body(ResponseBody::empty())?))
}

pub(crate) async fn delete(call: &Call, at: Authorized<BlobAt>) -> Answer {
    at.repository(call).blobs().delete(&at.at().digest).await?;
    Ok(Response::builder().status(StatusCode::ACCEPTED).body(ResponseBody::empty())?)
}

/// What to answer to a request for a blob that is there.
enum Plan {
    NotModified,
    Send(Span, response::Builder),
}

fn plan(call: &Call, info: &BlobInfo) -> Result<Plan, Refusal> {
    if is_known_to_client(&call.headers, &info.digest) {
        return Ok(Plan::NotModified);
    }
    let head = about(info)
        .header(ACCEPT_RANGES, "bytes")
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_SECURITY_POLICY, header::SANDBOX);
    match wanted(&call.headers, &entity_tag(&info.digest), info.size) {
        Wanted::Whole => Ok(Plan::Send(Span::whole(info.size), head)),
        Wanted::Part(span) => {
            let range = format!("bytes {}-{}/{}", span.offset(), span.end() - 1, info.size);
            Ok(Plan::Send(span, head.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, range)))
        }
        Wanted::Nothing => Err(Refusal::range(info.size)),
    }
}

/// What is said of a blob whether or not it is sent. Its content never changes, so it may be kept for a year.
fn about(info: &BlobInfo) -> response::Builder {
    Response::builder()
        .header(CACHE_CONTROL, "max-age=31536000")
        .header(header::CONTENT_DIGEST, info.digest.to_string())
        .header(ETAG, entity_tag(&info.digest))
}

fn not_modified(info: &BlobInfo) -> Answer {
    Ok(about(info).status(StatusCode::NOT_MODIFIED).body(ResponseBody::empty())?)
}
