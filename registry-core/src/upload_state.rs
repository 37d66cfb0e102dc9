//! What is kept beside the staged bytes of an upload, so that any process can go on.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::known_uploads::Followed;
use crate::storage::{self, Durability, Precondition, Staged, WriteOptions};
use crate::uploads::Uploads;
use crate::{Error, HashCheckpoint, Hasher, UploadId, layout};

/// Tells one note from all others.
pub(crate) type Mark = [u8; 10];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct State {
    /// Who started it.
    owner: Option<String>,
    /// How many bytes the hash below has taken in.
    pub(crate) offset: u64,
    /// The hash of those bytes. It may be unknown to this version; then the bytes are hashed again.
    pub(crate) hash: HashCheckpoint,
    /// Another one in each note, so that who wrote it knows it again.
    #[serde(default)]
    pub(crate) mark: Mark,
}

/// How far an upload is, for whoever goes on with it.
pub(crate) struct Progress {
    /// The hash of all that is staged.
    pub(crate) hasher: Hasher,
    /// The last note, if this process wrote it: its mark, and how many bytes it tells of.
    pub(crate) followed: Option<(Mark, u64)>,
    /// Whether it stands beside the bytes when the upload started.
    pub(crate) is_dated: bool,
}

/// No state is longer: the longest owner, and 208 bytes of SHA-512 in base64.
const STATE_LIMIT_BYTES: u64 = 16 * 1024;

/// Who goes on with an upload hashes no more than that again; it costs less than a note does.
const UNNOTED_BYTES: u64 = 1024 * 1024;

/// Loss of an upload only costs its client another try.
const VOLATILE: WriteOptions = WriteOptions { precondition: Precondition::None, durability: Durability::Volatile };

impl Uploads<'_> {
    /// The state of an upload of this caller; `None` if another registry started it and kept none.
    pub(crate) async fn load(&self, id: &UploadId) -> Result<Option<State>, Error> {
        let unknown = Error::UploadUnknown { id: *id };
        let storage = self.registry().storage();
        let Some(content) = storage.read(&layout::upload_state(self.name(), id), STATE_LIMIT_BYTES).await? else {
            let started = storage.stat(&layout::upload_started_at(self.name(), id)).await?;
            return started.map(|_| None).ok_or(unknown);
        };
        match serde_json::from_slice::<State>(&content) {
            Ok(state) if state.owner == self.caller().principal => Ok(Some(state)),
            Ok(_) => Err(unknown),
            Err(error) => {
                // Without it nobody can tell whose upload this is.
                tracing::warn!(%error, repository = %self.name(), upload = %id, "the state of an upload is torn");
                Err(unknown)
            }
        }
    }

    /// Notes that an upload begins.
    pub(crate) async fn note_begin(&self, id: &UploadId, hasher: Hasher) -> Result<(), Error> {
        let mark = self.save(id, 0, &hasher).await?;
        self.registry().known_uploads().put(id, Followed { mark, noted: 0, size: 0, hasher });
        Ok(())
    }

    /// Notes how far an upload is, unless little came since this process did so. The hash vouches for the bytes, so they are
    /// made durable before it.
    ///
    /// Who finds the note of another looks for bytes that it does not tell of, and notes that it goes on before it adds any.
    pub(crate) async fn note(
        &self,
        id: &UploadId,
        staged: &mut dyn Staged,
        progress: &mut Progress,
    ) -> Result<(), Error> {
        staged.sync().await?;
        let size = staged.size();
        let (mark, noted) = match progress.followed.take() {
            Some((mark, noted)) if size.saturating_sub(noted) < UNNOTED_BYTES => (mark, noted),
            _ => {
                if !progress.is_dated {
                    self.date(id).await?;
                    progress.is_dated = true;
                }
                (self.save(id, size, &progress.hasher).await?, size)
            }
        };
        progress.followed = Some((mark, noted));
        let hasher = progress.hasher.clone();
        self.registry().known_uploads().put(id, Followed { mark, noted, size, hasher });
        Ok(())
    }

    /// Tells the mark of the note.
    async fn save(&self, id: &UploadId, offset: u64, hasher: &Hasher) -> Result<Mark, Error> {
        let mark = self.registry().random().bytes();
        let (owner, hash) = (self.caller().principal.clone(), hasher.checkpoint());
        let state = State { owner, offset, hash, mark };
        let content = serde_json::to_vec(&state).map_err(|error| storage::Error::Failed {
            key: layout::upload_state(self.name(), id),
            source: error.into(),
        })?;
        let key = layout::upload_state(self.name(), id);
        self.registry().storage().write(&key, Bytes::from(content), VOLATILE).await?;
        Ok(mark)
    }

    /// Writes when an upload started, as other registries look for it.
    pub(crate) async fn date(&self, id: &UploadId) -> Result<(), Error> {
        let started_at = id.started().unwrap_or_else(|| self.registry().clock().now());
        let started_at = humantime::format_rfc3339_seconds(started_at).to_string();
        let key = layout::upload_started_at(self.name(), id);
        Ok(self.registry().storage().write(&key, started_at.into(), VOLATILE).await?)
    }
}
