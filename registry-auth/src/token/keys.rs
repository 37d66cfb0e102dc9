//! The keys that tokens may be signed with.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::certificate::Certificate;
use super::jwks;
use super::key::{Key, libtrust_id};

/// The keys that tokens may be signed with: those of key sets and of certificates.
///
/// A key is known by its `kid`, or else by its thumbprint (RFC 7638); one of a certificate by its thumbprint and by
/// the identity that libtrust gives it. A certificate is also where the chain of a token's `x5c` may end.
///
/// ```
/// use registry_auth::TokenKeys;
///
/// let mut keys = TokenKeys::default();
/// let skipped = keys.add_jwks(
///     r#"{"keys": [
///         {"kty": "OKP", "crv": "Ed25519", "kid": "mine", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
///         {"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}
///     ]}"#,
/// )?;
/// assert_eq!((keys.len(), skipped[0].to_string().as_str()), (1, "key 2 (\"weak\"): too short to be safe"));
/// # Ok::<(), registry_auth::TokenKeysError>(())
/// ```
#[derive(Clone, Default)]
pub struct TokenKeys {
    count: usize,
    by_id: HashMap<String, Vec<Arc<Key>>>,
    roots: Vec<Arc<Certificate>>,
}

/// Why a text holds no keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenKeysError {
    /// It is neither a JSON Web Key nor a set of them.
    #[error("neither a JSON Web Key nor a set of them")]
    Jwks,
    /// A block of PEM has no end, or is not base64.
    #[error("a block of PEM that cannot be read")]
    Pem,
    /// It holds more than [`TokenKeys::MAX`], or there are more together with those from elsewhere.
    #[error("more than {} keys", TokenKeys::MAX)]
    TooMany,
}

/// A key that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Which one, from 1.
    pub number: usize,
    /// Its `kid`, if it has one.
    pub id: Option<String>,
    /// Why.
    pub reason: SkippedKeyReason,
}

/// Why a key is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SkippedKeyReason {
    /// Something of it is missing, or of the wrong form.
    #[error("malformed")]
    Malformed,
    /// RSA below 2048 bits, or a secret below 32 bytes.
    #[error("too short to be safe")]
    TooShort,
    /// It is for something else, such as encryption.
    #[error("not a key for checking signatures")]
    NotForSignatures,
    /// A kind of key, a curve or an algorithm that is not known here.
    #[error("a kind of key that is not supported")]
    Unsupported,
    /// A secret without `kid`: no token could name it.
    #[error("a secret without kid")]
    WithoutId,
}

impl fmt::Display for SkippedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {}", self.number)?;
        if let Some(id) = &self.id {
            write!(f, " ({id:?})")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl TokenKeys {
    /// The most keys that there may be.
    pub const MAX: usize = 1000;

    /// Adds the keys of a JSON Web Key Set (RFC 7517), or of a single key. Gives those that were left out.
    ///
    /// # Errors
    /// If the text is neither, or there are too many. Keys may have been added until then.
    pub fn add_jwks(&mut self, text: &str) -> Result<Vec<SkippedKey>, TokenKeysError> {
        let mut skipped = Vec::new();
        for (index, entry) in jwks::parse(text)?.into_iter().enumerate() {
            let number = index + 1;
            let key = entry.key.and_then(|key| {
                let id = entry.id.as_deref().or(key.thumbprint()).ok_or(SkippedKeyReason::WithoutId)?.to_owned();
                Ok((id, key))
            });
            match key {
                Ok((id, key)) => self.insert(key, [Some(id)])?,
                Err(reason) => skipped.push(SkippedKey { number, id: entry.id, reason }),
            }
        }
        Ok(skipped)
    }

    /// Adds the certificates of a text of PEM, and public keys that stand there by themselves; other blocks say
    /// nothing. Gives what was left out.
    ///
    /// # Errors
    /// If a block cannot be read, or there are too many. Keys may have been added until then.
    pub fn add_certificates(&mut self, pem: &[u8]) -> Result<Vec<SkippedKey>, TokenKeysError> {
        let mut skipped = Vec::new();
        for (index, block) in Pem::iter_from_buffer(pem).enumerate() {
            let block = block.map_err(|_| TokenKeysError::Pem)?;
            let added = match block.label.as_str() {
                "CERTIFICATE" => self.certificate(&block.contents)?,
                "PUBLIC KEY" => self.public_key(&block.contents)?,
                _ => Err(SkippedKeyReason::NotForSignatures),
            };
            if let Err(reason) = added {
                skipped.push(SkippedKey { number: index + 1, id: None, reason });
            }
        }
        Ok(skipped)
    }

    fn certificate(&mut self, der: &[u8]) -> Result<Result<(), SkippedKeyReason>, TokenKeysError> {
        let Some(certificate) = Certificate::parse(der) else { return Ok(Err(SkippedKeyReason::Malformed)) };
        let added = self.public_key(certificate.public_key())?;
        if added.is_ok() {
            self.roots.push(Arc::new(certificate));
        }
        Ok(added)
    }

    fn public_key(&mut self, der: &[u8]) -> Result<Result<(), SkippedKeyReason>, TokenKeysError> {
        let Ok((b"", info)) = SubjectPublicKeyInfo::from_der(der) else { return Ok(Err(SkippedKeyReason::Malformed)) };
        match Key::public(&info) {
            Ok(key) => {
                let ids = [key.thumbprint().map(str::to_owned), Some(libtrust_id(der))];
                self.insert(key, ids).map(Ok)
            }
            Err(reason) => Ok(Err(reason)),
        }
    }

    fn insert(&mut self, key: Key, ids: impl IntoIterator<Item = Option<String>>) -> Result<(), TokenKeysError> {
        if self.count == Self::MAX {
            return Err(TokenKeysError::TooMany);
        }
        self.count += 1;
        let key = Arc::new(key);
        for id in ids.into_iter().flatten() {
            self.by_id.entry(id).or_default().push(Arc::clone(&key));
        }
        Ok(())
    }

    /// How many keys there are, those of certificates included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none: no token is good.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The keys that are known by `id`; sets may use one for several.
    pub(super) fn named(&self, id: &str) -> &[Arc<Key>] {
        self.by_id.get(id).map_or(&[], Vec::as_slice)
    }

    /// The certificates that a chain may end at.
    pub(super) fn roots(&self) -> &[Arc<Certificate>] {
        &self.roots
    }
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, roots) = (self.count, self.roots.len());
        f.debug_struct("TokenKeys").field("count", &count).field("roots", &roots).finish_non_exhaustive()
    }
}
