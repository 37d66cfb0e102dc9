//! What does a manifest cost, by tag, by digest, and only its head?
//!
//! The image has ten layers. `call` goes to the service without a socket, on one thread; `loopback` is one connection
//! to a server in this process.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use http::Method;
use registry_benches::{Content, Place, Server};
use tokio::runtime::Builder;

fn manifest_get(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("manifest_get");
    group.throughput(Throughput::Elements(1));
    let runtime = Builder::new_current_thread().enable_all().build().expect("starts");
    for place in [Place::Memory, Place::Strict] {
        let prepared = LazyCell::new(|| {
            let server = Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts");
            let digest = server.prepare_image(&"latest".parse().expect("a tag")).expect("the storage works");
            (server, digest)
        });
        for (name, method, by_digest) in
            [("by tag", Method::GET, false), ("by digest", Method::GET, true), ("head by tag", Method::HEAD, false)]
        {
            let path = |digest| {
                let reference = if by_digest { format!("{digest}") } else { "latest".to_owned() };
                format!("/v2/{}/manifests/{reference}", Server::REPOSITORY)
            };
            group.bench_function(BenchmarkId::new(format!("call/{}", place.name()), name), |bencher| {
                let (server, digest) = &*prepared;
                let path = path(digest);
                bencher.iter(|| runtime.block_on(server.call(method.clone(), &path)).expect("it is there"));
            });
            group.bench_function(BenchmarkId::new(format!("loopback/{}", place.name()), name), |bencher| {
                let (server, digest) = &*prepared;
                let path = path(digest);
                let mut connection = server.connect().expect("connects");
                bencher.iter(|| connection.send(method.as_str(), &path, Content::None, 200).expect("it is there"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, manifest_get);
criterion_main!(benches);
