//! Multipart uploads that nobody completed.
//!
//! opendal begins them, for content that comes in several parts, and cannot list them. What a killed process leaves shows in no
//! list of objects, and is paid for all the same.

use std::fmt;
use std::time::{Duration, SystemTime};

use ::http::{Method, Request};
use ::opendal::{Buffer, Operator};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use registry_core::storage::{Error, Key};
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner, StaticCredentialProvider};
use reqsign_core::{Context, OsEnv, Signer};
use reqsign_file_read_tokio::TokioFileRead;
use serde::Deserialize;

use super::{Retries, directory, error};

/// What asks an S3 service for the multipart uploads of a bucket that nobody completed.
///
/// ```
/// use registry_storage::MultipartUploads;
///
/// let found_in_the_surroundings = MultipartUploads::in_region("eu-central-1");
/// let given = MultipartUploads::in_region("eu-central-1").credentials("key", "secret", None);
/// ```
#[derive(Clone)]
pub struct MultipartUploads(Signer<Credential>);

/// As long as an address is good that is only looked at.
const SHORT: Duration = Duration::from_mins(1);

/// How many uploads one answer tells of.
const AT_ONCE: usize = 1_000;

impl MultipartUploads {
    /// Signs for this region, with the credentials that are found in the surroundings of the process, where opendal finds them as
    /// well.
    #[must_use]
    pub fn in_region(region: &str) -> Self {
        let provider = DefaultCredentialProvider::new();
        Self(Signer::new(Context::new(), provider, RequestSigner::new("s3", region)))
    }

    /// Signs with these credentials.
    #[must_use]
    pub fn credentials(self, access_key: &str, secret_key: &str, session_token: Option<&str>) -> Self {
        let provider = StaticCredentialProvider::new(access_key, secret_key);
        let provider = session_token.into_iter().fold(provider, StaticCredentialProvider::with_session_token);
        Self(self.0.with_credential_provider(provider))
    }

    pub(super) fn over(self, operator: &Operator) -> Self {
        let transport = operator.base_context().http_transport().clone();
        let context = Context::new().with_file_read(TokioFileRead).with_env(OsEnv).with_http_send(transport);
        Self(self.0.with_context(context))
    }

    /// Ends those below a key that began before a time; gives how many.
    pub(super) async fn end(
        &self,
        operator: &Operator,
        retries: &Retries,
        below: &Key,
        before: SystemTime,
        dry_run: bool,
    ) -> Result<usize, Error> {
        let bucket = Bucket { operator, signer: &self.0, below };
        let (mut ended, mut from) = (0, None);
        loop {
            let page = retries.ask(below, || bucket.page(from.as_ref())).await?;
            for upload in page.uploads.iter().filter(|upload| upload.is_older(before)) {
                tracing::info!(key = upload.key, begun = upload.initiated, dry_run, "a multipart upload was abandoned");
                // There is but one of this name, ever: to end it twice does no harm.
                let is_ended = dry_run || retries.ask(below, || bucket.abort(upload)).await?;
                ended += usize::from(is_ended);
            }
            match page.next() {
                // A service that gives the same again would be asked for ever.
                Some(next) if from.as_ref() != Some(&next) => from = Some(next),
                _ => return Ok(ended),
            }
        }
    }
}

impl fmt::Debug for MultipartUploads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MultipartUploads")
    }
}

/// One page of the answer to `ListMultipartUploads`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    is_truncated: bool,
    next_key_marker: String,
    next_upload_id_marker: String,
    #[serde(rename = "Upload")]
    uploads: Vec<Upload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Upload {
    key: String,
    #[serde(rename = "UploadId")]
    id: String,
    initiated: String,
}

/// Behind which upload a page begins.
#[derive(Debug, PartialEq, Eq)]
struct Marker {
    key: String,
    upload: String,
}

impl Page {
    fn next(self) -> Option<Marker> {
        let marker = Marker { key: self.next_key_marker, upload: self.next_upload_id_marker };
        (self.is_truncated && !marker.key.is_empty()).then_some(marker)
    }
}

impl Upload {
    /// One whose age cannot be read is left alone.
    fn is_older(&self, than: SystemTime) -> bool {
        humantime::parse_rfc3339(&self.initiated).is_ok_and(|begun| begun < than)
    }
}

/// What is needed to ask.
struct Bucket<'a> {
    operator: &'a Operator,
    signer: &'a Signer<Credential>,
    below: &'a Key,
}

