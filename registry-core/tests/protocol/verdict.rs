//! How a test says what it expects of a scenario, and what it prints. `.ci/model` reads the lines.

use crate::explore::explore;
use crate::scenario::{Fault, Operation, Scenario};
use crate::world::{IMAGE, INDEX, LAYER, World};

/// Everything that can go wrong on object storage, except that a run stops for long and then goes on.
pub(crate) const FAULTS: &[Fault] = &[Fault::Crash, Fault::LateBytes, Fault::LateLinks];

/// The scenario is safe in all its states. It has at least `least` of them: fewer would mean that the model lost steps.
#[track_caller]
pub(crate) fn holds(scenario: Scenario, least: usize) {
    let scenario = scenario.prepared();
    let outcome = explore(&scenario);
    println!(
        "model: {} states, {} transitions, {} recoveries, holds: {}",
        outcome.states, outcome.transitions, outcome.recoveries, scenario.name
    );
    if let Some((violation, trace)) = outcome.violation {
        panic!("{}: {violation:?}\n{trace}", scenario.name);
    }
    assert!(outcome.states >= least, "{}: {} states, {least} expected", scenario.name, outcome.states);
}

/// The first violation that is found is one of `invariant`.
#[track_caller]
pub(crate) fn breaks(scenario: Scenario, invariant: &str) {
    let scenario = scenario.prepared();
    let outcome = explore(&scenario);
    let Some((violation, trace)) = outcome.violation else {
        panic!("{}: nothing breaks in {} states", scenario.name, outcome.states);
    };
    println!(
        "model: {} states, {} after {} steps, breaks: {}",
        outcome.states,
        violation.invariant(),
        trace.0.len(),
        scenario.name
    );
    println!("{violation:?}\n{trace}");
    assert_eq!(violation.invariant(), invariant, "{}: {violation:?}\n{trace}", scenario.name);
}

/// An old layer, and a client that pushes an image over it.
pub(crate) fn push_of_an_image(name: &'static str) -> Scenario {
    Scenario::new(name, World::image()).stored(&[LAYER]).client(&[put(IMAGE)])
}

/// An old untagged image, and a client that pushes an index over it.
pub(crate) fn push_of_an_index(name: &'static str) -> Scenario {
    Scenario::new(name, World::index()).stored(&[LAYER, IMAGE]).client(&[put(INDEX)])
}

/// A push to the first tag.
pub(crate) fn put(link: u8) -> Operation {
    Operation::Put { link, tag: Some(0) }
}

/// A push to the second tag.
pub(crate) fn put_second(link: u8) -> Operation {
    Operation::Put { link, tag: Some(1) }
}

/// A push by digest.
pub(crate) fn put_untagged(link: u8) -> Operation {
    Operation::Put { link, tag: None }
}
