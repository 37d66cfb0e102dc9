//! How fast is the library in somebody's process, without a socket?
//!
//! `pull` reads a blob of a directory, as the page cache has it, and drops the bytes; `file` is the limit, a loop that reads
//! the same file into a buffer. `push` takes a blob in; `hash` is the limit, as no push is faster on one processor.

use std::cell::LazyCell;
use std::fs::File;
use std::hint::black_box;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use registry_benches::{Layer, MEBIBYTE, Place, Server};
use registry_core::{Algorithm, Digest, Hasher, Span, layout};

const BYTES: usize = 256 * MEBIBYTE;
/// What embedders have at hand, such as what another client read.
const FRAME_BYTES: usize = 64 * 1024;

/// Nobody comes to its port here.
fn start(place: Place) -> Server {
    Server::start(place, env!("CARGO_TARGET_TMPDIR")).expect("starts")
}

fn push_one(server: &Server, digest: &Digest, frames: &[Bytes]) {
    let repository = server.repository().expect("a name");
    let frames = stream::iter(frames.to_vec()).map(Ok).boxed();
    let info = server.run(repository.uploads().push(digest, frames)).expect("it is taken");
    assert_eq!(info.size, BYTES as u64);
}

fn pull_one(server: &Server, digest: &Digest) -> u64 {
    let repository = server.repository().expect("a name");
    let blocking = Arc::clone(server.registry().blocking());
    server.run(async {
        let blob = repository.blobs().open(digest).await.expect("it is there");
        let whole = Span::whole(blob.info().size);
        let frames = blob.read(whole).await.expect("opens").into_stream(blocking);
        let length = frames.try_fold(0, |sum, frame| async move { Ok(sum + black_box(frame).len() as u64) });
        length.await.expect("it is readable")
    })
}

fn pull(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embedded_pull");
    group.sample_size(20).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(BYTES as u64));
    let prepared = LazyCell::new(|| {
        let (server, layer) = (start(Place::Os), Layer::new(BYTES, 1));
        server.prepare_layer(&layer).expect("the storage works");
        (server, layer.digest)
    });
    group.bench_function("registry", |bencher| {
        let (server, digest) = &*prepared;
        bencher.iter(|| assert_eq!(pull_one(server, digest), BYTES as u64));
    });
    group.bench_function("file", |bencher| {
        let (server, digest) = &*prepared;
        let path = server.folder().expect("it has one").join(layout::blob(digest).as_str());
        let mut buffer = vec![0; 256 * 1024];
        bencher.iter(|| {
            let mut file = File::open(&path).expect("it is there");
            let mut length = 0;
            loop {
                match file.read(&mut buffer).expect("it is readable") {
                    0 => break,
                    read => length += black_box(&buffer[..read]).len(),
                }
            }
            assert_eq!(length, BYTES);
        });
    });
    group.finish();
}

fn push(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embedded_push");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(BYTES as u64));
    let prepared = LazyCell::new(|| {
        let layer = Layer::new(BYTES, 1);
        (layer.digest, layer.frames(FRAME_BYTES))
    });
    for place in [Place::Memory, Place::Os] {
        group.bench_function(place.name(), |bencher| {
            let ((digest, frames), server) = (&*prepared, start(place));
            bencher.iter_batched(
                || server.forget(digest).expect("the storage works"),
                |()| push_one(&server, digest, frames),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("hash", |bencher| {
        let (digest, frames) = &*prepared;
        bencher.iter(|| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            for frame in frames {
                hasher.update(frame);
            }
            assert_eq!(hasher.finish(), *digest);
        });
    });
    group.finish();
}

criterion_group!(benches, pull, push);
criterion_main!(benches);
