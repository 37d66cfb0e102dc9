//! Looks at one object: whether its bytes are what its name says.

use futures::stream::StreamExt as _;

use super::Verifier;
use super::finding::Damage;
use super::report::Seen;
use crate::storage::{self, Key, Metadata};
use crate::{Algorithm, Digest, Error, Hasher, Span, content};

/// What was made of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Look {
    /// There is none.
    Absent,
    /// Its bytes are what its name says; so many.
    Sound(u64),
    /// They are not.
    Flawed(Flaw),
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// As which it was found; `None` if it could not even be opened.
    pub(super) metadata: Option<Metadata>,
    pub(super) reason: Reason,
}

/// Why an object is not what its name says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// Its bytes have another digest.
    Computed(Digest),
    /// It cannot be read.
    Unreadable(String),
}

impl Flaw {
    pub(super) fn damage(&self, digest: &Digest) -> Damage {
        match &self.reason {
            Reason::Computed(computed) => Damage::CorruptContent {
                digest: *digest,
                computed: *computed,
                bytes: self.metadata.map_or(0, |metadata| metadata.size),
            },
            Reason::Unreadable(error) => Damage::UnreadableContent { digest: *digest, error: error.clone() },
        }
    }
}

/// How often an object that changes is looked at.
const ROUNDS: usize = 4;

impl Verifier {
    /// Looks at an object. What seems wrong is looked at again, until two looks agree: it may just be replaced, or moved
    /// by a collector.
    ///
    /// # Errors
    /// If the storage is not available; a storage that cannot read this object is a flaw of the object.
    pub(super) async fn look(&self, digest: &Digest, place: &Key) -> Result<Look, Error> {
        let mut look = self.look_once(digest, place).await?;
        for _ in 1..ROUNDS {
            if matches!(look, Look::Sound(_)) {
                break;
            }
            let again = self.look_once(digest, place).await?;
            if again == look {
                break;
            }
            look = again;
        }
        self.tell(&Seen::Content(digest));
        Ok(look)
    }

    async fn look_once(&self, digest: &Digest, place: &Key) -> Result<Look, Error> {
        let mut metadata = None;
        match self.digest_of(place, digest.algorithm(), &mut metadata).await {
            Ok(None) => Ok(Look::Absent),
            Ok(Some(computed)) if computed == *digest => Ok(Look::Sound(metadata.map_or(0, |found| found.size))),
            Ok(Some(computed)) => Ok(Look::Flawed(Flaw { metadata, reason: Reason::Computed(computed) })),
            Err(Error::Storage(error @ storage::Error::Failed { .. })) => {
                Ok(Look::Flawed(Flaw { metadata, reason: Reason::Unreadable(with_causes(&error)) }))
            }
            Err(error) => Err(error),
        }
    }

    /// The digest of an object's bytes, `None` if there is none; they are never in memory together.
    pub(super) async fn digest_of(
        &self,
        place: &Key,
        algorithm: Algorithm,
        metadata: &mut Option<Metadata>,
    ) -> Result<Option<Digest>, Error> {
        let registry = self.registry();
        let Some(object) = registry.storage().open(place).await? else { return Ok(None) };
        let found = object.metadata();
        *metadata = Some(found);
        let body = object.read(Span::whole(found.size)).await?;
        let mut frames = body.into_stream(registry.blocking().clone());
        let mut hasher = Hasher::new(algorithm);
        while let Some(frame) = frames.next().await {
            let frame = frame?;
            let bytes = frame.len();
            content::hash(&mut hasher, &[frame]).await;
            self.tell(&Seen::Bytes(bytes as u64));
            if let Some(pacer) = &self.options().pacer {
                pacer.pace(bytes as u64).await;
            }
        }
        Ok(Some(hasher.finish()))
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
