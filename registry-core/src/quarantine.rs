//! What a collector took away and did not purge yet: where readers find it, and how writers bring it back.
//!
//! A collector never deletes a thing without a copy: of content a *fossil*, of a link a *retired* copy, both named
//! after the run that took them. So whoever finds a place empty looks among the copies, and then at the place again,
//! because a collector may have brought the thing back in between. Who builds on a thing that only a copy has puts it
//! back in its place first; and so does who tells a client of it, because the client may build on that.

use std::collections::BTreeMap;

use futures::stream::TryStreamExt as _;

use crate::layout::{self, Member};
use crate::storage::{Key, Metadata, WriteOptions};
use crate::{Digest, Error, Registry, Repository, RepositoryName, RunId};

/// How often a thing that is being moved is looked for.
const ROUNDS: usize = 4;

/// Ends the name of a mark: the link that the copy beside it was taken of was deleted since.
const DELETED: &str = ".deleted";

/// The copies of one link, by run, and whether the link was deleted since. A mark of which the copy is gone stands for a
/// link that was deleted.
#[derive(Debug, Default)]
pub(crate) struct RetiredCopies(BTreeMap<RunId, bool>);

impl RetiredCopies {
    /// The runs that took a copy, and whether the link was deleted since.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (RunId, bool)> {
        self.0.iter().map(|(run, is_deleted)| (*run, *is_deleted))
    }

    /// Takes in a name of the directory of copies.
    fn note(&mut self, name: &str) {
        let (run, is_mark) = name.strip_suffix(DELETED).map_or((name, false), |run| (run, true));
        if let Ok(run) = run.parse::<RunId>() {
            *self.0.entry(run).or_default() |= is_mark;
        }
    }
}

/// The key of a copy of a link, and that of the mark beside it.
pub(crate) fn copy_and_mark(copies: &Key, run: &RunId) -> (Key, Key) {
    (Key::of_parts(format!("{copies}/{run}")), Key::of_parts(format!("{copies}/{run}{DELETED}")))
}

impl Registry {
    /// How often something was only found among what a collector took away. It counts from the start of the process;
    /// each is a race that was won, and the next run brings the thing back.
    #[must_use]
    pub fn quarantine_hits(&self) -> u64 {
        self.hits().load(std::sync::atomic::Ordering::Relaxed)
    }

    fn hit(&self) {
        self.hits().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }

    /// What a link to a member of a repository points to, wherever it lies. A copy does not count if the link was deleted
    /// since it was taken.
    pub(crate) async fn member(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        match self.link(&layout::member_link(name, member, digest)).await? {
            Some(target) => Ok(Some(target)),
            None => self.moved_member(name, member, digest).await,
        }
    }

    /// What a link points to that was just not found in its place.
    async fn moved_member(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let (link, place) = (layout::member_link(name, member, digest), layout::retired(name, member, digest));
        let mut before = None;
        for _ in 0..ROUNDS {
            let copies = self.retired_copies(&place).await?;
            let runs: Vec<RunId> = copies.iter().filter(|(_, is_deleted)| !is_deleted).map(|(run, _)| run).collect();
            for run in &runs {
                if let Some(target) = self.link(&copy_and_mark(&place, run).0).await? {
                    self.hit();
                    return Ok(Some(target));
                }
            }
            if let Some(target) = self.link(&link).await? {
                return Ok(Some(target));
            }
            // Copies from which nothing can be had, and that stay, are none. Where there were none at once nothing moved: a
            // link that was put back meanwhile is young, and no collector takes it again so soon.
            if runs.is_empty() || before.replace(runs.clone()) == Some(runs) {
                return Ok(None);
            }
        }
        Err(Error::Contended)
    }

    /// As [`member`](Self::member) for a client that only asks whether it is there, and may count on the answer for as long as the quarantine
    /// takes: what only a collector's copies have is put back, because their time may be nearly over.
    pub(crate) async fn promise_member(
        &self,
        repository: &Repository,
        member: Member,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let name = repository.name();
        let link = layout::member_link(name, member, digest);
        if let Some(target) = self.link(&link).await? {
            return Ok(Some(target));
        }
        if self.moved_member(name, member, digest).await?.is_none() {
            return Ok(None);
        }
        // A delete may come in between, which nobody may undo.
        let _order = repository.lock_tags().await;
        let target = self.member(name, member, digest).await?;
        if let Some(target) = &target
            && !self.is_read_only()
        {
            self.announce(name, member, digest, target).await?;
            self.hold_content(target).await?;
        }
        Ok(target)
    }

    /// The copies that collectors took of the link whose copies lie at `place`.
    pub(crate) async fn retired_copies(&self, place: &Key) -> Result<RetiredCopies, Error> {
        let mut copies = RetiredCopies::default();
        let mut names = self.entries(place.clone(), None);
        while let Some(entry) = names.try_next().await? {
            copies.note(&entry.name);
        }
        Ok(copies)
    }

    /// Writes a link, durably, also when it stands there already: its time tells that somebody counts on it. If it was
    /// deleted before, that is over: what collectors keep of it is found again.
    pub(crate) async fn announce(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
        target: &Digest,
    ) -> Result<(), Error> {
        let written = self.write_link(&layout::member_link(name, member, digest), target).await;
        self.link_changed(name, member);
        written?;
        let place = layout::retired(name, member, digest);
        for (run, is_deleted) in self.retired_copies(&place).await?.iter() {
            if is_deleted {
                self.delete(&copy_and_mark(&place, &run).1).await?;
            }
        }
        Ok(())
    }

