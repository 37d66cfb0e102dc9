//! What clients were told, and what they may therefore rely on.
//!
//! Requests that overlap may take effect in either order, so each request notes what came between its begin and its end;
//! nothing here depends on moments, so two runs that come to the same point by other ways have the same ledger.

use std::hash::Hash;

use crate::universe::{ITEMS, Item, MARKS, Mark, REPOS, Repo, Set, items};

/// Stands for "no manifest" in a set of what a tag may read as.
const ABSENT: Set = 1 << 31;

/// What clients were told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    repos: [Membership; REPOS.len()],
    flights: Vec<Option<Flight>>,
    /// How long a promise holds, in seconds.
    promise_seconds: u64,
    /// Whether a collector is at work, which may make a writer give up.
    collected: bool,
    /// Whether a collector may take manifests away that have no tag.
    untagged_go: bool,
}

/// What is known of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Membership {
    /// Manifests whose push was acknowledged, and that nobody has begun to delete since.
    acknowledged: Set,
    /// What somebody has begun to delete since it was last promised.
    removed: Set,
    /// What was surely deleted.
    deleted: Set,
    /// Until when it was last said that the content is there, in seconds; 0 for never.
    promised: [u64; ITEMS],
    /// What each tag may read as.
    tags: [Set; MARKS.len()],
}

impl Default for Membership {
    fn default() -> Self {
        let promised = [0; ITEMS];
        Self { acknowledged: 0, removed: 0, deleted: 0, promised, tags: [ABSENT; MARKS.len()] }
    }
}

/// What a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// A push of a manifest.
    Put,
    /// A push of a blob.
    Push,
    /// A mount of a blob from this repository.
    Mount(Repo),
    /// A look at a content by its digest.
    Look,
    /// A look at a tag.
    Resolve,
    /// A delete of a tag.
    DeleteTag,
    /// A delete of a content by its digest.
    Delete,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    /// What was asked for is not there.
    Missing,
    /// A tag points to this.
    Found(Item),
    /// These references are not there.
    Refused(Set),
    /// Asked to try again.
    Contended,
}

/// A request that has begun and not ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Flight {
    kind: Kind,
    repo: Repo,
    item: Option<Item>,
    mark: Option<Mark>,
    /// When it began, in seconds: a promise holds from there.
    since: u64,
    /// What it must find, as of its begin.
    sure: Set,
    /// What others changed in the same repository meanwhile.
    disturbed: Set,
    /// Whether others changed the same tag meanwhile.
    tag_disturbed: bool,
    /// What the tag may have read as meanwhile.
    seen: Set,
    /// Whether what is looked for was surely deleted before.
    gone: bool,
    /// Whether this request alone made the manifest one of those that the tag may read as.
    widened: bool,
}

impl Flight {
    fn is_delete_of(&self, repo: Repo, item: Item) -> bool {
        self.kind == Kind::Delete && self.repo == repo && self.item == Some(item)
    }

    fn changes_tag(&self, repo: Repo, mark: Mark) -> bool {
        matches!(self.kind, Kind::Put | Kind::DeleteTag) && self.repo == repo && self.mark == Some(mark)
    }

    /// The repository in which what is asked for must be found.
    fn source(&self) -> Repo {
        if let Kind::Mount(from) = self.kind { from } else { self.repo }
    }
}

impl Ledger {
    pub(crate) fn new(tasks: usize, promise_seconds: u64, collected: bool, untagged_go: bool) -> Self {
        Self { flights: vec![None; tasks + 1], promise_seconds, collected, untagged_go, ..Self::default() }
    }

    /// Everything in the repository that must be readable by its digest.
    pub(crate) fn required(&self, repo: Repo) -> Set {
        self.needed(repo) & !self.repos[repo.0].removed
    }

    /// Everything whose bytes must be there for the sake of the repository.
    pub(crate) fn needed(&self, repo: Repo) -> Set {
        let Membership { acknowledged, tags, .. } = &self.repos[repo.0];
        let stays = |item: &Item| !self.untagged_go || tags.contains(&item.bit());
        items(*acknowledged).filter(stays).fold(0, |set, item| set | item.needs())
    }

    /// What was surely deleted from the repository.
    pub(crate) fn deleted(&self, repo: Repo) -> Set {
        self.repos[repo.0].deleted
    }

