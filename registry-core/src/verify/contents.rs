//! What is known of all content: it is read once, wherever it lies.

use std::collections::{BTreeSet, HashMap};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::Scrub;
use super::aside::Aside;
use super::finding::{Damage, Finding, Remedy};
use super::inspect::{Flaw, Look};
use super::report::Seen;
use crate::gc::digests::Id;
use crate::gc::members::names;
use crate::storage::{EntryKind, Key, Metadata};
use crate::{Algorithm, Digest, Error, RunId, layout};

/// How many contents are read side by side: enough that one that is slow to open does not hold up the rest.
const CONCURRENCY: usize = 4;

/// How often content that moves is looked at.
const ROUNDS: usize = 4;

/// What is known of all content.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// What hashes to its name, and how many bytes it has. A collector may move it, and nobody takes it away as long as
    /// something needs it.
    sound: HashMap<Id, u64>,
    /// What does not, or is not there.
    lacking: HashMap<Id, Lack>,
}

/// Content that cannot be had.
#[derive(Debug)]
pub(super) struct Lack {
    /// As which it was found where it lay, if that was not set aside.
    seen: Option<Metadata>,
    pub(super) reported: Reported,
}

/// Whether the report has something.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reported {
    NotYet,
    /// It counts it, and lists it there, if it lists it.
    At(Option<usize>),
}

impl Contents {
    pub(super) fn lack_mut(&mut self, id: Id) -> Option<&mut Lack> {
        self.lacking.get_mut(&id)
    }
}

