//! One run of a program: every step is chosen from outside.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::executor::block_on;
use futures::future::{BoxFuture, FutureExt as _};
use registry_core::storage::{Key, OperationKind, WriteOptions};

use crate::ledger::{Kind, Ledger};
use crate::mirror::Stored;
use crate::oracle;
use crate::processes::{process, tasks};
use crate::program::{Before, Epilogue, Program};
use crate::request::Client;
use crate::storage::Scheduled;
use crate::world::{Grant, State, Tally, World};

/// What can happen next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// An operation of a task takes effect, and the task goes on to its next one.
    Go { task: usize, ticket: u64 },
    /// A delete answers that it does not know, and takes effect later.
    Late { task: usize, ticket: u64 },
    /// Such a delete takes effect.
    Effect(usize),
    /// A task ends where it is.
    Crash(usize),
    /// Time makes a step.
    Tick,
}

/// A program with what lies in the storage before it, so that each run begins at once.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) program: Arc<Program>,
    objects: Vec<(Key, Stored)>,
    ledger: Ledger,
    seconds: u64,
}

/// One run of a program.
pub(crate) struct Run {
    program: Arc<Program>,
    pub(crate) world: Arc<World>,
    storage: Arc<Scheduled>,
    tasks: Vec<Option<BoxFuture<'static, ()>>>,
    wakers: Vec<(Arc<Woken>, Waker)>,
    /// Tasks that wait for each other, in the order in which they began to.
    blocked: Vec<usize>,
    ticks: u8,
    late: u8,
    crashes: u8,
    last: Option<usize>,
    preemptions: u32,
    pub(crate) steps: usize,
}

/// No run of a program that ends has more steps.
const MOST_STEPS: usize = 20_000;

/// Whether a task has been woken since it was last polled.
#[derive(Debug, Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Prepared {
    /// Does what happened before.
    ///
    /// # Errors
    /// If that goes wrong already.
    pub(crate) fn new(program: Program) -> Result<Self, String> {
        let program = program.shared();
        let tasks = program.tasks.len();
        let world = Arc::new(World::new(tasks));
        world.state().ledger = Ledger::new(tasks, program.promise_seconds, program.collects(), program.untagged_go);
        let storage = Arc::new(Scheduled::new(&world, None, true));
        world.state().current = tasks;
        let client = Client { world: Arc::clone(&world), registry: process(&world, &storage), task: tasks };
        for before in &program.before {
            match before {
                Before::Do(request) => block_on(client.perform(*request)),
                Before::Wait(seconds) => world.state().seconds += seconds,
                Before::Collect(collect) => block_on(collect.0(client.registry.clone()))?,
                Before::CutOff(repo, item) => {
                    let link = registry_core::layout::revision_link(&repo.name(), item.digest());
                    let mut state = world.state();
                    let now = state.seconds;
                    state.ledger.begin(tasks, Kind::Delete, *repo, Some(*item), None, now);
                    state.ledger.abandon(tasks);
                    drop(state);
                    block_on(storage.delete_late(&link));
                }
            }
        }
        let state = world.state();
        if let Some(violation) = &state.violation {
            return Err(format!("before {}: {violation}", program.name));
        }
        let objects = state.mirror.objects().iter().map(|(key, stored)| (key.parse().unwrap(), stored.clone()));
        let (objects, ledger, seconds) = (objects.collect(), state.ledger.clone(), state.seconds);
        drop(state);
        Ok(Self { program, objects, ledger, seconds })
    }
}

impl Run {
    pub(crate) fn begin(prepared: &Prepared, traced: bool) -> Self {
        let program = Arc::clone(&prepared.program);
        let world = Arc::new(World::new(program.tasks.len()));
        let storage = Arc::new(Scheduled::new(&world, program.sabotage, program.late == 0));
        for (key, stored) in &prepared.objects {
            let since_epoch = stored.modified.duration_since(std::time::UNIX_EPOCH).unwrap();
            world.state().seconds = since_epoch.as_secs();
            block_on(storage.restore(key, stored.content.clone(), WriteOptions::default()));
        }
        {
            let mut state = world.state();
            state.seconds = prepared.seconds;
            state.ledger = prepared.ledger.clone();
            state.unscheduled = false;
            state.collectors = (0..program.tasks.len()).filter(|task| program.is_collector(*task)).collect();
            state.copies_promise = program.copies_promise;
            state.histories.fill(0);
            state.trace = traced.then(Vec::new);
        }
        let wakers = (0..program.tasks.len()).map(|_| {
            let woken = Arc::new(Woken(AtomicBool::new(true)));
            (Arc::clone(&woken), Waker::from(woken))
        });
        let mut run = Self {
            tasks: tasks(&program, &world, &storage),
            wakers: wakers.collect(),
            blocked: Vec::new(),
            ticks: program.ticks,
            late: program.late,
            crashes: program.crashes,
            last: None,
            preemptions: 0,
            steps: 0,
            program,
            world,
            storage,
        };
        run.settle();
        run
    }