    /// Whether a tag may read as this, or as nothing.
    pub(crate) fn may_read(&self, repo: Repo, mark: Mark, read: Option<Item>) -> bool {
        self.repos[repo.0].tags[mark.0] & read.map_or(ABSENT, Item::bit) != 0
    }

    /// What a client may rely on to find in the repository.
    fn sure(&self, repo: Repo, now: u64) -> Set {
        let membership = &self.repos[repo.0];
        let promised = Item::all().filter(|item| membership.promised[item.0] > now);
        self.required(repo) | (promised.fold(0, |set, item| set | item.bit()) & !membership.removed)
    }

    /// A request begins.
    #[expect(clippy::too_many_arguments, reason = "a request has so many parts")]
    pub(crate) fn begin(
        &mut self,
        task: usize,
        kind: Kind,
        repo: Repo,
        item: Option<Item>,
        mark: Option<Mark>,
        now: u64,
    ) {
        let mut flight = Flight {
            kind,
            repo,
            item,
            mark,
            since: now,
            sure: 0,
            disturbed: 0,
            tag_disturbed: false,
            seen: mark.map_or(0, |mark| self.repos[repo.0].tags[mark.0]),
            gone: item.is_some_and(|item| self.repos[repo.0].deleted & item.bit() != 0),
            widened: false,
        };
        flight.sure = self.sure(flight.source(), now);
        let others: Vec<Flight> = self.flights.iter().flatten().cloned().collect();
        for other in &others {
            self.disturb(&mut flight, other);
        }
        for number in 0..self.flights.len() {
            if let Some(mut other) = self.flights[number].take() {
                self.disturb(&mut other, &flight);
                self.flights[number] = Some(other);
            }
        }
        self.announce(&mut flight, &others);
        self.flights[task] = Some(flight);
        self.recall(now);
    }

    /// What it means for one request that another one overlaps it.
    fn disturb(&self, flight: &mut Flight, other: &Flight) {
        let tags = &self.repos[flight.repo.0].tags;
        if let (Kind::Delete, Some(item)) = (other.kind, other.item)
            && other.repo == flight.repo
        {
            flight.disturbed |= item.bit();
            let pointed = flight.mark.is_some_and(|mark| tags[mark.0] & item.bit() != 0);
            flight.tag_disturbed |= flight.item == Some(item) || pointed && flight.kind != Kind::Put;
        }
        if let (Kind::Put | Kind::Push | Kind::Mount(_), Some(item)) = (other.kind, other.item)
            && other.repo == flight.repo
            && flight.kind == Kind::Delete
        {
            flight.disturbed |= item.needs();
        }
        flight.tag_disturbed |= flight.mark.is_some_and(|mark| other.changes_tag(flight.repo, mark));
    }

    /// What a request may change from its begin on.
    fn announce(&mut self, flight: &mut Flight, others: &[Flight]) {
        let membership = &mut self.repos[flight.repo.0];
        match (flight.kind, flight.item, flight.mark) {
            (Kind::Put, Some(item), mark) => {
                membership.deleted &= !item.bit();
                if let Some(mark) = mark {
                    let tag = &mut membership.tags[mark.0];
                    flight.widened = *tag & item.bit() == 0;
                    *tag |= item.bit();
                    if others.iter().any(|other| other.is_delete_of(flight.repo, item)) {
                        *tag |= ABSENT;
                    }
                }
            }
            (Kind::Push | Kind::Mount(_), Some(item), _) => membership.deleted &= !item.bit(),
            (Kind::DeleteTag, _, Some(mark)) => membership.tags[mark.0] |= ABSENT,
            (Kind::Delete, Some(item), _) => {
                membership.acknowledged &= !item.bit();
                membership.removed |= item.bit();
                membership.promised[item.0] = 0;
                for tag in &mut membership.tags {
                    if *tag & item.bit() != 0 {
                        *tag |= ABSENT;
                    }
                }
            }
            _ => {}
        }
    }

    /// What others rely on shrinks when something is deleted, and what they may see grows.
    fn recall(&mut self, now: u64) {
        let sure: Vec<Set> = Repo::all().map(|repo| self.sure(repo, now)).collect();
        for flight in self.flights.iter_mut().flatten() {
            flight.sure &= sure[flight.source().0];
            if let Some(mark) = flight.mark.filter(|_| flight.kind != Kind::DeleteTag) {
                flight.seen |= self.repos[flight.repo.0].tags[mark.0];
            }
        }
    }

