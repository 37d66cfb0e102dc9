//! What all tasks of one run share: who waits where, the time, what lies in the storage, what was acknowledged.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use registry_core::storage::{Key, OperationKind};
use registry_core::{Clock, Random};

use crate::ledger::{Ledger, Outcome};
use crate::mirror::Mirror;
use crate::universe::named;

/// What all tasks of one run share. One thread at a time is at work on it.
pub(crate) struct World(Mutex<State>);

#[derive(Default)]
pub(crate) struct State {
    /// Whose code runs now.
    pub(crate) current: usize,
    /// Operations that have not been let go, in the order in which they were reached.
    pub(crate) waiting: Vec<Waiting>,
    tickets: u64,
    /// No operation waits: for what happens before and after the part that is scheduled.
    pub(crate) unscheduled: bool,
    /// Which tasks are collectors.
    pub(crate) collectors: Vec<usize>,
    /// One hash for each task, of all that it did and was told. A task is a function of that.
    pub(crate) histories: Vec<u64>,
    /// Where each task stands among its requests.
    pub(crate) places: Vec<usize>,
    /// What each task draws its next identity from.
    drawn: Vec<u64>,
    pub(crate) seconds: u64,
    pub(crate) mirror: Mirror,
    /// Whether the storage has changed since the checks looked.
    pub(crate) dirty: bool,
    pub(crate) ledger: Ledger,
    /// Whether a look among what a collector took away promises as much as any other.
    pub(crate) copies_promise: bool,
    /// Deletes that were answered with "unknown" and will still take effect.
    pub(crate) late: Vec<Key>,
    /// How requests ended.
    pub(crate) tally: Tally,
    /// What is wrong.
    pub(crate) violation: Option<String>,
    /// What happened, for people to read; only kept when it is asked for.
    pub(crate) trace: Option<Vec<String>>,
}

/// An operation that waits to be let go.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub(crate) ticket: u64,
    pub(crate) task: usize,
    pub(crate) operation: Operation,
    /// It was let go, and its task has not come to it yet.
    pub(crate) granted: Option<Grant>,
    waker: Waker,
}

/// An operation of the storage, and what it is about.
#[derive(Debug, Clone, Hash)]
pub(crate) struct Operation {
    pub(crate) kind: OperationKind,
    pub(crate) key: Key,
}

/// How requests ended.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) done: u64,
    pub(crate) missing: u64,
    pub(crate) refused: u64,
    pub(crate) contended: u64,
}

/// How an operation is let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Grant {
    /// It takes effect now.
    Now,
    /// A delete says that it does not know, and takes effect later.
    Late,
}

/// When every run begins: long after the clock's own beginning, so that anything can be older.
pub(crate) const BEGIN_SECONDS: u64 = 1_800_000_000;

impl World {
    pub(crate) fn new(tasks: usize) -> Self {
        let state = State {
            seconds: BEGIN_SECONDS,
            histories: vec![0; tasks + 1],
            drawn: vec![0; tasks + 1],
            places: vec![0; tasks + 1],
            unscheduled: true,
            ..State::default()
        };
        Self(Mutex::new(state))
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Waits until the operation is let go.
    pub(crate) async fn reach(&self, kind: OperationKind, key: &Key) -> Grant {
        Point { world: self, operation: Some(Operation { kind, key: key.clone() }), ticket: None }.await
    }

    /// Notes what an operation answered.
    pub(crate) fn answered(&self, kind: OperationKind, key: &Key, answer: u64) {
        let mut state = self.state();
        state.remember((kind, key, answer));
    }

    pub(crate) fn note(&self, text: impl FnOnce() -> String) {
        let mut state = self.state();
        if let Some(trace) = &mut state.trace {
            trace.push(named(&text()));
        }
    }
}

impl State {
    /// Whether the code that runs is a collector's.
    pub(crate) fn collects(&self) -> bool {
        self.collectors.contains(&self.current)
    }

    /// Adds something to the history of the task whose code runs.
    pub(crate) fn remember(&mut self, what: impl Hash) {
        let current = self.current;
        let mut hasher = DefaultHasher::new();
        (self.histories[current], what).hash(&mut hasher);
        self.histories[current] = hasher.finish();
    }

