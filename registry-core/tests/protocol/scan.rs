//! P2: what a run sees. A listing is not atomic, so each part of it is a step.

use crate::collector::walk;
use crate::moves::Moves;
use crate::roots;
use crate::rules::Deviation;
use crate::scenario::{Detail, Scenario};
use crate::set::Set;
use crate::state::{RUNS, Run, RunAt, TAGS};
use crate::step::Subject;

/// One part of a scan.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Part {
    Tag(u8),
    Live(Set),
    Retired(Set),
}

/// The order: tags and live links, then retired links, then live links again. Whoever moves a link writes the new copy
/// first, so a link that is there all the time is seen on one of its two places.
pub(crate) fn parts(scenario: &Scenario) -> Vec<Part> {
    let world = &scenario.world;
    let tags = (0..u8::try_from(TAGS).expect("two")).map(Part::Tag);
    let revisions: Vec<Set> = one_by_one(world.revision_links());
    let (layers, retired, again) = if scenario.has(Detail::FineScan) {
        (one_by_one(world.layer_links()), one_by_one(world.all_links()), one_by_one(world.all_links()))
    } else {
        (vec![world.layer_links()], vec![world.all_links()], vec![world.all_links()])
    };
    let again = if scenario.broken(Deviation::LiveLinksOnce) { Vec::new() } else { again };
    let live = revisions.into_iter().rev().chain(layers).map(Part::Live);
    tags.chain(live).chain(retired.into_iter().map(Part::Retired)).chain(again.into_iter().map(Part::Live)).collect()
}

fn one_by_one(links: Set) -> Vec<Set> {
    links.into_iter().map(Set::one).collect()
}

pub(crate) fn steps(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    match position.at {
        RunAt::Scan => scan(scenario, moves, run, position),
        RunAt::ReadBytes => match unread(scenario, &position) {
            Some(digest) => read(moves, run, Run { item: digest + 1, ..position }),
            None => conclude(scenario, moves, run, position),
        },
        _ => read(moves, run, position),
    }
}

fn scan(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    let Some(part) = scenario.scan.get(usize::from(position.item)) else {
        let all_are_unread = Run { at: RunAt::ReadBytes, item: scenario.world.digests() + 1, ..position };
        walk(scenario, moves, run, all_are_unread);
        return;
    };
    let (action, subject) = match *part {
        Part::Tag(tag) => ("P2 reads", Subject::Tag(tag)),
        Part::Live(links) => ("P2 reads live links, at least", links.first().map_or(Subject::Nothing, Subject::Link)),
        Part::Retired(_) => ("P2 reads retired links", Subject::Nothing),
    };
    moves.run((run, position), action, subject, |next| {
        let store = next.store;
        let seen = &mut next.runs[run];
        seen.item += 1;
        match *part {
            Part::Tag(tag) => seen.seen_tagged.add(store.tag(tag).map_or(Set::EMPTY, Set::one)),
            Part::Live(links) => {
                seen.seen_live.add(store.live.and(links));
                seen.seen_young.add(store.young.and(links));
            }
            Part::Retired(links) => {
                (0..RUNS).for_each(|of| seen.seen_retired.add(store.retired[of].and(links)));
            }
        }
    });
}

/// The next manifest, from the parents down, that counts, that the run has not read, and whose bytes may be away.
/// `item` is the one after the digest that was read last.
fn unread(scenario: &Scenario, position: &Run) -> Option<u8> {
    let counts = roots::conclude(scenario, position).announced;
    let below = position.item.saturating_sub(1).min(scenario.world.digests());
    (1..below).rev().find(|digest| counts.has(*digest) && scenario.collectable.has(*digest))
}

/// Reads a manifest: at its place, in a fossil, at its place again.
fn read(moves: &mut Moves<'_>, run: usize, position: Run) {
    let digest = position.item - 1;
    let subject = Subject::Digest(digest);
    let store = &moves.state.store;
    let there = match position.at {
        RunAt::ReadFossil => store.has_fossil(digest),
        _ => store.canon.has(digest),
    };
    let next_at = match position.at {
        RunAt::ReadBytes => RunAt::ReadFossil,
        RunAt::ReadFossil => RunAt::ReadBytesAgain,
        _ => RunAt::ReadBytes,
    };
    let action = if there { "P2 reads" } else { "P2 does not find" };
    moves.run((run, position), action, subject, |next| {
        next.runs[run].at = if there { RunAt::ReadBytes } else { next_at };
        if !there && position.at == RunAt::ReadBytesAgain {
            next.runs[run].unreadable.insert(digest);
        }
    });
}

/// The scan is complete. A manifest whose bytes are certainly nowhere counts without what it listed: whoever pushes it
/// puts its bytes before it looks at what they need.
fn conclude(scenario: &Scenario, moves: &mut Moves<'_>, run: usize, position: Run) {
    if !position.unreadable.is_empty() && scenario.broken(Deviation::MissingStopsRun) {
        walk(scenario, moves, run, Run { at: RunAt::Ended, ..position });
        return;
    }
    let concluded = Run {
        at: if scenario.broken(Deviation::ListsAfterScan) { RunAt::ListFossils } else { RunAt::Fossils },
        item: 0,
        old_fossils: position.old_fossils,
        old_retired: position.old_retired,
        seen_live: position.seen_live.and(scenario.retirable),
        roots: roots::conclude(scenario, &position),
        ..Run::default()
    };
    walk(scenario, moves, run, concluded);
}
