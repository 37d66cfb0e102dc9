//! The clients: which steps an operation goes through, and what its end means.

use crate::invariants::is_kept;
use crate::moves::Moves;
use crate::rules::Deviation;
use crate::scenario::{Detail, Operation, Scenario};
use crate::set::Set;
use crate::state::{Broken, Client, ClientAt, State};
use crate::step::Subject;
use crate::{closure, deletion, look};

pub(crate) fn steps(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let client = moves.state.clients[who];
    match client.at {
        ClientAt::Refused => {}
        ClientAt::Start => start(scenario, operation, moves, who),
        ClientAt::PutBytes
        | ClientAt::Announce
        | ClientAt::UnmarkOwn
        | ClientAt::WriteTag
        | ClientAt::Confirm
        | ClientAt::ConfirmUnmarked
        | ClientAt::CompareEpoch
        | ClientAt::LookSource
        | ClientAt::LookOwn
        | ClientAt::Publish => write(scenario, operation, moves, who),
        ClientAt::FirstLink
        | ClientAt::FirstRetired
        | ClientAt::FirstLinkAgain
        | ClientAt::FirstBytes
        | ClientAt::FirstFossil
        | ClientAt::FirstBytesAgain => look::steps(scenario, operation, moves, who),
        ClientAt::LookLink
        | ClientAt::LookRetired
        | ClientAt::LookLinkAgain
        | ClientAt::RestoreLink
        | ClientAt::UnmarkRestored
        | ClientAt::LookBytes
        | ClientAt::LookFossil
        | ClientAt::LookBytesAgain
        | ClientAt::RestoreBytes => closure::steps(scenario, operation, moves, who),
        ClientAt::RemoveLink | ClientAt::AwaitExpiry | ClientAt::Mark | ClientAt::LookTag | ClientAt::RemoveTag => {
            deletion::steps(scenario, operation, moves, who);
        }
    }
}

/// The link that an operation announces or removes.
pub(crate) fn link_of(operation: Operation) -> u8 {
    match operation {
        Operation::Put { link, .. }
        | Operation::Upload { link }
        | Operation::Head { link }
        | Operation::DeleteManifest { link }
        | Operation::DeleteBlob { link } => link,
        Operation::Mount { to, .. } => to,
        Operation::DeleteTag { .. } => unreachable!("it is about no link"),
    }
}

/// The first step of an operation is the first that others can see, so it is taken at once.
fn start(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let first = match operation {
        Operation::DeleteTag { tag } => {
            moves.may("DELETE removes", Subject::Tag(tag), |next| {
                set_tag(scenario, next, tag, None);
                acknowledge(scenario, next, who);
            });
            return;
        }
        Operation::Put { .. } if scenario.has(Detail::FirstLook) => ClientAt::FirstLink,
        Operation::Put { .. } => ClientAt::PutBytes,
        Operation::Upload { .. } if scenario.broken(Deviation::UploadDropsEarly) => ClientAt::Publish,
        Operation::Upload { .. } => ClientAt::Announce,
        Operation::Mount { .. } => ClientAt::LookSource,
        Operation::Head { .. } => ClientAt::FirstLink,
        Operation::DeleteManifest { .. } if scenario.broken(Deviation::TagsBeforeLink) => ClientAt::LookTag,
        Operation::DeleteManifest { .. } | Operation::DeleteBlob { .. } => ClientAt::RemoveLink,
    };
    let mut begun = *moves.state;
    begun.clients[who].at = first;
    if promises(scenario, moves.state, who) {
        // A request is short beside Q, so its first look is as good as its answer.
        begun.ghost.promised = index(who) + 1;
        begun.ghost.settled_since = Set::EMPTY;
    }
    if scenario.has(Detail::FirstLook) && matches!(operation, Operation::Put { .. }) {
        // Its own bytes and link are not there yet.
        begun.clients[who].item = 1;
    }
    steps(scenario, operation, &mut Moves { state: &begun, actor: moves.actor, out: moves.out }, who);
}

