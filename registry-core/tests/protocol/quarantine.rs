//! Q1 to Q3: bytes that do not count are copied to a fossil, and then deleted at their place.

use crate::collector::walk;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Fault, Scenario, Storage};
use crate::state::{Run, RunAt, State};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let slot = scenario.fossil_slot(run);
    match position.at {
        RunAt::Quarantine => quarantine_next(scenario, moves, run, position),
        RunAt::DeleteBytes => delete(scenario, moves, run, position),
        _ => {
            let digest = position.item - 1;
            moves.run((run, position), "purges what it quarantined", Subject::Fossil(digest, slot), |next| {
                next.store.drop_fossil(slot, digest);
                next.runs[run].at = RunAt::Quarantine;
            });
        }
    }
}

/// The candidates, by their number; `item` is the one after the last.
fn quarantine_next(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let candidates = moves.state.store.canon.minus(position.roots.announced).and(scenario.collectable);
    let Some(digest) = candidates.into_iter().find(|digest| *digest >= position.item) else {
        walk(scenario, moves, run, Run { at: RunAt::Ended, ..position });
        return;
    };
    let slot = scenario.fossil_slot(run);
    let position = Run { item: digest + 1, ..position };
    if scenario.broken(Deviation::NoFossil) {
        moves.run((run, position), "deletes without a copy", Subject::Digest(digest), |next| {
            next.store.canon.remove(digest);
        });
        return;
    }
    let action = if scenario.storage == Storage::Renames { "Q renames to" } else { "Q2 copies to" };
    moves.run((run, position), action, Subject::Fossil(digest, slot), |next| {
        next.store.fossils[slot].insert(digest);
        if scenario.storage == Storage::Renames {
            next.store.canon.remove(digest);
            deleted(scenario, next, run);
        } else {
            next.runs[run].at = RunAt::DeleteBytes;
        }
    });
}

fn delete(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let digest = position.item - 1;
    moves.run((run, position), "Q3 deletes", Subject::Digest(digest), |next| {
        next.store.canon.remove(digest);
        deleted(scenario, next, run);
    });
    if scenario.may(Fault::LateBytes) && !scenario.is_local() {
        moves.run((run, position), "Q3 gets no answer for its delete of", Subject::Digest(digest), |next| {
            next.store.late_bytes[run].insert(digest);
            next.runs[run].ambiguous = true;
            deleted(scenario, next, run);
        });
    }
}

fn deleted(scenario: &Scenario, next: &mut State, run: usize) {
    next.runs[run].at = if scenario.broken(Deviation::PurgesOwn) { RunAt::PurgeOwn } else { RunAt::Quarantine };
}
