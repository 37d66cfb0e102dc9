//! W2: a writer looks at everything that it needs, now that its link announces it, and restores what it finds a copy
//! of only.

use crate::client::{after_closure, go, link_of, refuse, unmark, write_link};
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Operation, Scenario};
use crate::set::Set;
use crate::state::{ClientAt, State};
use crate::step::Subject;

/// The digest that an operation looks at in its turn: the manifest itself first, then from the children down.
pub(crate) fn needed(scenario: &Scenario, operation: Operation, turn: u8) -> Option<u8> {
    let digest = scenario.world.digest(link_of(operation));
    let needs = match operation {
        Operation::Put { .. } => scenario.needs(digest),
        _ => Set::one(digest),
    };
    // A manifest has a larger number than all that it needs.
    let number = scenario.world.digests();
    if scenario.broken(Deviation::OwnBytesLast) {
        (0..number).filter(|item| needs.has(*item)).nth(usize::from(turn))
    } else {
        (0..number).rev().filter(|item| needs.has(*item)).nth(usize::from(turn))
    }
}

pub(crate) fn steps(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let own = link_of(operation);
    let digest = needed(scenario, operation, moves.state.clients[who].item).expect("it goes on before there is none");
    let link = scenario.world.link(scenario.world.repository(own), digest);
    match moves.state.clients[who].at {
        ClientAt::LookLink | ClientAt::LookRetired | ClientAt::LookLinkAgain => {
            look_at_link(scenario, operation, moves, (who, link));
        }
        ClientAt::RestoreLink => moves.may("W2 writes again", Subject::Link(link), |next| {
            write_link(next, link);
            let unmarks = scenario.has_deletes() && !scenario.broken(Deviation::LeavesMarks);
            next.clients[who].at = if unmarks { ClientAt::UnmarkRestored } else { ClientAt::LookBytes };
        }),
        ClientAt::UnmarkRestored => moves.may("W2 takes marks off the copies of", Subject::Link(link), |next| {
            unmark(next, link);
            next.clients[who].at = ClientAt::LookBytes;
        }),
        ClientAt::LookBytes | ClientAt::LookFossil | ClientAt::LookBytesAgain => {
            look_at_bytes(scenario, operation, moves, (who, digest));
        }
        ClientAt::RestoreBytes => moves.may("W2 copies back", Subject::Digest(digest), |next| {
            scenario.copy_back(&mut next.store, digest);
            next.clients[who].at = ClientAt::LookBytes;
        }),
        other => unreachable!("{other:?} is not of W2"),
    }
}

fn look_at_link(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, (who, link): (usize, u8)) {
    let at = moves.state.clients[who].at;
    let subject = Subject::Link(link);
    if at == ClientAt::LookRetired {
        let next_at = match (moves.state.store.is_retired(link), scenario.broken(Deviation::LooksOnce)) {
            (true, _) => ClientAt::RestoreLink,
            (false, false) => ClientAt::LookLinkAgain,
            (false, true) => {
                moves.may("W2 is refused, for it finds no", subject, |next| refuse(scenario, next, who));
                return;
            }
        };
        moves.may("W2 looks for a retired", subject, |next| next.clients[who].at = next_at);
    } else if moves.state.store.live.has(link) {
        moves.may("W2 finds", subject, |next| next.clients[who].at = ClientAt::LookBytes);
    } else if at == ClientAt::LookLink {
        moves.may("W2 does not find", subject, |next| next.clients[who].at = ClientAt::LookRetired);
    } else if link == link_of(operation) {
        moves.may("W2 misses its own", subject, |next| go(next, who, ClientAt::Announce));
    } else {
        moves.may("W2 is refused, for it finds no", subject, |next| refuse(scenario, next, who));
    }
}

fn look_at_bytes(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, (who, digest): (usize, u8)) {
    let at = moves.state.clients[who].at;
    let subject = Subject::Digest(digest);
    if at == ClientAt::LookFossil {
        let there = moves.state.store.has_fossil(digest);
        let suffices = there && scenario.broken(Deviation::FossilSuffices);
        moves.may("W2 looks for a fossil of", subject, |next| {
            if suffices {
                go_to_next(scenario, operation, next, who);
            } else {
                next.clients[who].at = if there { ClientAt::RestoreBytes } else { ClientAt::LookBytesAgain };
            }
        });
    } else if moves.state.store.canon.has(digest) {
        moves.may("W2 finds", subject, |next| go_to_next(scenario, operation, next, who));
    } else if at == ClientAt::LookBytes {
        moves.may("W2 does not find", subject, |next| next.clients[who].at = ClientAt::LookFossil);
    } else if has_bytes_itself(operation, moves.state, (who, scenario.world.digest(link_of(operation)) == digest)) {
        moves.may("W2 puts its own once more:", subject, |next| {
            next.store.canon.insert(digest);
            next.clients[who].at = ClientAt::LookBytes;
        });
    } else {
        moves.may("W2 is refused, for it finds no", subject, |next| refuse(scenario, next, who));
    }
}

/// A push has the manifest that it came with, and an upload its bytes until it drops them.
fn has_bytes_itself(operation: Operation, state: &State, (who, is_own): (usize, bool)) -> bool {
    match operation {
        Operation::Put { .. } => is_own,
        Operation::Upload { .. } => state.clients[who].holds_bytes,
        _ => false,
    }
}

fn go_to_next(scenario: &Scenario, operation: Operation, next: &mut State, who: usize) {
    let turn = next.clients[who].item + 1;
    if needed(scenario, operation, turn).is_some() {
        next.clients[who].item = turn;
        next.clients[who].at = ClientAt::LookLink;
    } else {
        after_closure(scenario, operation, next, who);
    }
}