    /// A request was dropped: whatever it has done, nobody was told of it.
    pub(crate) fn abandon(&mut self, task: usize) {
        self.flights[task] = None;
    }

    /// A request ends; `is_firm` tells whether what it looked for is in its place.
    ///
    /// # Errors
    /// What is wrong about its outcome.
    pub(crate) fn end(&mut self, task: usize, outcome: Outcome, now: u64, is_firm: bool) -> Result<(), String> {
        let flight = self.flights[task].take().ok_or("a request ended that had not begun")?;
        let sure = flight.sure & self.sure(flight.source(), now) & !flight.disturbed;
        let own = flight.item.map_or(0, Item::bit);
        match (flight.kind, outcome) {
            (_, Outcome::Contended) => {
                let excused = self.collected || flight.disturbed & own != 0 || flight.tag_disturbed;
                return if excused { Ok(()) } else { Err("it gave up though nobody was in its way".into()) };
            }
            (Kind::Put, Outcome::Refused(missing)) => {
                self.refused(&flight);
                let broken: Vec<Item> = items(missing & sure).collect();
                return if broken.is_empty() { Ok(()) } else { Err(format!("promised, but missing: {broken:?}")) };
            }
            (Kind::Resolve, Outcome::Found(_) | Outcome::Missing) => {
                let read = if let Outcome::Found(item) = outcome { item.bit() } else { ABSENT };
                if flight.seen & read == 0 {
                    return Err(format!("the tag reads as {outcome:?}, which it cannot"));
                }
            }
            (Kind::DeleteTag, Outcome::Missing) if !flight.tag_disturbed && flight.seen & ABSENT == 0 => {
                return Err("the tag was there".into());
            }
            (Kind::Look | Kind::Delete | Kind::Mount(_), Outcome::Missing) if sure & own != 0 => {
                return Err("it was there".into());
            }
            (Kind::DeleteTag | Kind::Look | Kind::Delete | Kind::Mount(_), Outcome::Missing) => {}
            (Kind::Look, Outcome::Done) if !self.collected && flight.gone && self.deleted(flight.repo) & own != 0 => {
                return Err("it was deleted".into());
            }
            // Seen only among what was taken away: that is readable for a while, and no more.
            (Kind::Look, Outcome::Done) if !is_firm => {}
            (_, Outcome::Done) => self.done(&flight),
            _ => return Err(format!("unexpected: {outcome:?}")),
        }
        Ok(())
    }

    /// A refused push has set no tag, unless somebody deleted what it needs after it had made sure of that.
    fn refused(&mut self, flight: &Flight) {
        let (Some(item), Some(mark)) = (flight.item, flight.mark) else { return };
        let alone = !flight.tag_disturbed && flight.disturbed & item.needs() == 0;
        if flight.widened && alone {
            self.repos[flight.repo.0].tags[mark.0] &= !item.bit();
        }
    }

    fn done(&mut self, flight: &Flight) {
        let until = flight.since.saturating_add(self.promise_seconds);
        let membership = &mut self.repos[flight.repo.0];
        match (flight.kind, flight.item, flight.mark) {
            (Kind::Put, Some(item), mark) => {
                membership.removed &= !(item.needs() & !flight.disturbed);
                if flight.disturbed & item.bit() == 0 {
                    membership.acknowledged |= item.bit();
                    membership.promised[item.0] = until;
                }
                if let Some(mark) = mark.filter(|_| !flight.tag_disturbed) {
                    membership.tags[mark.0] = item.bit();
                }
            }
            (Kind::Push | Kind::Mount(_) | Kind::Look, Some(item), _) if flight.disturbed & item.bit() == 0 => {
                membership.removed &= !item.bit();
                membership.promised[item.0] = until;
            }
            (Kind::DeleteTag, _, Some(mark)) if !flight.tag_disturbed => membership.tags[mark.0] = ABSENT,
            (Kind::Delete, Some(item), _) if flight.disturbed & item.bit() == 0 => {
                membership.deleted |= item.bit();
                for tag in &mut membership.tags {
                    *tag &= !item.bit();
                }
            }
            _ => {}
        }
    }
}