impl Scrub<'_> {
    /// Reads all content in its place, and all that collectors took away.
    pub(super) async fn read_contents(&mut self) -> Result<(), Error> {
        let blobs = self.list_blobs().await?;
        self.verifier.tell(&Seen::Listed(blobs.len() as u64));
        let (verifier, digests) = (self.verifier, std::mem::take(&mut self.digests));
        let read = self.read_all(blobs.iter().map(|id| (*id, digests.digest(*id))).map(|(id, digest)| async move {
            let place = layout::blob(&digest);
            let look = verifier.look(&digest, &place).await?;
            Ok(Read { id, digest, place, run: None, look })
        }));
        let read = read.await;
        self.digests = digests;
        read?;
        self.read_fossils().await
    }

    async fn read_all<F>(&mut self, looks: impl Iterator<Item = F> + Send) -> Result<(), Error>
    where
        F: Future<Output = Result<Read, Error>> + Send,
    {
        let mut looks = stream::iter(looks).buffer_unordered(CONCURRENCY).boxed();
        while let Some(read) = looks.try_next().await? {
            match &read.look {
                // A collector took it away meanwhile; it is found among the fossils.
                Look::Absent => {}
                Look::Sound(bytes) => self.note_sound(read.id, *bytes, read.run.is_some()),
                Look::Flawed(_) => self.treat(read).await?,
            }
        }
        Ok(())
    }

    async fn list_blobs(&mut self) -> Result<Vec<Id>, Error> {
        let registry = self.registry();
        let mut blobs = Vec::new();
        for algorithm in Algorithm::ALL {
            let root = layout::blobs(algorithm);
            let mut spread = registry.entries(root.clone(), None);
            while let Some(spread) = spread.try_next().await? {
                let directory = Key::of_parts(format!("{root}/{}", spread.name));
                if spread.kind == EntryKind::Object {
                    self.stray(&directory);
                    continue;
                }
                let mut hashes = names(registry, directory.clone());
                while let Some(entry) = hashes.try_next().await? {
                    let digest = Digest::from_parts(algorithm, &entry.name);
                    let is_here = entry.kind == EntryKind::Prefix && entry.name.get(..2) == Some(&spread.name);
                    match digest {
                        Ok(digest) if is_here => blobs.push(self.digests.id(&digest)),
                        _ => self.stray(&format!("{directory}/{}", entry.name)),
                    }
                }
            }
        }
        Ok(blobs)
    }

    pub(super) fn stray(&mut self, place: &impl ToString) {
        self.add(Finding::new(place, Damage::StrayName));
    }

    pub(super) fn add(&mut self, finding: Finding) -> Option<usize> {
        self.verifier.tell(&Seen::Finding(&finding));
        self.report.add(finding)
    }

    async fn read_fossils(&mut self) -> Result<(), Error> {
        let (registry, verifier) = (self.registry(), self.verifier);
        for algorithm in Algorithm::ALL {
            let mut entries = names(registry, layout::all_fossils(algorithm));
            while let Some(entry) = entries.try_next().await? {
                let Ok(digest) = Digest::from_parts(algorithm, &entry.name) else {
                    self.stray(&format!("{}/{}", layout::all_fossils(algorithm), entry.name));
                    continue;
                };
                let id = self.digests.id(&digest);
                let runs = registry.fossils(&digest).await?;
                self.verifier.tell(&Seen::Listed(runs.len() as u64));
                let looks = runs.into_iter().map(|run| async move {
                    let place = layout::fossil(&digest, &run);
                    let look = verifier.look(&digest, &place).await?;
                    Ok(Read { id, digest, place, run: Some(run), look })
                });
                self.read_all(looks).await?;
            }
        }
        Ok(())
    }

    /// The size of content that something needs; `None` if it cannot be had. What came since everything was read is read
    /// now, and what could not be had is looked at again.
    pub(super) async fn content(&mut self, id: Id) -> Result<Option<u64>, Error> {
        if let Some(bytes) = self.contents.sound.get(&id) {
            return Ok(Some(*bytes));
        }
        let digest = self.digests.digest(id);
        for _ in 0..ROUNDS {
            let found = self.registry().stat_content(&digest).await?;
            if self.contents.lacking.get(&id).is_some_and(|lack| lack.seen == found) {
                return Ok(None);
            }
            if found.is_none() {
                self.contents.lacking.entry(id).or_insert(Lack { seen: None, reported: Reported::NotYet }).seen = None;
                return Ok(None);
            }
            if let Some(bytes) = self.read_anywhere(id, &digest).await? {
                return Ok(Some(bytes));
            }
        }
        Err(Error::Contended)
    }

    /// Reads content where readers find it.
    async fn read_anywhere(&mut self, id: Id, digest: &Digest) -> Result<Option<u64>, Error> {
        let mut places = vec![(layout::blob(digest), None)];
        let fossils = self.registry().fossils(digest).await?;
        places.extend(fossils.into_iter().map(|run| (layout::fossil(digest, &run), Some(run))));
        for (place, run) in places {
            match self.verifier.look(digest, &place).await? {
                Look::Absent => {}
                Look::Sound(bytes) => {
                    self.contents.lacking.remove(&id);
                    self.contents.sound.insert(id, bytes);
                    return Ok(Some(bytes));
                }
                look @ Look::Flawed(_) => {
                    self.treat(Read { id, digest: *digest, place, run, look }).await?;
                    return Ok(self.contents.sound.get(&id).copied());
                }
            }
        }
        Ok(None)
    }

    /// Reports what is not what its name says, and does about it what can be done.
    async fn treat(&mut self, read: Read) -> Result<(), Error> {
        let Read { id, digest, place, run, look } = read;
        let mut look = look;
        for _ in 0..ROUNDS {
            let Look::Flawed(flaw) = &look else { break };
            let mut finding = Finding::new(&place, flaw.damage(&digest));
            if !self.verifier.options().repair || !self.may_go(run.as_ref()) {
                return self.conclude(id, &digest, run.is_some(), flaw, finding).await;
            }
            match self.verifier.set_aside(&digest, &place, flaw).await? {
                Aside::At(aside) => {
                    finding.aside = Some(aside.to_string());
                    finding.remedy = Some(Remedy::SetAside);
                    if run.is_none() && self.verifier.restore(&digest).await? {
                        finding.remedy = Some(Remedy::Restored);
                    }
                    return self.conclude(id, &digest, run.is_some(), flaw, finding).await;
                }
                // Trying again would only make a second delete that may come at any time.
                Aside::Unknown(aside) => {
                    finding.aside = Some(aside.to_string());
                    return self.conclude(id, &digest, run.is_some(), flaw, finding).await;
                }
                Aside::Changed => look = self.verifier.look(&digest, &place).await?,
            }
        }
        match look {
            Look::Absent => Ok(()),
            Look::Sound(bytes) => {
                self.note_sound(id, bytes, run.is_some());
                Ok(())
            }
            Look::Flawed(flaw) => {
                let finding = Finding::new(&place, flaw.damage(&digest));
                self.conclude(id, &digest, run.is_some(), &flaw, finding).await
            }
        }
    }

    /// Notes content that is what its name says. A copy of what is corrupt in its place is not what readers find.
    fn note_sound(&mut self, id: Id, bytes: u64, is_copy: bool) {
        self.report.sound.add(bytes);
        if !is_copy {
            self.contents.lacking.remove(&id);
        }
        if !self.contents.lacking.contains_key(&id) {
            self.contents.sound.entry(id).or_insert(bytes);
        }
    }

    /// Whether a copy that a run took may go: not while something that the run deleted may still be deleted later.
    fn may_go(&self, run: Option<&RunId>) -> bool {
        let is_prompt = self.registry().storage().capabilities().prompt_deletes;
        is_prompt || run.is_none_or(|run| self.resolved_runs.contains(run))
    }

    /// Takes a finding about content into the report, and notes whether readers get that content.
    async fn conclude(
        &mut self,
        id: Id,
        digest: &Digest,
        is_copy: bool,
        flaw: &Flaw,
        finding: Finding,
    ) -> Result<(), Error> {
        let remedy = finding.remedy;
        let reported = Reported::At(self.add(finding));
        if remedy == Some(Remedy::Restored) {
            let bytes = self.registry().storage().stat(&layout::blob(digest)).await?.map_or(0, |found| found.size);
            self.contents.lacking.remove(&id);
            self.contents.sound.insert(id, bytes);
            return Ok(());
        }
        // A copy matters where it is what readers find: when nothing lies in its place.
        if is_copy
            && (self.contents.sound.contains_key(&id)
                || self.registry().storage().stat(&layout::blob(digest)).await?.is_some())
        {
            return Ok(());
        }
        let seen = if remedy.is_some() { None } else { flaw.metadata };
        self.contents.lacking.insert(id, Lack { seen, reported });
        Ok(())
    }
}

/// An object that was looked at.
#[derive(Debug)]
struct Read {
    id: Id,
    digest: Digest,
    place: Key,
    /// The run that took it away; `None` for what is in its place.
    run: Option<RunId>,
    look: Look,
}

/// The runs whose deletes are over.
pub(super) type Resolved = BTreeSet<RunId>;
