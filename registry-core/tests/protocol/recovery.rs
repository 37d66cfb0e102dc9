//! I5 and I6: from wherever everybody stopped, complete runs without faults leave what is kept, whole and at its place,
//! and nothing else. The clients may have stopped anywhere, which is a crash of theirs.

use crate::collector;
use crate::invariants::{self, Violation};
use crate::moves::Moves;
use crate::roots;
use crate::scenario::{Operation, Scenario};
use crate::set::Set;
use crate::state::{RUNS, Run, RunAt, State};
use crate::step::Actor;

/// A complete run for the bytes, one for each level of nesting, two for each to quarantine and to purge, and one more.
const RUNS_UNTIL_CLEAN: usize = 10;

/// The run that recovers, and where everything that lies aside is put before it begins.
const RECOVERING: usize = 1;
const ASIDE: usize = 0;

/// Runs complete collections from `state`, and says what is wrong afterwards.
pub(crate) fn check(scenario: &Scenario, state: &State) -> Result<(), Violation> {
    let mut clean = scenario.clone().faults(&[]).runs(RUNS);
    clean.collectable = scenario.world.all_digests();
    clean.retirable = scenario.world.all_links();
    let mut recovered = *state;
    for _ in 0..RUNS_UNTIL_CLEAN {
        pass_time(&mut recovered);
        recovered = complete_run(&clean, recovered);
        invariants::check(&clean, &recovered)?;
    }
    whole(&clean, state, &recovered)?;
    no_garbage(&clean, &recovered)
}

/// What a state tells about its recovery: all that differs otherwise comes to the same.
pub(crate) fn key(state: &State) -> State {
    let mut rested = *state;
    pass_time(&mut rested);
    rested
}

/// All deletes are resolved, Q and the lease pass. Which run made a copy matters to nobody any more.
fn pass_time(state: &mut State) {
    let store = &mut state.store;
    store.young = Set::EMPTY;
    for run in 1..RUNS {
        let marked_aside = store.marked[ASIDE];
        let unmarked = store.retired[run].minus(store.marked[run]);
        let unmarked_aside = store.retired[ASIDE].minus(marked_aside);
        store.retired[ASIDE].add(store.retired[run]);
        // A copy that is not marked is the one that counts.
        store.marked[ASIDE] = store.retired[ASIDE].minus(unmarked.or(unmarked_aside));
        let fossils = store.fossils[run];
        store.fossils[ASIDE].add(fossils);
        store.fossils[run] = Set::EMPTY;
        store.retired[run] = Set::EMPTY;
        store.marked[run] = Set::EMPTY;
        store.settled_fossils[run] = Set::EMPTY;
        store.settled_retired[run] = Set::EMPTY;
    }
    store.settled_fossils[ASIDE] = store.fossils[ASIDE];
    store.settled_retired[ASIDE] = store.retired[ASIDE];
    state.runs = [Run { at: RunAt::Ended, ..Run::default() }; RUNS];
    state.ghost.promised = 0;
    state.ghost.settled_since = Set::EMPTY;
}

fn complete_run(clean: &Scenario, mut state: State) -> State {
    state.runs[RECOVERING] = Run::default();
    let mut out = Vec::new();
    while !state.runs[RECOVERING].is_over() {
        out.clear();
        collector::steps(clean, &mut Moves { state: &state, actor: Actor::Run(RECOVERING), out: &mut out }, RECOVERING);
        state = out.pop().expect("without faults a run always goes on").1;
    }
    state
}

/// What must be whole is at its place, not only in a copy.
fn whole(clean: &Scenario, before: &State, after: &State) -> Result<(), Violation> {
    let world = &clean.world;
    for manifest in invariants::required(clean, before) {
        for digest in world.needs(world.digest(manifest)) {
            if !after.store.canon.has(digest) {
                return Err(Violation::I5Progress("bytes that are needed are not back at their place"));
            }
            let link = world.link(world.repository(manifest), digest);
            if !after.store.live.has(link) && !after.ghost.deleted.has(link) {
                return Err(Violation::I5Progress("a link that is needed is not back"));
            }
        }
    }
    Ok(())
}

fn no_garbage(clean: &Scenario, after: &State) -> Result<(), Violation> {
    let store = &after.store;
    let seen = Run { seen_tagged: store.tagged(), seen_live: store.live, ..Run::default() };
    let roots = roots::conclude(clean, &seen);
    if let Some(link) = store.live.minus(roots.kept).first() {
        return Err(if was_deleted(clean, after, link) {
            Violation::I7Resurrection("a deleted link is there after complete runs, and nothing wants it")
        } else {
            Violation::I5Progress("a link that nothing wants is there after complete runs")
        });
    }
    let aside = store.retired.iter().chain(&store.fossils).any(|aside| !aside.is_empty());
    if aside {
        return Err(Violation::I5Progress("copies are left after complete runs"));
    }
    if !store.canon.within(roots.announced) {
        return Err(Violation::I5Progress("bytes that nothing wants are there after complete runs"));
    }
    Ok(())
}

fn was_deleted(clean: &Scenario, after: &State, link: u8) -> bool {
    let programs = clean.programs.iter().zip(&after.clients);
    let mut done = programs.flat_map(|(program, client)| &program[..usize::from(client.acknowledged)]);
    done.any(|operation: &Operation| invariants::deleted_by(*operation) == Some(link))
}
