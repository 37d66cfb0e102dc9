//! A scenario: a world, what is in it at the beginning, who acts, and what may go wrong.

use crate::rules::{Deviation, Rules};
use crate::scan::{self, Part};
use crate::set::Set;
use crate::state::{CLIENTS, RUNS, State, Store};
use crate::world::World;

/// What a client does, one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Operation {
    /// Pushes the manifest of a revision link, with or without a tag.
    Put {
        link: u8,
        tag: Option<u8>,
    },
    /// Commits an upload of the bytes behind a layer link.
    Upload {
        link: u8,
    },
    /// Mounts the layer of another repository.
    Mount {
        from: u8,
        to: u8,
    },
    /// HEAD of a blob, or of a manifest by its digest.
    Head {
        link: u8,
    },
    /// DELETE of a manifest by its digest.
    DeleteManifest {
        link: u8,
    },
    /// DELETE of a blob.
    DeleteBlob {
        link: u8,
    },
    DeleteTag {
        tag: u8,
    },
}

/// What the storage does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Storage {
    /// Runs overlap, and deletes may land late.
    Object,
    /// A filesystem: one run at a time, deletes are immediate, a fossil is a second name for the same bytes.
    HardLinks,
    /// A filesystem without hard links: bytes and links are renamed away in one step.
    Renames,
}

/// What may go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Fault {
    /// A run may stop for ever before each of its steps.
    Crash,
    /// A delete of bytes by a run may get no answer, and land later.
    LateBytes,
    /// The same of the links that a run retires, and of those that clients delete.
    LateLinks,
    /// A run may stop for so long that its signatures expire and others take it for crashed.
    Pause,
    /// Young links become old at any time.
    Ageing,
}

/// Which untagged manifests policy keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Untagged {
    Keep,
    Delete,
    /// Delete those that are not young.
    DeleteOld,
}

/// What is left out unless a scenario asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Detail {
    /// Runs look at tags and parents again after they retired a link. Safety does not rest on it.
    LooksAgain,
    /// A push looks at all that it needs before it writes anything. It matters for what it refuses, not for safety.
    FirstLook,
    /// A scan reads each link in a step of its own, in each of its passes.
    FineScan,
    /// What is checked besides: that from here complete runs leave no garbage and all that is kept.
    Recovery,
}

#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) world: World,
    pub(crate) rules: Rules,
    pub(crate) storage: Storage,
    pub(crate) untagged: Untagged,
    pub(crate) runs: usize,
    pub(crate) programs: [Vec<Operation>; CLIENTS],
    /// The digests that a run may quarantine. All others count as too young for it.
    pub(crate) collectable: Set,
    /// The links that a run may retire.
    pub(crate) retirable: Set,
    pub(crate) initial: State,
    /// The parts of a scan, in their order. `prepared` fills it in.
    pub(crate) scan: Vec<Part>,
    faults: u8,
    details: u8,
}

impl Scenario {
    /// No clients, no runs, no faults, untagged manifests go, on object storage, with nothing stored.
    pub(crate) fn new(name: &'static str, world: World) -> Self {
        Self {
            name,
            world,
            rules: Rules::default(),
            storage: Storage::Object,
            untagged: Untagged::Delete,
            runs: 0,
            programs: [Vec::new(), Vec::new()],
            collectable: Set::EMPTY,
            retirable: Set::EMPTY,
            initial: State::default(),
            scan: Vec::new(),
            faults: 0,
            details: 0,
        }
    }

    /// What is stored at the beginning: the links are live and old, and their bytes are there.
    pub(crate) fn stored(mut self, links: &[u8]) -> Self {
        for link in links {
            self.initial.store.live.insert(*link);
            self.initial.store.canon.insert(self.world.digest(*link));
        }
        self
    }

    /// A tag at the beginning, by an acknowledged push.
    pub(crate) fn tagged(mut self, tag: u8, link: u8) -> Self {
        self.initial.store.set_tag(tag, Some(link));
        self.acknowledged(link)
    }