impl Bucket<'_> {
    async fn page(&self, from: Option<&Marker>) -> Result<Page, Error> {
        let prefix = format!("{}{}", self.operator.info().root().trim_start_matches('/'), directory(self.below)?);
        let behind = from.map_or_else(String::new, |Marker { key, upload }| {
            format!("&key-marker={}&upload-id-marker={}", encoded(key), encoded(upload))
        });
        let query = format!("uploads=&max-uploads={AT_ONCE}&prefix={}{behind}", encoded(&prefix));
        let (status, answer) = self.send(Method::GET, &format!("{}?{query}", self.address().await?)).await?;
        match status {
            200 => quick_xml::de::from_reader(&*answer.to_bytes()).map_err(|error| self.failed(error)),
            status => Err(self.refused("list multipart uploads", status)),
        }
    }

    /// Whether it was there to be ended.
    async fn abort(&self, Upload { key, id, .. }: &Upload) -> Result<bool, Error> {
        let path = key.split('/').map(|segment| encoded(segment).to_string()).collect::<Vec<_>>().join("/");
        let address = format!("{}/{path}?uploadId={}", self.address().await?, encoded(id));
        match self.send(Method::DELETE, &address).await?.0 {
            200..=299 => Ok(true),
            404 => Ok(false),
            status => Err(self.refused("end a multipart upload", status)),
        }
    }

    /// The address of the bucket itself, out of that of an object.
    async fn address(&self) -> Result<String, Error> {
        let signed = self.operator.presign_stat("_", SHORT).await.map_err(|error| error::of(self.below, error))?;
        let object = signed.uri().to_string();
        let mut address = object.split_once('?').map_or(object.as_str(), |(address, _)| address);
        let root = self.operator.info().root();
        for _ in root.split('/').filter(|segment| !segment.is_empty()).chain(["_"]) {
            address = address.rsplit_once('/').map_or(address, |(above, _)| above);
        }
        Ok(address.to_owned())
    }

    async fn send(&self, method: Method, address: &str) -> Result<(u16, Buffer), Error> {
        let request = Request::builder().method(method).uri(address).body(Buffer::new());
        let (mut head, body) = request.map_err(|error| self.failed(error))?.into_parts();
        self.signer.sign(&mut head, None).await.map_err(|error| self.failed(error))?;
        let request = Request::from_parts(head, body);
        let sent = self.operator.base_context().http_transport().send(request).await;
        let sent = sent.map_err(|error| error::of(self.below, error))?;
        Ok((sent.status().as_u16(), sent.into_body()))
    }

    fn refused(&self, action: &'static str, status: u16) -> Error {
        let (key, source) = (self.below.clone(), Refused { action, status }.into());
        match status {
            408 | 429 | 500 | 502.. => Error::Unavailable { key, source },
            _ => Error::Failed { key, source },
        }
    }

    fn failed(&self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Failed { key: self.below.clone(), source: error.into() }
    }
}

fn encoded(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, NON_ALPHANUMERIC)
}

#[derive(Debug, thiserror::Error)]
#[error("the service does not {action}: status {status}")]
struct Refused {
    action: &'static str,
    status: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<ListMultipartUploadsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
  <Bucket>registry</Bucket><KeyMarker/><UploadIdMarker/><NextKeyMarker>a/data</NextKeyMarker>
  <NextUploadIdMarker>two</NextUploadIdMarker><MaxUploads>1000</MaxUploads><IsTruncated>true</IsTruncated>
  <Upload><Key>a&amp;b/data</Key><UploadId>one</UploadId><Initiator><ID>x</ID></Initiator>
    <Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>
  <Upload><Key>a/data</Key><UploadId>two</UploadId><Initiated>yesterday</Initiated></Upload>
</ListMultipartUploadsResult>"#;

    fn at(text: &str) -> SystemTime {
        humantime::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn reads_what_a_service_says() {
        let page: Page = quick_xml::de::from_str(ANSWER).unwrap();
        let [first, second] = page.uploads.as_slice() else { panic!("{page:?}") };
        assert_eq!((first.key.as_str(), first.id.as_str()), ("a&b/data", "one"));
        assert!(first.is_older(at("2026-01-01T00:00:01Z")) && !first.is_older(at("2026-01-01T00:00:00Z")));
        assert!(!second.is_older(at("2999-01-01T00:00:00Z")));
        assert_eq!(page.next(), Some(Marker { key: "a/data".into(), upload: "two".into() }));
        for last in [
            "<R><IsTruncated>false</IsTruncated><NextKeyMarker>a</NextKeyMarker></R>",
            "<R/>",
            "<R><IsTruncated>true</IsTruncated></R>",
        ] {
            let page: Page = quick_xml::de::from_str(last).unwrap();
            assert!(page.uploads.is_empty() && page.next().is_none(), "{last}");
        }
    }
}
