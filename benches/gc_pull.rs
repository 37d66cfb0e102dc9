//! What do pulls notice of a collector that is at work?
//!
//! Four clients pull an image's manifest and a blob of 64 KiB again and again; in every second round a collector marks a
//! store of 20,000 manifests and 200,000 links of layers, one run after the other, on the threads of the server. The 99th
//! percentile of the answers has to stay within twice that of the quiet rounds. Exits with 1 otherwise.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use registry_benches::{Connection, Content, Layer, Place, Server, StoreSize};
use registry_core::gc::{Collector, GcOptions};

const CLIENTS: usize = 4;

fn main() -> ExitCode {
    let is_test = std::env::args().any(|argument| argument == "--test");
    let (rounds, length) = if is_test { (2, Duration::from_millis(200)) } else { (12, Duration::from_secs(4)) };
    let manifests = if is_test { 10 } else { 2_000 };
    let server = Server::start(Place::Os, env!("CARGO_TARGET_TMPDIR")).expect("starts");
    let store = StoreSize { repositories: 10, manifests };
    store.fill(server.folder().expect("it is on disk")).expect("there is room");
    server.prepare_image(&"latest".parse().expect("a tag")).expect("the storage works");
    let blob = Layer::new(64 * 1024, 1);
    server.prepare_layer(&blob).expect("the storage works");
    let paths = [
        format!("/v2/{}/manifests/latest", Server::REPOSITORY),
        format!("/v2/{}/blobs/{}", Server::REPOSITORY, blob.digest),
    ];
    let runs = Arc::new(AtomicUsize::new(0));
    let (mut quiet, mut collected) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let is_collecting = round % 2 == 1;
        let collector = is_collecting.then(|| server.spawn(collect(&server, Arc::clone(&runs))));
        let times = if is_collecting { &mut collected } else { &mut quiet };
        let measured: Vec<Vec<Duration>> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CLIENTS)
                .map(|_| scope.spawn(|| measure(&mut server.connect().expect("connects"), &paths, length)))
                .collect();
            clients.into_iter().map(|client| client.join().expect("it measures")).collect()
        });
        times.extend(measured.into_iter().flatten());
        if let Some(collector) = collector {
            // The rounds that follow are quiet ones.
            collector.abort();
        }
    }
    let (quiet_p99, collected_p99) = (percentile(&mut quiet), percentile(&mut collected));
    println!("quiet:      {} answers, 99 % within {quiet_p99:.2?}", quiet.len());
    println!("collecting: {} answers, 99 % within {collected_p99:.2?}, wanted {:.2?}", collected.len(), quiet_p99 * 2);
    println!("whole runs of the collector: {}", runs.load(Ordering::Relaxed));
    if is_test || collected_p99 <= quiet_p99 * 2 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One run after the other.
fn collect(server: &Server, runs: Arc<AtomicUsize>) -> impl Future<Output = ()> + use<> {
    let mut options = GcOptions::default();
    options.dry_run = true;
    let collector = Collector::new(server.registry().clone(), options);
    async move {
        loop {
            collector.run().await.expect("the storage works");
            runs.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the time of the machine")]
fn measure(client: &mut Connection, paths: &[String], length: Duration) -> Vec<Duration> {
    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < length {
        for path in paths {
            let start = Instant::now();
            client.send("GET", path, Content::None, 200).expect("an answer");
            times.push(start.elapsed());
        }
        // As fast as a client that has something else to do as well.
        thread::sleep(Duration::from_millis(1));
    }
    times
}

fn percentile(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times.get(times.len().saturating_sub(1) * 99 / 100).copied().unwrap_or_default()
}