/// The writes of a push, an upload and a mount.
fn write(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let link = link_of(operation);
    let digest = scenario.world.digest(link);
    match moves.state.clients[who].at {
        ClientAt::PutBytes => {
            let looks_first = scenario.broken(Deviation::LooksBeforeAnnouncing);
            let looks_first = looks_first || scenario.broken(Deviation::EpochShortcut);
            moves.may("W0 puts, if absent,", Subject::Digest(digest), |next| {
                next.store.canon.insert(digest);
                next.clients[who].epoch = next.store.epoch;
                go(next, who, if looks_first { ClientAt::LookBytes } else { ClientAt::Announce });
            });
        }
        ClientAt::Announce => moves.may("W1 writes", Subject::Link(link), |next| {
            write_link(next, link);
            if matches!(operation, Operation::Put { .. }) {
                next.ghost.announced.insert(index(who));
            }
            let unmarks = scenario.has_deletes() && !scenario.broken(Deviation::LeavesMarks);
            go(next, who, if unmarks { ClientAt::UnmarkOwn } else { after_announcing(scenario, operation) });
        }),
        ClientAt::UnmarkOwn => moves.may("W1 takes marks off the copies of", Subject::Link(link), |next| {
            unmark(next, link);
            go(next, who, after_announcing(scenario, operation));
        }),
        ClientAt::CompareEpoch => moves.may("compares the epoch", Subject::Nothing, |next| {
            let same = next.clients[who].epoch == next.store.epoch;
            next.clients[who].epoch = LOOKED_AGAIN;
            go(next, who, if same { ClientAt::WriteTag } else { ClientAt::LookBytes });
        }),
        ClientAt::WriteTag => write_tag(scenario, operation, moves, who),
        ClientAt::Confirm | ClientAt::ConfirmUnmarked => confirm(scenario, link, moves, who),
        ClientAt::LookSource => look_source(scenario, operation, moves, who),
        ClientAt::LookOwn if moves.state.store.canon.has(digest) => {
            moves.may("W2 finds, acknowledged:", Subject::Digest(digest), |next| acknowledge(scenario, next, who));
        }
        ClientAt::LookOwn => {
            moves.may("W2 does not find", Subject::Digest(digest), |next| go(next, who, ClientAt::Publish));
        }
        ClientAt::Publish => moves.may("publishes, if absent,", Subject::Digest(digest), |next| {
            let absent = !next.store.canon.has(digest);
            next.store.canon.insert(digest);
            if scenario.broken(Deviation::UploadDropsEarly) {
                next.clients[who].holds_bytes = absent;
                go(next, who, ClientAt::Announce);
            } else {
                acknowledge(scenario, next, who);
            }
        }),
        other => unreachable!("{other:?} writes nothing"),
    }
}

/// What stands in the epoch of a client that looked at everything a second time.
const LOOKED_AGAIN: u8 = u8::MAX;

fn after_announcing(scenario: &Scenario, operation: Operation) -> ClientAt {
    let is_upload = matches!(operation, Operation::Upload { .. });
    if is_upload && !scenario.broken(Deviation::UploadDropsEarly) {
        ClientAt::LookOwn
    } else if !matches!(operation, Operation::Put { .. }) {
        ClientAt::LookLink
    } else if scenario.broken(Deviation::EpochShortcut) {
        ClientAt::CompareEpoch
    } else if scenario.broken(Deviation::LooksBeforeAnnouncing) {
        ClientAt::WriteTag
    } else if scenario.broken(Deviation::OwnBytesLast) {
        ClientAt::LookLink
    } else {
        ClientAt::LookBytes
    }
}

/// W2 found all that an operation needs.
pub(crate) fn after_closure(scenario: &Scenario, operation: Operation, next: &mut State, who: usize) {
    let before_announcing = scenario.broken(Deviation::LooksBeforeAnnouncing)
        || (scenario.broken(Deviation::EpochShortcut) && next.clients[who].epoch != LOOKED_AGAIN);
    match operation {
        Operation::Put { .. } if before_announcing => go(next, who, ClientAt::Announce),
        Operation::Put { tag: Some(_), .. } => go(next, who, ClientAt::WriteTag),
        Operation::Put { .. } if !scenario.broken(Deviation::NoConfirm) => go(next, who, ClientAt::Confirm),
        _ => acknowledge(scenario, next, who),
    }
}

fn write_tag(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let Operation::Put { link, tag: Some(tag) } = operation else { unreachable!("only a push with a tag writes one") };
    moves.may("W3 writes", Subject::Tag(tag), |next| {
        set_tag(scenario, next, tag, Some(link));
        if scenario.broken(Deviation::NoConfirm) {
            acknowledge(scenario, next, who);
        } else {
            go(next, who, ClientAt::Confirm);
        }
    });
}

