//! What was pushed, as it was pushed: to read, or to keep.

use askama::Template;
use http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use registry_core::{Digest, Error, RepositoryName};

use super::contents::{self, Document, Kind};
use super::image;
use super::viewer::{Frame, html};
use crate::access::Authorized;
use crate::call::Call;
use crate::dispatch::Answer;
use crate::error::Refusal;
use crate::header;
use crate::route::{BlobAt, ManifestAt};
use crate::{blobs, body::ResponseBody};

/// The longest text that is shown, in bytes. What is longer can be kept.
const SHOWN_BYTES: usize = 512 * 1024;

#[derive(Template)]
#[template(path = "raw.html")]
struct RawPage {
    frame: Frame,
    name: RepositoryName,
    what: &'static str,
    digest: Digest,
    /// `None` if it is too long to show, or not JSON.
    text: Option<String>,
    keep: String,
}

pub(super) async fn manifest(call: &Call, at: Authorized<ManifestAt>) -> Answer {
    let repository = at.repository(call);
    let manifest = repository.manifests().peek(&at.at().reference).await?;
    if call.query.get("download").is_some() {
        return kept(&format!("{}.json", manifest.digest.hex()), call.in_memory(manifest.content)?);
    }
    let frame = Frame::new(call, Some(at.principal()));
    let keep = format!("{}?download=1", frame.links.manifest(repository.name(), &manifest.digest));
    let text = readable(&manifest.content);
    let name = repository.name().clone();
    html(call, StatusCode::OK, &RawPage { frame, name, what: "Manifest", digest: manifest.digest, text, keep })
}

pub(super) async fn config(call: &Call, at: Authorized<ManifestAt>) -> Answer {
    let repository = at.repository(call);
    let Document { kind: Kind::Image { config, .. }, .. } = image::find(&repository, &at.at().reference).await? else {
        return Err(Refusal::no_page());
    };
    let json = contents::small_blob(&repository, &config.digest).await?;
    let json = json.ok_or(Error::BlobUnknown { digest: config.digest })?;
    let frame = Frame::new(call, Some(at.principal()));
    let keep = format!("{}?name=config.json", frame.links.blob(repository.name(), &config.digest));
    let (name, text) = (repository.name().clone(), readable(&json));
    html(call, StatusCode::OK, &RawPage { frame, name, what: "Configuration", digest: config.digest, text, keep })
}

/// JSON with line breaks, its fields in their order.
fn readable(json: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(json).ok().filter(|text| text.len() <= SHOWN_BYTES)?;
    let is_broken_up = text.lines().take(3).count() > 2;
    if is_broken_up {
        return Some(text.to_owned());
    }
    let mut pretty = Vec::new();
    let mut reader = serde_json::Deserializer::from_str(text);
    let mut writer = serde_json::Serializer::pretty(&mut pretty);
    serde_transcode::transcode(&mut reader, &mut writer).ok()?;
    String::from_utf8(pretty).ok()
}

/// A blob, to keep and not to show: a browser would do what is in it.
pub(super) async fn blob(call: &Call, at: Authorized<BlobAt>) -> Answer {
    let fallback = at.at().digest.hex();
    let name = call.query.get("name").map(file_name).filter(|name| !name.is_empty()).unwrap_or(fallback);
    let mut response =
        if call.method == http::Method::HEAD { blobs::head(call, at).await? } else { blobs::get(call, at).await? };
    response.headers_mut().insert(CONTENT_DISPOSITION, disposition(&name)?);
    // Who may read it now may not be let in later.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    Ok(response)
}

fn kept(name: &str, body: ResponseBody) -> Answer {
    Ok(Response::builder()
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_DISPOSITION, disposition(name)?)
        .header(CONTENT_SECURITY_POLICY, header::SANDBOX)
        .header(CACHE_CONTROL, "no-store")
        .body(body)?)
}

fn disposition(name: &str) -> Result<HeaderValue, Refusal> {
    let value = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
    value.map_err(|error| Refusal::from(http::Error::from(error)))
}

/// A name for a file out of any text: without folders, and without what could mean something to somebody.
fn file_name(text: &str) -> String {
    let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
    let plain = |letter: char| if letter.is_ascii_alphanumeric() || "._-".contains(letter) { letter } else { '_' };
    last.chars().take(100).map(plain).collect::<String>().trim_start_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_plain() {
        for (text, name) in [
            ("a.txt", "a.txt"),
            ("../../etc/passwd", "passwd"),
            ("C:\\x\\y.exe", "y.exe"),
            ("a\"; b\r\n", "a___b__"),
            (".bashrc", "bashrc"),
            ("é.txt", "_.txt"),
            ("", ""),
        ] {
            assert_eq!(file_name(text), name);
        }
    }

    #[test]
    fn json_is_broken_up_in_its_order() {
        assert_eq!(
            readable(br#"{"b":1,"a":[18446744073709551615]}"#).unwrap(),
            "{\n  \"b\": 1,\n  \"a\": [\n    18446744073709551615\n  ]\n}"
        );
        assert_eq!(readable(b"{\n\n\n}").unwrap(), "{\n\n\n}");
        assert_eq!(readable(b"\xff"), None);
        assert_eq!(readable(b"x"), None);
        assert_eq!(readable(&vec![b' '; SHOWN_BYTES + 1]), None);
    }
}
