//! R: links that policy does not keep are copied aside and deleted.

use crate::collector::walk;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Detail, Fault, Scenario, Storage};
use crate::set::Set;
use crate::state::{Run, RunAt, State, Store};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let link = position.item;
    match position.at {
        RunAt::Retire => retire_next(scenario, moves, run, position),
        RunAt::DeleteLink => {
            moves.run((run, position), "R deletes", Subject::Link(link), |next| {
                next.store.remove_link(link);
                deleted(scenario, next, run);
            });
            if scenario.may(Fault::LateLinks) && !scenario.is_local() {
                moves.run((run, position), "R gets no answer for its delete of", Subject::Link(link), |next| {
                    next.store.late_links[run].insert(link);
                    next.runs[run].ambiguous = true;
                    deleted(scenario, next, run);
                });
            }
        }
        RunAt::LookAtTags => {
            let tagged = moves.state.store.tagged().has(link);
            moves.run((run, position), "R looks at the tags again", Subject::Nothing, |next| {
                next.runs[run].at = if tagged { RunAt::BringBack } else { RunAt::LookAtParents };
            });
        }
        RunAt::LookAtParents => {
            let needed = has_parent(scenario, &moves.state.store, link);
            moves.run((run, position), "R looks for parents", Subject::Nothing, |next| {
                next.runs[run].at = if needed { RunAt::BringBack } else { RunAt::Retire };
            });
        }
        _ => moves.run((run, position), "R brings back", Subject::Link(link), |next| {
            if next.store.retired[run].has(link) && !next.store.marked[run].has(link) {
                next.store.write_link(link);
            }
            next.runs[run].at = RunAt::Retire;
        }),
    }
}

/// The links that the run still has to retire stand in `seen_live`.
fn retire_next(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, mut position: Run) {
    position.seen_live = position.seen_live.minus(position.roots.kept).and(scenario.retirable);
    let Some(link) = position.seen_live.and(moves.state.store.live).first() else {
        walk(scenario, moves, run, Run { at: RunAt::Quarantine, item: 0, seen_live: Set::EMPTY, ..position });
        return;
    };
    // Those before it are gone already.
    position.seen_live = position.seen_live.minus((0..=link).fold(Set::EMPTY, Set::with));
    position.item = link;
    let action = if scenario.storage == Storage::Renames { "R renames away" } else { "R copies aside" };
    moves.run((run, position), action, Subject::Link(link), |next| {
        next.store.retired[run].insert(link);
        next.store.marked[run].remove(link);
        if scenario.storage == Storage::Renames {
            next.store.remove_link(link);
            deleted(scenario, next, run);
        } else {
            next.runs[run].at = RunAt::DeleteLink;
        }
    });
}

fn deleted(scenario: &Scenario, next: &mut State, run: usize) {
    next.runs[run].at = if scenario.has(Detail::LooksAgain) { RunAt::LookAtTags } else { RunAt::Retire };
}

/// Some manifest with a link live or retired in the same repository needs it. The protocol began with
/// tagged parents only.
fn has_parent(scenario: &Scenario, store: &Store, link: u8) -> bool {
    let world = &scenario.world;
    let live_only = scenario.broken(Deviation::WantedByPolicy);
    world.revision_links().into_iter().any(|parent| {
        parent != link
            && world.repository(parent) == world.repository(link)
            && world.needs(world.digest(parent)).has(world.digest(link))
            && if live_only { store.live.has(parent) && store.tagged().has(parent) } else { store.reads(parent) }
    })
}
