//! Programs of clients alone, in every order.

use crate::explore::exhaust;
use crate::program::Program;
use crate::request::Request::{Delete, DeleteTag, Fetch, Get, Head, Mount, Pull, Push, Put, Ship, Upload};
use crate::universe::{APP, CONFIG, IMAGE_A, IMAGE_AB, IMAGE_B, INDEX, LAYER_A, LAYER_B, LIB, ONE, TWO};

fn holds(program: Program) {
    let name = program.name.clone();
    match exhaust(program) {
        Ok(explored) => println!("interleavings: {name}: {explored}"),
        Err(broken) => panic!("{broken}"),
    }
}

#[test]
fn two_pushes_of_one_blob() {
    holds(Program::new("two pushes of one blob").client([Push(APP, LAYER_A)]).client([Upload(APP, LAYER_A)]));
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn two_clients_ship_the_same_image() {
    holds(Program::new("two clients ship the same image").client([Ship(APP, IMAGE_A, Some(ONE))]).client([Ship(
        APP,
        IMAGE_A,
        Some(ONE),
    )]));
}

#[test]
fn delete_by_digest_beside_put() {
    holds(
        Program::new("delete by digest beside put of the same")
            .before([Ship(APP, IMAGE_A, Some(ONE))])
            .client([Put(APP, IMAGE_A, Some(TWO)), Get(APP, TWO)])
            .client([Delete(APP, IMAGE_A), Get(APP, ONE)]),
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn delete_by_digest_beside_a_move_of_its_tag() {
    holds(
        Program::new("delete by digest beside a move of its tag")
            .before([Ship(APP, IMAGE_A, Some(ONE)), Ship(APP, IMAGE_B, None)])
            .client([Put(APP, IMAGE_B, Some(ONE))])
            .client([Delete(APP, IMAGE_A)])
            .client([Pull(APP, ONE)]),
    );
}

#[test]
fn index_over_old_children_beside_a_delete_of_one() {
    holds(
        Program::new("index over old children beside a delete of one")
            .before([Ship(APP, IMAGE_A, None), Ship(APP, IMAGE_B, None)])
            .client([Put(APP, INDEX, Some(ONE)), Pull(APP, ONE)])
            .client([Delete(APP, IMAGE_A)]),
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn mount_beside_a_delete_of_its_source() {
    holds(
        Program::new("mount beside a delete of its source")
            .before([Push(LIB, LAYER_A), Push(APP, CONFIG)])
            .client([Mount(APP, LIB, LAYER_A), Put(APP, IMAGE_A, Some(ONE))])
            .client([Delete(LIB, LAYER_A)])
            .client([Head(APP, LAYER_A), Fetch(LIB, LAYER_A)]),
    );
}

#[test]
fn push_beside_a_delete_of_the_blob() {
    holds(
        Program::new("push beside a delete of the blob")
            .before([Push(APP, CONFIG), Push(APP, LAYER_A)])
            .client([Push(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))])
            .client([Delete(APP, LAYER_A), Head(APP, LAYER_A)]),
    );
}

#[test]
fn a_tag_that_is_moved_and_deleted() {
    holds(
        Program::new("a tag that is moved and deleted")
            .before([Ship(APP, IMAGE_A, Some(ONE)), Ship(APP, IMAGE_B, None)])
            .client([Put(APP, IMAGE_B, Some(ONE))])
            .client([DeleteTag(APP, ONE)])
            .client([Get(APP, ONE), Get(APP, ONE)]),
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_promise_is_kept() {
    holds(
        Program::new("a promise is kept")
            .before([Ship(APP, IMAGE_AB, Some(ONE))])
            .client([Head(APP, LAYER_B), Head(APP, CONFIG), Put(APP, IMAGE_B, Some(TWO))])
            .client([Delete(APP, IMAGE_AB)])
            .client([Ship(APP, IMAGE_A, Some(ONE))]),
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn clients_that_go_away() {
    holds(
        Program::new("clients that go away")
            .before([Ship(APP, IMAGE_A, Some(ONE))])
            .client([Put(APP, IMAGE_A, Some(TWO))])
            .client([Delete(APP, IMAGE_A)])
            .client([Pull(APP, ONE), Pull(APP, TWO)])
            .crashes(1),
    );
}

#[test]
fn two_processes_ship_and_delete() {
    holds(
        Program::new("two processes ship and delete")
            .before([Ship(APP, IMAGE_A, Some(ONE))])
            .client_of(0, [Put(APP, IMAGE_A, Some(TWO))])
            .client_of(1, [Delete(APP, IMAGE_A)]),
    );
}
