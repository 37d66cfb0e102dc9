//! What a disk holds for certain at some moment of a record, and what of the rest it may hold.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use super::log::{Log, Node, Op, ROOT, Slot};

/// The kernel's cache over a disk, moved along a record.
#[derive(Debug)]
pub(super) struct Cache {
    slots: Vec<Entry>,
    index: HashMap<Slot, usize>,
    files: BTreeMap<Node, File>,
    /// Places of which a sync failed. Nothing is certain about them until the storage is opened again.
    failed: HashSet<Node>,
}

/// An entry, durable first, then what it was changed to since.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) slot: Slot,
    /// Stands for the name. A file on its way has a random one, of which only the end counts.
    pub(super) name_hash: u64,
    values: Vec<Option<Node>>,
}

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) hash: u64,
    pub(super) bytes: Arc<[u8]>,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    since: Vec<Op>,
}

/// Something that may come out of a power cut in one of several ways. The first is the old one, the last the new one.
#[derive(Debug)]
pub(super) enum Unit {
    Slot {
        at: usize,
        values: Vec<Option<Node>>,
        /// Whether it is the name of a file on its way, which nobody looks for.
        on_the_way: bool,
    },
    Content(Node, Vec<Content>),
}

impl Unit {
    pub(super) fn options(&self) -> usize {
        match self {
            Self::Slot { values, .. } => values.len(),
            Self::Content(_, contents) => contents.len(),
        }
    }
}

impl Cache {
    pub(super) fn new(log: &Log) -> Self {
        let mut cache =
            Self { slots: Vec::new(), index: HashMap::new(), files: BTreeMap::new(), failed: HashSet::new() };
        for (slot, node) in &log.before.entries {
            cache.enter(slot, Some(*node));
        }
        for (node, content) in &log.before.contents {
            cache.files.insert(*node, File { durable: content.clone(), since: Vec::new() });
        }
        cache.apply(&Op::SyncFilesystem);
        cache
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Entries(changes) => changes.iter().for_each(|(slot, node)| self.enter(slot, *node)),
            Op::Write { node, .. } | Op::Truncate { node, .. } => {
                self.files.entry(*node).or_default().since.push(op.clone());
            }
            Op::Sync(node) if !self.failed.contains(node) => {
                self.slots.iter_mut().filter(|entry| entry.slot.directory == *node).for_each(Entry::settle);
                self.files.get_mut(node).into_iter().for_each(File::settle);
            }
            Op::Sync(_) => {}
            Op::SyncFailed(node) => {
                self.failed.insert(*node);
            }
            Op::SyncFilesystem => {
                self.failed.clear();
                self.slots.iter_mut().for_each(Entry::settle);
                self.files.values_mut().for_each(File::settle);
            }
        }
    }

    fn enter(&mut self, slot: &Slot, node: Option<Node>) {
        let next = self.slots.len();
        let at = *self.index.entry(slot.clone()).or_insert(next);
        if at == next {
            self.slots.push(Entry { slot: slot.clone(), name_hash: hash(stable(&slot.name)), values: vec![None] });
        }
        self.slots[at].values.push(node);
    }

    /// Entries that may be old or new, each for itself. Where nothing can lead any more, nothing is open.
    pub(super) fn open_entries(&self) -> Vec<Unit> {
        let reachable = self.reachable();
        let mut units = Vec::new();
        for (at, entry) in self.slots.iter().enumerate() {
            let values = distinct(entry.values.iter().copied());
            if values.len() > 1 && reachable.contains(&entry.slot.directory) {
                units.push(Unit::Slot { at, values, on_the_way: stable(&entry.slot.name) != entry.slot.name });
            }
        }
        units
    }

    /// Files whose bytes may be there or not. Where the disk is `orderly`, what is there has no holes.
    pub(super) fn open_contents(&self, orderly: bool) -> Vec<Unit> {
        let reachable = self.reachable();
        let mut units = Vec::new();
        for (node, file) in self.files.iter().filter(|(node, _)| reachable.contains(node)) {
            let contents = file.contents(orderly);
            if contents.len() > 1 {
                units.push(Unit::Content(*node, contents));
            }
        }
        units
    }

    /// What may be connected with the root. A directory stands before what is in it.
    fn reachable(&self) -> HashSet<Node> {
        let mut reachable = HashSet::from([ROOT]);
        for entry in &self.slots {
            if reachable.contains(&entry.slot.directory) {
                reachable.extend(entry.values.iter().flatten());
            }
        }
        reachable
    }

    pub(super) fn slots(&self) -> &[Entry] {
        &self.slots
    }

    /// Where each entry leads, for the program itself.
    pub(super) fn values(&self) -> Vec<Option<Node>> {
        self.slots.iter().map(|entry| entry.values[entry.values.len() - 1]).collect()
    }

    /// The bytes of each file, for the program itself.
    pub(super) fn contents(&self, nodes: usize) -> Vec<Content> {
        let empty = || Content::new(Vec::new());
        (0..nodes).map(|node| self.files.get(&node).map_or_else(empty, |file| Content::new(file.now()))).collect()
    }
}