/// A link may be live and its copy marked: then a run that is about to delete the live one leaves a marked one only.
fn confirm(scenario: &Scenario, link: u8, moves: &mut Moves<'_>, who: usize) {
    let looks_for_marks = scenario.has_deletes()
        && !scenario.broken(Deviation::LeavesMarks)
        && !scenario.broken(Deviation::ConfirmsMarked);
    let store = &moves.state.store;
    let at_marks = moves.state.clients[who].at == ClientAt::ConfirmUnmarked;
    let fine = if at_marks { !store.is_marked(link) } else { store.live.has(link) };
    if fine && looks_for_marks && !at_marks {
        moves.may("W4 finds", Subject::Link(link), |next| go(next, who, ClientAt::ConfirmUnmarked));
    } else if fine {
        moves.may("W4 is content, acknowledged:", Subject::Link(link), |next| acknowledge(scenario, next, who));
    } else {
        moves.may("W4 does not find, or finds marked,", Subject::Link(link), |next| go(next, who, ClientAt::Announce));
    }
}

/// A mount whose source is gone becomes an upload, which is no refusal; the client of the model ends there.
fn look_source(scenario: &Scenario, operation: Operation, moves: &mut Moves<'_>, who: usize) {
    let Operation::Mount { from, .. } = operation else { unreachable!("only a mount has a source") };
    if moves.state.store.reads(from) {
        moves.may("finds the source", Subject::Link(from), |next| go(next, who, ClientAt::Announce));
    } else {
        moves.may("does not find the source", Subject::Link(from), |next| refuse(scenario, next, who));
    }
}

/// A writer writes a link: it is young, and no longer deleted.
pub(crate) fn write_link(next: &mut State, link: u8) {
    next.store.write_link(link);
    next.ghost.deleted.remove(link);
    next.ghost.removed.remove(link);
}

/// A client changes a tag. What nothing keeps any more is garbage from now on, even if somebody pushes it again.
pub(crate) fn set_tag(scenario: &Scenario, next: &mut State, tag: u8, link: Option<u8>) {
    if let Some(before) = next.store.tag(tag).filter(|before| Some(*before) != link) {
        deletion::forget_pushes(scenario, next, before);
    }
    next.store.set_tag(tag, link);
    for manifest in next.ghost.acknowledged {
        if !is_kept(scenario, next, manifest) {
            next.ghost.acknowledged.remove(manifest);
        }
    }
}

/// A writer takes the marks off the retired copies of a link that it wrote, so that the link is there whatever a run
/// does.
pub(crate) fn unmark(next: &mut State, link: u8) {
    if next.store.is_marked(link) {
        next.store.unmark(link);
        next.ghost.removed.remove(link);
    }
}

pub(crate) fn go(next: &mut State, who: usize, at: ClientAt) {
    next.clients[who].at = at;
    next.clients[who].item = 0;
}

/// The operation is acknowledged, and the client goes on to its next one.
pub(crate) fn acknowledge(scenario: &Scenario, next: &mut State, who: usize) {
    let program = &scenario.programs[who];
    let client = &mut next.clients[who];
    let done = program[usize::from(client.acknowledged)];
    *client = Client { acknowledged: client.acknowledged + 1, ..Default::default() };
    if let Operation::Put { link, .. } = done {
        if next.ghost.announced.has(index(who)) && is_kept(scenario, next, link) {
            next.ghost.acknowledged.insert(link);
        }
        next.ghost.announced.remove(index(who));
        end_promise(next, who);
    }
}

/// What the operation of a client answers is a promise for the push that it does next.
fn promises(scenario: &Scenario, state: &State, who: usize) -> bool {
    let program = &scenario.programs[who][usize::from(state.clients[who].acknowledged)..];
    matches!(
        program,
        [Operation::Head { .. } | Operation::Upload { .. } | Operation::Mount { .. }, Operation::Put { .. }, ..]
    )
}

fn end_promise(next: &mut State, who: usize) {
    if next.ghost.promised == index(who) + 1 {
        next.ghost.promised = 0;
        next.ghost.settled_since = Set::EMPTY;
    }
}

fn index(who: usize) -> u8 {
    u8::try_from(who).expect("a few clients")
}

/// The operation failed, and the client stops.
pub(crate) fn refuse(scenario: &Scenario, next: &mut State, who: usize) {
    let client = next.clients[who];
    let operation = scenario.programs[who][usize::from(client.acknowledged)];
    let program = &scenario.programs[who][..usize::from(client.acknowledged)];
    let kept = matches!(program.last(), Some(Operation::Put { tag: Some(_), .. }));
    let promised = (next.ghost.promised == index(who) + 1 || kept) && next.ghost.deleted.is_empty();
    match operation {
        Operation::Put { .. } if promised => next.ghost.broken = Broken::Promise,
        Operation::Upload { .. } if !client.holds_bytes => next.ghost.broken = Broken::Upload,
        _ => {}
    }
    end_promise(next, who);
    next.ghost.announced.remove(index(who));
    next.clients[who] = Client { acknowledged: client.acknowledged, at: ClientAt::Refused, ..Default::default() };
}
