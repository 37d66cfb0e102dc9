//! Uploads: content on its way into a repository, in one piece or in chunks, resumable by any process.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::content::{self, ContentStream, Intake, Stop};
use crate::layout::Member;
use crate::storage::{self, Deletion, Durability, Precondition, StageMode, Staged, WriteOptions};
use crate::{
    Algorithm, BlobInfo, BodyError, Digest, Error, EventAction, HashCheckpoint, Hasher, Registry, Repository,
    RepositoryName, UploadId, layout,
};

/// The uploads of a repository.
#[derive(Debug, Clone, Copy)]
pub struct Uploads<'a>(&'a Repository);

/// How far an upload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadStatus {
    /// Which upload.
    pub id: UploadId,
    /// How many bytes it has.
    pub size: u64,
}

/// What is kept beside the staged bytes, so that any process can go on.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct State {
    /// Who started it.
    owner: Option<String>,
    /// How many bytes the hash below has taken in.
    offset: u64,
    /// The hash of those bytes. It may be unknown to this version; then the bytes are hashed again.
    hash: HashCheckpoint,
}

/// No state is longer: the longest owner, and 208 bytes of SHA-512 in base64.
const STATE_LIMIT_BYTES: u64 = 16 * 1024;

/// Loss of an upload only costs its client another try.
const VOLATILE: WriteOptions = WriteOptions { precondition: Precondition::None, durability: Durability::Volatile };

impl<'a> Uploads<'a> {
    pub(crate) fn new(repository: &'a Repository) -> Self {
        Self(repository)
    }

    /// Starts an upload whose content is hashed by `algorithm` as it comes. (A digest of another one can be
    /// finished with all the same; then the content is hashed again.)
    ///
    /// # Errors
    /// If the storage fails.
    pub async fn start(&self, algorithm: Algorithm) -> Result<UploadStatus, Error> {
        let id = self.fresh_id();
        self.create(&id).await?;
        self.save(&id, 0, &Hasher::new(algorithm)).await?;
        Ok(UploadStatus { id, size: 0 })
    }

    /// How far an upload is, also while its content is coming in.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] if there is none of this caller.
    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus, Error> {
        self.load(id).await?;
        let size = self.registry().storage().staged_size(&layout::upload_data(self.name(), id)).await?;
        Ok(UploadStatus { id: *id, size: size.ok_or(Error::UploadUnknown { id: *id })? })
    }

    /// Adds content at the end, which must be at `offset` if that is given.
    ///
    /// When the content breaks off or the future is dropped, what came is kept (after a drop, less what was still in
    /// memory), and [`status`](Self::status) tells how much that is.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::OffsetMismatch`] if the upload stands elsewhere or somebody else is adding
    /// to it: then nothing was added; [`Error::Body`] if the content broke off.
    pub async fn append(
        &self,
        id: &UploadId,
        offset: Option<u64>,
        content: ContentStream<'_>,
    ) -> Result<UploadStatus, Error> {
        let (mut staged, hasher) = self.resume(id, offset).await?;
        let (hasher, end) = self.take_in(id, &mut *staged, hasher, content).await?;
        self.note(id, &mut *staged, &hasher).await?;
        end?;
        Ok(UploadStatus { id: *id, size: staged.size() })
    }

    /// Adds the last content, which may be empty, and makes all of it a blob of the repository.
    ///
    /// When it returns, the blob is durable. Dropping the future leaves either the upload or the blob.
    ///
    /// # Errors
    /// As [`append`](Self::append); [`Error::DigestMismatch`] if the content is not what `digest` says: then the
    /// upload is gone.
    pub async fn finish(
        &self,
        id: &UploadId,
        digest: &Digest,
        offset: Option<u64>,
        content: ContentStream<'_>,
    ) -> Result<BlobInfo, Error> {
        let (mut staged, hasher) = self.resume(id, offset).await?;
        let (hasher, end) = self.take_in(id, &mut *staged, hasher, content).await?;
        if end.is_err() {
            self.note(id, &mut *staged, &hasher).await?;
        }
        end?;
        self.commit(id, staged, hasher, digest).await
    }

