//! Keeps the record of a program that runs on a real directory, by standing around its calls.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use super::super::super::sys::{Call, Done, Interpose};
use super::log::{Log, Node, Op, ROOT, Slot, Tree};
use super::mutants::Mutant;
use super::states;

/// Says of each call whether it fails.
pub(super) trait Judge: std::fmt::Debug + Send + Sync {
    fn before(&self, call: Call, below: &Path) -> io::Result<()>;

    fn writable(&self, bytes: usize) -> usize {
        bytes
    }

    /// Whether a sync that fails loses what was to be synced, as when a disk fails; not when nobody made the call.
    fn spoils(&self) -> bool;
}

#[derive(Debug)]
pub(super) struct Recorder {
    root: PathBuf,
    judge: Option<Arc<dyn Judge>>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What the program sees.
    now: BTreeMap<Slot, Node>,
    log: Log,
    mutant: Option<Mutant>,
    /// Syncs that a mutant makes later than it should.
    held: Vec<Op>,
}

impl Recorder {
    /// Begins a record of `root`, all of which is durable.
    pub(super) fn new(root: &Path, mutant: Option<Mutant>, judge: Option<Arc<dyn Judge>>) -> Self {
        let before = scan(root);
        let log = Log { directories: before.directories.clone(), before, ops: Vec::new() };
        let state = State { now: log.before.entries.clone(), log, mutant, held: Vec::new() };
        Self { root: root.to_owned(), judge, state: Mutex::new(state) }
    }

    /// How much was recorded so far.
    pub(super) fn position(&self) -> usize {
        self.state.lock().unwrap().log.ops.len()
    }

    /// The record; it must tell of everything that lies in the directory now.
    pub(super) fn finish(&self) -> Log {
        let state = self.state.lock().unwrap();
        let recorded = states::last(&state.log);
        let before = scan(&self.root);
        let found = states::last(&Log { directories: before.directories.clone(), before, ops: Vec::new() });
        assert_eq!(recorded.describe(), found.describe(), "the record does not tell what lies on the disk");
        state.log.clone()
    }

    fn below<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.root).unwrap()
    }
}

impl Interpose for Recorder {
    fn before(&self, call: Call, path: &Path) -> io::Result<()> {
        let below = self.below(path);
        let judged = self.judge.as_ref().map_or(Ok(()), |judge| judge.before(call, below));
        let spoils = self.judge.as_ref().is_some_and(|judge| judge.spoils());
        if judged.is_err() && spoils && matches!(call, Call::Sync | Call::SyncData) {
            let mut state = self.state.lock().unwrap();
            if let Some(node) = state.find(below) {
                state.log.ops.push(Op::SyncFailed(node));
            }
        }
        judged
    }

    fn writable(&self, _: &Path, bytes: usize) -> usize {
        self.judge.as_ref().map_or(bytes, |judge| judge.writable(bytes))
    }

    fn after(&self, done: &Done<'_>) {
        let mut state = self.state.lock().unwrap();
        match *done {
            Done::Opened(path) => state.make(self.below(path), false),
            Done::MadeDirectory(path) => {
                if self.below(path) != Path::new("") {
                    state.make(self.below(path), true);
                }
            }
            Done::Wrote { path, offset, content, written } => {
                let node = state.at(self.below(path));
                let mut bytes: Vec<u8> = content.iter().flat_map(|buffer| buffer.iter().copied()).collect();
                bytes.truncate(written);
                state.log.ops.push(Op::Write { node, offset: usize::try_from(offset).unwrap(), bytes });
            }
            Done::Truncated { path, length } => {
                let node = state.at(self.below(path));
                state.log.ops.push(Op::Truncate { node, length: usize::try_from(length).unwrap() });
            }
            Done::Synced(path) => state.sync(self.below(path)),
            Done::SyncedFilesystem => {
                if !state.mutant.is_some_and(|mutant| mutant.trusts_earlier) {
                    state.log.ops.push(Op::SyncFilesystem);
                }
            }
            Done::Renamed { from, to } => {
                let (from, to) = (self.below(from), self.below(to));
                let node = state.at(from);
                assert!(!state.log.directories[node], "a directory was renamed");
                state.enter(&[(to, Some(node)), (from, None)]);
            }
            Done::Linked { from, to } => {
                let node = state.at(self.below(from));
                state.enter(&[(self.below(to), Some(node))]);
            }
            Done::Unlinked(path) | Done::RemovedDirectory(path) => state.enter(&[(self.below(path), None)]),
        }
    }
}

impl State {
    fn find(&self, below: &Path) -> Option<Node> {
        let mut node = ROOT;
        for name in below {
            node = *self.now.get(&Slot { directory: node, name: name.to_str().unwrap().to_owned() })?;
        }
        Some(node)
    }

    fn at(&self, below: &Path) -> Node {
        self.find(below).unwrap_or_else(|| panic!("{} is not in the record", below.display()))
    }

    fn slot(&self, below: &Path) -> Slot {
        let name = below.file_name().unwrap().to_str().unwrap().to_owned();
        Slot { directory: self.at(below.parent().unwrap()), name }
    }

    /// Records a new node, unless it is known.
    fn make(&mut self, below: &Path, is_directory: bool) {
        if self.find(below).is_none() {
            let node = self.log.directories.len();
            self.log.directories.push(is_directory);
            self.enter(&[(below, Some(node))]);
        }
    }

    fn enter(&mut self, changes: &[(&Path, Option<Node>)]) {
        let changes: Vec<_> = changes.iter().map(|(below, node)| (self.slot(below), *node)).collect();
        for (slot, node) in &changes {
            match node {
                Some(node) => self.now.insert(slot.clone(), *node),
                None => self.now.remove(slot),
            };
        }
        self.log.ops.push(Op::Entries(changes));
    }

    fn sync(&mut self, below: &Path) {
        let op = Op::Sync(self.at(below));
        let place = below.to_str().unwrap();
        match self.mutant {
            Some(mutant) if (mutant.drops)(place) => {}
            Some(mutant) if (mutant.holds_back)(place) => self.held.push(op),
            Some(mutant) if (mutant.lets_go)(place) => {
                self.log.ops.push(op);
                self.log.ops.append(&mut self.held);
            }
            _ => self.log.ops.push(op),
        }
    }
}

/// What lies in a directory.
pub(super) fn scan(root: &Path) -> Tree {
    let mut tree = Tree { directories: vec![true], ..Tree::default() };
    let mut files = BTreeMap::new();
    let mut open = vec![(ROOT, root.to_owned())];
    while let Some((directory, path)) = open.pop() {
        let mut found: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap()).collect();
        found.sort_by_key(fs::DirEntry::file_name);
        for entry in found {
            let metadata = entry.metadata().unwrap();
            let next = tree.directories.len();
            let node = if metadata.is_dir() { next } else { *files.entry(metadata.ino()).or_insert(next) };
            if node == next {
                tree.directories.push(metadata.is_dir());
                if metadata.is_dir() {
                    open.push((node, entry.path()));
                } else {
                    tree.contents.insert(node, fs::read(entry.path()).unwrap());
                }
            }
            tree.entries.insert(Slot { directory, name: entry.file_name().into_string().unwrap() }, node);
        }
    }
    tree
}
