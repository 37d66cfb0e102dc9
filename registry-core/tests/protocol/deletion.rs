//! DELETE of a manifest by its digest, and of a blob: the link first, then a mark on its retired copies, and last the
//! tags that still name it.

use crate::client::{acknowledge, go, link_of, set_tag};
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Fault, Operation, Scenario};
use crate::state::{ClientAt, RUNS, State, TAGS};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let link = link_of(operation);
    match moves.state.clients[who].at {
        ClientAt::RemoveLink => remove_link(scenario, link, moves, who),
        ClientAt::AwaitExpiry if moves.state.store.late_of_clients.has(link) => {}
        ClientAt::AwaitExpiry => {
            let still_there = moves.state.store.live.has(link);
            let next_at = if still_there { ClientAt::RemoveLink } else { ClientAt::Mark };
            moves.may("DELETE waited, and reads again", Subject::Link(link), |next| go(next, who, next_at));
        }
        ClientAt::Mark => moves.may("DELETE marks the retired copies of", Subject::Link(link), |next| {
            mark(scenario, next, link);
            let has_tags = matches!(operation, Operation::DeleteManifest { .. });
            if has_tags && !scenario.broken(Deviation::TagsBeforeLink) {
                go(next, who, ClientAt::LookTag);
            } else {
                acknowledge(scenario, next, who);
            }
        }),
        ClientAt::LookTag => look_tag(scenario, link, moves, who),
        ClientAt::RemoveTag => {
            let tag = moves.state.clients[who].item;
            moves.may("DELETE removes, whatever it names,", Subject::Tag(tag), |next| {
                if next.store.tag(tag).is_some_and(|named| named != link) {
                    next.ghost.broken = crate::state::Broken::ForeignTag;
                }
                set_tag(scenario, next, tag, None);
                next_tag(scenario, next, who);
            });
        }
        other => unreachable!("{other:?} is not of a DELETE"),
    }
}

fn remove_link(scenario: &Scenario, link: u8, moves: &mut Moves<'_>, who: usize) {
    moves.may("DELETE removes", Subject::Link(link), |next| {
        next.store.remove_link(link);
        delete(scenario, next, link);
        next.ghost.removed.insert(link);
        go(next, who, ClientAt::Mark);
    });
    if scenario.may(Fault::LateLinks) && !moves.state.store.late_of_clients.has(link) {
        moves.may("DELETE gets no answer for", Subject::Link(link), |next| {
            next.store.late_of_clients.insert(link);
            delete(scenario, next, link);
            let blindly = scenario.broken(Deviation::RetriesBlindly);
            go(next, who, if blindly { ClientAt::RemoveLink } else { ClientAt::AwaitExpiry });
        });
    }
}

/// A client deletes a link.
pub(crate) fn delete(scenario: &Scenario, next: &mut State, link: u8) {
    next.ghost.deleted.insert(link);
    next.ghost.acknowledged.remove(link);
    forget_pushes(scenario, next, link);
}

/// Pushes of a manifest that are under way count as earlier than what happens to it now, even if their answer comes
/// later.
pub(crate) fn forget_pushes(scenario: &Scenario, next: &mut State, link: u8) {
    for (who, program) in (0..).zip(&scenario.programs) {
        let operation = program.get(usize::from(next.clients[usize::from(who)].acknowledged));
        if matches!(operation, Some(Operation::Put { link: pushed, .. }) if *pushed == link) {
            next.ghost.announced.remove(who);
        }
    }
}

/// A client that marks a copy deletes the link once more, whoever wrote it since.
fn mark(scenario: &Scenario, next: &mut State, link: u8) {
    for run in 0..RUNS {
        if !next.store.retired[run].has(link) || scenario.broken(Deviation::DeleteForgetsRetired) {
            continue;
        }
        delete(scenario, next, link);
        if scenario.broken(Deviation::DeleteRemovesRetired) {
            next.store.drop_retired(run, link);
        } else {
            next.store.marked[run].insert(link);
        }
    }
}

/// The delete of a tag takes effect only while the tag names the manifest.
fn look_tag(scenario: &Scenario, link: u8, moves: &mut Moves<'_>, who: usize) {
    let tag = moves.state.clients[who].item;
    let names_it = moves.state.store.tag(tag) == Some(link);
    if !names_it {
        moves.may("DELETE finds another manifest or none at", Subject::Tag(tag), |next| next_tag(scenario, next, who));
    } else if scenario.broken(Deviation::UnconditionalTagDelete) {
        moves.may("DELETE finds its manifest at", Subject::Tag(tag), |next| {
            next.clients[who].at = ClientAt::RemoveTag;
        });
    } else {
        moves.may("DELETE removes, as it names the manifest,", Subject::Tag(tag), |next| {
            set_tag(scenario, next, tag, None);
            next_tag(scenario, next, who);
        });
    }
}

fn next_tag(scenario: &Scenario, next: &mut State, who: usize) {
    let tag = next.clients[who].item + 1;
    if usize::from(tag) < TAGS {
        next.clients[who].item = tag;
        next.clients[who].at = ClientAt::LookTag;
    } else if scenario.broken(Deviation::TagsBeforeLink) {
        go(next, who, ClientAt::RemoveLink);
    } else {
        acknowledge(scenario, next, who);
    }
}