    /// Polls every task that was woken, until all of them wait.
    fn settle(&mut self) {
        while let Some(task) = self.wakers.iter().position(|(woken, _)| woken.0.swap(false, Ordering::Relaxed)) {
            let Some(future) = &mut self.tasks[task] else { continue };
            self.world.state().current = task;
            let context = &mut Context::from_waker(&self.wakers[task].1);
            if let Poll::Ready(()) = future.poll_unpin(context) {
                self.tasks[task] = None;
                // Nothing depends any more on what it did.
                self.world.state().histories[task] = 0;
            }
        }
        let state = self.world.state();
        let is_blocked = |task: usize| self.tasks[task].is_some() && state.ready(task).next().is_none();
        self.blocked.retain(|task| is_blocked(*task));
        for task in 0..self.tasks.len() {
            if is_blocked(task) && !self.blocked.contains(&task) {
                self.blocked.push(task);
            }
        }
    }

    /// Whether all is done that was begun.
    pub(crate) fn is_over(&self) -> bool {
        self.tasks.iter().all(Option::is_none) && self.world.state().late.is_empty()
    }

    /// Everything that can happen next, always in the same order.
    pub(crate) fn choices(&self) -> Vec<Choice> {
        let state = self.world.state();
        if let Some(choice) = self.private(&state) {
            return vec![choice];
        }
        let mut choices = Vec::new();
        for task in 0..self.tasks.len() {
            if self.may_go(&state, task) {
                self.choices_of(&state, task, &mut choices);
            }
        }
        choices.extend((0..state.late.len()).map(Choice::Effect));
        let alive = self.tasks.iter().any(Option::is_some);
        if self.crashes > 0 {
            let may_crash = |task: &usize| !self.program.only_collectors_crash || self.program.is_collector(*task);
            let crashable = (0..self.tasks.len()).filter(|task| self.tasks[*task].is_some()).filter(may_crash);
            choices.extend(crashable.map(Choice::Crash));
        }
        if alive && self.ticks > 0 {
            choices.push(Choice::Tick);
        }
        choices
    }

    /// An operation on an upload that nobody else knows: its order among those of others makes no difference.
    fn private(&self, state: &State) -> Option<Choice> {
        if self.program.side_by_side {
            return None;
        }
        let mut tasks = (0..self.tasks.len()).filter(|task| self.may_go(state, *task));
        tasks.find_map(|task| {
            let first = state.ready(task).next()?;
            let is_private = first.operation.key.as_str().contains("/_uploads/");
            is_private.then_some(Choice::Go { task, ticket: first.ticket })
        })
    }

    /// Whether a task may go on now, rather than the one that went last.
    fn may_go(&self, state: &State, task: usize) -> bool {
        let Some(most) = self.program.preemptions else { return true };
        let unfinished = self.last.filter(|last| state.ready(*last).next().is_some());
        self.preemptions < most || unfinished.is_none_or(|last| last == task)
    }

    fn choices_of(&self, state: &State, task: usize, choices: &mut Vec<Choice>) {
        for waiting in state.ready(task) {
            choices.push(Choice::Go { task, ticket: waiting.ticket });
            let may_be_late = self.late > 0 && self.program.is_collector(task);
            if may_be_late && waiting.operation.kind == OperationKind::Delete {
                choices.push(Choice::Late { task, ticket: waiting.ticket });
            }
            if !self.program.side_by_side {
                break;
            }
        }
    }

