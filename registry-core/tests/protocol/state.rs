//! One state of everything: what the storage holds, where each client and each run stands.
//!
//! A state is a small flat value, because millions of them are kept.

use crate::set::Set;

/// As many runs of the collector as a scenario can have.
pub(crate) const RUNS: usize = 3;
/// As many clients.
pub(crate) const CLIENTS: usize = 2;
/// As many tags.
pub(crate) const TAGS: usize = 2;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) clients: [Client; CLIENTS],
    pub(crate) runs: [Run; RUNS],
    pub(crate) ghost: Ghost,
}

/// What the storage holds, and what is on its way to it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Store {
    /// The digests whose bytes lie at their place.
    pub(crate) canon: Set,
    /// The links that are there.
    pub(crate) live: Set,
    /// Of those the ones with a young storage time: within the lease, or within the grace of untagged revisions.
    pub(crate) young: Set,
    /// Which revision link each tag names, plus one; 0 is no tag.
    pub(crate) tags: [u8; TAGS],
    /// fossil(d, g): the copies of bytes that run g made.
    pub(crate) fossils: [Set; RUNS],
    /// The copies of links that run g made when it retired them.
    pub(crate) retired: [Set; RUNS],
    /// Of those the ones that a DELETE marked.
    pub(crate) marked: [Set; RUNS],
    /// The fossils whose delete is resolved: nothing of it can take effect any more, and it was so for Q.
    pub(crate) settled_fossils: [Set; RUNS],
    /// The same of retired links.
    pub(crate) settled_retired: [Set; RUNS],
    /// Deletes of bytes that run g sent and whose answer it never got: they land at some time, or are lost.
    pub(crate) late_bytes: [Set; RUNS],
    /// The same of links.
    pub(crate) late_links: [Set; RUNS],
    /// The same of the links that clients delete.
    pub(crate) late_of_clients: Set,
    /// Only for the mutant with epochs: how many runs have begun.
    pub(crate) epoch: u8,
}

impl Store {
    pub(crate) fn has_fossil(&self, digest: u8) -> bool {
        self.fossils.iter().any(|of_run| of_run.has(digest))
    }

    pub(crate) fn has_bytes(&self, digest: u8) -> bool {
        self.canon.has(digest) || self.has_fossil(digest)
    }

    /// A retired copy that readers and writers may use. A marked one reads as absent.
    pub(crate) fn is_retired(&self, link: u8) -> bool {
        (0..RUNS).any(|run| self.retired[run].has(link) && !self.marked[run].has(link))
    }

    pub(crate) fn is_marked(&self, link: u8) -> bool {
        self.marked.iter().any(|of_run| of_run.has(link))
    }

    pub(crate) fn unmark(&mut self, link: u8) {
        self.marked.iter_mut().for_each(|of_run| of_run.remove(link));
    }

    pub(crate) fn reads(&self, link: u8) -> bool {
        self.live.has(link) || self.is_retired(link)
    }

    pub(crate) fn tag(&self, tag: u8) -> Option<u8> {
        self.tags[usize::from(tag)].checked_sub(1)
    }

    pub(crate) fn set_tag(&mut self, tag: u8, link: Option<u8>) {
        self.tags[usize::from(tag)] = link.map_or(0, |link| link + 1);
    }

    pub(crate) fn tagged(&self) -> Set {
        self.tags.iter().filter_map(|tag| tag.checked_sub(1)).fold(Set::EMPTY, Set::with)
    }

    pub(crate) fn write_link(&mut self, link: u8) {
        self.live.insert(link);
        self.young.insert(link);
    }

    pub(crate) fn remove_link(&mut self, link: u8) {
        self.live.remove(link);
        self.young.remove(link);
    }

    /// Removes what a run keeps of a link that it retired.
    pub(crate) fn drop_retired(&mut self, run: usize, link: u8) {
        self.retired[run].remove(link);
        self.marked[run].remove(link);
        self.settled_retired[run].remove(link);
    }

    pub(crate) fn drop_fossil(&mut self, run: usize, digest: u8) {
        self.fossils[run].remove(digest);
        self.settled_fossils[run].remove(digest);
    }
}

/// Where a client stands in its program.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Client {
    /// How many of its operations are acknowledged.
    pub(crate) acknowledged: u8,
    pub(crate) at: ClientAt,
    /// The digest that it looks at, by its place in needs(m); or the tag that a DELETE looks at.
    pub(crate) item: u8,
    /// An upload that looks before it announces: the bytes that came are still kept.
    pub(crate) holds_bytes: bool,
    /// Only for the mutant with epochs: the one that it read.
    pub(crate) epoch: u8,
}

