//! What happens without an actor: deletes land late, and time passes.

use crate::deletion::delete;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Fault, Scenario};
use crate::set::Set;
use crate::state::{ClientAt, RUNS, RunAt, State};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, moves: &mut Moves<'_>) {
    for run in 0..RUNS {
        late_deletes(run, moves);
        expiry(scenario, run, moves);
    }
    for link in moves.state.store.late_of_clients {
        moves.may("the late DELETE of a client is lost:", Subject::Link(link), |next| {
            next.store.late_of_clients.remove(link);
        });
        moves.may("the late DELETE of a client lands:", Subject::Link(link), |next| {
            next.store.late_of_clients.remove(link);
            next.store.remove_link(link);
            // As long as its client waits for it, it is the delete that the client will acknowledge.
            if next.clients.iter().any(|client| client.at == ClientAt::AwaitExpiry) {
                delete(scenario, next, link);
                next.ghost.removed.insert(link);
            }
        });
    }
    if scenario.may(Fault::Ageing) {
        for link in moves.state.store.young {
            moves.may("becomes old:", Subject::Link(link), |next| next.store.young.remove(link));
        }
    }
}

/// A delete that a run got no answer to lands, or it never does.
fn late_deletes(run: usize, moves: &mut Moves<'_>) {
    for digest in moves.state.store.late_bytes[run] {
        moves.may("a late delete is lost:", Subject::Digest(digest), |next| next.store.late_bytes[run].remove(digest));
        moves.may("a late delete lands:", Subject::Digest(digest), |next| {
            next.store.late_bytes[run].remove(digest);
            next.store.canon.remove(digest);
        });
    }
    for link in moves.state.store.late_links[run] {
        moves.may("a late delete is lost:", Subject::Link(link), |next| next.store.late_links[run].remove(link));
        moves.may("a late delete lands:", Subject::Link(link), |next| {
            next.store.late_links[run].remove(link);
            next.store.remove_link(link);
        });
    }
}

/// Time passes: what the run sent about a copy has landed or never will, and Q more has passed. If the run is paused between a
/// copy and its delete, the signature of that delete has expired, so the storage will refuse it.
fn expiry(scenario: &Scenario, run: usize, moves: &mut Moves<'_>) {
    let at = moves.state.runs[run].at;
    let counts_as_gone = moves.state.runs[run].is_over() || (scenario.may(Fault::Pause) && at != RunAt::NotStarted);
    if !counts_as_gone {
        return;
    }
    // What is still on its way keeps its own copy from being purged, and no other.
    let store = &moves.state.store;
    let (bytes, links) = (store.late_bytes[run], store.late_links[run]);
    let (bytes, links) =
        if scenario.broken(Deviation::SettlesEarly) { (Set::EMPTY, Set::EMPTY) } else { (bytes, links) };
    let (fossils, retired) = (store.fossils[run].minus(bytes), store.retired[run].minus(links));
    if fossils.within(store.settled_fossils[run]) && retired.within(store.settled_retired[run]) {
        return;
    }
    moves.may("what was sent has expired, and Q has passed, for", Subject::OfRun(run), |next| {
        settle_these(next, run, fossils, retired);
        if !scenario.broken(Deviation::SignedLate) {
            refuse_expired(next, run);
        }
    });
}

/// From now on others may purge what the run copied.
pub(crate) fn settle(state: &mut State, run: usize) {
    let (fossils, retired) = (state.store.fossils[run], state.store.retired[run]);
    let store = &state.store;
    if fossils.within(store.settled_fossils[run]) && retired.within(store.settled_retired[run]) {
        return;
    }
    settle_these(state, run, fossils, retired);
}

fn settle_these(state: &mut State, run: usize, fossils: Set, retired: Set) {
    state.store.settled_fossils[run].add(fossils);
    state.store.settled_retired[run].add(retired);
    if state.ghost.promised != 0 {
        state.ghost.settled_since.insert(u8::try_from(run).expect("a few runs"));
    }
}

fn refuse_expired(state: &mut State, run: usize) {
    let run = &mut state.runs[run];
    let next_at = match run.at {
        RunAt::DeleteBytes => RunAt::Quarantine,
        RunAt::DeleteLink => RunAt::Retire,
        _ => return,
    };
    run.at = next_at;
    run.ambiguous = true;
}