    /// Does what was chosen, and looks whether all is as it must be.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn take(&mut self, choice: Choice) -> Result<(), String> {
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return Err("it does not end".into());
        }
        match choice {
            Choice::Go { task, ticket } => self.go(task, ticket, Grant::Now),
            Choice::Late { task, ticket } => {
                self.late -= 1;
                self.go(task, ticket, Grant::Late);
            }
            Choice::Effect(number) => {
                let key = self.world.state().late.remove(number);
                self.world.note(|| format!("    the late delete of {key} takes effect"));
                block_on(self.storage.delete_late(&key));
            }
            Choice::Crash(task) => {
                self.crashes -= 1;
                self.world.note(|| format!("    task {task} ends where it is"));
                self.world.state().current = task;
                self.tasks[task] = None;
                let mut state = self.world.state();
                state.histories[task] = 0;
                state.ledger.abandon(task);
            }
            Choice::Tick => {
                self.ticks -= 1;
                self.world.note(|| format!("    {} s go by", self.program.tick_seconds));
                self.world.state().seconds += self.program.tick_seconds;
            }
        }
        self.settle();
        self.check()
    }

    fn go(&mut self, task: usize, ticket: u64, grant: Grant) {
        let mut state = self.world.state();
        if self.last.is_some_and(|last| last != task && state.ready(last).next().is_some()) {
            self.preemptions += 1;
        }
        self.last = Some(task);
        state.grant(ticket, grant);
    }

    fn check(&self) -> Result<(), String> {
        let mut state = self.world.state();
        if let Some(violation) = state.violation.take() {
            return Err(violation);
        }
        if self.blocked.len() == self.tasks.iter().flatten().count() && !self.blocked.is_empty() {
            return Err(format!("tasks {:?} wait for each other for ever", self.blocked));
        }
        if !std::mem::take(&mut state.dirty) {
            return Ok(());
        }
        oracle::check(&state.mirror, &state.ledger, &state.late)
    }

    /// Equal for two runs that go on alike whatever is chosen then.
    pub(crate) fn identity(&self) -> u64 {
        let state = self.world.state();
        let mut hasher = DefaultHasher::new();
        (state.mirror.hash(), state.seconds, &state.histories, &state.late, &state.ledger).hash(&mut hasher);
        for waiting in &state.waiting {
            (waiting.task, &waiting.operation, waiting.granted).hash(&mut hasher);
        }
        for task in &self.tasks {
            task.is_some().hash(&mut hasher);
        }
        (&self.blocked, self.ticks, self.late, self.crashes).hash(&mut hasher);
        if self.program.preemptions.is_some() {
            (self.last, self.preemptions).hash(&mut hasher);
        }
        hasher.finish()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.world.state().tally
    }

    /// What happened so far, for people to read.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.world.state().trace.clone().unwrap_or_default()
    }

    /// Another process looks at all that there is when everybody is done; and if there were collectors, others end what
    /// they began, and it looks again.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn close(&self) -> Result<(), String> {
        self.world.note(|| "    all is done; a client looks".into());
        let tasks = self.tasks.len();
        {
            let mut state = self.world.state();
            (state.unscheduled, state.current) = (true, tasks);
        }
        let registry = process(&self.world, &self.storage);
        let client = Client { world: Arc::clone(&self.world), registry, task: tasks };
        block_on(client.look_at_all());
        self.check()?;
        if self.program.collects() && self.program.epilogue.is_some() {
            self.collect_the_rest(&client)?;
        }
        Ok(())
    }

    fn collect_the_rest(&self, client: &Client) -> Result<(), String> {
        let Some(Epilogue { collect, runs, pause_seconds }) = &self.program.epilogue else { return Ok(()) };
        let mut left = Ok(());
        for _ in 0..*runs {
            self.world.note(|| format!("    {pause_seconds} s go by, and a collector runs"));
            {
                let mut state = self.world.state();
                state.seconds += pause_seconds;
                state.collectors.push(client.task);
            }
            block_on(collect.0(client.registry.clone()))?;
            self.world.state().collectors.pop();
            self.check()?;
            let state = self.world.state();
            left = oracle::check_clean(&state.mirror, &state.ledger);
            if left.is_ok() {
                break;
            }
        }
        block_on(client.look_at_all());
        self.check()?;
        left
    }
}
