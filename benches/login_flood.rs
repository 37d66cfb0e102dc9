//! What do those who are logged in notice of a flood of wrong passwords?
//!
//! A user whose password is remembered gets a manifest again and again; in every second round 200 wrong passwords come in
//! a second, of cost 12. The 99th percentile of the user's answers has to stay within twice that of the quiet rounds, or
//! 5 ms. Exits with 1 otherwise.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry_auth::{Htpasswd, HtpasswdUsers, htpasswd_line};
use registry_benches::{Connection, Content, Place, Server};

const PER_SECOND: u32 = 200;
const LIMIT: Duration = Duration::from_millis(5);

fn main() -> ExitCode {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, length) = if is_test { (2, Duration::from_millis(200)) } else { (8, Duration::from_secs(5)) };
    let line = htpasswd_line("ann", "secret", 12).expect("a good user");
    let cores = thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
    let logins = Htpasswd::builder("bench", HtpasswdUsers::parse(&line).0).concurrency(cores).build();
    let server = Server::guarded(Place::Memory, env!("CARGO_TARGET_TMPDIR"), Arc::new(logins)).expect("starts");
    server.prepare_image(&"latest".parse().expect("a tag")).expect("the storage works");
    let server = Arc::new(server);
    let mut known = server.connect().expect("connects").logged_in("ann", "secret");
    let (mut quiet, mut flooded) = (Vec::new(), Vec::new());
    let (checked, turned_away) = (AtomicUsize::new(0), AtomicUsize::new(0));
    for round in 0..rounds {
        let is_flooded = round % 2 == 1;
        let times = if is_flooded { &mut flooded } else { &mut quiet };
        let stop = AtomicBool::new(!is_flooded);
        thread::scope(|scope| {
            scope.spawn(|| flood(&server, &stop, &checked, &turned_away));
            measure(&mut known, length, times);
            stop.store(true, Ordering::Relaxed);
        });
    }
    let (quiet, flooded) = (percentile(&mut quiet), percentile(&mut flooded));
    println!("quiet:   99 % within {quiet:.2?}");
    println!("flooded: 99 % within {flooded:.2?}, wanted {:.2?}", LIMIT.max(quiet * 2));
    println!("wrong passwords: {} checked, {} turned away", checked.into_inner(), turned_away.into_inner());
    if is_test || flooded <= LIMIT.max(quiet * 2) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
fn measure(known: &mut Connection, length: Duration, times: &mut Vec<Duration>) {
    let path = format!("/v2/{}/manifests/latest", Server::REPOSITORY);
    let begun = Instant::now();
    while begun.elapsed() < length {
        let start = Instant::now();
        known.send("GET", &path, Content::None, 200).expect("the password is good");
        times.push(start.elapsed());
        // As fast as a client that has something else to do as well.
        thread::sleep(Duration::from_micros(500));
    }
}

/// One connection for each wrong password, as many as come: none waits for another.
fn flood(server: &Server, stop: &AtomicBool, checked: &AtomicUsize, turned_away: &AtomicUsize) {
    thread::scope(|scope| {
        let mut number = 0_u32;
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            scope.spawn(move || {
                let connection = server.connect().expect("connects");
                let status = connection.logged_in("ann", &format!("wrong-{number}")).status("GET", "/v2/");
                let count = match status.expect("an answer") {
                    401 => checked,
                    429 => turned_away,
                    other => panic!("{other}"),
                };
                count.fetch_add(1, Ordering::Relaxed);
            });
            thread::sleep(Duration::from_secs(1) / PER_SECOND);
        }
    });
}

fn percentile(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}
