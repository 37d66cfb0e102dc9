//! The record of what a program changed and synced, in terms of nodes: a file with two names is one node.

use std::collections::BTreeMap;

/// A file or a directory. Numbers are not used again.
pub(super) type Node = usize;

/// The directory that everything lies in.
pub(super) const ROOT: Node = 0;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) directory: Node,
    pub(super) name: String,
}

/// One call that changed or synced something.
#[derive(Debug, Clone)]
pub(super) enum Op {
    /// Entries now lead to these nodes, or to none. A rename changes two at once.
    Entries(Vec<(Slot, Option<Node>)>),
    Write {
        node: Node,
        offset: usize,
        bytes: Vec<u8>,
    },
    Truncate {
        node: Node,
        length: usize,
    },
    /// The bytes of a file, or the entries of a directory.
    Sync(Node),
    /// A sync that failed: the kernel forgets what it could not write, so no later sync makes up for it.
    SyncFailed(Node),
    SyncFilesystem,
}

/// What lies on a disk, with everything in it durable.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    /// Whether a node is a directory.
    pub(super) directories: Vec<bool>,
    pub(super) entries: BTreeMap<Slot, Node>,
    pub(super) contents: BTreeMap<Node, Vec<u8>>,
}

/// A record: what lay there at the beginning, and what was done.
#[derive(Debug, Clone, Default)]
pub(super) struct Log {
    pub(super) before: Tree,
    pub(super) ops: Vec<Op>,
    /// Whether a node is a directory, also for those that were made meanwhile.
    pub(super) directories: Vec<bool>,
}

impl Op {
    /// Does to the bytes of a file what this did.
    pub(super) fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes, .. } => {
                content.resize(content.len().max(offset + bytes.len()), 0);
                content[*offset..offset + bytes.len()].copy_from_slice(bytes);
            }
            Self::Truncate { length, .. } => content.resize(*length, 0),
            _ => {}
        }
    }
}
