//! Power cuts: what was acknowledged is there afterwards, and nothing is there in part.
//!
//! A workload runs on a real directory while every change and every sync is recorded. From the record come the states
//! in which a power cut may leave a disk ([`states`]); each is made a directory again, a registry is opened on it, and
//! both are held against the rules ([`rules`], [`world`]). Then the client does everything again.

mod cache;
mod collect;
mod faults;
mod image;
mod killed;
mod log;
mod mutants;
mod recorder;
mod recovery;
mod rules;
mod run;
mod scenarios;
mod states;
mod workload;
mod world;

use super::super::SyncMode;
use mutants::Mutant;
use run::{Run, Session, Survey, scratch};
use scenarios::Scenario;
use states::Effort;
use workload::{Process, Step};
use world::World;

/// With as much the scenarios take about a minute on one core.
const EFFORT: Effort = Effort { exhaustive: 256, samples: 56, near: true, seed: 0x5eed };

/// Runs a scenario on a volume of its own.
fn record(scenario: &Scenario, mutant: Option<Mutant>) -> Run {
    let directory = scratch();
    let mut world = World::default();
    let process = Process::start(directory.path(), None, 0, scenario.mode).unwrap();
    for step in &scenario.setup {
        process.run(step).unwrap();
        world.begin(&step.losses());
        world.acknowledge(&step.effects(&world));
    }
    drop(process);
    let mut session = Session::new(directory.path(), world, mutant, None).durability(scenario.mode);
    for step in [Step::Reopen].iter().chain(&scenario.steps) {
        session.step(step).unwrap();
    }
    session.finish()
}

/// Cuts the power at every moment of a scenario. Gives how many different states there were.
fn survive(scenario: &Scenario, effort: Effort) -> usize {
    let run = record(scenario, None);
    let subject = scenario.subject();
    let mut survey = Survey::new(&subject, effort);
    if let Err(wrong) = survey.cut_everywhere(&run) {
        panic!("{}: {wrong}", scenario.name);
    }
    eprintln!("{}: {} states from {} calls", scenario.name, survey.states(), run.log.ops.len());
    survey.states()
}

#[test]
fn what_is_acknowledged_survives_a_power_cut_at_every_moment() {
    let states: usize = scenarios::all().iter().map(|scenario| survive(scenario, EFFORT)).sum();
    eprintln!("{states} states, seed {:#x}", EFFORT.seed);
    assert!(states >= 10_000, "{states}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn each_sync_of_a_journal_that_is_left_out_is_missed() {
    let effort = Effort { exhaustive: 32, samples: 8, ..EFFORT };
    for (mutant, scenario) in
        mutants::IN_A_JOURNAL.into_iter().zip([scenarios::image_push(), scenarios::chunks(), scenarios::chunks()])
    {
        let scenario = scenario.durability(SyncMode::Group);
        let subject = scenario.subject();
        let outcome = Survey::quick(&subject, effort, 1).cut_everywhere(&record(&scenario, Some(mutant)));
        assert!(outcome.is_err(), "{}, and nothing is lost", mutant.name);
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_collection_survives_a_power_cut_at_every_moment() {
    let effort = Effort { exhaustive: 24, samples: 10, near: false, ..EFFORT };
    let besides = (0..10).map(scenarios::beside_a_run);
    let states: usize =
        scenarios::collections().into_iter().chain(besides).map(|scenario| survive(&scenario, effort)).sum();
    eprintln!("{states} states with a collector, seed {:#x}", EFFORT.seed);
    assert!(states >= 2_000, "{states}");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn each_sync_that_is_left_out_beside_a_collector_is_missed() {
    let effort = Effort { exhaustive: 16, samples: 8, near: true, ..EFFORT };
    for mutant in mutants::IN_A_COLLECTION {
        let besides = [scenarios::beside_a_run(14)];
        let is_missed = |scenario: Scenario| {
            let subject = scenario.subject();
            Survey::quick(&subject, effort, 1).cut_everywhere(&record(&scenario, Some(mutant))).is_err()
        };
        let found = scenarios::collections().into_iter().chain(besides).position(is_missed);
        eprintln!("{}: {found:?}", mutant.name);
        assert!(found.is_some(), "{}, and nothing is lost", mutant.name);
    }
}

/// Takes hours. `SEED=…` chooses where it begins.
#[test]
#[ignore = "takes hours; .ci/long runs it"]
fn a_million_states_survive() {
    let begin: u64 = std::env::var("SEED").map_or(1000, |seed| seed.parse().unwrap());
    let mut states = 0;
    for seed in begin.. {
        if states >= 1_000_000 {
            return;
        }
        let effort = Effort { exhaustive: 1024, samples: 512, near: true, seed };
        states += survive(&scenarios::mixed(seed), effort) + survive(&scenarios::beside_a_run(seed), effort);
        states += survive(&scenarios::mixed(seed).durability(SyncMode::Group), effort);
        eprintln!("{states} states, SEED={seed}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn what_is_on_record_survives_a_power_cut_at_every_moment() {
    let effort = Effort { exhaustive: 64, samples: 24, near: true, ..EFFORT };
    let group = |scenario: Scenario| survive(&scenario.durability(SyncMode::Group), effort);
    let states: usize = scenarios::all().into_iter().map(group).sum();
    eprintln!("{states} states with a journal, seed {:#x}", EFFORT.seed);
    assert!(states >= 3_000, "{states}");
}

#[test]
fn each_sync_that_is_left_out_is_missed() {
    let effort = Effort { exhaustive: 32, samples: 8, ..EFFORT };
    let with = |scenario: Scenario, mutants: &[Mutant]| {
        let subject = scenario.subject();
        for mutant in mutants {
            let run = record(&scenario, Some(*mutant));
            let outcome = Survey::quick(&subject, effort, 1).cut_everywhere(&run);
            assert!(outcome.is_err(), "{}, and nothing is lost", mutant.name);
        }
    };
    with(scenarios::image_push(), &mutants::IN_A_PUSH);
    with(scenarios::deletes(), &mutants::IN_A_DELETE);
    with(scenarios::chunks(), &[mutants::IN_CHUNKS]);
}
