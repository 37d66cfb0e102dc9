//! What happened so far, and what is to fail.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::channel::oneshot;

use crate::storage::{Deletion, Error, Key, OperationKind};

/// One operation on a storage or on staged bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Which.
    pub kind: OperationKind,
    /// On what: the key or prefix; for staged bytes the key of these, for [`OperationKind::Publish`] and
    /// [`OperationKind::Copy`] the new object.
    pub key: Key,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It has no effect. A delete is refused with [`Error::Failed`], for then it is known that the object stays.
    Before,
    /// It takes effect, and the answer is lost. A delete is [`Deletion::Unknown`].
    After,
    /// It breaks in the middle: staged bytes keep the first half of a batch; an opened object, or staged bytes read
    /// back, give half of their bytes and then fail. What has no middle has no effect; a delete is then
    /// [`Deletion::Unknown`], though nothing happened.
    Cut,
    /// It is refused with [`Error::NoSpace`] and has no effect.
    NoSpace,
}

/// What the backend says that was told to fail.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected")]
struct Injected;

pub(super) fn unavailable(key: &Key) -> Error {
    Error::Unavailable { key: key.clone(), source: Injected.into() }
}

fn no_space(key: &Key) -> Error {
    Error::NoSpace { key: key.clone(), source: Injected.into() }
}

/// Lets an operation be stopped before it takes effect, so that a test decides what happens meanwhile.
///
/// Dropping it opens it.
#[derive(Debug)]
pub struct Gate {
    arrived: oneshot::Receiver<()>,
    opened: oneshot::Sender<()>,
}

impl Gate {
    /// Waits until an operation stands at the gate; `false` if the storage went away before one did, or the
    /// operation was cancelled.
    pub async fn arrived(&mut self) -> bool {
        (&mut self.arrived).await.is_ok()
    }

    /// Lets the operation go on, or pass without a stop if it is yet to come.
    pub fn open(self) {
        // An operation that was cancelled has nobody to tell.
        let _ = self.opened.send(());
    }
}

#[derive(Debug)]
struct Stop {
    kind: OperationKind,
    arrived: oneshot::Sender<()>,
    opened: oneshot::Receiver<()>,
}

#[derive(Default)]
pub(super) struct Plan(Mutex<State>);

#[derive(Default)]
struct State {
    operations: Vec<Operation>,
    once: BTreeMap<usize, Fault>,
    from: Option<(usize, Fault)>,
    next: Vec<(OperationKind, Fault)>,
    chance: Option<Chance>,
    stops: Vec<Stop>,
}

impl Plan {
    pub(super) fn seeded(seed: u64, per_mille: u16) -> Self {
        let chance = Some(Chance { seed, state: seed, per_mille });
        Self(Mutex::new(State { chance, ..State::default() }))
    }

    pub(super) fn fail_at(&self, number: usize, fault: Fault) {
        self.state().once.insert(number, fault);
    }

    pub(super) fn fail_from(&self, number: usize, fault: Fault) {
        self.state().from = Some((number, fault));
    }

    pub(super) fn fail_next(&self, kind: OperationKind, fault: Fault) {
        self.state().next.push((kind, fault));
    }

    pub(super) fn heal(&self) {
        let mut state = self.state();
        state.once.clear();
        state.next.clear();
        (state.from, state.chance) = (None, None);
    }

    pub(super) fn hold(&self, kind: OperationKind) -> Gate {
        let ((arrive, arrived), (open, opened)) = (oneshot::channel(), oneshot::channel());
        self.state().stops.push(Stop { kind, arrived: arrive, opened });
        Gate { arrived, opened: open }
    }

    pub(super) fn operations(&self) -> Vec<Operation> {
        self.state().operations.clone()
    }

    /// Notes an operation, stops it at its gate, and tells how it is to fail.
    pub(super) async fn begin(&self, kind: OperationKind, key: &Key) -> Option<Fault> {
        let (fault, stop) = self.state().note(Operation { kind, key: key.clone() });
        if let Some(stop) = stop {
            // Whoever dropped the gate wants the operation to pass.
            let _ = stop.arrived.send(());
            let _ = stop.opened.await;
        }
        fault
    }

    pub(super) async fn around<T>(
        &self,
        kind: OperationKind,
        key: &Key,
        operation: impl Future<Output = Result<T, Error>> + Send,
    ) -> Result<T, Error> {
        let fault = self.begin(kind, key).await;
        apply(fault, key, operation).await
    }

    pub(super) async fn around_delete(
        &self,
        kind: OperationKind,
        key: &Key,
        operation: impl Future<Output = Result<Deletion, Error>> + Send,
    ) -> Result<Deletion, Error> {
        match self.begin(kind, key).await {
            None => operation.await,
            Some(Fault::After) => operation.await.map(|_| Deletion::Unknown),
            Some(Fault::Cut) => Ok(Deletion::Unknown),
            Some(Fault::Before) => Err(Error::Failed { key: key.clone(), source: Injected.into() }),
            Some(Fault::NoSpace) => Err(no_space(key)),
        }
    }

    /// Nothing panics while it holds the lock, so the state behind a poisoned one is whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn apply<T>(
    fault: Option<Fault>,
    key: &Key,
    operation: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    match fault {
        None => operation.await,
        Some(Fault::After) => Err(operation.await.err().unwrap_or_else(|| unavailable(key))),
        Some(Fault::Before | Fault::Cut) => Err(unavailable(key)),
        Some(Fault::NoSpace) => Err(no_space(key)),
    }
}

impl State {
    fn note(&mut self, operation: Operation) -> (Option<Fault>, Option<Stop>) {
        let (number, kind) = (self.operations.len(), operation.kind);
        self.operations.push(operation);
        // The generator moves with every operation, so that a planned fault does not shift those by chance.
        let by_chance = self.chance.as_mut().and_then(Chance::draw);
        let planned = self
            .once
            .remove(&number)
            .or_else(|| self.from.filter(|(from, _)| number >= *from).map(|(_, fault)| fault))
            .or_else(|| {
                let index = self.next.iter().position(|(next, _)| *next == kind)?;
                Some(self.next.remove(index).1)
            });
        let stop = self.stops.iter().position(|stop| stop.kind == kind).map(|index| self.stops.remove(index));
        (planned.or(by_chance), stop)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        match &state.chance {
            Some(Chance { seed, per_mille, .. }) => write!(f, "seed {seed}, {per_mille} of 1000")?,
            None => write!(f, "no chance")?,
        }
        write!(f, ", {} operations", state.operations.len())
    }
}

/// The splitmix64 generator: one addition per step, well mixed, the same everywhere.
struct Chance {
    seed: u64,
    state: u64,
    per_mille: u16,
}

impl Chance {
    fn draw(&mut self) -> Option<Fault> {
        let random = self.step();
        let fault = match (random >> 32) % 3 {
            0 => Fault::Before,
            1 => Fault::After,
            _ => Fault::Cut,
        };
        ((random & 0xffff_ffff) % 1000 < u64::from(self.per_mille)).then_some(fault)
    }

    fn step(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
