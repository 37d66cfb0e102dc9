//! What a scan concludes: A, what counts and must not be purged; K, what policy keeps and what is not retired; and
//! which retired links P3 brings back.

use crate::rules::Deviation;
use crate::scenario::{Scenario, Untagged};
use crate::set::Set;
use crate::state::{Roots, Run};

pub(crate) fn conclude(scenario: &Scenario, seen: &Run) -> Roots {
    let kept = kept(scenario, seen);
    let announced = if scenario.broken(Deviation::AnnouncedByPolicy) {
        digests_of(scenario, kept)
    } else {
        announced(scenario, seen).or(digests_of(scenario, kept))
    };
    if scenario.broken(Deviation::WantedByPolicy) {
        return Roots { announced, kept, wanted: kept, wanted_though_marked: kept };
    }
    let wanted_though_marked = wanted_by_parents(scenario, seen);
    let wanted = wanted_though_marked.or(wanted_by_subjects(scenario, seen, kept));
    Roots { announced, kept, wanted, wanted_though_marked }
}

/// A: from every tag, every revision link live or retired, every layer link young or retired, everything that can be
/// reached by digest. No policy and no age takes anything out.
fn announced(scenario: &Scenario, seen: &Run) -> Set {
    let links = members(scenario, seen).or(seen.seen_young.and(scenario.world.layer_links()));
    reached(scenario, seen, digests_of(scenario, links))
}

/// The manifests with a link live or retired or a tag; and retired layer links.
fn members(scenario: &Scenario, seen: &Run) -> Set {
    let live = seen.seen_live.and(scenario.world.revision_links());
    let retired = if scenario.broken(Deviation::RetiredAnnounceNothing) { Set::EMPTY } else { seen.seen_retired };
    live.or(retired).or(seen.seen_tagged)
}

fn digests_of(scenario: &Scenario, links: Set) -> Set {
    links.into_iter().map(|link| scenario.world.digest(link)).fold(Set::EMPTY, Set::with)
}

/// `from` and all that the manifests in it list, and what those list in their turn.
fn reached(scenario: &Scenario, seen: &Run, from: Set) -> Set {
    // What is listed has a smaller number than what lists it.
    (0..scenario.world.digests()).rev().fold(from, |all, digest| {
        let readable = !seen.unreadable.has(digest);
        if all.has(digest) && readable { all.or(listed(scenario, seen, digest)) } else { all }
    })
}

fn listed(scenario: &Scenario, seen: &Run, digest: u8) -> Set {
    let all = scenario.world.lists(digest);
    if !scenario.broken(Deviation::ChildrenByLink) {
        return all;
    }
    let of_seen = digests_of(scenario, seen.seen_live.and(scenario.world.revision_links()));
    all.into_iter().filter(|item| *item == crate::world::LAYER || of_seen.has(*item)).fold(Set::EMPTY, Set::with)
}

/// K, as links: what is tagged, what policy keeps of the untagged, what these reach within the repository, their
/// referrers, and young layer links.
fn kept(scenario: &Scenario, seen: &Run) -> Set {
    let world = &scenario.world;
    let untagged = match scenario.untagged {
        Untagged::Keep => seen.seen_live,
        Untagged::Delete => Set::EMPTY,
        Untagged::DeleteOld => seen.seen_young,
    };
    let mut kept = seen.seen_tagged.or(untagged.and(world.revision_links()));
    if scenario.broken(Deviation::ChildrenByLink) {
        kept = kept.and(seen.seen_live);
    }
    loop {
        let before = kept;
        for link in before {
            kept.add(world.links_beside(link, reached(scenario, seen, Set::one(world.digest(link)))));
        }
        kept.add(referrers(scenario, seen, kept));
        if kept == before {
            return kept.or(seen.seen_young.and(world.layer_links()));
        }
    }
}

/// The manifests that a run knows of and whose subject is among `kept` in the same repository.
fn referrers(scenario: &Scenario, seen: &Run, kept: Set) -> Set {
    let world = &scenario.world;
    let known = seen.seen_live.or(seen.seen_retired).and(world.revision_links());
    let refers = |link: &u8| {
        world.subject(world.digest(*link)).is_some_and(|subject| kept.has(world.link(world.repository(*link), subject)))
    };
    known.into_iter().filter(refers).fold(Set::EMPTY, Set::with)
}

/// The links that a tag names, or that another member needs through the same repository.
fn wanted_by_parents(scenario: &Scenario, seen: &Run) -> Set {
    let world = &scenario.world;
    let parents = seen.seen_live.or(seen.seen_retired).or(seen.seen_tagged).and(world.revision_links());
    parents.into_iter().fold(seen.seen_tagged, |wanted, parent| {
        let digest = world.digest(parent);
        let mut others = reached(scenario, seen, Set::one(digest));
        others.remove(digest);
        wanted.or(world.links_beside(parent, others))
    })
}

fn wanted_by_subjects(scenario: &Scenario, seen: &Run, kept: Set) -> Set {
    if scenario.broken(Deviation::SubjectsDoNotMatter) { Set::EMPTY } else { referrers(scenario, seen, kept) }
}
