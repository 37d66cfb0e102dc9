//! How fast does a layer come in?
//!
//! It is pushed as docker does (POST, PATCH with a body in chunks, PUT) over loopback to a server in this process. The
//! blob is taken away before each round, so each is a first push.

use std::cell::LazyCell;

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use registry_benches::{Layer, MEBIBYTE, Place, Server, chunked};

fn blob_push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("blob_push");
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    for mebibytes in [16, 128] {
        let layer = LazyCell::new(|| {
            let layer = Layer::new(mebibytes * MEBIBYTE, 1);
            let encoded = chunked(&layer.content);
            (layer.digest, encoded)
        });
        group.throughput(Throughput::Bytes((mebibytes * MEBIBYTE) as u64));
        for place in Place::ALL {
            let server = LazyCell::new(|| {
                let server = Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts");
                let connection = server.connect().expect("connects");
                (server, std::cell::RefCell::new(connection))
            });
            group.bench_function(BenchmarkId::new(place.name(), format!("{mebibytes} MiB")), |bencher| {
                let ((server, connection), (digest, encoded)) = (&*server, &*layer);
                let mut connection = connection.borrow_mut();
                bencher.iter_batched(
                    || server.forget(digest).expect("the storage works"),
                    |()| connection.push(Server::REPOSITORY, digest, encoded).expect("it is taken"),
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, blob_push);
criterion_main!(benches);
