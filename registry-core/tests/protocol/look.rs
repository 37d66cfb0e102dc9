//! Looks that restore nothing by themselves: HEAD, and the check of a push before it writes anything.
//!
//! The order is link live, retired, live again; bytes at their place, a fossil, at their place again: whoever moves
//! something writes the new copy before it removes the old one, so one who looks in that order meets one of them.

use crate::client::{acknowledge, go, link_of, refuse};
use crate::closure::needed;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Operation, Scenario};
use crate::state::{ClientAt, State};
use crate::step::Subject;

pub(crate) fn steps(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let client = moves.state.clients[who];
    let own = link_of(operation);
    let Some(digest) = needed(scenario, operation, client.item) else {
        unreachable!("the last one led to the next step of the push")
    };
    let link = scenario.world.link(scenario.world.repository(own), digest);
    let store = &moves.state.store;
    let (found, next_when_absent) = match client.at {
        ClientAt::FirstLink => (store.live.has(link), ClientAt::FirstRetired),
        ClientAt::FirstRetired => (store.is_retired(link), ClientAt::FirstLinkAgain),
        ClientAt::FirstLinkAgain => (store.live.has(link), ClientAt::Refused),
        ClientAt::FirstBytes => (store.canon.has(digest), ClientAt::FirstFossil),
        ClientAt::FirstFossil => (store.has_fossil(digest), ClientAt::FirstBytesAgain),
        ClientAt::FirstBytesAgain => (store.canon.has(digest), ClientAt::Refused),
        other => unreachable!("{other:?} is no first look"),
    };
    let at_link = matches!(client.at, ClientAt::FirstLink | ClientAt::FirstRetired | ClientAt::FirstLinkAgain);
    let subject = if at_link { Subject::Link(link) } else { Subject::Digest(digest) };
    if found {
        let only_a_copy = matches!(client.at, ClientAt::FirstRetired | ClientAt::FirstFossil);
        let action = if only_a_copy { "finds only a copy of" } else { "finds" };
        moves.may(action, subject, |next| {
            if only_a_copy && restores(scenario, operation) {
                go(next, who, ClientAt::Announce);
            } else if at_link {
                next.clients[who].at = ClientAt::FirstBytes;
            } else {
                found_all_of_one(scenario, operation, next, who);
            }
        });
    } else if next_when_absent == ClientAt::Refused {
        moves.may("is refused, for it finds no", subject, |next| refuse(scenario, next, who));
    } else {
        moves.may("does not find", subject, |next| next.clients[who].at = next_when_absent);
    }
}

/// A HEAD that found a copy only writes the link and looks at everything as a push does, before it answers.
fn restores(scenario: &Scenario, operation: Operation) -> bool {
    matches!(operation, Operation::Head { .. }) && !scenario.broken(Deviation::HeadRestoresNothing)
}

fn found_all_of_one(scenario: &Scenario, operation: Operation, next: &mut State, who: usize) {
    if matches!(operation, Operation::Head { .. }) {
        acknowledge(scenario, next, who);
        return;
    }
    next.clients[who].item += 1;
    if needed(scenario, operation, next.clients[who].item).is_some() {
        next.clients[who].at = ClientAt::FirstLink;
    } else {
        go(next, who, ClientAt::PutBytes);
    }
}
