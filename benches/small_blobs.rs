//! How many small blobs come in, one behind the other?
//!
//! Each has 4 KiB of its own, and is pushed over one connection on loopback to a server in this process: in three
//! requests as docker does, or in one.

use std::cell::LazyCell;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use registry_benches::{Content, Layer, Place, Server, chunked};

const BYTES: usize = 4 * 1024;

fn small_blobs(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("small_blobs");
    group.throughput(Throughput::Elements(1));
    for place in Place::ALL {
        let server = LazyCell::new(|| Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts"));
        let mut seed = 0;
        let mut fresh = || {
            seed += 1;
            Layer::new(BYTES, seed)
        };
        group.bench_function(BenchmarkId::new(place.name(), "three requests"), |bencher| {
            let mut connection = server.connect().expect("connects");
            bencher.iter_batched(
                || {
                    let layer = fresh();
                    (layer.digest, chunked(&layer.content))
                },
                |(digest, encoded)| connection.push(Server::REPOSITORY, &digest, &encoded).expect("it is taken"),
                BatchSize::SmallInput,
            );
        });
        group.bench_function(BenchmarkId::new(place.name(), "one request"), |bencher| {
            let mut connection = server.connect().expect("connects");
            bencher.iter_batched(
                || {
                    let layer = fresh();
                    let path = format!("/v2/{}/blobs/uploads/?digest={}", Server::REPOSITORY, layer.digest);
                    (path, layer)
                },
                |(path, layer)| {
                    connection.send("POST", &path, Content::Whole(&layer.content), 201).expect("it is taken")
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, small_blobs);
criterion_main!(benches);
