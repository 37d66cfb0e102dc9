//! Larger programs, made by chance, in orders that chance decides.
//!
//! `INTERLEAVINGS_SEED=7` repeats the one with that seed; `INTERLEAVINGS_SCHEDULES=1000000` asks for so many.

use std::env;

use crate::chance::Chance;
use crate::collectors::{SPAN_SECONDS, collected, runs, runs_beside};
use crate::explore::{Explored, prepare, wander};
use crate::program::{Before, Program, Task};
use crate::request::Request;
use crate::universe::{
    APP, CONFIG, IMAGE_A, IMAGE_AB, IMAGE_B, INDEX, Item, LAYER_A, LAYER_B, LIB, Mark, NEST, ONE, Repo, SIGNATURE, TWO,
};

/// How many orders of each program are tried, so that making the program costs little.
const ORDERS: u64 = 20;

/// How many orders are tried where nobody says.
const SCHEDULES: u64 = 60;

#[test]
fn clients_alone() {
    campaign("clients alone", clients);
}

#[test]
fn clients_of_several_processes() {
    campaign("clients of several processes", |chance| {
        let mut program = clients(chance);
        program.name = "clients of several processes, by chance".into();
        for (number, task) in program.tasks.iter_mut().enumerate() {
            if let Task::Client(process, requests) = task {
                *process = number;
                // A delete by digest may take a tag that another process moves: that is known, and stands among the limits.
                requests.retain(|request| !matches!(request, Request::Delete(..)));
            }
        }
        program
    });
}

#[test]
fn clients_and_collectors() {
    campaign("clients and collectors", |chance| {
        let program = clients(chance);
        among_collectors(chance, program, false)
    });
}

#[test]
fn clients_and_collectors_that_take_untagged() {
    campaign("clients and collectors that take untagged", |chance| {
        let program = clients(chance);
        among_collectors(chance, program, true)
    });
}

/// Collectors beside clients, steps of time, late deletes and crashes.
fn among_collectors(chance: &mut Chance, program: Program, untagged_go: bool) -> Program {
    let mut program = Program { crashes: 0, ..program };
    let waited = [0, SPAN_SECONDS / 2, 3 * SPAN_SECONDS];
    for _ in 0..chance.below(3) {
        let place = chance.below(program.before.len() + 1);
        program.before.insert(place, Before::Wait(chance.pick(&waited)));
    }
    let mut program = collected(program, untagged_go).wait(chance.pick(&waited));
    for _ in 0..=chance.below(2) {
        let number = 1 + chance.below(3);
        program = if chance.one_in(2) {
            program.collector(runs(number, untagged_go))
        } else {
            // All clients are of one process.
            program.collector_of(0, runs_beside(number, untagged_go))
        };
    }
    program.name = "clients and collectors, by chance".into();
    program.ticks = u8::try_from(chance.below(5)).unwrap();
    program.tick_seconds = chance.pick(&[SPAN_SECONDS / 2, SPAN_SECONDS + 1, 2 * SPAN_SECONDS]);
    program.late = if chance.one_in(2) { 0 } else { u8::try_from(1 + chance.below(3)).unwrap() };
    program.crashes = if chance.one_in(2) { 0 } else { u8::try_from(1 + chance.below(2)).unwrap() };
    program
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Tries many programs, each in many orders.
fn campaign(name: &str, program: fn(&mut Chance) -> Program) {
    let mut explored = Explored::default();
    let schedules = number("INTERLEAVINGS_SCHEDULES").unwrap_or(SCHEDULES);
    let seeds = number("INTERLEAVINGS_SEED").map_or(0..schedules / ORDERS, |seed| seed..seed + 1);
    for seed in seeds {
        let mut chance = Chance::new(seed);
        let program = program(&mut chance);
        let listed = program.to_string();
        let tried = prepare(program).and_then(|prepared| {
            (0..ORDERS).try_for_each(|_| wander(&prepared, &mut chance).map(|run| explored.add(&run)))
        });
        if let Err(broken) = tried {
            panic!("{broken}\n{listed}\nto repeat it: INTERLEAVINGS_SEED={seed}");
        }
    }
    println!("interleavings: by chance, {name}: {explored}");
}

fn clients(chance: &mut Chance) -> Program {
    let mut program = Program::new("clients alone, by chance").before(before(chance));
    program.side_by_side = true;
    for _ in 0..2 + chance.below(3) {
        let requests: Vec<Request> = (0..=chance.below(3)).map(|_| request(chance)).collect();
        program = program.client(requests);
    }
    if chance.one_in(4) { program.crashes(1) } else { program }
}

/// What lies there already.
pub(crate) fn before(chance: &mut Chance) -> Vec<Request> {
    let mut requests = vec![Request::Push(APP, CONFIG)];
    for _ in 0..chance.below(4) {
        let mark = if chance.one_in(2) { None } else { Some(mark(chance)) };
        requests.push(match chance.below(3) {
            0 => Request::Push(repo(chance), blob(chance)),
            _ => Request::Ship(repo(chance), manifest(chance), mark),
        });
    }
    requests
}

pub(crate) fn request(chance: &mut Chance) -> Request {
    let (repo, mark) = (repo(chance), mark(chance));
    let tag = if chance.one_in(4) { None } else { Some(mark) };
    match chance.below(16) {
        0 => Request::Push(repo, blob(chance)),
        1 => Request::Upload(repo, blob(chance)),
        2 => Request::Mount(repo, other(repo), blob(chance)),
        3 => Request::Head(repo, if chance.one_in(2) { blob(chance) } else { manifest(chance) }),
        4 | 5 => Request::Put(repo, manifest(chance), tag),
        6 => Request::Get(repo, mark),
        7 | 8 => Request::Pull(repo, mark),
        9 => Request::DeleteTag(repo, mark),
        10 => Request::Delete(repo, blob(chance)),
        11 | 12 => Request::Delete(repo, manifest(chance)),
        _ => Request::Ship(repo, manifest(chance), tag),
    }
}

/// Most of what happens, happens in one repository, so that it meets.
fn repo(chance: &mut Chance) -> Repo {
    if chance.one_in(4) { LIB } else { APP }
}

fn other(repo: Repo) -> Repo {
    if repo == APP { LIB } else { APP }
}

fn mark(chance: &mut Chance) -> Mark {
    if chance.one_in(3) { TWO } else { ONE }
}

fn blob(chance: &mut Chance) -> Item {
    chance.pick(&[CONFIG, LAYER_A, LAYER_A, LAYER_B])
}

fn manifest(chance: &mut Chance) -> Item {
    chance.pick(&[IMAGE_A, IMAGE_A, IMAGE_A, IMAGE_B, IMAGE_AB, INDEX, INDEX, NEST, SIGNATURE])
}
