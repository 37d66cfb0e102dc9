//! Hashing that can stop in one process and go on in another.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use sha2::digest::common::hazmat::{SerializableState, SerializedState};
use sha2::{Digest as _, Sha256, Sha512};

use crate::{Algorithm, Digest};

/// A running hash.
///
/// ```
/// use registry_core::{Algorithm, Digest, Hasher};
///
/// let mut first = Hasher::new(Algorithm::Sha256);
/// first.update(b"some ");
/// let mut second = Hasher::restore(&first.checkpoint()).expect("a state of this very version");
/// second.update(b"bytes");
/// assert_eq!(second.finish(), Digest::of(Algorithm::Sha256, b"some bytes"));
/// ```
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Sha512),
}

/// The state of a [`Hasher`] in a form that can be stored.
///
/// The state of `sha2` is stable within one minor version, so the form names it; whoever meets another
/// form must hash the content again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashCheckpoint {
    algorithm: String,
    form: String,
    state: String,
}

const FORM: &str = "sha2-0.11";

impl Hasher {
    /// A hash of nothing yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Sha512::new()),
        })
    }

    /// Which hash it computes.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Takes the next bytes in. This computes, a GB in half a second at best: on an async worker, others need their turn in
    /// between.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hash) => hash.update(bytes),
            State::Sha512(hash) => hash.update(bytes),
        }
    }

    /// The digest of all that was taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hash) => Digest::sha256(hash.finalize().into()),
            State::Sha512(hash) => Digest::sha512(hash.finalize().into()),
        }
    }

    /// The state so far, to go on from later.
    #[must_use]
    pub fn checkpoint(&self) -> HashCheckpoint {
        let state = match &self.0 {
            State::Sha256(hash) => BASE64.encode(hash.serialize()),
            State::Sha512(hash) => BASE64.encode(hash.serialize()),
        };
        HashCheckpoint { algorithm: self.algorithm().to_string(), form: FORM.into(), state }
    }

    /// Goes on from a checkpoint; `None` if it is of another version or damaged.
    #[must_use]
    pub fn restore(checkpoint: &HashCheckpoint) -> Option<Self> {
        if checkpoint.form != FORM {
            return None;
        }
        let bytes = BASE64.decode(&checkpoint.state).ok()?;
        Some(Self(match checkpoint.algorithm.parse().ok()? {
            Algorithm::Sha256 => State::Sha256(restore(&bytes)?),
            Algorithm::Sha512 => State::Sha512(restore(&bytes)?),
        }))
    }
}

fn restore<H: SerializableState>(bytes: &[u8]) -> Option<H> {
    let state = SerializedState::<H>::try_from(bytes).ok()?;
    H::deserialize(&state).ok()
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hasher({})", self.algorithm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_unknown_checkpoint_is_refused() {
        let good = Hasher::new(Algorithm::Sha256).checkpoint();
        for bad in [
            HashCheckpoint { form: "sha2-0.12".into(), ..good.clone() },
            HashCheckpoint { algorithm: "sha512".into(), ..good.clone() },
            HashCheckpoint { algorithm: "md5".into(), ..good.clone() },
            HashCheckpoint { state: "????".into(), ..good.clone() },
            HashCheckpoint { state: String::new(), ..good.clone() },
        ] {
            assert!(Hasher::restore(&bad).is_none(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn goes_on_where_it_stopped(
            content in proptest::collection::vec(any::<u8>(), 0..600),
            cut in 0..600_usize,
            long in any::<bool>(),
        ) {
            let algorithm = if long { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let cut = cut.min(content.len());
            let mut first = Hasher::new(algorithm);
            first.update(&content[..cut]);
            let stored = serde_json::to_string(&first.checkpoint()).unwrap();
            let mut second = Hasher::restore(&serde_json::from_str(&stored).unwrap()).unwrap();
            second.update(&content[cut..]);
            prop_assert_eq!(second.finish(), Digest::of(algorithm, &content));
        }
    }
}
