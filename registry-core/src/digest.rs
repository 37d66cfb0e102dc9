//! Content digests.

use std::fmt;
use std::str::FromStr;

/// A hash function that content can be addressed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Algorithm {
    /// SHA-256, the canonical one.
    #[default]
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Every algorithm, the canonical one first.
    pub const ALL: [Self; 2] = [Self::Sha256, Self::Sha512];

    /// The name in front of the colon.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many bytes the hash has.
    #[must_use]
    pub fn hash_bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Algorithm {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "sha256" => Ok(Self::Sha256),
            "sha512" => Ok(Self::Sha512),
            _ => Err(ParseDigestError::Algorithm),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Hash {
    Sha256([u8; 32]),
    Sha512([u8; 64]),
}

/// The digest of some content: `sha256:` or `sha512:` and the hash in lower-case hexadecimal.
///
/// A value exists only out of the parser or of a [`Hasher`](crate::Hasher).
/// Source: [OCI image specification, Digests](https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests).
///
/// ```
/// use registry_core::{Algorithm, Digest};
///
/// let digest = Digest::of(Algorithm::Sha256, b"{}");
/// assert_eq!(
///     digest.to_string(),
///     "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
/// );
/// assert_eq!(digest.to_string().parse(), Ok(digest));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Hash);

/// The bytes of `sha512:` and its digits.
pub(crate) const LONGEST: usize = 7 + 128;

impl Digest {
    /// The digest of content that is already in memory.
    #[must_use]
    pub fn of(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = crate::Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    pub(crate) fn sha256(hash: [u8; 32]) -> Self {
        Self(Hash::Sha256(hash))
    }

    pub(crate) fn sha512(hash: [u8; 64]) -> Self {
        Self(Hash::Sha512(hash))
    }

    /// The hash function.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// The hash itself: 32 or 64 bytes.
    #[must_use]
    pub fn hash(&self) -> &[u8] {
        match &self.0 {
            Hash::Sha256(hash) => hash,
            Hash::Sha512(hash) => hash,
        }
    }

    /// The hash in lower-case hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        self.parts(&mut [0; LONGEST]).1.to_owned()
    }

    /// The whole text, and the part of it behind the colon, without an allocation.
    pub(crate) fn parts<'a>(&self, buffer: &'a mut [u8; LONGEST]) -> (&'a str, &'a str) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let (name, hash) = (self.algorithm().as_str().as_bytes(), self.hash());
        let (front, digits) = buffer.split_at_mut(name.len() + 1);
        front[..name.len()].copy_from_slice(name);
        front[name.len()] = b':';
        for (pair, byte) in digits.chunks_exact_mut(2).zip(hash) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        let begin = name.len() + 1;
        // All of it is ASCII.
        let text = std::str::from_utf8(&buffer[..begin + 2 * hash.len()]).unwrap_or_default();
        (text, &text[begin.min(text.len())..])
    }

    /// Puts an algorithm and a hash in hexadecimal together, as they stand apart in a path.
    ///
    /// # Errors
    /// As [`Digest::from_str`].
    pub fn from_parts(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        let mut hash = [0_u8; 64];
        let hash = &mut hash[..algorithm.hash_bytes()];
        decode_hex(hex.as_bytes(), hash)?;
        match algorithm {
            Algorithm::Sha256 => hash.try_into().map(Self::sha256),
            Algorithm::Sha512 => hash.try_into().map(Self::sha512),
        }
        .map_err(|_| ParseDigestError::Length)
    }
}

fn decode_hex(hex: &[u8], hash: &mut [u8]) -> Result<(), ParseDigestError> {
    if hex.len() != hash.len() * 2 {
        return Err(ParseDigestError::Length);
    }
    let nibble = |byte: u8| match byte {
        b'0'..=b'9' => Ok(byte - b'0'),
        b'a'..=b'f' => Ok(byte - b'a' + 10),
        _ => Err(ParseDigestError::Hex),
    };
    for (byte, pair) in hash.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(())
}

/// Why a text is not a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseDigestError {
    /// No colon between algorithm and hash.
    #[error("a digest has the form algorithm:hex")]
    Form,
    /// An algorithm other than those of [`Algorithm`].
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// The hash is too long or too short for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
    /// A character that is not a lower-case hexadecimal digit.
    #[error("invalid checksum digest format")]
    Hex,
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (algorithm, hex) = text.split_once(':').ok_or(ParseDigestError::Form)?;
        Self::from_parts(algorithm.parse()?, hex)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.parts(&mut [0; LONGEST]).0)
    }
}

/// A digest as it stands in a path.
pub(crate) struct InPath<'a>(pub(crate) &'a Digest);

impl fmt::Display for InPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.algorithm().as_str())?;
        f.write_str("/")?;
        f.write_str(self.0.parts(&mut [0; LONGEST]).1)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_not_a_digest() {
        let hex = "a".repeat(64);
        for (text, why) in [
            (String::new(), ParseDigestError::Form),
            (hex.clone(), ParseDigestError::Form),
            (format!("md5:{hex}"), ParseDigestError::Algorithm),
            (format!("sha384:{}", "a".repeat(96)), ParseDigestError::Algorithm),
            (format!("SHA256:{hex}"), ParseDigestError::Algorithm),
            ("sha256:".into(), ParseDigestError::Length),
            ("sha256:../../etc/passwd".into(), ParseDigestError::Length),
            (format!("sha512:{hex}"), ParseDigestError::Length),
            (format!("sha256:{}", "A".repeat(64)), ParseDigestError::Hex),
            (format!("sha256:{}", "/".repeat(64)), ParseDigestError::Hex),
            (format!("sha256:{hex}\n"), ParseDigestError::Length),
        ] {
            assert_eq!(text.parse::<Digest>(), Err(why), "{text}");
        }
    }

    #[test]
    fn the_empty_blob_has_its_known_digests() {
        assert_eq!(
            Digest::of(Algorithm::Sha256, b"").hex(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert!(Digest::of(Algorithm::Sha512, b"").hex().starts_with("cf83e1357eefb8bdf1542850d66d8007"));
    }

    proptest! {
        #[test]
        fn round_trips(hash in proptest::collection::vec(any::<u8>(), 64)) {
            let short = Digest::sha256(hash[..32].try_into().unwrap());
            let long = Digest::sha512(hash[..].try_into().unwrap());
            prop_assert_eq!(short.to_string().parse(), Ok(short));
            prop_assert_eq!(long.to_string().parse(), Ok(long));
        }
    }
}
