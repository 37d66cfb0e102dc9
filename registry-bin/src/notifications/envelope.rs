//! An event as endpoints get it: the JSON of Distribution's notifications, version 2, byte for byte as Go writes it.

use http::HeaderValue;
use registry_core::{Event, EventAction, RepositoryName, RequestOrigin, Tag};
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use uuid::Uuid;

use super::references::{self, Reference};

/// The media type of what [`render`] gives.
pub(super) const MEDIA_TYPE: HeaderValue =
    HeaderValue::from_static("application/vnd.docker.distribution.events.v2+json");

/// What Distribution calls the content of a blob.
const BLOB: &str = "application/octet-stream";

/// Which server tells of an event.
#[derive(Debug, Clone, Serialize)]
pub struct Source {
    /// The name of the machine, and the port where the server listens.
    pub addr: String,
    /// The identity of this run of the server.
    #[serde(rename = "instanceID")]
    pub instance_id: String,
}

#[derive(Serialize)]
struct Envelope<'a> {
    events: [Record<'a>; 1],
}

#[derive(Serialize)]
struct Record<'a> {
    id: String,
    timestamp: String,
    action: &'static str,
    target: Target<'a>,
    request: Request<'a>,
    actor: Actor<'a>,
    source: &'a Source,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Target<'a> {
    media_type: &'a str,
    digest: String,
    size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    length: u64,
    repository: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    references: Vec<Reference>,
}

#[derive(Serialize)]
struct Request<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    addr: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    host: &'a str,
    method: &'a str,
    useragent: &'a str,
}

#[derive(Serialize)]
struct Actor<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(length: &u64) -> bool {
    *length == 0
}

/// What Distribution calls an action.
pub(super) fn action(action: EventAction) -> &'static str {
    match action {
        EventAction::Pull => "pull",
        EventAction::Push => "push",
        EventAction::Mount => "mount",
        // There is no other, but there may be one day.
        _ => "delete",
    }
}

/// What Distribution says the media type of an event's content is; empty for what was deleted.
pub(super) fn media_type(event: &Event) -> &str {
    match &event.media_type {
        Some(media_type) => media_type.as_str(),
        None if event.action == EventAction::Delete => "",
        None => BLOB,
    }
}

/// The event as it is sent. The manifest, if the event has its bytes, tells the references.
///
/// # Errors
/// None is known; the library that writes JSON has them.
pub(super) fn render(event: &Event, id: Uuid, source: &Source) -> Result<Vec<u8>, serde_json::Error> {
    let nobody = RequestOrigin::default();
    let request = event.caller.request.as_ref().unwrap_or(&nobody);
    let size = event.size.unwrap_or(0);
    let record = Record {
        id: id.to_string(),
        timestamp: timestamp(event),
        action: action(event.action),
        target: Target {
            media_type: media_type(event),
            digest: event.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            size,
            length: size,
            repository: event.repository.as_str(),
            from_repository: event.from_repository.as_ref().map(RepositoryName::as_str),
            url: url(event, &request.root),
            tag: event.tag.as_ref().map(Tag::as_str),
            references: event.manifest.as_deref().map(references::of).unwrap_or_default(),
        },
        request: Request {
            id: &request.id,
            addr: &request.address,
            host: &request.host,
            method: &request.method,
            useragent: &request.user_agent,
        },
        actor: Actor { name: event.caller.principal.as_deref() },
        source,
    };
    let mut json = Vec::new();
    Envelope { events: [record] }
        .serialize(&mut Serializer::with_formatter(&mut json, PrettyFormatter::with_indent(b"   ")))?;
    Ok(as_go_escapes(&json))
}

/// RFC 3339 with as many digits behind the point as there are.
fn timestamp(event: &Event) -> String {
    let text = humantime::format_rfc3339_nanos(event.time).to_string();
    let digits = text.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{digits}Z")
}

/// Where the content can be had; nowhere if it was deleted.
fn url(event: &Event, root: &str) -> Option<String> {
    if event.action == EventAction::Delete {
        return None;
    }
    let kind = if event.media_type.is_some() { "manifests" } else { "blobs" };
    Some(format!("{root}/v2/{}/{kind}/{}", event.repository, event.digest?))
}

