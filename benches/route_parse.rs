//! What does it cost to read a path?

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use registry_http::fuzzing::Route;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

fn route_parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route_parse");
    for (name, path) in [
        ("base", "/v2/".to_owned()),
        ("manifest_by_tag", "/v2/library/app/manifests/latest".into()),
        ("manifest_by_digest", format!("/v2/library/app/manifests/{DIGEST}")),
        ("blob", format!("/v2/library/app/blobs/{DIGEST}")),
        ("blob_encoded", format!("/v2/library/app/blobs/{}", DIGEST.replace(':', "%3A"))),
        ("upload", "/v2/library/app/blobs/uploads/0190a0b0-0000-7000-8000-000000000000".into()),
        ("deep_name", format!("/v2/{}/tags/list", ["component"; 25].join("/"))),
        ("refused", "/v2/Library/App/manifests/latest".into()),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| Route::parse(black_box(&path))));
    }
    group.finish();
}

criterion_group!(benches, route_parse);
criterion_main!(benches);
