//! What is known not to hold. Each test says what goes wrong; one that fails has become better than it says.

use crate::explore::exhaust;
use crate::program::Program;
use crate::request::Request::{Delete, Put, Ship};
use crate::universe::{APP, IMAGE_A, IMAGE_B, ONE};

fn goes_wrong(program: Program, what: &str) {
    let name = program.name.clone();
    match exhaust(program) {
        Ok(explored) => panic!("{name}: it holds now, in {explored}"),
        Err(broken) => assert!(broken.what.contains(what), "{broken}"),
    }
}

/// Changes of tags take turns within a process only: a delete by digest takes a tag that another process moves just then.
#[test]
fn a_delete_by_digest_in_another_process_takes_a_tag_that_moves() {
    let program = Program::new("a delete by digest and a move of the tag, in two processes");
    let program = program.before([Ship(APP, IMAGE_A, Some(ONE)), Ship(APP, IMAGE_B, None)]);
    let program = program.client_of(0, [Put(APP, IMAGE_B, Some(ONE))]).client_of(1, [Delete(APP, IMAGE_A)]);
    goes_wrong(program, "app:one reads as None");
}
