//! What does a page for people cost, with 20,000 repositories, of which one has 100,000 tags?
//!
//! The requests go to the service without a socket. `repositories` is the first page, `search` looks through all names,
//! `tags` is the first page of the large repository, `image` one image of it, `monitoring` the last day. At the
//! end it prints the most memory that the process took meanwhile.

use std::cell::LazyCell;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::Method;
use registry_benches::{Place, Server, forget_peak, peak_mib};
use tokio::runtime::Builder;

const REPOSITORIES: usize = 20_000;
const TAGS: usize = 100_000;

/// Whether each case is only run once, to see that it does: then making so many files would take longer than all else.
fn is_a_test() -> bool {
    std::env::args().any(|argument| argument == "--test")
}

fn pages(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pages");
    group.sample_size(10);
    let runtime = Builder::new_current_thread().enable_all().build().expect("starts");
    let server = LazyCell::new(|| {
        let server = Server::start(Place::Os, env!("CARGO_TARGET_TMPDIR")).expect("starts");
        let part = if is_a_test() { 100 } else { 1 };
        server.prepare_tags(TAGS / part).expect("the storage works");
        server.prepare_repositories(REPOSITORIES / part).expect("the storage works");
        forget_peak();
        server
    });
    let large = format!("/ui/repositories/{}", Server::REPOSITORY);
    let image = format!("{large}/-/images/t000077");
    for (name, path) in [
        ("repositories", "/ui/"),
        ("search", "/ui/?q=app1234"),
        ("tags", &large),
        ("image", &image),
        ("monitoring", "/ui/monitoring?period=24h"),
    ] {
        group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
            let server = &*server;
            bencher.iter(|| {
                let bytes = runtime.block_on(server.call(Method::GET, path)).expect("it is there");
                assert!(bytes > 1_000);
            });
        });
    }
    group.finish();
    println!("pages: {} MiB of memory at the most", peak_mib());
}

criterion_group!(benches, pages);
criterion_main!(benches);
