//! How fast is hashing? No push is faster than this on one processor.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use registry_benches::{Layer, MEBIBYTE};
use registry_core::{Algorithm, Hasher};

fn hashing(criterion: &mut Criterion) {
    let layer = Layer::new(MEBIBYTE, 1);
    let mut group = criterion.benchmark_group("hashing");
    group.throughput(Throughput::Bytes(layer.content.len() as u64));
    for algorithm in Algorithm::ALL {
        group.bench_function(algorithm.as_str(), |bencher| {
            bencher.iter(|| {
                let mut hasher = Hasher::new(algorithm);
                hasher.update(black_box(&layer.content));
                hasher.finish()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hashing);
criterion_main!(benches);
