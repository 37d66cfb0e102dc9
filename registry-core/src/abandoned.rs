//! Uploads that nobody ends.

use std::time::{Duration, SystemTime};

use futures::stream::TryStreamExt as _;

use crate::uploads::Uploads;
use crate::{Error, Registry, RepositoryName, UploadId, layout};

/// A time is a line.
const STARTED_AT_LIMIT_BYTES: u64 = 16 * 1024;

impl Uploads<'_> {
    /// Ends an upload if it started before `deadline` and nobody is adding to it; tells whether it did, or would.
    async fn expire(&self, id: &UploadId, deadline: SystemTime, dry_run: bool) -> Result<bool, Error> {
        let started_at = self.started_at(id).await?;
        if started_at.is_none_or(|started_at| started_at >= deadline) {
            return Ok(false);
        }
        if dry_run {
            return Ok(true);
        }
        match self.open(id).await {
            Ok(staged) => self.discard(id, staged).await.map(|()| true),
            // Nothing is staged: what is left is the rest of an upload that a crash cut off.
            Err(Error::UploadUnknown { .. }) => {
                self.registry().storage().delete_all(&layout::upload(self.name(), id)).await?;
                Ok(true)
            }
            Err(Error::OffsetMismatch { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// When an upload started, as it says itself, or its identity does. Where neither tells, when it was last touched.
    async fn started_at(&self, id: &UploadId) -> Result<Option<SystemTime>, Error> {
        let storage = self.registry().storage();
        let key = layout::upload_started_at(self.name(), id);
        let said = storage.read(&key, STARTED_AT_LIMIT_BYTES).await?.unwrap_or_default();
        let said = std::str::from_utf8(&said).ok().and_then(|text| humantime::parse_rfc3339(text).ok());
        let mut touched = said.or_else(|| id.started());
        let beside = [layout::upload_data(self.name(), id), layout::upload_state(self.name(), id)];
        for key in [key].into_iter().chain(beside) {
            if touched.is_none() {
                touched = storage.stat(&key).await?.and_then(|metadata| metadata.modified);
            }
        }
        Ok(touched)
    }
}

impl Registry {
    /// Ends every upload that started more than `age` ago and that nobody is adding to, in all repositories; gives
    /// those that it ended, or with `dry_run` would end. An upload that cannot be ended is told of, and the rest go
    /// on.
    ///
    /// # Errors
    /// If the storage cannot be listed.
    pub async fn expire_uploads(&self, age: Duration, dry_run: bool) -> Result<Vec<(RepositoryName, UploadId)>, Error> {
        let mut expired = Vec::new();
        let Some(deadline) = self.clock().now().checked_sub(age) else {
            return Ok(expired);
        };
        let mut names = self.walk(None);
        while let Some(name) = names.try_next().await? {
            let repository = self.repository(&name);
            let mut entries = self.entries(layout::uploads(&name), None);
            while let Some(entry) = entries.try_next().await? {
                let Ok(id) = entry.name.parse::<UploadId>() else { continue };
                match repository.uploads().expire(&id, deadline, dry_run).await {
                    Ok(true) => expired.push((name.clone(), id)),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%error, repository = %name, upload = %id, "an upload cannot be ended"),
                }
            }
        }
        Ok(expired)
    }

    /// Ends what a process of the storage left that was killed, and that shows nowhere, such as an object that came in parts and
    /// was never completed, if that began more than `age` ago; gives how many, or with `dry_run` how many there are. What
    /// takes longer than `age` to come is cut off.
    ///
    /// # Errors
    /// If the storage cannot tell, or cannot end one.
    pub async fn end_unfinished(&self, age: Duration, dry_run: bool) -> Result<usize, Error> {
        let Some(deadline) = self.clock().now().checked_sub(age) else { return Ok(0) };
        Ok(self.storage().end_unfinished(&layout::root(), deadline, dry_run).await?)
    }
}
