//! Programs of clients and collectors, in every order.

use std::time::Duration;

use registry_core::gc::{Collector, GcOptions};

use crate::explore::exhaust;
use crate::program::{Collect, Epilogue, Program};
use crate::request::Request::{Delete, DeleteTag, Get, Head, Mount, Pull, Push, Put, Ship};
use crate::universe::{APP, CONFIG, IMAGE_A, IMAGE_B, INDEX, LAYER_A, LAYER_B, LIB, ONE, SIGNATURE, TWO};

/// The lease, the quarantine and the grace of manifests without a tag.
pub(crate) const SPAN_SECONDS: u64 = 3600;

/// What a collector knows of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knows {
    Nothing,
    /// All that write do so in its process.
    Writers,
    /// It is the only one that does anything.
    Everything,
}

/// Runs one after the other, of which none can know that it is alone.
pub(crate) fn runs(number: usize, untagged_go: bool) -> Collect {
    collector(number, untagged_go, Knows::Nothing)
}

/// The same in the only process with clients.
pub(crate) fn runs_beside(number: usize, untagged_go: bool) -> Collect {
    collector(number, untagged_go, Knows::Writers)
}

fn collector(runs: usize, untagged_go: bool, knows: Knows) -> Collect {
    Collect::new(move |registry| async move {
        let span = Duration::from_secs(SPAN_SECONDS);
        let mut options = GcOptions::default();
        (options.lease, options.quarantine, options.untagged_grace) = (span, span, span);
        (options.delete_untagged, options.max_condemned) = (untagged_go, None);
        options.only_process = knows != Knows::Nothing;
        options.alone = knows == Knows::Everything;
        let collector = Collector::new(registry, options);
        for _ in 0..runs {
            collector.run().await.map_err(|error| error.to_string())?;
        }
        Ok(())
    })
}

/// After so many runs all garbage is gone, one that an index of indexes of images holds together too: each level is taken
/// away by one run and purged by the next.
const RUNS: usize = 12;

/// A program with collectors, after which nothing is left that nothing needs.
pub(crate) fn collected(program: Program, untagged_go: bool) -> Program {
    let epilogue =
        Epilogue { collect: collector(1, untagged_go, Knows::Everything), runs: RUNS, pause_seconds: 2 * SPAN_SECONDS };
    let tick_seconds = SPAN_SECONDS + 1;
    Program { promise_seconds: SPAN_SECONDS, tick_seconds, untagged_go, epilogue: Some(epilogue), ..program }
}

/// A program whose beginning is long ago, with one run of a collector.
fn with_run(program: Program) -> Program {
    collected(program, false).collector(runs(1, false))
}

fn holds(program: Program) {
    let name = program.name.clone();
    match exhaust(program) {
        Ok(explored) => println!("interleavings: {name}: {explored}"),
        Err(broken) => panic!("{broken}"),
    }
}

/// Longer than anything is kept for the sake of its age.
pub(crate) const LONG: u64 = 100 * SPAN_SECONDS;

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_promise_and_a_run() {
    let program = Program::new("a promise and a run").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    holds(with_run(program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE)), Pull(APP, ONE)])));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn an_image_and_a_run() {
    let program = Program::new("an image and a run").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    holds(with_run(program.client([Ship(APP, IMAGE_A, Some(ONE))])));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_mount_and_a_run() {
    let program = Program::new("a mount and a run").before([Push(LIB, LAYER_B), Push(APP, CONFIG)]).wait(LONG);
    holds(with_run(program.client([Mount(APP, LIB, LAYER_B), Push(APP, CONFIG), Put(APP, IMAGE_B, Some(ONE))])));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn an_index_over_old_children_and_a_run_that_takes_untagged() {
    let before = [Ship(APP, IMAGE_A, None), Ship(APP, IMAGE_B, None)];
    let program = Program::new("an index over old children and a run").before(before).wait(LONG);
    let program = program.client([Put(APP, INDEX, Some(ONE))]);
    holds(collected(program, true).collector(runs(1, true)));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_delete_and_a_run() {
    let program = Program::new("a delete and a run").before([Ship(APP, IMAGE_A, Some(ONE))]).wait(LONG);
    let program = program.client([Delete(APP, IMAGE_A), Get(APP, ONE)]).client([Put(APP, IMAGE_A, Some(TWO))]);
    // All orders are a million; nothing else was found in them.
    holds(Program { preemptions: Some(3), ..with_run(program) });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_tag_on_an_old_untagged_image_and_a_run_that_takes_it() {
    let program =
        Program::new("a tag on an old untagged image and a run").before([Ship(APP, IMAGE_A, None)]).wait(LONG);
    let program = program.client([Put(APP, IMAGE_A, Some(ONE)), DeleteTag(APP, ONE), Head(APP, IMAGE_A)]);
    holds(collected(program, true).collector(runs(1, true)));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_crashed_run_and_a_push() {
    let program = Program::new("a crashed run and a push").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    let program = with_run(program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))])).crashes(1);
    holds(Program { only_collectors_crash: true, ..program });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn late_deletes_and_a_push() {
    let program = Program::new("late deletes and a push").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    let program = with_run(program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE)), Push(APP, LAYER_B)]));
    holds(Program { late: 1, ..program });
}