/// The next step of a client. Which of them an operation goes through stands in `client`, `closure` and `deletion`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum ClientAt {
    #[default]
    Start,
    /// A look that restores nothing: HEAD, and the check before a push writes anything.
    FirstLink,
    FirstRetired,
    FirstLinkAgain,
    FirstBytes,
    FirstFossil,
    FirstBytesAgain,
    /// W0 to W4 of a push.
    PutBytes,
    Announce,
    UnmarkOwn,
    LookLink,
    LookRetired,
    LookLinkAgain,
    RestoreLink,
    UnmarkRestored,
    LookBytes,
    LookFossil,
    LookBytesAgain,
    RestoreBytes,
    WriteTag,
    Confirm,
    ConfirmUnmarked,
    CompareEpoch,
    /// A mount and an upload.
    LookSource,
    LookOwn,
    Publish,
    /// A DELETE.
    RemoveLink,
    AwaitExpiry,
    Mark,
    LookTag,
    RemoveTag,
    /// The client got an error, and stops.
    Refused,
}

/// Where a run of the collector stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Run {
    pub(crate) at: RunAt,
    /// The digest, link, tag or place in the scan that the next step is about.
    pub(crate) item: u8,
    /// The run whose copy the next step is about.
    pub(crate) from: u8,
    /// A delete was not acknowledged.
    pub(crate) ambiguous: bool,
    /// P0: the settled fossils and retired links that are left to be dealt with.
    pub(crate) old_fossils: [Set; RUNS],
    pub(crate) old_retired: [Set; RUNS],
    /// P2: what the scan has seen so far, as links.
    pub(crate) seen_tagged: Set,
    pub(crate) seen_live: Set,
    pub(crate) seen_young: Set,
    pub(crate) seen_retired: Set,
    /// Manifests whose bytes could not be read.
    pub(crate) unreadable: Set,
    pub(crate) roots: Roots,
}

/// What a scan concluded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Roots {
    /// A: the digests that count.
    pub(crate) announced: Set,
    /// K: the links that policy keeps.
    pub(crate) kept: Set,
    /// The retired links that P3 brings back.
    pub(crate) wanted: Set,
    /// The same of marked ones.
    pub(crate) wanted_though_marked: Set,
}

/// The next step of a run.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum RunAt {
    #[default]
    NotStarted,
    /// P0.
    ListFossils,
    ListRetired,
    /// P2.
    Scan,
    ReadBytes,
    ReadFossil,
    ReadBytesAgain,
    /// P3.
    Fossils,
    CopyBack,
    Verify,
    DropFossil,
    Retired,
    WriteLink,
    DropRetired,
    /// R.
    Retire,
    DeleteLink,
    LookAtTags,
    LookAtParents,
    BringBack,
    /// Q1 to Q3.
    Quarantine,
    DeleteBytes,
    /// Only for the mutant that purges in the run that quarantined.
    PurgeOwn,
    Ended,
    Crashed,
}

impl Run {
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.at, RunAt::Ended | RunAt::Crashed)
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_over() || self.at == RunAt::NotStarted
    }
}

/// What the model remembers to judge by; no actor reads it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Ghost {
    /// The clients whose push wrote its link, and nobody deleted that since.
    pub(crate) announced: Set,
    /// The revision links whose push was acknowledged, and that no client deleted since; a tag kept them all the time.
    pub(crate) acknowledged: Set,
    /// Links that a client deleted, by removing them or by marking their copies, and no client wrote since. They need
    /// not be whole.
    pub(crate) deleted: Set,
    /// Of those the ones that are gone: no client wrote them since the storage removed them.
    pub(crate) removed: Set,
    /// The client, by its number plus one, that has an answer which promises that its next push succeeds.
    pub(crate) promised: u8,
    /// The runs that settled anything since the promise: Q has not passed for what they hold.
    pub(crate) settled_since: Set,
    pub(crate) broken: Broken,
}

/// What a step broke, where the state after it does not show it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    /// A push was refused although the registry had said that it has all of it.
    Promise,
    /// A DELETE took a tag that named another manifest.
    ForeignTag,
    /// An upload was refused after it had dropped the bytes that came.
    Upload,
}