    /// Makes content a blob of the repository in one go. When it fails, nothing of it is left.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub async fn push(&self, digest: &Digest, content: ContentStream<'_>) -> Result<BlobInfo, Error> {
        let id = self.fresh_id();
        let mut staged = self.create(&id).await?;
        let hasher = Hasher::new(digest.algorithm());
        let taken_in = match Intake::new(content).stage(&mut *staged, hasher, u64::MAX).await {
            Ok((_, Stop::End(Err(error)))) => Err(error.into()),
            Ok((hasher, _)) => Ok(hasher),
            Err(error) => Err(error),
        };
        match taken_in {
            Ok(hasher) => self.commit(&id, staged, hasher, digest).await,
            Err(error) => {
                self.discard(&id, staged).await?;
                Err(error)
            }
        }
    }

    /// Ends an upload and drops its bytes.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`]; [`Error::OffsetMismatch`] while somebody is adding to it.
    pub async fn cancel(&self, id: &UploadId) -> Result<(), Error> {
        self.load(id).await?;
        match self.open(id).await {
            Ok(staged) => self.discard(id, staged).await,
            // Another registry began it and staged its bytes where only it finds them, or none yet.
            Err(Error::UploadUnknown { .. }) => self.remove(id).await,
            Err(error) => Err(error),
        }
    }

    fn fresh_id(self) -> UploadId {
        UploadId::new(self.registry().clock().now(), self.registry().random().bytes())
    }

    async fn create(&self, id: &UploadId) -> Result<Box<dyn Staged>, Error> {
        let started_at = humantime::format_rfc3339_seconds(self.registry().clock().now()).to_string();
        let storage = self.registry().storage();
        storage.write(&layout::upload_started_at(self.name(), id), started_at.into(), VOLATILE).await?;
        let staged = storage.stage(&layout::upload_data(self.name(), id), StageMode::Create).await?;
        staged.ok_or(Error::UploadUnknown { id: *id })
    }

    /// The state of an upload of this caller; `None` if another registry started it and kept none.
    async fn load(&self, id: &UploadId) -> Result<Option<State>, Error> {
        let unknown = Error::UploadUnknown { id: *id };
        let storage = self.registry().storage();
        let Some(content) = storage.read(&layout::upload_state(self.name(), id), STATE_LIMIT_BYTES).await? else {
            let started = storage.stat(&layout::upload_started_at(self.name(), id)).await?;
            return started.map(|_| None).ok_or(unknown);
        };
        match serde_json::from_slice::<State>(&content) {
            Ok(state) if state.owner == self.0.caller().principal => Ok(Some(state)),
            Ok(_) => Err(unknown),
            Err(error) => {
                // Without it nobody can tell whose upload this is.
                tracing::warn!(%error, repository = %self.name(), upload = %id, "the state of an upload is torn");
                Err(unknown)
            }
        }
    }

    async fn save(&self, id: &UploadId, offset: u64, hasher: &Hasher) -> Result<(), Error> {
        let state = State { owner: self.0.caller().principal.clone(), offset, hash: hasher.checkpoint() };
        let content = serde_json::to_vec(&state).map_err(|error| storage::Error::Failed {
            key: layout::upload_state(self.name(), id),
            source: error.into(),
        })?;
        let key = layout::upload_state(self.name(), id);
        Ok(self.registry().storage().write(&key, Bytes::from(content), VOLATILE).await?)
    }

    /// Stages all of `content`, and notes from time to time how far it is, so that whoever goes on after a crash has
    /// little to hash again.
    async fn take_in(
        &self,
        id: &UploadId,
        staged: &mut dyn Staged,
        mut hasher: Hasher,
        content: ContentStream<'_>,
    ) -> Result<(Hasher, Result<(), BodyError>), Error> {
        let mut intake = Intake::new(content);
        let pause_bytes = self.registry().limits().checkpoint_bytes;
        loop {
            let stop;
            (hasher, stop) = match intake.stage(staged, hasher, pause_bytes).await {
                // Somebody else was faster, or a crash cut off the end of an upload whose bytes are a blob already.
                Err(Error::Storage(storage::Error::Busy { .. })) => {
                    return Err(Error::OffsetMismatch { size: staged.size() });
                }
                taken_in => taken_in?,
            };
            match stop {
                Stop::Pause => self.note(id, staged, &hasher).await?,
                Stop::End(end) => return Ok((hasher, end)),
            }
        }
    }

    /// Notes how far an upload is. The hash vouches for the bytes, so they are made durable before it.
    async fn note(&self, id: &UploadId, staged: &mut dyn Staged, hasher: &Hasher) -> Result<(), Error> {
        staged.sync().await?;
        self.save(id, staged.size(), hasher).await
    }

    /// Opens an upload at `offset`, with the hash of what it has.
    async fn resume(&self, id: &UploadId, offset: Option<u64>) -> Result<(Box<dyn Staged>, Hasher), Error> {
        let opened = self.open(id).await;
        // Read when nobody else can write it. Whose it is not, learns nothing of it.
        let state = self.load(id).await?;
        let mut staged = opened?;
        if let Some(state) = &state {
            staged = self.up_to_date(id, staged, state).await?;
        }
        let size = staged.size();
        if offset.is_some_and(|offset| offset != size) {
            return Err(Error::OffsetMismatch { size });
        }
        let checkpoint = state.as_ref().and_then(|state| Some((state.offset, Hasher::restore(&state.hash)?)));
        let (from, hasher) = match checkpoint {
            Some((from, hasher)) if from <= size => (from, hasher),
            Some((_, hasher)) => (0, Hasher::new(hasher.algorithm())),
            None => (0, Hasher::new(Algorithm::Sha256)),
        };
        let hasher = if from == size { hasher } else { content::rehash(&mut *staged, from, hasher).await? };
        Ok((staged, hasher))
    }

    /// The same staged bytes, opened anew if others may have gone on with them since this process knew them: then there is
    /// another number of them than was noted last.
    async fn up_to_date(
        &self,
        id: &UploadId,
        staged: Box<dyn Staged>,
        state: &State,
    ) -> Result<Box<dyn Staged>, Error> {
        let storage = self.registry().storage();
        if state.offset == staged.size() || storage.capabilities().exclusive_staging {
            return Ok(staged);
        }
        drop(staged);
        storage.staged_size(&layout::upload_data(self.name(), id)).await?;
        self.open(id).await
    }

    pub(crate) async fn open(&self, id: &UploadId) -> Result<Box<dyn Staged>, Error> {
        let key = layout::upload_data(self.name(), id);
        match self.registry().storage().stage(&key, StageMode::Resume).await {
            Ok(Some(staged)) => Ok(staged),
            Ok(None) => Err(Error::UploadUnknown { id: *id }),
            Err(storage::Error::Busy { .. }) => {
                let size = self.registry().storage().staged_size(&key).await?;
                Err(size.map_or(Error::UploadUnknown { id: *id }, |size| Error::OffsetMismatch { size }))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Checks the digest, and makes the staged bytes a blob.
    async fn commit(
        &self,
        id: &UploadId,
        mut staged: Box<dyn Staged>,
        mut hasher: Hasher,
        digest: &Digest,
    ) -> Result<BlobInfo, Error> {
        if hasher.algorithm() != digest.algorithm() {
            let fresh = Hasher::new(digest.algorithm());
            hasher = content::rehash(&mut *staged, 0, fresh).await?;
        }
        let computed = hasher.finish();
        if computed != *digest {
            self.discard(id, staged).await?;
            return Err(Error::DigestMismatch { stated: *digest, computed });
        }
        let size = staged.size();
        self.publish(&mut *staged, digest, size).await?;
        self.registry().saw_blob(self.name(), digest, size);
        self.tidy(id, staged).await;
        self.0.record(EventAction::Push, |event| {
            event.digest = Some(*digest);
            event.size = Some(size);
        });
        Ok(BlobInfo { digest: *digest, size })
    }

    /// Announces the bytes by the link, and then makes sure that they are in their place: content that lies there already is
    /// kept, and a collector that takes it away from now on leaves a copy for whoever the link announces it to.
    async fn publish(&self, staged: &mut dyn Staged, digest: &Digest, size: u64) -> Result<(), Error> {
        let (registry, blob) = (self.registry(), layout::blob(digest));
        if !registry.storage().capabilities().durable_reads {
            // A power cut may come between the two, and must not leave a link without its bytes.
            staged.publish(&blob).await?;
        }
        registry.announce(self.name(), Member::Layer, digest, digest).await?;
        let there = registry.storage().confirm(&blob).await?;
        if there.is_none_or(|there| there.size != size) {
            staged.publish(&blob).await?;
        }
        Ok(())
    }

    /// Drops what the blob was made of. The blob is there whatever becomes of this: what is left goes when the upload is old.
    async fn tidy(&self, id: &UploadId, staged: Box<dyn Staged>) {
        let tidied = if self.registry().storage().capabilities().exclusive_staging {
            self.discard(id, staged).await
        } else {
            // Whoever holds the writer keeps nobody away, and all of its bytes lie below the upload.
            drop(staged);
            self.remove(id).await
        };
        if let Err(error) = tidied {
            tracing::warn!(%error, repository = %self.name(), upload = %id, "a finished upload cannot be cleared away");
        }
    }

    pub(crate) async fn discard(&self, id: &UploadId, staged: Box<dyn Staged>) -> Result<(), Error> {
        staged.discard().await?;
        self.remove(id).await
    }

    pub(crate) async fn remove(&self, id: &UploadId) -> Result<(), Error> {
        match self.registry().storage().delete_all(&layout::upload(self.name(), id)).await? {
            Deletion::Acked => Ok(()),
            Deletion::Unknown => Err(Error::DeleteUnknown),
        }
    }

    pub(crate) fn registry(self) -> &'a Registry {
        self.0.registry()
    }

    pub(crate) fn name(self) -> &'a RepositoryName {
        self.0.name()
    }
}
