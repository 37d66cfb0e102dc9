//! The search: every state that can be reached, the nearest first, so that the first violation has a shortest trace.

use std::collections::HashSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use crate::invariants::{self, Violation};
use crate::moves::{Successors, successors};
use crate::recovery;
use crate::scenario::{Detail, Scenario};
use crate::state::State;

/// What a search found.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) transitions: usize,
    /// States that differ in what a recovery begins with.
    pub(crate) recoveries: usize,
    pub(crate) violation: Option<(Violation, Trace)>,
}

/// The steps from the beginning to a violation, in words.
#[derive(Debug)]
pub(crate) struct Trace(pub(crate) Vec<String>);

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(number, step)| writeln!(f, "  {:3}  {step}", number + 1))
    }
}

/// Explores a scenario until there is nothing new, or something is wrong.
pub(crate) fn explore(scenario: &Scenario) -> Outcome {
    let mut search = Search::new(scenario);
    let mut found = Successors::new();
    while let Some(state) = search.next() {
        if let Err(violation) = search.check(&state) {
            let trace = search.trace();
            return search.outcome(Some((violation, trace)));
        }
        successors(scenario, &state, &mut found);
        for (_, next) in &found {
            search.transitions += 1;
            search.visit(next);
        }
    }
    search.outcome(None)
}

/// States in chunks, so that growing copies none of them.
const CHUNK: usize = 1 << 14;
const NO_STATE: u32 = u32::MAX;

struct Search<'a> {
    scenario: &'a Scenario,
    states: Vec<Vec<State>>,
    /// The state that each was reached from.
    parents: Vec<u32>,
    /// A table of states by their hash, with open addressing.
    table: Vec<u32>,
    done: usize,
    transitions: usize,
    recovered: HashSet<State, BuildHasherDefault<Mix>>,
}

impl<'a> Search<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        let mut search = Self {
            scenario,
            states: Vec::new(),
            parents: Vec::new(),
            table: vec![NO_STATE; 1 << 12],
            done: 0,
            transitions: 0,
            recovered: HashSet::default(),
        };
        search.visit(&scenario.initial);
        search
    }

    fn state(&self, number: usize) -> &State {
        &self.states[number / CHUNK][number % CHUNK]
    }

    fn next(&mut self) -> Option<State> {
        let state = (self.done < self.parents.len()).then(|| *self.state(self.done))?;
        self.done += 1;
        Some(state)
    }

    fn check(&mut self, state: &State) -> Result<(), Violation> {
        invariants::check(self.scenario, state)?;
        if self.scenario.has(Detail::Recovery)
            && invariants::is_at_rest(state)
            && self.recovered.insert(recovery::key(state))
        {
            recovery::check(self.scenario, state)?;
        }
        Ok(())
    }

    fn visit(&mut self, state: &State) {
        let Err(place) = self.find(state) else { return };
        let number = self.parents.len();
        self.table[place] = u32::try_from(number).expect("fewer states than that fit into memory");
        let parent = self.done.checked_sub(1).map_or(NO_STATE, |parent| u32::try_from(parent).expect("as above"));
        self.parents.push(parent);
        if number.is_multiple_of(CHUNK) {
            self.states.push(Vec::with_capacity(CHUNK));
        }
        self.states[number / CHUNK].push(*state);
        if self.parents.len() * 2 > self.table.len() {
            self.grow();
        }
    }

    /// The place of a state in the table, or the free one where it belongs.
    fn find(&self, state: &State) -> Result<usize, usize> {
        let mask = self.table.len() - 1;
        let mut place = hash(state) & mask;
        loop {
            match self.table[place] {
                NO_STATE => return Err(place),
                number if self.state(number as usize) == state => return Ok(place),
                _ => place = (place + 1) & mask,
            }
        }
    }

    fn grow(&mut self) {
        self.table = vec![NO_STATE; self.table.len() * 2];
        let mask = self.table.len() - 1;
        for number in 0..self.parents.len() {
            let mut place = hash(self.state(number)) & mask;
            while self.table[place] != NO_STATE {
                place = (place + 1) & mask;
            }
            self.table[place] = u32::try_from(number).expect("it was one before");
        }
    }

    /// How the state that was looked at last was reached.
    fn trace(&self) -> Trace {
        let mut steps = Vec::new();
        let mut number = self.done - 1;
        while self.parents[number] != NO_STATE {
            let parent = self.parents[number] as usize;
            let mut out = Successors::new();
            successors(self.scenario, self.state(parent), &mut out);
            let (step, _) = out.iter().find(|(_, next)| next == self.state(number)).expect("it was found there");
            steps.push(step.told(&self.scenario.world).to_string());
            number = parent;
        }
        steps.reverse();
        Trace(steps)
    }

    fn outcome(&self, violation: Option<(Violation, Trace)>) -> Outcome {
        Outcome {
            states: self.parents.len(),
            transitions: self.transitions,
            recoveries: self.recovered.len(),
            violation,
        }
    }
}

fn hash(state: &State) -> usize {
    let mut mix = Mix::default();
    state.hash(&mut mix);
    usize::try_from(mix.finish()).expect("64 bits")
}

/// A fast hash for states, which are made of single bytes. Whoever makes the states means no harm.
#[derive(Default)]
struct Mix {
    hash: u64,
    /// Up to eight bytes that wait to be mixed in together.
    waiting: u64,
    bytes: u32,
}

impl Mix {
    fn mixed(&self) -> u64 {
        (self.hash.rotate_left(5) ^ self.waiting).wrapping_mul(0x517c_c1b7_2722_0a95)
    }
}

impl Hasher for Mix {
    fn finish(&self) -> u64 {
        let hash = self.mixed();
        hash ^ (hash >> 29) ^ (hash >> 47)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.waiting = (self.waiting << 8) | u64::from(value);
        self.bytes += 1;
        if self.bytes == 8 {
            *self = Self { hash: self.mixed(), ..Self::default() };
        }
    }

    /// The number of a variant.
    fn write_isize(&mut self, value: isize) {
        self.write_u8(value.to_le_bytes()[0]);
    }

    /// The length of an array, which is the same in all states.
    fn write_usize(&mut self, _: usize) {}
}
