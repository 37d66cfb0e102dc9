//! Each rule of the protocol, broken: the checks must find it out.

use crate::collectors::{LONG, SPAN_SECONDS, collected, runs};
use crate::explore::exhaust;
use crate::program::Program;
use crate::request::Request::{Head, Push, Put, Ship};
use crate::sabotage::Sabotage;
use crate::universe::{APP, CONFIG, IMAGE_A, LAYER_A, ONE};

fn found_out(sabotage: Sabotage, program: Program, what: &str) {
    if let Err(broken) = exhaust(program.clone()) {
        panic!("{sabotage:?} is not to blame: {broken}");
    }
    match exhaust(program.sabotaged(sabotage)) {
        Ok(explored) => panic!("{sabotage:?} was not found out in {explored}"),
        Err(broken) if broken.what.contains(what) => println!("{sabotage:?}: {}", broken.what),
        Err(broken) => panic!("{sabotage:?} was found out otherwise: {broken}"),
    }
}

/// A push of an image, of blobs that were there for long.
fn push() -> Program {
    let program = Program::new("a push").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))])
}

/// Blobs of which only the bytes are left: the next run takes them away.
fn unlinked() -> Program {
    let program = Program::new("a push").before([Push(APP, CONFIG), Push(APP, LAYER_A)]).wait(LONG);
    let program = program.collect(runs(1, false)).wait(SPAN_SECONDS + 1);
    program.collect(runs(1, false)).wait(SPAN_SECONDS + 1)
}

#[test]
fn links_that_are_not_written() {
    let program = || Program::new("an image").client([Ship(APP, IMAGE_A, Some(ONE))]);
    found_out(Sabotage::NoLayerLink, program(), "promised, but missing");
    found_out(Sabotage::NoRevisionLink, program(), "nobody was in its way");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_delete_without_a_copy_of_the_link() {
    found_out(Sabotage::NoRetiredCopy, collected(push(), false).collector(runs(1, false)), "");
}

/// The collector reads its copy before it deletes, so one that was not made does no harm.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_copy_of_content_that_was_not_made_is_noticed() {
    let program = unlinked().client([Push(APP, LAYER_A), Push(APP, CONFIG), Put(APP, IMAGE_A, Some(ONE))]);
    let program = collected(program, false).collector(runs(1, false));
    let program = Program { preemptions: Some(2), ..program };
    if let Err(broken) = exhaust(program.sabotaged(Sabotage::NoFossil)) {
        panic!("{broken}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_collector_that_does_not_see_the_links_of_manifests() {
    let program = Program::new("an untagged image").before([Ship(APP, IMAGE_A, None)]).wait(LONG);
    found_out(Sabotage::BlindToRevisions, collected(program, false).collector(runs(1, false)), "nowhere");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_collector_that_does_not_see_what_was_taken_away() {
    let program = collected(push(), false).collector(runs(1, false));
    found_out(Sabotage::BlindToRetired, program, "");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_collector_without_a_quarantine() {
    let program = collected(push(), false).collector(runs(2, false));
    found_out(Sabotage::NoQuarantine, Program { preemptions: Some(2), ..program }, "promised, but missing");
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_late_delete_that_says_it_is_done() {
    let program = unlinked().client([Push(APP, LAYER_A), Push(APP, CONFIG), Put(APP, IMAGE_A, Some(ONE))]);
    let program = collected(program, false).collector(runs(2, false));
    let program = Program { late: 1, ticks: 1, preemptions: Some(1), ..program };
    found_out(Sabotage::LateIsDone, program, "");
}
