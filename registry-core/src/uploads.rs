//! Uploads: content on its way into a repository, in one piece or in chunks, resumable by any process.

use std::pin::Pin;

use futures::stream::StreamExt as _;

use crate::content::{self, ContentStream, Intake, Stop};
use crate::known_uploads::Followed;
use crate::layout::Member;
use crate::storage::{self, Deletion, Key, StageMode, Staged};
use crate::upload_state::{Progress, State};
use crate::{
    Algorithm, BlobInfo, BodyError, Caller, Digest, Error, EventAction, Hasher, Registry, Repository, RepositoryName,
    UploadId, layout,
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
        self.note_begin(&id, Hasher::new(algorithm)).await?;
        Ok(UploadStatus { id, size: 0 })
    }

    /// How far an upload is, also while its content is coming in.
    ///
    /// # Errors
    /// [`Error::UploadUnknown`] if there is none of this caller.
    pub async fn status(&self, id: &UploadId) -> Result<UploadStatus, Error> {
        let state = self.load(id).await?;
        let size = self.registry().storage().staged_size(&layout::upload_data(self.name(), id)).await?;
        let begun = self.may_be_empty(state.as_ref()).then_some(0);
        Ok(UploadStatus { id: *id, size: size.or(begun).ok_or(Error::UploadUnknown { id: *id })? })
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
        let (mut staged, mut progress) = self.resume(id, offset).await?;
        let end = self.take_in(id, &mut *staged, &mut progress, content).await?;
        self.note(id, &mut *staged, &mut progress).await?;
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
        let (mut staged, mut progress) = self.resume(id, offset).await?;
        let end = self.take_in(id, &mut *staged, &mut progress, content).await?;
        if end.is_err() {
            self.note(id, &mut *staged, &mut progress).await?;
        }
        end?;
        if staged.size() == 0 && !self.is_exclusive() {
            // Another may have finished it while this one looked, and taken the bytes away first.
            self.load(id).await?;
        }
        self.commit(id, staged, progress.hasher, digest).await
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
        // A volume may be served by another registry at any time, which ends uploads by their date. In a bucket most uploads are
        // over before that is worth a request; there a date comes with the first note.
        if self.is_exclusive() {
            self.date(id).await?;
        }
        self.begin(id).await
    }

    async fn begin(&self, id: &UploadId) -> Result<Box<dyn Staged>, Error> {
        let key = layout::upload_data(self.name(), id);
        let staged = self.registry().storage().stage(&key, StageMode::Create).await?;
        staged.ok_or(Error::UploadUnknown { id: *id })
    }

    /// Whether one process at a time has an upload, as on a volume. In a bucket any server goes on with it.
    fn is_exclusive(self) -> bool {
        self.registry().storage().capabilities().exclusive_staging
    }

    /// What was opened; or an upload without any bytes, where it has a state and no other sign.
    async fn or_begun(
        &self,
        id: &UploadId,
        opened: Result<Box<dyn Staged>, Error>,
        state: Option<&State>,
    ) -> Result<Box<dyn Staged>, Error> {
        match opened {
            Err(Error::UploadUnknown { .. }) if self.may_be_empty(state) => self.begin(id).await,
            opened => opened,
        }
    }

    /// Whether an upload with this state may have begun where no bytes are staged.
    fn may_be_empty(self, state: Option<&State>) -> bool {
        state.is_some() && !self.is_exclusive()
    }

    /// Stages all of `content`, and notes from time to time how far it is, so that whoever goes on after a crash has
    /// little to hash again.
    async fn take_in(
        &self,
        id: &UploadId,
        staged: &mut dyn Staged,
        progress: &mut Progress,
        content: ContentStream<'_>,
    ) -> Result<Result<(), BodyError>, Error> {
        let mut content = content.peekable();
        if progress.followed.is_none() && !self.is_exclusive() && Pin::new(&mut content).peek().await.is_some() {
            // Who wrote the last note looks for what comes now, even if nothing is noted of it.
            self.note(id, staged, progress).await?;
        }
        let mut intake = Intake::new(content.boxed());
        let pause_bytes = self.registry().limits().checkpoint_bytes;
        loop {
            let (hasher, stop) = match intake.stage(staged, progress.hasher.clone(), pause_bytes).await {
                // Somebody else was faster, or a crash cut off the end of an upload whose bytes are a blob already.
                Err(Error::Storage(storage::Error::Busy { .. })) => {
                    return Err(Error::OffsetMismatch { size: staged.size() });
                }
                taken_in => taken_in?,
            };
            progress.hasher = hasher;
            match stop {
                Stop::Pause => self.note(id, staged, progress).await?,
                Stop::End(end) => return Ok(end),
            }
        }
    }

    /// Opens an upload at `offset`, with the hash of what it has.
    async fn resume(&self, id: &UploadId, offset: Option<u64>) -> Result<(Box<dyn Staged>, Progress), Error> {
        let opened = self.open(id).await;
        // Read when nobody else can write it. Whose it is not, learns nothing of it.
        let state = self.load(id).await?;
        let staged = self.or_begun(id, opened, state.as_ref()).await?;
        let (mut staged, known) = match &state {
            Some(state) => self.up_to_date(id, staged, state).await?,
            None => (staged, None),
        };
        let size = staged.size();
        if offset.is_some_and(|offset| offset != size) {
            if let Some(known) = known {
                self.registry().known_uploads().put(id, known);
            }
            return Err(Error::OffsetMismatch { size });
        }
        let is_dated = self.is_exclusive() || state.as_ref().is_some_and(|state| state.offset > 0);
        if let Some(Followed { mark, noted, hasher, .. }) = known {
            return Ok((staged, Progress { hasher, followed: Some((mark, noted)), is_dated }));
        }
        let hasher = self.hash_again(&mut *staged, state.as_ref()).await?;
        Ok((staged, Progress { hasher, followed: None, is_dated }))
    }

    /// The hash of what is staged, from what was noted on.
    async fn hash_again(&self, staged: &mut dyn Staged, state: Option<&State>) -> Result<Hasher, Error> {
        let size = staged.size();
        let checkpoint = state.and_then(|state| Some((state.offset, Hasher::restore(&state.hash)?)));
        let (from, hasher) = match checkpoint {
            Some((from, hasher)) if from <= size => (from, hasher),
            Some((_, hasher)) => (0, Hasher::new(hasher.algorithm())),
            None => (0, Hasher::new(Algorithm::Sha256)),
        };
        if from == size { Ok(hasher) } else { content::rehash(staged, from, hasher).await }
    }

    /// The same staged bytes, and what this process knows of them; opened anew if others may have gone on with them since: as
    /// soon as the last note is not of this process.
    async fn up_to_date(
        &self,
        id: &UploadId,
        staged: Box<dyn Staged>,
        state: &State,
    ) -> Result<(Box<dyn Staged>, Option<Followed>), Error> {
        let known = self.registry().known_uploads().take(id);
        let known = known.filter(|known| known.mark == state.mark && known.size == staged.size());
        if known.is_some() || self.is_exclusive() {
            return Ok((staged, known));
        }
        drop(staged);
        self.registry().storage().staged_size(&layout::upload_data(self.name(), id)).await?;
        let opened = self.open(id).await;
        Ok((self.or_begun(id, opened, Some(state)).await?, None))
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

    /// Announces the bytes by the link, and then puts them into their place, unless they are there: a collector that takes them
    /// away from now on leaves a copy for whoever the link announces them to.
    async fn publish(&self, staged: &mut dyn Staged, digest: &Digest, size: u64) -> Result<(), Error> {
        let (registry, blob) = (self.registry(), layout::blob(digest));
        let announce = registry.announce(self.name(), Member::Layer, digest, digest);
        if registry.storage().capabilities().durable_reads {
            announce.await?;
            return Ok(staged.publish(&blob).await?);
        }
        // A power cut may come between the two, and must not leave a link without its bytes.
        staged.publish(&blob).await?;
        announce.await?;
        if registry.storage().confirm(&blob).await?.is_none_or(|there| there.size != size) {
            staged.publish(&blob).await?;
        }
        Ok(())
    }

    /// Drops what the blob was made of. The blob is there whatever becomes of this: what is left goes when the upload is old.
    async fn tidy(&self, id: &UploadId, staged: Box<dyn Staged>) {
        let tidied = if self.is_exclusive() {
            self.discard(id, staged).await
        } else {
            // Whoever holds the writer keeps nobody away, and all of its bytes lie below the upload.
            let objects = staged.objects();
            drop(staged);
            match objects {
                Some(objects) => self.remove_each(id, objects).await,
                None => self.remove(id).await,
            }
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
        certain(self.registry().storage().delete_all(&layout::upload(self.name(), id)).await?)
    }

    /// Removes an upload of which all objects are known.
    async fn remove_each(&self, id: &UploadId, parts: Vec<Key>) -> Result<(), Error> {
        // Without its state nobody takes what is left for an upload that has just begun.
        let mut objects = vec![layout::upload_state(self.name(), id), layout::upload_started_at(self.name(), id)];
        objects.extend(parts);
        certain(self.registry().storage().delete_each(&objects).await?)
    }

    pub(crate) fn registry(self) -> &'a Registry {
        self.0.registry()
    }

    pub(crate) fn name(self) -> &'a RepositoryName {
        self.0.name()
    }

    pub(crate) fn caller(self) -> &'a Caller {
        self.0.caller()
    }
}

fn certain(deletion: Deletion) -> Result<(), Error> {
    match deletion {
        Deletion::Acked => Ok(()),
        Deletion::Unknown => Err(Error::DeleteUnknown),
    }
}
