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
use registry_benches::{Layer, MEBIBYTE, Place};
use registry_core::{Algorithm, Blocking, Digest, Hasher, Registry, Repository, Span, TokioBlocking, layout};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const BYTES: usize = 256 * MEBIBYTE;
/// What embedders have at hand, such as what another client read.
const FRAME_BYTES: usize = 64 * 1024;

/// A registry without a server.
struct Embedded {
    runtime: Runtime,
    registry: Registry,
    repository: Repository,
    directory: Option<TempDir>,
}

impl Embedded {
    fn new(place: Place) -> Self {
        let (storage, directory) = place.open(env!("CARGO_TARGET_TMPDIR").as_ref()).expect("opens");
        let registry = Registry::builder(storage).build();
        let repository = registry.repository(&"library/app".parse().expect("a name"));
        Self { runtime: Runtime::new().expect("starts"), registry, repository, directory }
    }

    fn push(&self, layer: &Layer, frames: &[Bytes]) {
        let frames = stream::iter(frames.to_vec()).map(Ok).boxed();
        let info = self.runtime.block_on(self.repository.uploads().push(&layer.digest, frames)).expect("it is taken");
        assert_eq!(info.size, layer.content.len() as u64);
    }

    fn pull(&self, digest: &Digest) -> u64 {
        let blocking: Arc<dyn Blocking> = Arc::new(TokioBlocking);
        self.runtime.block_on(async {
            let blob = self.repository.blobs().open(digest).await.expect("it is there");
            let whole = Span::whole(blob.info().size);
            let frames = blob.read(whole).await.expect("opens").into_stream(blocking);
            let length = frames.try_fold(0, |sum, frame| async move { Ok(sum + black_box(frame).len() as u64) });
            length.await.expect("it is readable")
        })
    }

    /// So that the next push is as if it were the first.
    fn forget(&self, digest: &Digest) {
        let storage = self.registry.storage();
        for key in [layout::layer_link(self.repository.name(), digest), layout::blob(digest)] {
            self.runtime.block_on(storage.delete(&key)).expect("the storage works");
        }
    }
}

fn frames(layer: &Layer) -> Vec<Bytes> {
    let content = Bytes::from(layer.content.clone());
    (0..content.len()).step_by(FRAME_BYTES).map(|at| content.slice(at..content.len().min(at + FRAME_BYTES))).collect()
}

fn pull(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("embedded_pull");
    group.sample_size(20).sampling_mode(SamplingMode::Flat).throughput(Throughput::Bytes(BYTES as u64));
    let prepared = LazyCell::new(|| {
        let (embedded, layer) = (Embedded::new(Place::Os), Layer::new(BYTES, 1));
        embedded.push(&layer, &frames(&layer));
        (embedded, layer.digest)
    });
    group.bench_function("registry", |bencher| {
        let (embedded, digest) = &*prepared;
        bencher.iter(|| assert_eq!(embedded.pull(digest), BYTES as u64));
    });
    group.bench_function("file", |bencher| {
        let (embedded, digest) = &*prepared;
        let folder = embedded.directory.as_ref().expect("it has one").path();
        let path = folder.join(layout::blob(digest).as_str());
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
        let frames = frames(&layer);
        (layer, frames)
    });
    for place in [Place::Memory, Place::Os] {
        group.bench_function(place.name(), |bencher| {
            let ((layer, frames), embedded) = (&*prepared, Embedded::new(place));
            bencher.iter_batched(
                || embedded.forget(&layer.digest),
                |()| embedded.push(layer, frames),
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("hash", |bencher| {
        let (layer, frames) = &*prepared;
        bencher.iter(|| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            for frame in frames {
                hasher.update(frame);
            }
            assert_eq!(hasher.finish(), layer.digest);
        });
    });
    group.finish();
}

criterion_group!(benches, pull, push);
criterion_main!(benches);
