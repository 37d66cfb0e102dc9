//! What must hold in each state.

use crate::client::link_of;
use crate::scenario::{Detail, Operation, Scenario, Untagged};
use crate::state::{Broken, ClientAt, RUNS, Run, RunAt, State};

/// Which invariant does not hold, and how it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Violation {
    /// I1: what an acknowledged manifest needs has bytes somewhere, and its links are live or retired.
    I1Integrity(&'static str),
    /// I2: what is not at its place has a copy that no run is about to purge.
    I2Cover(&'static str),
    /// I3: while a delete may still land, its copy exists and is not old enough to purge.
    I3Outstanding(&'static str),
    /// I4: a tag that can be read leads to a manifest that can be read.
    I4Publication(&'static str),
    /// I5, I6: complete runs remove all garbage, and repair everything.
    I5Progress(&'static str),
    /// I7: nothing that a client deleted comes back for good.
    I7Resurrection(&'static str),
    /// I8: a push of what the registry said that it has is not refused.
    I8Promise(&'static str),
}

impl Violation {
    /// The name of the invariant.
    pub(crate) fn invariant(self) -> &'static str {
        match self {
            Self::I1Integrity(_) => "I1",
            Self::I2Cover(_) => "I2",
            Self::I3Outstanding(_) => "I3",
            Self::I4Publication(_) => "I4",
            Self::I5Progress(_) => "I5",
            Self::I7Resurrection(_) => "I7",
            Self::I8Promise(_) => "I8",
        }
    }
}

pub(crate) fn check(scenario: &Scenario, state: &State) -> Result<(), Violation> {
    match state.ghost.broken {
        Broken::Nothing => {}
        Broken::Promise => return Err(Violation::I8Promise("a push was refused within Q of a promise")),
        Broken::ForeignTag => return Err(Violation::I1Integrity("a DELETE took the tag of another manifest")),
        Broken::Upload => return Err(Violation::I8Promise("an upload dropped its bytes and was refused")),
    }
    outstanding(scenario, state)?;
    publication(scenario, state)?;
    finality(scenario, state)?;
    required(scenario, state).try_for_each(|link| integrity(scenario, state, link))
}

/// The revision links of the manifests that must be whole: acknowledged, not deleted, and wanted by policy. A DELETE
/// that is under way may count already.
pub(crate) fn required<'a>(scenario: &'a Scenario, state: &'a State) -> impl Iterator<Item = u8> + 'a {
    let acknowledged = state.ghost.acknowledged.into_iter();
    acknowledged.filter(|link| !is_being_deleted(scenario, state, *link)).filter(|link| is_kept(scenario, state, *link))
}

fn is_being_deleted(scenario: &Scenario, state: &State, link: u8) -> bool {
    scenario.programs.iter().zip(&state.clients).any(|(program, client)| {
        let operation = program.get(usize::from(client.acknowledged));
        client.at != ClientAt::Start && operation.and_then(|operation| deleted_by(*operation)) == Some(link)
    })
}

pub(crate) fn is_kept(scenario: &Scenario, state: &State, link: u8) -> bool {
    let world = &scenario.world;
    let tagged = state.store.tagged();
    let subject = world.subject(world.digest(link)).map(|subject| world.link(world.repository(link), subject));
    tagged.has(link) || scenario.untagged == Untagged::Keep || subject.is_some_and(|subject| tagged.has(subject))
}

fn integrity(scenario: &Scenario, state: &State, manifest: u8) -> Result<(), Violation> {
    let world = &scenario.world;
    for digest in world.needs(world.digest(manifest)) {
        if !state.store.has_bytes(digest) {
            return Err(Violation::I1Integrity("bytes that an acknowledged manifest needs are nowhere"));
        }
        if !state.store.canon.has(digest) && (0..RUNS).all(|of| !outlives(state, of, digest)) {
            return Err(Violation::I2Cover("each copy of bytes that an acknowledged manifest needs is to be purged"));
        }
        let link = world.link(world.repository(manifest), digest);
        if state.ghost.deleted.has(link) {
            continue;
        }
        if !state.store.reads(link) {
            return Err(Violation::I1Integrity("a link that an acknowledged manifest needs is nowhere"));
        }
        if !state.store.live.has(link) && (0..RUNS).all(|of| !link_outlives(state, of, link)) {
            return Err(Violation::I2Cover("each copy of a link that an acknowledged manifest needs is to be purged"));
        }
    }
    Ok(())
}

/// A fossil that no run, by what it knows already, is going to remove.
fn outlives(state: &State, of: usize, digest: u8) -> bool {
    let purges = |run: &Run| match run.at {
        RunAt::DropFossil if usize::from(run.from) == of && run.item == digest => true,
        RunAt::Fossils | RunAt::CopyBack | RunAt::Verify | RunAt::DropFossil => {
            run.old_fossils[of].has(digest) && !run.roots.announced.has(digest)
        }
        _ => false,
    };
    state.store.fossils[of].has(digest) && !state.runs.iter().any(purges)
}

fn link_outlives(state: &State, of: usize, link: u8) -> bool {
    let purges = |run: &Run| match run.at {
        RunAt::DropRetired if usize::from(run.from) == of && run.item == link => true,
        RunAt::Fossils
        | RunAt::CopyBack
        | RunAt::Verify
        | RunAt::DropFossil
        | RunAt::Retired
        | RunAt::WriteLink
        | RunAt::DropRetired => run.old_retired[of].has(link) && !run.roots.wanted.has(link),
        _ => false,
    };
    state.store.retired[of].has(link) && !state.runs.iter().any(purges)
}

fn outstanding(scenario: &Scenario, state: &State) -> Result<(), Violation> {
    let store = &state.store;
    for run in 0..scenario.runs {
        let slot = scenario.fossil_slot(run);
        let covered = store.fossils[slot].minus(store.settled_fossils[slot]);
        if !store.late_bytes[run].within(covered) {
            return Err(Violation::I3Outstanding("a delete of bytes may land whose copy is gone or may be purged"));
        }
        if !store.late_links[run].within(store.retired[run].minus(store.settled_retired[run])) {
            return Err(Violation::I3Outstanding("a delete of a link may land whose copy is gone or may be purged"));
        }
    }
    Ok(())
}

/// What a client deleted cannot be read. One run alone cannot restore anything beside a DELETE; where others can, a
/// deleted link may show until the next run, and `recovery` checks that it goes.
fn finality(scenario: &Scenario, state: &State) -> Result<(), Violation> {
    if scenario.runs > 1 || scenario.has(Detail::LooksAgain) {
        return Ok(());
    }
    let mut shown = state.ghost.removed.into_iter().filter(|link| state.store.reads(*link));
    if shown.any(|link| !is_being_deleted(scenario, state, link)) {
        return Err(Violation::I7Resurrection("a deleted link can be read, and no writer wrote it again"));
    }
    Ok(())
}

fn publication(scenario: &Scenario, state: &State) -> Result<(), Violation> {
    let store = &state.store;
    for link in store.tagged() {
        if store.reads(link) && !store.has_bytes(scenario.world.digest(link)) {
            return Err(Violation::I4Publication("a tag can be read, and the bytes of its manifest are nowhere"));
        }
        if !store.reads(link) && all_is_done(scenario, state) {
            return Err(Violation::I4Publication(
                "everything is acknowledged, and a tag names a manifest that is not there",
            ));
        }
    }
    Ok(())
}

fn all_is_done(scenario: &Scenario, state: &State) -> bool {
    let clients = scenario.programs.iter().zip(&state.clients);
    clients.into_iter().all(|(program, client)| program.len() == usize::from(client.acknowledged)) && is_at_rest(state)
}

/// No run is under way, and no delete either.
pub(crate) fn is_at_rest(state: &State) -> bool {
    let store = &state.store;
    let late = store.late_bytes.iter().chain(&store.late_links).chain([&store.late_of_clients]);
    state.runs.iter().all(Run::is_at_rest) && late.into_iter().all(|late| late.is_empty())
}

/// The link that a DELETE is about; used to tell what must not come back.
pub(crate) fn deleted_by(operation: Operation) -> Option<u8> {
    match operation {
        Operation::DeleteManifest { .. } | Operation::DeleteBlob { .. } => Some(link_of(operation)),
        _ => None,
    }
}