/// A tag that points to nothing is removed only where pushes and deletes are seen to, so it never takes one that comes back.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_tag_that_points_to_nothing_a_push_to_it_and_a_run() {
    let program = Program::new("a tag that points to nothing, a push to it and a run");
    let program = program.before([Ship(APP, IMAGE_A, Some(ONE))]).cut_off(APP, IMAGE_A).wait(LONG);
    let program = program.client([Put(APP, IMAGE_A, Some(ONE)), Get(APP, ONE)]);
    let program = collected(program.client([Put(APP, IMAGE_A, Some(TWO))]), false);
    let program = Program { preemptions: Some(2), ..program };
    holds(program.clone().collector_of(0, runs_beside(1, false)));
    holds(Program { name: program.name.clone() + " elsewhere", ..program }.collector(runs(1, false)));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_delete_of_a_tagged_image_that_comes_back_and_a_run_in_the_same_process() {
    let program = Program::new("a delete of a tagged image that comes back and a run beside it");
    let program = program.before([Ship(APP, IMAGE_A, Some(ONE))]).wait(LONG);
    let program = program.client([Delete(APP, IMAGE_A), Get(APP, ONE)]).client([Put(APP, IMAGE_A, None)]);
    holds(Program { preemptions: Some(3), ..collected(program, false).collector_of(0, runs_beside(1, false)) });
}

/// A push brings back what refers to it, but nothing of which a delete has begun.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_push_of_an_image_and_a_delete_of_its_signature_that_was_taken_away() {
    let program = Program::new("a push of an image and a delete of its signature");
    let program =
        program.before([Ship(APP, IMAGE_A, None), Put(APP, SIGNATURE, None)]).wait(LONG).collect(runs(1, true));
    let program = program.client([Put(APP, IMAGE_A, Some(ONE))]).client([Delete(APP, SIGNATURE), Head(APP, SIGNATURE)]);
    holds(Program { preemptions: Some(3), ..collected(program, true).collector(runs(1, true)) });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn two_runs_at_once_and_a_push() {
    let program =
        Program::new("two runs at once and a push").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    let program = program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))]);
    // All orders are too many; with so few changes of turn each run stands still anywhere in the middle of the other one.
    holds(Program { preemptions: Some(2), ..with_run(program).collector(runs(1, false)) });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_run_that_purges_in_the_middle_of_another_one() {
    let program = Program::new("a run that purges in the middle of another one");
    let program = program.before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG).collect(runs(1, false)).wait(LONG);
    let program = program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))]);
    holds(Program { preemptions: Some(2), ..with_run(program).collector(runs(1, false)) });
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn two_runs_that_take_untagged_and_an_index() {
    let before = [Ship(APP, IMAGE_A, None), Ship(APP, IMAGE_B, None)];
    let program = Program::new("two runs that take untagged and an index").before(before).wait(LONG);
    let program = collected(program.client([Put(APP, INDEX, Some(ONE))]), true);
    holds(Program { preemptions: Some(1), ..program.collector(runs(1, true)).collector(runs(1, true)) });
}

/// A look that finds a link only among what was taken away promises as much as any other.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_look_in_the_middle_of_the_quarantine_promises_all_of_it() {
    let program =
        Program::new("a look in the middle of the quarantine").before([Push(APP, CONFIG), Push(APP, LAYER_A)]);
    let program = program.wait(LONG).collect(runs(1, false)).wait(SPAN_SECONDS / 2);
    let program = program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))]);
    let program = collected(program, false).collector(runs(1, false));
    let program = Program { ticks: 1, tick_seconds: SPAN_SECONDS / 2, copies_promise: true, ..program };
    holds(program);
}