    /// Whether a link is in its place, and no copy of it is marked as deleted: then it is found wherever a collector
    /// moves it.
    pub(crate) async fn is_announced(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
    ) -> Result<bool, Error> {
        if self.link(&layout::member_link(name, member, digest)).await?.is_none() {
            return Ok(false);
        }
        let copies = self.retired_copies(&layout::retired(name, member, digest)).await?;
        Ok(copies.iter().all(|(_, is_deleted)| !is_deleted))
    }

    /// Makes sure of a link that something is about to rely on, durably: it is in its place, or is put back there. A link
    /// that was deleted is not.
    pub(crate) async fn hold_member(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
    ) -> Result<Option<Digest>, Error> {
        let link = layout::member_link(name, member, digest);
        for _ in 0..ROUNDS {
            if let Some(target) = self.link(&link).await? {
                if self.stays(&link).await? {
                    return Ok(Some(target));
                }
                continue;
            }
            match self.moved_member(name, member, digest).await? {
                None => return Ok(None),
                // Written, not copied: its time tells collectors that somebody counts on it.
                Some(target) => self.announce(name, member, digest, &target).await?,
            }
        }
        Err(Error::Contended)
    }

    /// Takes a link away for good: it, and whatever copies collectors took of it. They stay for those that need them,
    /// marked, so that nobody else finds them.
    pub(crate) async fn delete_member(
        &self,
        name: &RepositoryName,
        member: Member,
        digest: &Digest,
    ) -> Result<(), Error> {
        let deleted = self.delete(&layout::member_link(name, member, digest)).await;
        self.link_changed(name, member);
        deleted?;
        let place = layout::retired(name, member, digest);
        for (run, is_deleted) in self.retired_copies(&place).await?.iter() {
            if !is_deleted {
                let (copy, mark) = copy_and_mark(&place, &run);
                self.storage().write(&mark, bytes::Bytes::new(), WriteOptions::default()).await?;
                if self.storage().stat(&copy).await?.is_none() {
                    // It was purged meanwhile, and nobody would look for its mark.
                    self.delete(&mark).await?;
                }
            }
        }
        Ok(())
    }

    /// Looks for content by `look`, in its place and among the fossils.
    pub(crate) async fn find_content<T, F>(&self, digest: &Digest, look: impl Fn(Key) -> F) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<Option<T>, Error>>,
    {
        let place = layout::blob(digest);
        if let Some(found) = look(place.clone()).await? {
            return Ok(Some(found));
        }
        let mut before = None;
        for _ in 0..ROUNDS {
            let fossils = self.fossils(digest).await?;
            for run in &fossils {
                if let Some(found) = look(layout::fossil(digest, run)).await? {
                    self.hit();
                    return Ok(Some(found));
                }
            }
            if let Some(found) = look(place.clone()).await? {
                return Ok(Some(found));
            }
            // Fossils in which nothing is found, and that stay, are none; as with links.
            if fossils.is_empty() || before.replace(fossils.clone()) == Some(fossils) {
                return Ok(None);
            }
        }
        Err(Error::Contended)
    }

    /// The runs that have the content with this digest.
    pub(crate) async fn fossils(&self, digest: &Digest) -> Result<Vec<RunId>, Error> {
        let names = self.entries(layout::fossils(digest), None);
        names.try_filter_map(|entry| async move { Ok(entry.name.parse::<RunId>().ok()) }).try_collect().await
    }

    /// Size and time of content, wherever it lies.
    pub(crate) async fn stat_content(&self, digest: &Digest) -> Result<Option<Metadata>, Error> {
        self.find_content(digest, |key| async move { Ok(self.storage().stat(&key).await?) }).await
    }

    /// The same for a client that may count on the answer, with the place: what only a fossil has is put back.
    pub(crate) async fn promise_content(&self, digest: &Digest) -> Result<Option<(Key, Metadata)>, Error> {
        let place = layout::blob(digest);
        let found = match self.storage().stat(&place).await? {
            Some(found) => Some(found),
            None if self.is_read_only() => {
                let stat = |key: Key| async move { Ok(self.storage().stat(&key).await?.map(|found| (key, found))) };
                return self.find_content(digest, stat).await;
            }
            None => self.hold_content(digest).await?,
        };
        Ok(found.map(|found| (place, found)))
    }

    /// Makes sure of content that something is about to rely on, durably: it is in its place, or is put back there.
    pub(crate) async fn hold_content(&self, digest: &Digest) -> Result<Option<Metadata>, Error> {
        let place = layout::blob(digest);
        let mut before = None;
        for _ in 0..ROUNDS {
            if let Some(found) = self.storage().confirm(&place).await? {
                return Ok(Some(found));
            }
            let fossils = self.fossils(digest).await?;
            for run in &fossils {
                if self.storage().copy(&layout::fossil(digest, run), &place).await?.is_some() {
                    self.hit();
                    break;
                }
            }
            let is_stuck = before.replace(fossils.clone()) == Some(fossils);
            if is_stuck && self.storage().confirm(&place).await?.is_none() {
                return Ok(None);
            }
        }
        Err(Error::Contended)
    }
}