impl Content {
    fn new(bytes: Vec<u8>) -> Self {
        Self { hash: hash(&bytes[..]), bytes: bytes.into() }
    }
}

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

fn stable(name: &str) -> &str {
    match name.split_once('-') {
        Some((random, number)) if random.len() == 32 => number,
        _ => name,
    }
}

impl Entry {
    fn settle(&mut self) {
        self.values.drain(..self.values.len() - 1);
    }
}

impl File {
    fn now(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        self.since.iter().for_each(|op| op.apply(&mut content));
        content
    }

    fn settle(&mut self) {
        self.durable = self.now();
        self.since.clear();
    }

    /// What the file may hold after a power cut: any beginning of what was done to it; and of what was added any
    /// beginning of blocks, with or without its length, and any end of blocks behind a hole.
    fn contents(&self, orderly: bool) -> Vec<Content> {
        let (mut steps, mut content) = (vec![self.durable.clone()], self.durable.clone());
        for op in &self.since {
            steps.extend(torn_over(op, &content, orderly));
            op.apply(&mut content);
            steps.push(content.clone());
        }
        let old = self.durable.len();
        let torn = if content.len() > old { torn(old, &content, orderly) } else { Vec::new() };
        let last = steps.pop().into_iter();
        distinct(steps.into_iter().chain(torn).chain(last).map(Content::new))
    }
}

/// Ways in which a write over bytes that were there can be in part.
fn torn_over(op: &Op, before: &[u8], orderly: bool) -> Vec<Vec<u8>> {
    const BLOCK: usize = 512;
    let Op::Write { node, offset, bytes } = op else { return Vec::new() };
    let (begin, end) = (*offset, offset + bytes.len());
    let mut cuts = vec![(begin / BLOCK + 1) * BLOCK, (end.max(1) - 1) / BLOCK * BLOCK];
    cuts.retain(|at| (begin + 1..end.min(before.len())).contains(at));
    cuts.dedup();
    let mut ways = Vec::new();
    for at in cuts {
        let part = |from: usize, to: usize| {
            let mut content = before.to_vec();
            Op::Write { node: *node, offset: from, bytes: bytes[from - begin..to - begin].to_vec() }
                .apply(&mut content);
            content
        };
        ways.push(part(begin, at));
        if !orderly {
            ways.push(part(at, end));
        }
    }
    ways
}

/// Ways in which blocks of what was added behind `old` can be missing.
fn torn(old: usize, new: &[u8], orderly: bool) -> Vec<Vec<u8>> {
    let mut ways = Vec::new();
    if !orderly {
        ways.push(with_hole(new, old, new.len()));
    }
    for block in [512, 4096] {
        let first = (old / block + 1) * block;
        let last = (new.len() - 1) / block * block;
        for at in [first, last].into_iter().filter(|at| (old + 1..new.len()).contains(at)) {
            ways.push(new[..at].to_vec());
            if !orderly {
                ways.push(with_hole(new, at, new.len()));
                ways.push(with_hole(new, old, at));
            }
        }
    }
    ways
}

fn with_hole(content: &[u8], from: usize, to: usize) -> Vec<u8> {
    let mut content = content.to_vec();
    content[from..to].fill(0);
    content
}

/// Each value once, where it stood last.
fn distinct<T: PartialEq>(values: impl DoubleEndedIterator<Item = T>) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values.rev() {
        if !kept.contains(&value) {
            kept.push(value);
        }
    }
    kept.reverse();
    kept
}
