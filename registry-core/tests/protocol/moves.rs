//! All that can happen next in a state.

use crate::scenario::Scenario;
use crate::state::{Run, State};
use crate::step::{Actor, Step, Subject};
use crate::{client, collector, environment};

/// A list of steps and of the states that they lead to.
pub(crate) type Successors = Vec<(Step, State)>;

/// Fills `out` with the successors of a state.
pub(crate) fn successors(scenario: &Scenario, state: &State, out: &mut Successors) {
    out.clear();
    for (who, program) in scenario.programs.iter().enumerate() {
        if let Some(operation) = program.get(usize::from(state.clients[who].acknowledged)) {
            client::steps(scenario, *operation, &mut Moves { state, actor: Actor::Client(who), out }, who);
        }
    }
    for run in 0..scenario.runs {
        collector::steps(scenario, &mut Moves { state, actor: Actor::Run(run), out }, run);
    }
    environment::steps(scenario, &mut Moves { state, actor: Actor::Environment, out });
}

/// The steps of one actor in one state.
pub(crate) struct Moves<'a> {
    pub(crate) state: &'a State,
    pub(crate) actor: Actor,
    pub(crate) out: &'a mut Successors,
}

impl Moves<'_> {
    /// One thing that may happen: what it does to the state.
    pub(crate) fn may(&mut self, action: &'static str, subject: Subject, change: impl FnOnce(&mut State)) {
        let mut next = *self.state;
        change(&mut next);
        self.out.push((Step { actor: self.actor, action, subject }, next));
    }

    /// The same for a run of the collector, which stands at `position` by then.
    pub(crate) fn run(
        &mut self,
        (run, position): (usize, Run),
        action: &'static str,
        subject: Subject,
        change: impl FnOnce(&mut State),
    ) {
        self.may(action, subject, |next| {
            next.runs[run] = position;
            change(next);
        });
    }
}
