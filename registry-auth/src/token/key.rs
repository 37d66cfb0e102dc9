//! One key that signatures are checked with.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::crypto::aws_lc;
use sha2::{Digest as _, Sha256};
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, OID_SIG_ED25519,
};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::TokenAlgorithm;
use super::keys::SkippedKeyReason;

/// The shortest modulus of RSA, in bits.
const MIN_RSA_BITS: usize = 2048;
/// The longest one. A check takes time that grows with its square.
const MAX_RSA_BITS: usize = 8192;
/// The shortest shared secret, in bytes: what SHA-256 gives.
const MIN_SECRET_BYTES: usize = 32;

/// What kind of key it is. An algorithm goes with one kind only, whatever a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum KeyKind {
    Rsa,
    P256,
    P384,
    Ed25519,
    Secret,
}

/// One key that signatures are checked with.
pub(super) struct Key {
    kind: KeyKind,
    /// The only algorithm that the key is for, if it says so.
    only: Option<TokenAlgorithm>,
    thumbprint: Option<String>,
    decoding: DecodingKey,
}

impl Key {
    /// A key of RSA, by the big-endian bytes of modulus and exponent.
    pub(super) fn rsa(modulus: &[u8], exponent: &[u8]) -> Result<Self, SkippedKeyReason> {
        let (modulus, exponent) = (without_zeros(modulus), without_zeros(exponent));
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if bits < MIN_RSA_BITS {
            return Err(SkippedKeyReason::TooShort);
        }
        // An exponent of one would make every message its own signature.
        let is_exponent = match exponent {
            [] | [_, _, _, _, _, ..] => false,
            [low] => low % 2 == 1 && *low >= 3,
            [.., low] => low % 2 == 1,
        };
        if bits > MAX_RSA_BITS || !is_exponent {
            return Err(SkippedKeyReason::Unsupported);
        }
        let (n, e) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
        let thumbprint = thumbprint(&format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#));
        Ok(Self::of(KeyKind::Rsa, Some(thumbprint), DecodingKey::from_rsa_raw_components(modulus, exponent)))
    }

    /// A key of ECDSA, by its uncompressed point: 4, x, y.
    pub(super) fn ecdsa(kind: KeyKind, point: &[u8]) -> Result<Self, SkippedKeyReason> {
        let (curve, bytes) = match kind {
            KeyKind::P256 => ("P-256", 32),
            KeyKind::P384 => ("P-384", 48),
            _ => return Err(SkippedKeyReason::Unsupported),
        };
        let [4, coordinates @ ..] = point else { return Err(SkippedKeyReason::Malformed) };
        if coordinates.len() != 2 * bytes {
            return Err(SkippedKeyReason::Malformed);
        }
        let (x, y) = coordinates.split_at(bytes);
        let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
        let thumbprint = thumbprint(&format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#));
        Ok(Self::of(kind, Some(thumbprint), DecodingKey::from_ec_der(point)))
    }

    /// A key of Ed25519.
    pub(super) fn ed25519(public: &[u8]) -> Result<Self, SkippedKeyReason> {
        if public.len() != 32 {
            return Err(SkippedKeyReason::Malformed);
        }
        let x = URL_SAFE_NO_PAD.encode(public);
        let thumbprint = thumbprint(&format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#));
        Ok(Self::of(KeyKind::Ed25519, Some(thumbprint), DecodingKey::from_ed_der(public)))
    }

    /// A secret that is shared with the issuer. It has no thumbprint: a digest of a secret is not for showing around.
    pub(super) fn secret(secret: &[u8]) -> Result<Self, SkippedKeyReason> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SkippedKeyReason::TooShort);
        }
        Ok(Self::of(KeyKind::Secret, None, DecodingKey::from_secret(secret)))
    }

    /// The public key of a certificate.
    pub(super) fn public(info: &SubjectPublicKeyInfo<'_>) -> Result<Self, SkippedKeyReason> {
        let (algorithm, bytes) = (&info.algorithm.algorithm, &*info.subject_public_key.data);
        if *algorithm == OID_PKCS1_RSAENCRYPTION {
            let Ok(PublicKey::RSA(key)) = info.parsed() else { return Err(SkippedKeyReason::Malformed) };
            return Self::rsa(key.modulus, key.exponent);
        }
        if *algorithm == OID_SIG_ED25519 {
            return Self::ed25519(bytes);
        }
        let curve = info.algorithm.parameters.as_ref().and_then(|curve| curve.as_oid().ok());
        match curve.filter(|_| *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY) {
            Some(curve) if curve == OID_EC_P256 => Self::ecdsa(KeyKind::P256, bytes),
            Some(curve) if curve == OID_NIST_EC_P384 => Self::ecdsa(KeyKind::P384, bytes),
            _ => Err(SkippedKeyReason::Unsupported),
        }
    }

    fn of(kind: KeyKind, thumbprint: Option<String>, decoding: DecodingKey) -> Self {
        Self { kind, only: None, thumbprint, decoding }
    }

    pub(super) fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The same key, for one algorithm only.
    pub(super) fn only_for(self, algorithm: TokenAlgorithm) -> Self {
        Self { only: Some(algorithm), ..self }
    }

    /// What the key is called if nobody gave it a name (RFC 7638, with SHA-256); `None` for a secret.
    pub(super) fn thumbprint(&self) -> Option<&str> {
        self.thumbprint.as_deref()
    }

    /// Whether signatures of `algorithm` may be checked with this key.
    pub(super) fn fits(&self, algorithm: TokenAlgorithm) -> bool {
        self.kind == algorithm.key_kind() && self.only.is_none_or(|only| only == algorithm)
    }

    /// Whether `signature` is one of `message`, by this key and `algorithm`.
    pub(super) fn verifies(&self, algorithm: TokenAlgorithm, message: &[u8], signature: &Vec<u8>) -> bool {
        // The provider is named, not looked up: another crate of the program may have chosen another for itself.
        let verifier = (aws_lc::DEFAULT_PROVIDER.verifier_factory)(&algorithm.implementation(), &self.decoding);
        self.fits(algorithm) && verifier.is_ok_and(|verifier| verifier.verify(message, signature).is_ok())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kind", &self.kind).field("only", &self.only).finish_non_exhaustive()
    }
}

/// The identity that libtrust gives a key, as the token servers of old put it into `kid`: the first 240 bits of the
/// SHA-256 of its DER, in base32, by fours.
pub(super) fn libtrust_id(public_key_der: &[u8]) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let digest = Sha256::digest(public_key_der);
    let mut text = String::with_capacity(59);
    for five in digest[..30].chunks(5) {
        let bits = five.iter().fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
        for place in 0..8 {
            if place % 4 == 0 && !text.is_empty() {
                text.push(':');
            }
            text.push(char::from(ALPHABET[(bits >> (35 - 5 * place) & 31) as usize]));
        }
    }
    text
}

fn thumbprint(canonical: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(canonical))
}

fn without_zeros(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    &bytes[zeros..]
}
