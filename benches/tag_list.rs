//! What does a page of 100 tags cost, out of how many?
//!
//! The page lies in the middle. The requests go to the service without a socket.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::Method;
use registry_benches::{Place, Server};
use tokio::runtime::Builder;

const PAGE: usize = 100;

fn tag_list(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tag_list");
    group.throughput(Throughput::Elements(PAGE as u64)).sample_size(20);
    let runtime = Builder::new_current_thread().enable_all().build().expect("starts");
    // Making a hundred thousand directories would take longer than everything else here.
    for (place, tags) in [(Place::Memory, 10_000), (Place::Memory, 100_000), (Place::Os, 1_000), (Place::Os, 10_000)] {
        let server = LazyCell::new(|| {
            let server = Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts");
            server.prepare_tags(tags).expect("the storage works");
            server
        });
        let path = format!("/v2/{}/tags/list?n={PAGE}&last=t{:06}", Server::REPOSITORY, tags / 2);
        group.bench_function(BenchmarkId::new(place.name(), tags), |bencher| {
            let server = &*server;
            bencher.iter(|| {
                let bytes = runtime.block_on(server.call(Method::GET, &path)).expect("it is there");
                assert!(bytes > PAGE * "\"t000000\"".len());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, tag_list);
criterion_main!(benches);
