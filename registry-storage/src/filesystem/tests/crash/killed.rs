//! A process dies at any call; the next one goes on with what it finds; then the power is cut.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;

use super::super::super::SyncMode;
use super::super::super::sys::Call;
use super::mutants::{self, Mutant};
use super::recorder::Judge;
use super::recovery::Subject;
use super::run::{Session, Survey, scratch};
use super::scenarios::{self, Scenario};
use super::states::Effort;
use super::workload::Step;
use super::world::World;

/// From some call on the process is dead: nothing that it asks for happens.
#[derive(Debug)]
struct Killed {
    left: AtomicUsize,
}

impl Judge for Killed {
    fn before(&self, _: Call, _: &Path) -> io::Result<()> {
        let lives = |left: usize| left.checked_sub(1);
        match self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, lives) {
            Ok(_) => Ok(()),
            Err(_) => Err(Errno::IO.into()),
        }
    }

    fn spoils(&self) -> bool {
        false
    }
}

/// Gives whether the process was done before it died.
fn die_at(call: usize, scenario: &Scenario, subject: &Subject, mutant: Option<Mutant>) -> Result<bool, String> {
    let directory = scratch();
    let killed = Arc::new(Killed { left: AtomicUsize::new(call) });
    let mut session =
        Session::new(directory.path(), World::default(), mutant, Some(killed.clone())).durability(scenario.mode);
    let mut steps = [Step::Reopen].into_iter().chain(scenario.steps.clone());
    let done = steps.all(|step| session.step(&step).is_ok());

    killed.left.store(usize::MAX, Ordering::Relaxed);
    for step in [Step::Reopen].iter().chain(&scenario.steps) {
        session.step(step)?;
    }
    let effort = Effort { exhaustive: 1, samples: 4, near: true, seed: call as u64 };
    let run = session.finish();
    Survey::quick(subject, effort, 24).cut_at(&run, run.log.ops.len())?;
    Ok(done)
}

fn die_at_each_call(scenario: &Scenario, mutant: Option<Mutant>) -> Result<usize, String> {
    let subject = scenario.subject();
    for call in 0.. {
        if die_at(call, scenario, &subject, mutant).map_err(|wrong| format!("killed at call {call}: {wrong}"))? {
            return Ok(call);
        }
    }
    Err("no call was the last".to_owned())
}

#[test]
fn what_a_process_left_when_it_was_killed_is_made_durable_by_the_next() {
    let calls = die_at_each_call(&scenarios::image_push(), None).unwrap();
    assert!(calls > 150, "{calls}");
}

#[test]
fn what_a_killed_process_had_on_record_or_in_place_is_made_durable_by_the_next() {
    let calls = die_at_each_call(&scenarios::image_push().durability(SyncMode::Group), None).unwrap();
    assert!(calls > 100, "{calls}");
}

#[test]
fn opening_without_a_sync_is_found_out() {
    let outcome = die_at_each_call(&scenarios::image_push(), Some(mutants::AFTER_ANOTHER));
    assert!(outcome.is_err(), "{outcome:?}");
}
