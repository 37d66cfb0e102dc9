//! `/v2/NAME/blobs/uploads/` and `/v2/NAME/blobs/uploads/ID`

use futures::stream::TryStreamExt as _;
use http::header::{LOCATION, RANGE};
use http::{Response, StatusCode, response};
use registry_core::{Algorithm, BlobInfo, ContentStream, Digest, Repository, RepositoryName, UploadStatus};

use crate::access::Authorized;
use crate::body::ResponseBody;
use crate::call::Call;
use crate::content::Content;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::header;
use crate::limits::TooMany;
use crate::range::Chunk;
use crate::route::{UploadAt, UploadsAt};

/// A chunk may have any size: the storage puts small ones together.
const CHUNK_MIN_LENGTH_BYTES: u64 = 1;

/// Mounts a blob, takes one in whole, or starts an upload: as the parameters say.
pub(crate) async fn start(call: &Call, at: Authorized<UploadsAt>, content: Content) -> Answer {
    let content = limited(call, content)?;
    let repository = at.repository(call);
    if let Some(info) = mount(call, &at, &repository).await? {
        return created(call, repository.name(), &info);
    }
    let digest: Option<Digest> = call.query.get("digest").map(str::parse).transpose().map_err(Refusal::digest)?;
    if let Some(digest) = digest
        && !is_announced_only(&content, &digest)
    {
        let info = repository.uploads().push(&digest, content.into_stream()).await?;
        return created(call, repository.name(), &info);
    }
    let algorithm = match call.query.get("digest-algorithm") {
        Some(text) => text.parse().map_err(Refusal::digest)?,
        None => digest.map_or(Algorithm::default(), |digest| digest.algorithm()),
    };
    let uploads = &call.settings.open_uploads;
    let reserved = uploads.reserve(at.requester()).map_err(|TooMany| Refusal::too_many_uploads())?;
    let status = repository.uploads().start(algorithm).await?;
    reserved.begun(status.id, repository.name());
    let head = progress(call, repository.name(), &status).header(header::CHUNK_MIN_LENGTH, CHUNK_MIN_LENGTH_BYTES);
    Ok(head.status(StatusCode::ACCEPTED).body(ResponseBody::empty())?)
}

/// How far an upload is.
pub(crate) async fn status(call: &Call, at: Authorized<UploadAt>) -> Answer {
    let repository = at.repository(call);
    let status = repository.uploads().status(&at.at().id).await?;
    let head = progress(call, repository.name(), &status);
    Ok(head.status(StatusCode::NO_CONTENT).body(ResponseBody::empty())?)
}

/// Adds a chunk.
pub(crate) async fn append(call: &Call, at: Authorized<UploadAt>, content: Content) -> Answer {
    let repository = at.repository(call);
    let content = call.settings.open_uploads.went_on(&at.at().id, content);
    let appended = async {
        let content = limited(call, content)?;
        let chunk = Chunk::parse(&call.headers, content.length())?;
        let content = as_announced(content, &chunk);
        Ok(repository.uploads().append(&at.at().id, chunk.offset, content).await?)
    };
    match appended.await {
        Ok(status) => {
            let head = progress(call, repository.name(), &status);
            Ok(head.status(StatusCode::ACCEPTED).body(ResponseBody::empty())?)
        }
        Err(refusal) => Err(with_progress(call, &at, refusal).await),
    }
}

/// Adds the last chunk, if there is one more, and makes the whole a blob.
pub(crate) async fn finish(call: &Call, at: Authorized<UploadAt>, content: Content) -> Answer {
    let repository = at.repository(call);
    let digest = call.query.get("digest").ok_or_else(Refusal::digest_missing)?;
    let digest: Digest = digest.parse().map_err(Refusal::digest)?;
    let content = call.settings.open_uploads.went_on(&at.at().id, content);
    let finished = async {
        let content = limited(call, content)?;
        // Without content there is no chunk that could lie anywhere.
        let chunk = if content.is_empty() { None } else { Some(Chunk::parse(&call.headers, content.length())?) };
        let offset = chunk.and_then(|chunk| chunk.offset);
        let content = match chunk {
            Some(chunk) => as_announced(content, &chunk),
            None => content.into_stream(),
        };
        Ok(repository.uploads().finish(&at.at().id, &digest, offset, content).await?)
    };
    match finished.await {
        Ok(info) => {
            call.settings.open_uploads.ended(&at.at().id);
            created(call, repository.name(), &info)
        }
        Err(refusal) => Err(with_progress(call, &at, refusal).await),
    }
}