/// Go escapes what HTML and old JavaScript trip over. In JSON it only ever stands inside of texts.
fn as_go_escapes(json: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::with_capacity(json.len());
    let mut rest = json;
    while let Some((byte, behind)) = rest.split_first() {
        let (text, length): (&[u8], usize) = match (byte, behind) {
            (b'<', _) => (b"\\u003c", 1),
            (b'>', _) => (b"\\u003e", 1),
            (b'&', _) => (b"\\u0026", 1),
            (0xe2, [0x80, 0xa8, ..]) => (b"\\u2028", 3),
            (0xe2, [0x80, 0xa9, ..]) => (b"\\u2029", 3),
            _ => (&rest[..1], 1),
        };
        escaped.extend_from_slice(text);
        rest = &rest[length..];
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use registry_core::Caller;

    use super::*;
    use crate::notifications::sample;

    fn text(event: &Event) -> String {
        let source = Source { addr: "vm:5000".into(), instance_id: "run".into() };
        String::from_utf8(render(event, Uuid::nil(), &source).unwrap()).unwrap()
    }

    /// The texts are what `registry` 3.1.1 sent for such events, but for identities and digests.
    #[test]
    fn a_push_of_a_manifest() {
        let mut event = sample::manifest(EventAction::Push);
        assert_eq!(text(&event), include_str!("sample_push.json").trim_end());
        event.manifest = None;
        assert!(!text(&event).contains("references"));
    }

    #[test]
    fn a_mount_of_a_blob() {
        let mut event = sample::blob(EventAction::Mount);
        event.from_repository = Some("lib/app".parse().unwrap());
        assert_eq!(text(&event), include_str!("sample_mount.json").trim_end());
    }

    #[test]
    fn deletes_have_a_digest_or_a_tag() {
        let mut event = sample::blob(EventAction::Delete);
        event.size = None;
        let target = |event: &Event| {
            let value: serde_json::Value = serde_json::from_str(&text(event)).unwrap();
            value["events"][0]["target"].to_string()
        };
        let digest = event.digest.unwrap();
        assert_eq!(target(&event), format!(r#"{{"digest":"{digest}","mediaType":"","repository":"a/b","size":0}}"#));
        event.digest = None;
        event.tag = Some("v1".parse().unwrap());
        assert_eq!(target(&event), r#"{"digest":"","mediaType":"","repository":"a/b","size":0,"tag":"v1"}"#);
    }

    #[test]
    fn who_asked_is_told_and_nobody_is_empty() {
        let mut event = sample::blob(EventAction::Pull);
        let mut caller = Caller::clone(&event.caller);
        caller.principal = Some("ann".into());
        caller.request.as_mut().unwrap().root = "/p".into();
        caller.request.as_mut().unwrap().user_agent = "a<b>\"&\\é\u{2028}\u{2029}\u{202a}".into();
        event.caller = Arc::new(caller);
        let told = text(&event);
        assert!(told.contains("         \"actor\": {\n            \"name\": \"ann\"\n         },\n"), "{told}");
        assert!(told.contains("\"url\": \"/p/v2/a/b/blobs/sha256:"), "{told}");
        let agent = r#""useragent": "a\u003cb\u003e\"\u0026\\é\u2028\u2029"#;
        assert!(told.contains(&format!("{agent}\u{202a}\"\n")), "{told}");
        event.caller = Arc::default();
        assert!(text(&event).contains(
            "\"request\": {\n            \"id\": \"\",\n            \"method\": \"\",\n            \"useragent\": \"\"\n         },\n         \"actor\": {},\n"
        ));
    }

    #[test]
    fn times_have_the_digits_that_they_need() {
        let mut event = sample::blob(EventAction::Pull);
        for (nanoseconds, text) in [(0, "05Z"), (500_000_000, "05.5Z"), (414_958_130, "05.41495813Z")] {
            event.time = sample::time() + std::time::Duration::from_nanos(nanoseconds);
            assert_eq!(timestamp(&event), format!("2026-11-24T12:21:{text}"));
        }
    }
}
