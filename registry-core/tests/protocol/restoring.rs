//! P3: what earlier runs set aside is brought back where it counts, and purged where it does not.

use crate::collector::walk;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::Scenario;
use crate::set::Set;
use crate::state::{RUNS, Run, RunAt};
use crate::step::Subject;

fn slot(run: usize) -> u8 {
    u8::try_from(run).expect("a few runs")
}

fn first(sets: [Set; RUNS]) -> Option<(usize, u8)> {
    (0..RUNS).find_map(|run| sets[run].first().map(|item| (run, item)))
}

/// Fossils: one of a digest that counts is dropped once the bytes are seen at their place; one of a digest that does
/// not is purged.
pub(crate) fn fossils(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let (of, digest) = (usize::from(position.from), position.item);
    match position.at {
        RunAt::Fossils => match first(position.old_fossils) {
            Some((of, digest)) => next_fossil(scenario, moves, run, position, (of, digest)),
            None => any_age(scenario, moves, run, position),
        },
        RunAt::CopyBack => moves.run((run, position), "P3 copies back", Subject::Fossil(digest, of), |next| {
            if next.store.fossils[of].has(digest) {
                next.store.canon.insert(digest);
                if scenario.broken(Deviation::RestoreMoves) {
                    next.store.drop_fossil(of, digest);
                }
            }
            next.runs[run].at = RunAt::Verify;
        }),
        RunAt::Verify => {
            let there = moves.state.store.canon.has(digest);
            moves.run((run, position), "P3 verifies", Subject::Digest(digest), |next| {
                next.runs[run].at = if there { RunAt::DropFossil } else { RunAt::Fossils };
                if !there {
                    // It stays for the next run.
                    next.runs[run].old_fossils[of].remove(digest);
                }
            });
        }
        _ => moves.run((run, position), "P3 drops", Subject::Fossil(digest, of), |next| {
            next.store.drop_fossil(of, digest);
            next.runs[run].old_fossils[of].remove(digest);
            next.runs[run].at = RunAt::Fossils;
        }),
    }
}

fn next_fossil(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run, (of, digest): (usize, u8)) {
    let counts = position.roots.announced.has(digest) && !scenario.broken(Deviation::PurgesRooted);
    if !counts {
        moves.run((run, position), "P3 purges", Subject::Fossil(digest, of), |next| {
            next.runs[run].old_fossils[of].remove(digest);
            next.store.drop_fossil(of, digest);
        });
        return;
    }
    let there = moves.state.store.canon.has(digest);
    let action = if there { "P3 finds" } else { "P3 does not find" };
    moves.run((run, position), action, Subject::Digest(digest), |next| {
        next.runs[run].at = if there { RunAt::DropFossil } else { RunAt::CopyBack };
        next.runs[run].item = digest;
        next.runs[run].from = slot(of);
    });
}

/// Bytes that count and are away come back from a fossil of any age.
fn any_age(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let away = |digest: &u8| !moves.state.store.canon.has(*digest) && moves.state.store.has_fossil(*digest);
    let done = Run { at: RunAt::Retired, item: 0, from: 0, ..position };
    // Moved, a fossil would be gone for good; then only what is old comes back.
    match position.roots.announced.into_iter().find(away).filter(|_| !scenario.broken(Deviation::RestoreMoves)) {
        Some(digest) => moves.run((run, position), "P3 copies back, though young,", Subject::Digest(digest), |next| {
            scenario.copy_back(&mut next.store, digest);
        }),
        None => walk(scenario, moves, run, done),
    }
}

/// Retired links: what a tag, a parent or a subject wants is written again before the copy goes.
pub(crate) fn links(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let (of, link) = (usize::from(position.from), position.item);
    match position.at {
        RunAt::Retired => match first(position.old_retired) {
            Some((of, link)) => next_retired(moves, run, position, (of, link)),
            None => walk(scenario, moves, run, Run { at: RunAt::Retire, item: 0, from: 0, ..position }),
        },
        RunAt::WriteLink => moves.run((run, position), "P3 writes again", Subject::Link(link), |next| {
            next.store.write_link(link);
            next.runs[run].at = RunAt::DropRetired;
        }),
        _ => moves.run((run, position), "P3 drops", Subject::Retired(link, of), |next| {
            next.store.drop_retired(of, link);
            next.runs[run].old_retired[of].remove(link);
            next.runs[run].at = RunAt::Retired;
        }),
    }
}

/// Reads a retired copy, which says whether it is marked, and decides. What somebody marks after that comes back all
/// the same, as if it had been brought back before the DELETE.
fn next_retired(moves: &mut Moves<'_>, run: usize, position: Run, (of, link): (usize, u8)) {
    let store = &moves.state.store;
    let roots = position.roots;
    let wanted = if store.marked[of].has(link) { roots.wanted_though_marked } else { roots.wanted };
    if !wanted.has(link) || !store.retired[of].has(link) {
        moves.run((run, position), "P3 purges", Subject::Retired(link, of), |next| {
            next.runs[run].old_retired[of].remove(link);
            next.store.drop_retired(of, link);
        });
        return;
    }
    moves.run((run, position), "P3 wants", Subject::Retired(link, of), |next| {
        next.runs[run].at = RunAt::WriteLink;
        next.runs[run].item = link;
        next.runs[run].from = slot(of);
    });
}