    /// The push of a manifest was acknowledged before the beginning.
    pub(crate) fn acknowledged(mut self, link: u8) -> Self {
        self.initial.ghost.acknowledged.insert(link);
        self
    }

    pub(crate) fn runs(mut self, runs: usize) -> Self {
        assert!(runs <= RUNS, "a state has room for {RUNS} runs");
        self.runs = runs;
        self
    }

    pub(crate) fn client(mut self, program: &[Operation]) -> Self {
        let free = self.programs.iter_mut().find(|free| free.is_empty()).expect("a state has room for that many");
        *free = program.to_vec();
        self
    }

    pub(crate) fn quarantines(mut self, digests: &[u8]) -> Self {
        self.collectable = Set::of(digests);
        self
    }

    pub(crate) fn retires(mut self, links: &[u8]) -> Self {
        self.retirable = Set::of(links);
        self
    }

    pub(crate) fn faults(mut self, faults: &[Fault]) -> Self {
        self.faults = faults.iter().fold(0, |bits, fault| bits | 1 << *fault as u8);
        self
    }

    pub(crate) fn on(mut self, storage: Storage) -> Self {
        self.storage = storage;
        self
    }

    pub(crate) fn untagged(mut self, untagged: Untagged) -> Self {
        self.untagged = untagged;
        self
    }

    pub(crate) fn looks_again(self) -> Self {
        self.detailed(Detail::LooksAgain)
    }

    pub(crate) fn first_look(self) -> Self {
        self.detailed(Detail::FirstLook)
    }

    pub(crate) fn fine_scan(self) -> Self {
        self.detailed(Detail::FineScan)
    }

    pub(crate) fn recovery(self) -> Self {
        self.detailed(Detail::Recovery)
    }

    pub(crate) fn without(mut self, deviations: &[Deviation]) -> Self {
        self.rules = Rules::without(deviations);
        self
    }

    /// Works out what stays the same in all states.
    pub(crate) fn prepared(mut self) -> Self {
        self.scan = scan::parts(&self);
        self
    }

    fn detailed(mut self, detail: Detail) -> Self {
        self.details |= 1 << detail as u8;
        self
    }

    pub(crate) fn has(&self, detail: Detail) -> bool {
        self.details & (1 << detail as u8) != 0
    }

    pub(crate) fn may(&self, fault: Fault) -> bool {
        self.faults & (1 << fault as u8) != 0
    }

    pub(crate) fn broken(&self, deviation: Deviation) -> bool {
        self.rules.has(deviation)
    }

    pub(crate) fn is_local(&self) -> bool {
        self.storage != Storage::Object
    }

    /// Whether there are deletes that mark retired copies. Without them there is no need for a look at the marks.
    pub(crate) fn has_deletes(&self) -> bool {
        let deletes = |operation: &Operation| {
            matches!(operation, Operation::DeleteManifest { .. } | Operation::DeleteBlob { .. })
        };
        self.programs.iter().flatten().any(deletes)
    }

    /// What a push of a digest looks at, the digest itself first.
    pub(crate) fn needs(&self, digest: u8) -> Set {
        if self.broken(Deviation::DirectNeeds) {
            self.world.lists(digest).with(digest)
        } else {
            self.world.needs(digest)
        }
    }

    /// The slot that the fossils of a run lie in.
    pub(crate) fn fossil_slot(&self, run: usize) -> usize {
        if self.broken(Deviation::SharedFossilNames) { 0 } else { run }
    }

    /// Restores a digest from a fossil, if there still is one.
    pub(crate) fn copy_back(&self, store: &mut Store, digest: u8) {
        if let Some(run) = (0..RUNS).find(|run| store.fossils[*run].has(digest)) {
            store.canon.insert(digest);
            if self.broken(Deviation::RestoreMoves) {
                store.drop_fossil(run, digest);
            }
        }
    }
}
