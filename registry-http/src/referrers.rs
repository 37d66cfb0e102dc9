//! `/v2/NAME/referrers/DIGEST`

use http::Response;
use http::header::{CONTENT_TYPE, LINK};
use registry_core::{Digest, MediaType, Referrer};
use serde::Serialize;

use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::header;
use crate::page::{PageRequest, link_to_next};
use crate::route::ReferrersAt;

/// The longest page, in referrers. The registry's limit in bytes may make it shorter.
const LIMIT: usize = 1000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u8,
    media_type: &'static str,
    manifests: &'a [Referrer],
}

/// A page of what refers to a manifest, as an index. There is always one, if only an empty one.
pub(crate) async fn list(call: &Call, at: Authorized<ReferrersAt>) -> Answer {
    let asked = PageRequest::parse(&call.query, LIMIT)?;
    let after: Option<Digest> = asked.last.map(str::parse).transpose().map_err(Refusal::digest)?;
    let artifact_type = call.query.get("artifactType");
    let repository = at.repository(call);
    let subject = &at.at().digest;
    let limit = asked.limit.unwrap_or(LIMIT);
    let page = repository.referrers().list(subject, artifact_type, after.as_ref(), limit).await?;
    let mut head = Response::builder().header(CONTENT_TYPE, MediaType::OCI_INDEX);
    if artifact_type.is_some() {
        head = head.header(header::FILTERS_APPLIED, "artifactType");
    }
    if let Some(last) = page.next {
        let path = format!("{}/v2/{}/referrers/{subject}", call.settings.prefix.as_str(), repository.name());
        let (last, limit) = (last.to_string(), limit.to_string());
        let filter = artifact_type.map(|artifact_type| ("artifactType", artifact_type));
        let parameters: Vec<_> = filter.into_iter().chain([("last", last.as_str()), ("n", limit.as_str())]).collect();
        head = head.header(LINK, link_to_next(&path, &parameters));
    }
    let index = Index { schema_version: 2, media_type: MediaType::OCI_INDEX, manifests: &page.referrers };
    Ok(head.body(call.in_memory(serde_json::to_vec(&index)?.into())?)?)
}
