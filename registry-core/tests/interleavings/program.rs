//! Programs: what lies in the storage before, and who does what then.

use std::fmt;
use std::sync::Arc;

use futures::future::{BoxFuture, FutureExt as _};
use registry_core::Registry;

use crate::request::Request;
use crate::sabotage::Sabotage;
use crate::universe::{Item, Repo};

/// What lies in the storage before, who does what then, and what else may happen meanwhile.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) before: Vec<Before>,
    pub(crate) tasks: Vec<Task>,
    /// How often time may make a step, and how far.
    pub(crate) ticks: u8,
    pub(crate) tick_seconds: u64,
    /// How many deletes of collectors may take effect later than they are answered.
    pub(crate) late: u8,
    /// How many tasks may end at any point.
    pub(crate) crashes: u8,
    /// Whether only collectors do.
    pub(crate) only_collectors_crash: bool,
    /// Whether the collectors take manifests away that have no tag.
    pub(crate) untagged_go: bool,
    /// Whether requests look things up side by side; otherwise in the order in which they ask.
    pub(crate) side_by_side: bool,
    /// How often a task may be left in the middle while it could go on.
    pub(crate) preemptions: Option<u32>,
    /// How long a promise holds.
    pub(crate) promise_seconds: u64,
    /// Whether a look that found something only among what a collector took away promises as much as any other.
    pub(crate) copies_promise: bool,
    pub(crate) sabotage: Option<Sabotage>,
    /// What is done when all is done.
    pub(crate) epilogue: Option<Epilogue>,
}

/// Runs of a collector, one after the other, that leave no garbage.
#[derive(Debug, Clone)]
pub(crate) struct Epilogue {
    pub(crate) collect: Collect,
    pub(crate) runs: usize,
    /// So much time goes by before each.
    pub(crate) pause_seconds: u64,
}

/// What happened before.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    Do(Request),
    /// So many seconds went by.
    Wait(u64),
    /// A collector ran.
    Collect(Collect),
    /// A delete by digest was cut off after its first step, so that tags point to nothing.
    CutOff(Repo, Item),
}

/// What goes on at the same time.
#[derive(Debug, Clone)]
pub(crate) enum Task {
    /// Asks one thing after the other, of the process with this number.
    Client(usize, Vec<Request>),
    /// Collects garbage, in the process of clients with this number, or in one of its own.
    Collector(Option<usize>, Collect),
}

/// A collector of garbage, as the work of a process.
#[derive(Clone)]
pub(crate) struct Collect(pub(crate) Arc<dyn Fn(Registry) -> BoxFuture<'static, Result<(), String>> + Send + Sync>);

impl Collect {
    pub(crate) fn new<F>(collect: impl Fn(Registry) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        Self(Arc::new(move |registry| collect(registry).boxed()))
    }
}

impl fmt::Debug for Collect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Collect")
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "before: {:?}", self.before)?;
        for (number, task) in self.tasks.iter().enumerate() {
            writeln!(f, "{number}: {task:?}")?;
        }
        let Self { ticks, tick_seconds, late, crashes, .. } = self;
        writeln!(f, "{ticks} steps of {tick_seconds} s, {late} late deletes, {crashes} crashes")
    }
}

impl Program {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            before: Vec::new(),
            tasks: Vec::new(),
            ticks: 0,
            tick_seconds: 0,
            late: 0,
            crashes: 0,
            only_collectors_crash: false,
            untagged_go: false,
            side_by_side: false,
            preemptions: None,
            promise_seconds: u64::MAX,
            copies_promise: false,
            sabotage: None,
            epilogue: None,
        }
    }

    /// These requests were made before, one after the other.
    pub(crate) fn before(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.before.extend(requests.into_iter().map(Before::Do));
        self
    }

    /// And then so much time went by.
    pub(crate) fn wait(mut self, seconds: u64) -> Self {
        self.before.push(Before::Wait(seconds));
        self
    }

    /// And then a collector ran.
    pub(crate) fn collect(mut self, collect: Collect) -> Self {
        self.before.push(Before::Collect(collect));
        self
    }

    /// And then a delete by digest was cut off after its first step.
    pub(crate) fn cut_off(mut self, repo: Repo, item: Item) -> Self {
        self.before.push(Before::CutOff(repo, item));
        self
    }

    /// A client of the first process makes these requests.
    pub(crate) fn client(self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.client_of(0, requests)
    }

    /// A client of the process with this number makes these requests.
    pub(crate) fn client_of(mut self, process: usize, requests: impl IntoIterator<Item = Request>) -> Self {
        self.tasks.push(Task::Client(process, requests.into_iter().collect()));
        self
    }

    pub(crate) fn collector(mut self, collect: Collect) -> Self {
        self.tasks.push(Task::Collector(None, collect));
        self
    }

    /// A collector in the process of the clients with this number.
    pub(crate) fn collector_of(mut self, process: usize, collect: Collect) -> Self {
        self.tasks.push(Task::Collector(Some(process), collect));
        self
    }

    pub(crate) fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.sabotage = Some(sabotage);
        self
    }

    pub(crate) fn crashes(mut self, crashes: u8) -> Self {
        self.crashes = crashes;
        self
    }

    pub(crate) fn is_collector(&self, task: usize) -> bool {
        matches!(self.tasks.get(task), Some(Task::Collector(..)))
    }

    pub(crate) fn collects(&self) -> bool {
        self.tasks.iter().any(|task| matches!(task, Task::Collector(..)))
    }

    pub(crate) fn shared(self) -> Arc<Self> {
        Arc::new(self)
    }
}