    /// The task whose code runs begins a request: what it did before makes no difference from now on, only where it
    /// stands.
    pub(crate) fn begin_anew(&mut self, stand: impl Hash) {
        let current = self.current;
        let mut hasher = DefaultHasher::new();
        (current, stand).hash(&mut hasher);
        self.histories[current] = hasher.finish();
        self.drawn[current] = hasher.finish();
    }

    /// Lets an operation go; whoever waits for it is woken.
    pub(crate) fn grant(&mut self, ticket: u64, grant: Grant) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.ticket == ticket) {
            waiting.granted = Some(grant);
            waiting.waker.wake_by_ref();
        }
    }

    /// The operations of a task that can be let go, in the order in which they were reached.
    pub(crate) fn ready(&self, task: usize) -> impl Iterator<Item = &Waiting> {
        self.waiting.iter().filter(move |waiting| waiting.task == task && waiting.granted.is_none())
    }

    pub(crate) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Done | Outcome::Found(_) => self.tally.done += 1,
            Outcome::Missing => self.tally.missing += 1,
            Outcome::Refused(_) => self.tally.refused += 1,
            Outcome::Contended => self.tally.contended += 1,
        }
    }

    /// Says that something is wrong, unless something was before.
    pub(crate) fn violated(&mut self, what: String) {
        self.violation.get_or_insert(what);
    }

    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.seconds)
    }
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("World")
    }
}

/// The point before an operation, where its task waits.
struct Point<'a> {
    world: &'a World,
    operation: Option<Operation>,
    ticket: Option<u64>,
}

impl Future for Point<'_> {
    type Output = Grant;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Grant> {
        let mut state = self.world.state();
        if state.unscheduled {
            return Poll::Ready(Grant::Now);
        }
        if let Some(ticket) = self.ticket {
            let Some(at) = state.waiting.iter().position(|waiting| waiting.ticket == ticket) else {
                return Poll::Pending;
            };
            // Whoever looks after several futures may poll one whose turn has not come.
            let Some(grant) = state.waiting[at].granted else {
                state.waiting[at].waker.clone_from(context.waker());
                return Poll::Pending;
            };
            state.waiting.remove(at);
            drop(state);
            self.ticket = None;
            return Poll::Ready(grant);
        }
        state.tickets += 1;
        let ticket = state.tickets;
        let task = state.current;
        let waker = context.waker().clone();
        if let Some(operation) = self.operation.take() {
            state.waiting.push(Waiting { ticket, task, operation, granted: None, waker });
        }
        drop(state);
        self.ticket = Some(ticket);
        Poll::Pending
    }
}

impl Drop for Point<'_> {
    /// Whoever goes away waits no more.
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket {
            self.world.state().waiting.retain(|waiting| waiting.ticket != ticket);
        }
    }
}

/// The clock and the randomness of a process, as the tasks see them. What they are told belongs to their histories.
#[derive(Debug, Clone)]
pub(crate) struct Seams(pub(crate) std::sync::Arc<World>);

impl Clock for Seams {
    fn now(&self) -> SystemTime {
        let mut state = self.0.state();
        let now = state.now();
        state.remember(now);
        now
    }
}

impl Random for Seams {
    /// Every task draws from a row of its own, so that what it draws does not depend on the others.
    fn bytes(&self) -> [u8; 10] {
        let mut state = self.0.state();
        let task = state.current;
        state.drawn[task] = state.drawn[task].wrapping_add(1);
        let mut bytes = [0; 10];
        bytes[0] = u8::try_from(task).unwrap();
        bytes[2..].copy_from_slice(&state.drawn[task].to_be_bytes());
        bytes
    }
}

/// The clock of the storage, which no task sees.
#[derive(Debug, Clone)]
pub(crate) struct StorageClock(pub(crate) std::sync::Arc<World>);

impl Clock for StorageClock {
    fn now(&self) -> SystemTime {
        self.0.state().now()
    }
}
