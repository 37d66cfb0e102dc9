//! What do pulls notice of a collector that is at work?
//!
//! Four clients pull an image's manifest and a blob of 64 KiB again and again, in rounds of three kinds: alone; beside a
//! collector that marks a store of 20,000 manifests and 200,000 links of layers, one run after the other, on the threads
//! of the server; and beside the same with a rate. With the rate the 99th percentile of the answers has to stay within
//! twice that of the quiet rounds. Exits with 1 otherwise.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use registry_benches::{Connection, Content, Layer, Place, Server, StoreSize, together};
use registry_bin::pace::Pace;
use registry_core::Registry;
use registry_core::gc::{Collector, GcOptions};

const CLIENTS: usize = 4;
/// Operations of the collector in a second.
const RATE: u64 = 2_000;

fn main() -> ExitCode {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, length) = if is_test { (1, Duration::from_millis(200)) } else { (6, Duration::from_secs(4)) };
    let manifests = if is_test { 10 } else { 2_000 };
    let server = Server::start(Place::Os, env!("CARGO_TARGET_TMPDIR")).expect("starts");
    let paths = prepare(&server, manifests).expect("the storage works");
    let (mut quiet, mut collecting, mut paced) = (Vec::new(), Vec::new(), Vec::new());
    let pulls = |times: &mut Vec<Duration>| {
        let clients = (0..CLIENTS).map(|_| server.connect().expect("connects")).collect();
        let measured = together(clients, |mut client| measure(&mut client, &paths, length)).expect("answers");
        times.extend(measured.into_iter().flatten());
    };
    for _ in 0..rounds {
        pulls(&mut quiet);
        for (registry, times) in [
            (server.registry().clone(), &mut collecting),
            (server.registry().paced(Arc::new(Pace::new(RATE))), &mut paced),
        ] {
            let collector = server.spawn(collect(registry));
            pulls(times);
            server.stop(collector).expect("the collector works");
        }
    }
    let wanted = percentile(&mut quiet) * 2;
    for (name, times) in [("quiet", &mut quiet), ("collecting", &mut collecting), ("with a rate", &mut paced)] {
        println!("{name:12} {} answers, 99 % within {:.2?}", times.len(), percentile(times));
    }
    println!("wanted with {RATE} operations a second: {wanted:.2?}");
    if is_test || percentile(&mut paced) <= wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the collector looks at, and what is pulled meanwhile.
fn prepare(server: &Server, manifests: usize) -> io::Result<[String; 2]> {
    StoreSize { repositories: 10, manifests }.fill(server.folder().expect("it is on disk"))?;
    server.prepare_image(&"latest".parse().expect("a tag"))?;
    let blob = Layer::new(64 * 1024, 1);
    server.prepare_layer(&blob)?;
    Ok([
        format!("/v2/{}/manifests/latest", Server::REPOSITORY),
        format!("/v2/{}/blobs/{}", Server::REPOSITORY, blob.digest),
    ])
}

/// One run after the other.
async fn collect(registry: Registry) {
    let mut options = GcOptions::default();
    options.dry_run = true;
    let collector = Collector::new(registry, options);
    loop {
        collector.run().await.expect("the storage works");
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
fn measure(client: &mut Connection, paths: &[String], length: Duration) -> io::Result<Vec<Duration>> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < length {
        for path in paths {
            let start = Instant::now();
            client.send("GET", path, Content::None, 200)?;
            times.push(start.elapsed());
        }
        // As fast as a client that has something else to do as well.
        thread::sleep(Duration::from_millis(1));
    }
    Ok(times)
}

fn percentile(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}