/// Drops an upload.
pub(crate) async fn cancel(call: &Call, at: Authorized<UploadAt>) -> Answer {
    at.repository(call).uploads().cancel(&at.at().id).await?;
    call.settings.open_uploads.ended(&at.at().id);
    let head = Response::builder().status(StatusCode::NO_CONTENT).header(header::UPLOAD_ID, at.at().id.to_string());
    Ok(head.body(ResponseBody::empty())?)
}

/// Mounts the blob that the parameters name: from the repository that they name, or from any that has it. A repository
/// that the caller may not read is one that does not have it. `None` starts an upload instead.
async fn mount(call: &Call, at: &Authorized<UploadsAt>, repository: &Repository) -> Result<Option<BlobInfo>, Refusal> {
    // What cannot be understood cannot be mounted, and is no reason not to take the content.
    let Some(Ok(digest)) = call.query.get("mount").map(str::parse::<Digest>) else {
        return Ok(None);
    };
    if let Some(from) = call.query.get("from") {
        return match from.parse::<RepositoryName>() {
            Ok(from) if at.may_pull(call, &from).await => Ok(repository.blobs().mount(&digest, &from).await?),
            _ => Ok(None),
        };
    }
    let may_pull = |name: RepositoryName| async move { at.may_pull(call, &name).await };
    let mut holders = call.settings.registry.holders(&digest, may_pull);
    while let Some(holder) = holders.try_next().await? {
        if let Some(info) = repository.blobs().mount(&digest, &holder).await? {
            return Ok(Some(info));
        }
    }
    Ok(None)
}

/// The content, as long as it may be.
fn limited(call: &Call, content: Content) -> Result<Content, Refusal> {
    match call.settings.max_body_bytes {
        Some(limit_bytes) => content.at_most(limit_bytes),
        None => Ok(content),
    }
}

/// Some clients name the digest at the start and send the content later.
fn is_announced_only(content: &Content, digest: &Digest) -> bool {
    content.is_empty() && *digest != Digest::of(digest.algorithm(), b"")
}

fn as_announced(content: Content, chunk: &Chunk) -> ContentStream<'static> {
    match (chunk.offset, chunk.length) {
        (Some(_), Some(length)) => content.exactly(length),
        _ => content.into_stream(),
    }
}

/// Where an upload goes on. An empty one has the range of one with a single byte: there is no way to say it.
fn progress(call: &Call, name: &RepositoryName, status: &UploadStatus) -> response::Builder {
    Response::builder()
        .header(LOCATION, call.root.upload(name, status))
        .header(RANGE, format!("0-{}", status.size.saturating_sub(1)))
        .header(header::UPLOAD_ID, status.id.to_string())
}

/// Tells a client that is out of step where the upload stands.
async fn with_progress(call: &Call, at: &Authorized<UploadAt>, refusal: Refusal) -> Refusal {
    if !refusal.is_about_range() {
        return refusal;
    }
    let repository = at.repository(call);
    match repository.uploads().status(&at.at().id).await {
        Ok(status) => refusal
            .header(LOCATION, call.root.upload(repository.name(), &status))
            .header(RANGE, format!("0-{}", status.size.saturating_sub(1)))
            .header(header::UPLOAD_ID, status.id.to_string()),
        Err(error) => error.into(),
    }
}

fn created(call: &Call, name: &RepositoryName, info: &BlobInfo) -> Answer {
    let head = Response::builder()
        .status(StatusCode::CREATED)
        .header(LOCATION, call.root.blob(name, &info.digest))
        .header(header::CONTENT_DIGEST, info.digest.to_string());
    Ok(head.body(ResponseBody::empty())?)
}
