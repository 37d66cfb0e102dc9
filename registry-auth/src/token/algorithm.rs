//! How a token is signed.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::Algorithm;

use super::key::KeyKind;

/// How a token is signed: the `alg` of its header (RFC 7518 §3.1, RFC 8037).
///
/// ```
/// use registry_auth::TokenAlgorithm;
///
/// assert_eq!("ES256".parse(), Ok(TokenAlgorithm::Es256));
/// assert!("none".parse::<TokenAlgorithm>().is_err() && "es256".parse::<TokenAlgorithm>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum TokenAlgorithm {
    /// Ed25519.
    EdDsa,
    /// RSA PKCS #1 v1.5 with SHA-256.
    Rs256,
    /// RSA PKCS #1 v1.5 with SHA-384.
    Rs384,
    /// RSA PKCS #1 v1.5 with SHA-512.
    Rs512,
    /// ECDSA on P-256.
    Es256,
    /// ECDSA on P-384.
    Es384,
    /// RSA PSS with SHA-256.
    Ps256,
    /// RSA PSS with SHA-384.
    Ps384,
    /// RSA PSS with SHA-512.
    Ps512,
    /// A secret that the issuer and the registry share, with SHA-256. Whoever can check such a token can make one.
    Hs256,
    /// A shared secret, with SHA-384.
    Hs384,
    /// A shared secret, with SHA-512.
    Hs512,
}

/// No algorithm that this crate checks signatures with has this name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected one of EdDSA, RS256, RS384, RS512, ES256, ES384, PS256, PS384, PS512, HS256, HS384, HS512")]
pub struct UnknownTokenAlgorithm;

impl TokenAlgorithm {
    /// Those that are taken where nothing else is said: all that have a public key.
    pub const DEFAULT: [Self; 9] = [
        Self::EdDsa,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Es256,
        Self::Es384,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
    ];
    const SHARED: [Self; 3] = [Self::Hs256, Self::Hs384, Self::Hs512];

    /// The name in the header of a token.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Hs256 => "HS256",
            Self::Hs384 => "HS384",
            Self::Hs512 => "HS512",
        }
    }

    /// The only kind of key that signatures of this algorithm are checked with.
    pub(super) fn key_kind(self) -> KeyKind {
        match self {
            Self::EdDsa => KeyKind::Ed25519,
            Self::Es256 => KeyKind::P256,
            Self::Es384 => KeyKind::P384,
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => KeyKind::Rsa,
            Self::Hs256 | Self::Hs384 | Self::Hs512 => KeyKind::Secret,
        }
    }

    pub(super) fn implementation(self) -> Algorithm {
        match self {
            Self::EdDsa => Algorithm::EdDSA,
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::Ps256 => Algorithm::PS256,
            Self::Ps384 => Algorithm::PS384,
            Self::Ps512 => Algorithm::PS512,
            Self::Hs256 => Algorithm::HS256,
            Self::Hs384 => Algorithm::HS384,
            Self::Hs512 => Algorithm::HS512,
        }
    }
}

impl FromStr for TokenAlgorithm {
    type Err = UnknownTokenAlgorithm;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut all = Self::DEFAULT.into_iter().chain(Self::SHARED);
        all.find(|algorithm| algorithm.as_str() == text).ok_or(UnknownTokenAlgorithm)
    }
}

impl fmt::Display for TokenAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
