//! Every order of the operations of a small program, and by chance many orders of a large one.

use std::collections::{BTreeSet, HashSet};
use std::fmt;

use crate::chance::{Chance, Strategy};
use crate::program::Program;
use crate::run::{Choice, Prepared, Run};
use crate::world::Tally;

/// What was explored.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Explored {
    /// Runs, each in an order of its own.
    pub(crate) schedules: u64,
    /// States that differ, where that was asked for.
    pub(crate) states: u64,
    /// Steps, those that were done again included.
    pub(crate) steps: u64,
    /// How requests ended.
    pub(crate) tally: Tally,
}

/// A schedule that breaks a rule, to be read by people.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) program: String,
    pub(crate) what: String,
    pub(crate) steps: Vec<String>,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.program, self.what)?;
        self.steps.iter().try_for_each(|step| writeln!(f, "  {step}"))
    }
}

impl fmt::Display for Explored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { done, missing, refused, contended } = self.tally;
        let Self { schedules, states, steps, .. } = self;
        write!(f, "{schedules} schedules, {states} states, {steps} steps; requests: {done} done, ")?;
        write!(f, "{missing} found nothing, {refused} refused, {contended} gave up")
    }
}

impl Explored {
    pub(crate) fn add(&mut self, run: &Run) {
        self.schedules += 1;
        self.steps += run.steps as u64;
        let tally = run.tally();
        self.tally.done += tally.done;
        self.tally.missing += tally.missing;
        self.tally.refused += tally.refused;
        self.tally.contended += tally.contended;
    }
}

/// Where an exhaustive search stands: which of how many choices it took.
struct Branch {
    taken: usize,
    of: usize,
}

/// Goes through every order, depth first. Each run begins anew and follows the branches that it knows; two that come to
/// the same state go on alike, so the second one ends there.
///
/// # Errors
/// The first schedule that breaks a rule.
pub(crate) fn exhaust(program: Program) -> Result<Explored, Broken> {
    let prepared = prepare(program)?;
    let mut first = None;
    let explored = search(&prepared, |taken, what| {
        first = Some(replay(&prepared, &taken, what));
        false
    });
    first.map_or(Ok(explored), Err)
}

/// All that is wrong in any order.
///
/// # Errors
/// If what comes before the tasks goes wrong already.
pub(crate) fn faults(program: Program) -> Result<BTreeSet<String>, Broken> {
    let prepared = prepare(program)?;
    let mut faults = BTreeSet::new();
    search(&prepared, |_, what| {
        faults.insert(what);
        true
    });
    Ok(faults)
}

/// Goes through every order; `broken` is told of those that break a rule, and whether to go on.
fn search(prepared: &Prepared, mut broken: impl FnMut(Vec<usize>, String) -> bool) -> Explored {
    let (mut explored, mut seen, mut branches) = (Explored::default(), HashSet::new(), Vec::<Branch>::new());
    loop {
        let mut run = Run::begin(prepared, false);
        if let Err(what) = descend(&mut run, &mut branches, &mut seen)
            && !broken(branches.iter().map(|branch| branch.taken).collect(), what)
        {
            break;
        }
        explored.add(&run);
        while branches.last().is_some_and(|branch| branch.taken + 1 == branch.of) {
            branches.pop();
        }
        let Some(last) = branches.last_mut() else { break };
        last.taken += 1;
    }
    explored.states = seen.len() as u64;
    explored
}

fn descend(run: &mut Run, branches: &mut Vec<Branch>, seen: &mut HashSet<u64>) -> Result<(), String> {
    for (number, branch) in branches.iter().enumerate() {
        let choices = run.choices();
        if choices.len() != branch.of {
            return Err(format!("the same choices led elsewhere after {number} steps"));
        }
        run.take(choices[branch.taken])?;
    }
    while seen.insert(run.identity()) {
        if run.is_over() {
            return run.close();
        }
        let choices = run.choices();
        branches.push(Branch { taken: 0, of: choices.len() });
        run.take(choices[0])?;
    }
    Ok(())
}

/// Goes through one order, as chance has it.
///
/// # Errors
/// If it breaks a rule.
pub(crate) fn wander(prepared: &Prepared, chance: &mut Chance) -> Result<Run, Broken> {
    let mut strategy = Strategy::draw(chance, prepared.program.tasks.len());
    let mut run = Run::begin(prepared, false);
    let mut taken = Vec::new();
    let mut wander = || {
        while !run.is_over() {
            let choices = run.choices();
            let number = strategy.pick(chance, &choices);
            taken.push(number);
            run.take(choices[number])?;
        }
        run.close()
    };
    match wander() {
        Ok(()) => Ok(run),
        Err(what) => Err(replay(prepared, &taken, what)),
    }
}

pub(crate) fn prepare(program: Program) -> Result<Prepared, Broken> {
    let name = program.name.clone();
    Prepared::new(program).map_err(|what| Broken { program: name, what, steps: Vec::new() })
}

/// Does the same again, and keeps what happens for people to read.
fn replay(prepared: &Prepared, taken: &[usize], what: String) -> Broken {
    let mut run = Run::begin(prepared, true);
    let mut again = Ok(());
    for number in taken {
        let choices: Vec<Choice> = run.choices();
        let Some(choice) = choices.get(*number) else { break };
        again = run.take(*choice);
        if again.is_err() {
            break;
        }
    }
    if again.is_ok() {
        again = run.close();
    }
    let mut steps = run.trace();
    if again.as_ref() != Err(&what) {
        steps.push(format!("done again, this came of it: {again:?}"));
    }
    steps.push(format!("choices: {taken:?}"));
    Broken { program: prepared.program.name.clone(), what, steps }
}
