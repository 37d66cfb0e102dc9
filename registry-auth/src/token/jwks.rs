//! JSON Web Key Sets (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::TokenAlgorithm;
use super::key::{Key, KeyKind};
use super::keys::{SkippedKeyReason, TokenKeysError};

/// One key of a set.
pub(super) struct Entry {
    /// Its `kid`; an empty one is none.
    pub(super) id: Option<String>,
    /// The key, or why it is of no use.
    pub(super) key: Result<Key, SkippedKeyReason>,
}

/// The parts of a key that matter here. Debug is left out: one may be a secret.
#[derive(Deserialize)]
struct Jwk {
    kty: String,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    k: Option<String>,
}

/// Reads a set, or a single key as a set of one.
pub(super) fn parse(text: &str) -> Result<Vec<Entry>, TokenKeysError> {
    let Ok(Value::Object(mut object)) = serde_json::from_str(text.trim_start_matches('\u{feff}')) else {
        return Err(TokenKeysError::Jwks);
    };
    let keys = match object.remove("keys") {
        Some(Value::Array(keys)) => keys,
        None if object.contains_key("kty") => vec![Value::Object(object)],
        _ => return Err(TokenKeysError::Jwks),
    };
    Ok(keys.into_iter().map(entry).collect())
}

fn entry(value: Value) -> Entry {
    let id = value.get("kid").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned);
    // A struct could also be read from a list.
    let jwk = if value.is_object() { serde_json::from_value(value).ok() } else { None };
    Entry { id, key: jwk.ok_or(SkippedKeyReason::Malformed).and_then(|jwk| key(&jwk)) }
}

fn key(jwk: &Jwk) -> Result<Key, SkippedKeyReason> {
    let verifies = jwk.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"));
    if jwk.purpose.as_ref().is_some_and(|purpose| purpose != "sig") || !verifies {
        return Err(SkippedKeyReason::NotForSignatures);
    }
    let key = match (jwk.kty.as_str(), jwk.crv.as_deref()) {
        ("RSA", _) => Key::rsa(&bytes(jwk.n.as_ref())?, &bytes(jwk.e.as_ref())?)?,
        ("EC", Some("P-256")) => ecdsa(jwk, KeyKind::P256, 32)?,
        ("EC", Some("P-384")) => ecdsa(jwk, KeyKind::P384, 48)?,
        ("OKP", Some("Ed25519")) => Key::ed25519(&bytes(jwk.x.as_ref())?)?,
        ("oct", _) => Key::secret(&bytes(jwk.k.as_ref())?)?,
        _ => return Err(SkippedKeyReason::Unsupported),
    };
    let Some(name) = &jwk.alg else { return Ok(key) };
    let algorithm = name.parse().map_err(|_| SkippedKeyReason::Unsupported)?;
    if TokenAlgorithm::key_kind(algorithm) != key.kind() {
        return Err(SkippedKeyReason::Malformed);
    }
    Ok(key.only_for(algorithm))
}

/// The coordinates have their full length (RFC 7518 §6.2.1.2), or two could be cut apart at the wrong place.
fn ecdsa(jwk: &Jwk, kind: KeyKind, length: usize) -> Result<Key, SkippedKeyReason> {
    let (x, y) = (bytes(jwk.x.as_ref())?, bytes(jwk.y.as_ref())?);
    if x.len() != length || y.len() != length {
        return Err(SkippedKeyReason::Malformed);
    }
    Key::ecdsa(kind, &[&[4], x.as_slice(), &y].concat())
}

fn bytes(text: Option<&String>) -> Result<Vec<u8>, SkippedKeyReason> {
    let text = text.ok_or(SkippedKeyReason::Malformed)?;
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| SkippedKeyReason::Malformed)
}
