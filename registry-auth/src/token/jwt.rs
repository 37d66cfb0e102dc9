//! JSON Web Tokens (RFC 7519), as signed ones in compact form (RFC 7515).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IgnoredAny};

use super::TokenAlgorithm;
use super::certificate::key_of_chain;
use super::keys::TokenKeys;

/// Why a token is not good. It is for the log: no client learns more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Flaw {
    #[error("not three parts of base64 and JSON")]
    Form,
    #[error("its algorithm is not allowed")]
    Algorithm,
    #[error("it demands what is not known here (crit)")]
    Critical,
    #[error("it names no key by kid or x5c")]
    Keyless,
    #[error("no trusted key of its kid goes with its algorithm")]
    UnknownKey,
    #[error("its certificates lead to none of the bundle, or are not valid now")]
    Chain,
    #[error("its signature is wrong")]
    Signature,
    #[error("its claims cannot be read")]
    Claims,
    #[error("it is from another issuer")]
    Issuer,
    #[error("it is for another service")]
    Audience,
    #[error("it has expired")]
    Expired,
    #[error("it is not good yet")]
    Early,
    #[error("the clock stands before 1970")]
    Clock,
}

/// What matters of a header. `jku` and `x5u` do not, nor the key in `jwk`: a token cannot vouch for its own key.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    x5c: Option<Vec<String>>,
    /// Token servers of old say here, and here alone, which key they mean. Only the name counts.
    jwk: Option<KeyName>,
    #[serde(default)]
    crit: Present,
}

/// How an embedded key is called, or where it comes from; whatever else it says, the trusted key of that name is used.
#[derive(Deserialize, Default)]
struct KeyName {
    kid: Option<String>,
    x5c: Option<Vec<String>>,
}

/// Whether something is there, whatever it is.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// Checks who signed a token, and gives its claims. `now` are seconds since 1970.
pub(super) fn verified<C: DeserializeOwned>(
    token: &str,
    keys: &TokenKeys,
    allowed: &[TokenAlgorithm],
    now: i64,
) -> Result<C, Flaw> {
    let (message, signature) = token.rsplit_once('.').ok_or(Flaw::Form)?;
    let (head, claims) = message.split_once('.').ok_or(Flaw::Form)?;
    if claims.contains('.') {
        return Err(Flaw::Form);
    }
    let header: Header = object(head).ok_or(Flaw::Form)?;
    let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Flaw::Form)?;
    let algorithm: TokenAlgorithm = header.alg.parse().map_err(|_| Flaw::Algorithm)?;
    if !allowed.contains(&algorithm) {
        return Err(Flaw::Algorithm);
    }
    if header.crit.0 {
        return Err(Flaw::Critical);
    }
    let embedded = header.jwk.unwrap_or_default();
    let is_signed = match (header.x5c.or(embedded.x5c), header.kid.or(embedded.kid)) {
        (Some(chain), _) => {
            let key = key_of_chain(&chain, keys.roots(), now).ok_or(Flaw::Chain)?;
            key.verifies(algorithm, message.as_bytes(), &signature)
        }
        (None, Some(id)) => {
            let mut fitting = keys.named(&id).iter().filter(|key| key.fits(algorithm)).peekable();
            fitting.peek().ok_or(Flaw::UnknownKey)?;
            fitting.any(|key| key.verifies(algorithm, message.as_bytes(), &signature))
        }
        (None, None) => return Err(Flaw::Keyless),
    };
    if !is_signed {
        return Err(Flaw::Signature);
    }
    object(claims).ok_or(Flaw::Claims)
}

/// Reads a part that holds an object. A struct could also be read from a list.
fn object<T: DeserializeOwned>(part: &str) -> Option<T> {
    let json = URL_SAFE_NO_PAD.decode(part).ok()?;
    if json.trim_ascii_start().first() != Some(&b'{') {
        return None;
    }
    serde_json::from_slice(&json).ok()
}
