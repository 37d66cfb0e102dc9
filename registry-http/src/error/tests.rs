//! What each error is to a client.

use super::*;
use registry_core::storage::Key;
use registry_core::{Algorithm, Digest, InvalidManifest, UploadId};

fn digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"")
}

fn told(refusal: Refusal) -> (u16, Value, http::HeaderMap) {
    let (parts, body) = refusal.into_response().into_parts();
    (parts.status.as_u16(), serde_json::from_slice(body.in_memory().unwrap()).unwrap(), parts.headers)
}

#[test]
fn every_error_of_the_registry_has_its_status_and_code() {
    let key: Key = "a".parse().unwrap();
    let source = || "secret detail of the backend".into();
    let id = UploadId::new(std::time::SystemTime::UNIX_EPOCH, [0; 10]);
    let reference = |text: &str| text.parse::<Reference>().unwrap();
    for (error, status, code) in [
        (Error::NameUnknown { name: "a".parse().unwrap() }, 404, "NAME_UNKNOWN"),
        (Error::BlobUnknown { digest: digest() }, 404, "BLOB_UNKNOWN"),
        (Error::ManifestUnknown { reference: reference("latest") }, 404, "MANIFEST_UNKNOWN"),
        (Error::ManifestInvalid(InvalidManifest::SchemaVersion), 400, "MANIFEST_INVALID"),
        (Error::ManifestTooLarge { limit_bytes: 1 }, 413, "MANIFEST_INVALID"),
        (Error::ReferencesUnknown { digests: vec![digest()] }, 400, "MANIFEST_BLOB_UNKNOWN"),
        (Error::TooManyTags { limit: 1 }, 414, "TAG_INVALID"),
        (Error::TagImmutable { tag: "v1".parse().unwrap() }, 403, "DENIED"),
        (Error::TagProtected { tag: "v1".parse().unwrap() }, 403, "DENIED"),
        (Error::DigestMismatch { stated: digest(), computed: digest() }, 400, "DIGEST_INVALID"),
        (Error::UploadUnknown { id }, 404, "BLOB_UPLOAD_UNKNOWN"),
        (Error::OffsetMismatch { size: 1 }, 416, "RANGE_INVALID"),
        (Error::Contended, 503, "UNAVAILABLE"),
        (Error::DeleteUnknown, 503, "UNAVAILABLE"),
        (Error::Body(BodyError::Length), 400, "SIZE_INVALID"),
        (Error::Body(BodyError::TooLarge), 413, "SIZE_INVALID"),
        (Error::Body(BodyError::TimedOut), 408, "BLOB_UPLOAD_INVALID"),
        (Error::Body(BodyError::Aborted(source())), 400, "BLOB_UPLOAD_INVALID"),
        (storage::Error::NoSpace { key: key.clone(), source: source() }.into(), 507, "UNAVAILABLE"),
        (storage::Error::Unavailable { key: key.clone(), source: source() }.into(), 503, "UNAVAILABLE"),
        (storage::Error::Busy { key: key.clone() }.into(), 503, "UNAVAILABLE"),
        (storage::Error::Failed { key: key.clone(), source: source() }.into(), 500, "UNKNOWN"),
        (storage::Error::Exists { key: key.clone() }.into(), 500, "UNKNOWN"),
        (storage::Error::Unsupported { capability: "x" }.into(), 500, "UNKNOWN"),
    ] {
        let printed = format!("{error:?}");
        let (found, body, headers) = told(error.into());
        assert_eq!((found, body["errors"][0]["code"].as_str()), (status, Some(code)), "{printed}");
        assert_eq!(headers[CONTENT_TYPE], "application/json");
        assert_eq!(headers.contains_key(RETRY_AFTER), status == 503, "{printed}");
        assert!(!body.to_string().contains("secret"), "{body}");
    }
}

#[test]
fn each_missing_content_is_told_of() {
    let digests = vec![digest(), Digest::of(Algorithm::Sha256, b"x")];
    let (_, body, _) = told(Error::ReferencesUnknown { digests: digests.clone() }.into());
    let found: Vec<_> = body["errors"].as_array().unwrap().iter().map(|entry| entry["detail"].clone()).collect();
    assert_eq!(found, digests.iter().map(|digest| json!(digest)).collect::<Vec<_>>());
}

#[test]
fn those_who_are_refused_learn_what_they_asked_for() {
    let access = Access::repository("a/b".parse().unwrap(), [registry_auth::Action::Pull]);
    let (status, body, headers) = told(Refusal::unauthorized(&Challenge::basic("r"), &[access]));
    assert_eq!(status, 401);
    assert_eq!(headers[WWW_AUTHENTICATE], r#"Basic realm="r""#);
    let detail = json!([{"Type": "repository", "Class": "", "Name": "a/b", "Action": "pull"}]);
    assert_eq!(body["errors"][0]["detail"], detail);
    let (_, body, _) = told(Refusal::unauthorized(&Challenge::basic("r"), &[Access::Base]));
    assert_eq!(body.to_string().matches("\"detail\":null").count(), 1);
}

#[test]
fn the_log_has_the_code_as_the_client_has_it() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, || Refusal::from(Error::DeleteUnknown).into_response());
    let line = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert!(line.contains("status=503 code=UNAVAILABLE cause="), "{line}");
}

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Lines(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn codes_are_spelt_as_the_specification_spells_them() {
    let spelt = |code: Code| {
        assert_eq!(json!(code), code.to_string());
        code.to_string()
    };
    assert_eq!(spelt(Code::TooManyRequests), "TOOMANYREQUESTS");
    assert_eq!(spelt(Code::ManifestBlobUnknown), "MANIFEST_BLOB_UNKNOWN");
    assert_eq!(spelt(Code::PaginationNumberInvalid), "PAGINATION_NUMBER_INVALID");
}
