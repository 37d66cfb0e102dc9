//! A run of the collector: which phase its next step belongs to, and what all of them share.

use crate::environment::settle;
use crate::moves::Moves;
use crate::quarantine;
use crate::restoring;
use crate::retiring;
use crate::rules::Deviation;
use crate::scan;
use crate::scenario::{Fault, Scenario};
use crate::set::Set;
use crate::state::{RUNS, Run, RunAt, State};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, moves: &mut Moves<'_>, run: usize) {
    let at = moves.state.runs[run].at;
    if moves.state.runs[run].is_over() || (at == RunAt::NotStarted && !may_start(scenario, moves.state, run)) {
        return;
    }
    if scenario.may(Fault::Crash) && has_written(at) {
        moves.may("crashes", Subject::Nothing, |next| {
            next.runs[run] = Run { at: RunAt::Crashed, ..Run::default() };
        });
    }
    walk(scenario, moves, run, moves.state.runs[run]);
}

/// Goes to the next step of a run that there is something to do for, and offers it. `position` is where the run
/// stands once it has passed what there is nothing to do for.
pub(crate) fn walk(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    match position.at {
        RunAt::NotStarted | RunAt::ListFossils | RunAt::ListRetired => list_old(scenario, moves, run, position),
        RunAt::Scan | RunAt::ReadBytes | RunAt::ReadFossil | RunAt::ReadBytesAgain => {
            scan::steps(scenario, moves, run, position);
        }
        RunAt::Fossils | RunAt::CopyBack | RunAt::Verify | RunAt::DropFossil => {
            restoring::fossils(scenario, moves, run, position);
        }
        RunAt::Retired | RunAt::WriteLink | RunAt::DropRetired => restoring::links(scenario, moves, run, position),
        RunAt::Retire | RunAt::DeleteLink | RunAt::LookAtTags | RunAt::LookAtParents | RunAt::BringBack => {
            retiring::steps(scenario, moves, run, position);
        }
        RunAt::Quarantine | RunAt::DeleteBytes | RunAt::PurgeOwn => {
            quarantine::steps(scenario, moves, run, position);
        }
        RunAt::Ended | RunAt::Crashed => {
            moves.run((run, position), "ends", Subject::Nothing, |next| end(scenario, next, run));
        }
    }
}

/// Runs differ in their numbers only, so they start in that order; on a filesystem one at a time.
fn may_start(scenario: &Scenario, state: &State, run: usize) -> bool {
    state.runs[..run]
        .iter()
        .all(|earlier| if scenario.is_local() { earlier.is_over() } else { earlier.at != RunAt::NotStarted })
}

/// A run that stops before it wrote anything might as well not have begun.
fn has_written(at: RunAt) -> bool {
    !matches!(
        at,
        RunAt::NotStarted
            | RunAt::ListFossils
            | RunAt::ListRetired
            | RunAt::Scan
            | RunAt::ReadBytes
            | RunAt::ReadFossil
            | RunAt::ReadBytesAgain
    )
}

/// P0: what other runs left, is settled, and has been so for Q.
fn list_old(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let scans_first = scenario.broken(Deviation::ListsAfterScan);
    match position.at {
        RunAt::NotStarted if scans_first || scenario.broken(Deviation::EpochShortcut) => {
            moves.run((run, position), "begins", Subject::Nothing, |next| {
                begin(scenario, next, run);
                next.runs[run].at = if scans_first { RunAt::Scan } else { RunAt::ListFossils };
            });
        }
        RunAt::NotStarted | RunAt::ListFossils => {
            moves.run((run, position), "P0 lists settled fossils", Subject::Nothing, |next| {
                if position.at == RunAt::NotStarted {
                    begin(scenario, next, run);
                }
                for of in 0..RUNS {
                    next.runs[run].old_fossils[of] = old(next, of, next.store.settled_fossils[of]);
                }
                next.runs[run].at = RunAt::ListRetired;
            });
        }
        _ => moves.run((run, position), "P0 lists settled retired links", Subject::Nothing, |next| {
            for of in 0..RUNS {
                next.runs[run].old_retired[of] = old(next, of, next.store.settled_retired[of]);
            }
            next.runs[run].at = if scans_first { RunAt::Fossils } else { RunAt::Scan };
        }),
    }
}

fn begin(scenario: &Scenario, next: &mut State, run: usize) {
    if scenario.broken(Deviation::EpochShortcut) {
        next.store.epoch += 1;
    }
    if scenario.is_local() {
        // Whoever holds the lock knows that nothing of earlier runs can come any more.
        (0..run).for_each(|earlier| settle(next, earlier));
    }
}

/// What settled after a promise was made is not old enough before the promise ends.
fn old(state: &State, of: usize, settled: Set) -> Set {
    let young = state.ghost.promised != 0 && state.ghost.settled_since.has(u8::try_from(of).expect("a few runs"));
    if young { Set::EMPTY } else { settled }
}

/// Q4: a run all of whose deletes were acknowledged is settled when it ends.
pub(crate) fn end(scenario: &Scenario, next: &mut State, run: usize) {
    let resolved = !next.runs[run].ambiguous;
    next.runs[run] = Run { at: RunAt::Ended, ..Run::default() };
    if resolved {
        settle(next, scenario.fossil_slot(run));
        settle(next, run);
    }
}
