use std::fs;

use futures::executor::block_on;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use registry_core::storage::{Fault, Faulty, Memory, OperationKind, contract};
use registry_core::{Algorithm, InlineBlocking, Span};
use tempfile::TempDir;

use super::*;

const PIECE: usize = 300 * 1024;

/// A cache in front of a storage that tells what it is asked.
struct Place {
    folder: TempDir,
    far: Arc<Faulty>,
    cache: DiskCache,
}

impl Place {
    fn new(limit_bytes: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let far = Arc::new(Faulty::new(Arc::new(Memory::new())));
        let cache = open(&far, folder.path(), limit_bytes).unwrap();
        Self { folder, far, cache }
    }

    /// As after the end of the process.
    fn reopened(self, limit_bytes: u64) -> Self {
        let Self { folder, far, cache } = self;
        drop(cache);
        let cache = open(&far, folder.path(), limit_bytes).unwrap();
        Self { folder, far, cache }
    }

    /// Puts a blob into the storage, in pieces that are read one by one.
    async fn put(&self, pieces: &[Bytes]) -> (Digest, Key) {
        let digest = Digest::of(Algorithm::Sha256, &pieces.concat());
        let key = layout::blob(&digest);
        self.put_at(&key, pieces).await;
        (digest, key)
    }

    async fn put_at(&self, key: &Key, pieces: &[Bytes]) {
        let staging: Key = "staged".parse().unwrap();
        let mut staged = self.far.stage(&staging, StageMode::Create).await.unwrap().unwrap();
        for piece in pieces {
            staged.append(vec![piece.clone()]).await.unwrap();
        }
        staged.sync().await.unwrap();
        staged.publish(key).await.unwrap();
        staged.discard().await.unwrap();
    }

    async fn stream(&self, key: &Key, span: Span) -> BoxStream<'static, Result<Bytes, Error>> {
        let object = self.cache.open(key).await.unwrap().unwrap();
        object.read(span).await.unwrap().into_stream(Arc::new(InlineBlocking))
    }

    async fn read(&self, key: &Key) -> Vec<u8> {
        let size = self.cache.stat(key).await.unwrap().unwrap().size;
        self.read_span(key, Span::whole(size)).await
    }

    async fn read_span(&self, key: &Key, span: Span) -> Vec<u8> {
        self.stream(key, span).await.try_collect::<Vec<_>>().await.unwrap().concat()
    }

    fn opened(&self) -> usize {
        self.far.operations().iter().filter(|operation| operation.kind == OperationKind::Open).count()
    }

    fn counts(&self) -> (u64, u64) {
        (self.cache.usage().hits, self.cache.usage().misses)
    }

    fn file(&self, digest: &Digest) -> PathBuf {
        self.folder.path().join("sha256").join(digest.hex())
    }

    fn arriving(&self) -> usize {
        fs::read_dir(self.folder.path().join("arriving")).unwrap().count()
    }
}

fn open(far: &Arc<Faulty>, folder: &Path, limit_bytes: u64) -> Result<DiskCache, DiskCacheError> {
    let far = Arc::clone(far) as Arc<dyn Storage>;
    DiskCache::builder(far, folder, limit_bytes).blocking(Arc::new(InlineBlocking)).open()
}

/// Pieces that differ, each a step of its own.
fn pieces(count: u8) -> Vec<Bytes> {
    (0..count).map(|number| vec![number; PIECE + usize::from(number)].into()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let cache = DiskCache::builder(Arc::new(Memory::new()), folder.path(), 1_000_000).open().unwrap();
    contract::run_all(Arc::new(cache)).await;
}

#[tokio::test]
async fn a_blob_leaves_the_storage_once() {
    let place = Place::new(10_000_000);
    let content = pieces(4);
    let (digest, key) = place.put(&content).await;
    for _ in 0..3 {
        assert_eq!(place.read(&key).await, content.concat());
    }
    assert_eq!((place.opened(), place.counts()), (1, (2, 1)));
    assert_eq!(fs::read(place.file(&digest)).unwrap(), content.concat());
    let usage = place.cache.usage();
    assert_eq!((usage.blobs, usage.bytes, usage.limit_bytes), (1, content.concat().len() as u64, 10_000_000));
    let part = place.read_span(&key, Span::new(PIECE as u64 - 1, 3).unwrap()).await;
    assert_eq!((part, place.opened()), (vec![0, 1, 1], 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_at_once_share_one_way() {
    let place = Place::new(100_000_000);
    let content = pieces(20);
    let (_, key) = place.put(&content).await;
    let (cache, whole) = (place.cache.clone(), Bytes::from(content.concat()));
    let readers = (0..32).map(|_| {
        let (cache, key, whole) = (cache.clone(), key.clone(), whole.clone());
        tokio::spawn(async move {
            let object = cache.open(&key).await.unwrap().unwrap();
            let body = object.read(Span::whole(whole.len() as u64)).await.unwrap();
            let frames: Vec<Bytes> = body.into_stream(Arc::new(TokioBlocking)).try_collect().await.unwrap();
            assert_eq!(frames.concat(), whole);
        })
    });
    for reader in readers.collect::<Vec<_>>() {
        reader.await.unwrap();
    }
    assert_eq!(place.counts(), (31, 1));
    assert_eq!(place.arriving(), 0);
}

#[tokio::test]
async fn what_came_since_it_was_opened_is_read_from_the_disk() {
    let place = Place::new(10_000_000);
    let content = pieces(2);
    let (_, key) = place.put(&content).await;
    let late = place.cache.open(&key).await.unwrap().unwrap();
    place.read(&key).await;
    let body = late.read(Span::whole(content.concat().len() as u64)).await.unwrap();
    let frames: Vec<_> = body.into_stream(Arc::new(InlineBlocking)).try_collect().await.unwrap();
    assert_eq!((frames.concat(), place.counts()), (content.concat(), (1, 1)));
}

#[tokio::test]
async fn a_range_is_no_reason_to_fetch_all() {
    let place = Place::new(10_000_000);
    let (digest, key) = place.put(&pieces(2)).await;
    assert_eq!(place.read_span(&key, Span::new(0, 1).unwrap()).await, [0]);
    assert_eq!((place.counts(), place.file(&digest).exists(), place.arriving()), ((0, 1), false, 0));
}

#[tokio::test]
async fn what_does_not_fit_passes_through() {
    let place = Place::new(3 * PIECE as u64);
    let large = pieces(4);
    let (_, key) = place.put(&large).await;
    assert_eq!(place.read(&key).await, large.concat());
    assert_eq!((place.cache.usage().blobs, place.arriving()), (0, 0));
    let (first, first_key) = place.put(&pieces(1)).await;
    let (second, second_key) = place.put(&pieces(2)).await;
    place.read(&first_key).await;
    place.read(&second_key).await;
    assert_eq!(
        (place.file(&first).exists(), place.file(&second).exists()),
        (false, true),
        "the bytes of both are more"
    );
    // An empty blob is not worth a file.
    let (empty, empty_key) = place.put(&[]).await;
    assert_eq!(place.read(&empty_key).await, b"");
    assert!(!place.file(&empty).exists());
}

#[tokio::test]
async fn what_the_storage_does_not_have_is_not_served() {
    let place = Place::new(10_000_000);
    let (digest, key) = place.put(&pieces(1)).await;
    place.read(&key).await;
    place.far.delete(&key).await.unwrap();
    assert!(place.cache.open(&key).await.unwrap().is_none(), "deleted by another process");
    assert!(!place.file(&digest).exists());

    place.put(&pieces(1)).await;
    place.read(&key).await;
    assert_eq!(place.cache.delete(&key).await.unwrap(), Deletion::Acked);
    assert!(!place.file(&digest).exists());

    place.put(&pieces(1)).await;
    place.read(&key).await;
    place.far.fail_next(OperationKind::Stat, Fault::Before);
    assert!(matches!(place.cache.open(&key).await, Err(Error::Unavailable { .. })));
}

#[tokio::test]
async fn other_bytes_than_the_digest_says_are_not_kept() {
    let place = Place::new(10_000_000);
    let (digest, key) = place.put(&pieces(2)).await;
    place.far.delete(&key).await.unwrap();
    let mut wrong = pieces(2);
    wrong[1] = vec![7; wrong[1].len()].into();
    place.put_at(&key, &wrong).await;
    assert_eq!(place.read(&key).await, wrong.concat(), "whoever reads it finds out, as without the cache");
    assert_eq!((place.file(&digest).exists(), place.arriving(), place.cache.usage().bytes), (false, 0, 0));

    place.far.delete(&key).await.unwrap();
    place.put(&pieces(2)).await;
    place.read(&key).await;
    place.far.delete(&key).await.unwrap();
    place.put_at(&key, &pieces(1)).await;
    assert_eq!(place.read(&key).await, pieces(1).concat(), "of another size by now");
}

#[tokio::test]
async fn what_breaks_off_goes_on_from_the_storage() {
    let place = Place::new(10_000_000);
    let content = pieces(4);
    let (digest, key) = place.put(&content).await;
    place.far.fail_next(OperationKind::Open, Fault::Cut);
    assert_eq!(place.read(&key).await, content.concat());
    assert_eq!((place.opened(), place.file(&digest).exists(), place.arriving()), (2, false, 0));
    assert_eq!(place.read(&key).await, content.concat());
    assert!(place.file(&digest).exists(), "the next one is not held up by that");

    let (_, other) = place.put(&pieces(3)).await;
    place.far.fail_next(OperationKind::Open, Fault::Cut);
    let object = place.cache.open(&other).await.unwrap().unwrap();
    place.far.delete(&other).await.unwrap();
    let body = object.read(Span::whole(pieces(3).concat().len() as u64)).await.unwrap();
    let read: Result<Vec<_>, _> = body.into_stream(Arc::new(InlineBlocking)).try_collect().await;
    assert!(matches!(read, Err(Error::Failed { .. })), "not a short blob");
}

#[tokio::test]
async fn a_disk_that_fails_costs_no_request() {
    let place = Place::new(10_000_000);
    let content = pieces(3);
    let (digest, key) = place.put(&content).await;
    let arriving = place.folder.path().join("arriving");
    fs::remove_dir(&arriving).unwrap();
    assert_eq!(place.read(&key).await, content.concat());
    assert_eq!(place.cache.usage().bytes, 0);
    fs::create_dir(&arriving).unwrap();
    assert_eq!(place.read(&key).await, content.concat());
    fs::remove_file(place.file(&digest)).unwrap();
    assert_eq!(place.read(&key).await, content.concat(), "somebody cleared the folder");
    assert!(place.file(&digest).exists());
}

#[tokio::test]
async fn what_an_earlier_process_kept_is_verified() {
    let place = Place::new(10_000_000);
    let (whole, torn) = (place.put(&pieces(1)).await, place.put(&pieces(2)).await);
    place.read(&whole.1).await;
    place.read(&torn.1).await;
    fs::write(place.folder.path().join("arriving/7"), "cut off").unwrap();
    fs::write(place.folder.path().join("arriving/notes"), "of another program").unwrap();
    fs::write(place.folder.path().join("sha256/notes"), "of another program").unwrap();
    let file = fs::File::options().write(true).open(place.file(&torn.0)).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[9], 5).unwrap();
    let place = place.reopened(10_000_000);
    assert_eq!((place.cache.usage().blobs, place.arriving(), place.opened()), (2, 1, 2));
    assert!(place.folder.path().join("sha256/notes").exists());
    for _ in 0..2 {
        assert_eq!(place.read(&whole.1).await, pieces(1).concat());
        assert_eq!(place.read(&torn.1).await, pieces(2).concat());
    }
    assert_eq!(place.opened(), 3, "only what was torn is fetched again");
    assert_eq!(fs::read(place.file(&torn.0)).unwrap(), pieces(2).concat());
}

#[tokio::test]
async fn a_smaller_cache_keeps_what_was_used_last() {
    let place = Place::new(10_000_000);
    let (first, second) = (place.put(&pieces(1)).await, place.put(&pieces(2)).await);
    place.read(&second.1).await;
    place.read(&first.1).await;
    let long_ago = std::time::UNIX_EPOCH + Duration::from_secs(1);
    fs::File::open(place.file(&first.0)).unwrap().set_modified(long_ago).unwrap();
    place.read(&first.1).await;
    let long_ago = long_ago + Duration::from_secs(1);
    fs::File::open(place.file(&second.0)).unwrap().set_modified(long_ago).unwrap();
    let place = place.reopened(2 * PIECE as u64);
    assert_eq!((place.file(&first.0).exists(), place.file(&second.0).exists()), (true, false));
}

#[test]
fn a_folder_has_one_process() {
    let place = Place::new(10);
    let refused = open(&place.far, place.folder.path(), 10).unwrap_err();
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(cause, "another process has it");
    let file = place.folder.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(open(&place.far, &file, 10).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Readers come, take turns and go in any order: each reads what is there, and nothing is left of what nobody kept.
    #[test]
    fn readers_take_turns(turns in prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..60), cut: bool) {
        block_on(async {
            let place = Place::new(10_000_000);
            let content = pieces(5);
            let (digest, key) = place.put(&content).await;
            let whole = content.concat();
            if cut {
                place.far.fail_next(OperationKind::Open, Fault::Cut);
            }
            let mut readers = Vec::new();
            let mut is_read = false;
            for (turn, index) in turns {
                if turn == 0 || readers.is_empty() {
                    readers.push((Vec::new(), place.stream(&key, Span::whole(whole.len() as u64)).await));
                    continue;
                }
                let at = index.index(readers.len());
                if turn == 1 {
                    drop(readers.swap_remove(at));
                    continue;
                }
                let (read, frames) = &mut readers[at];
                if let Some(frame) = frames.next().await {
                    read.extend_from_slice(&frame.unwrap());
                    assert!(whole.starts_with(read));
                } else {
                    assert_eq!(*read, whole);
                    is_read = true;
                    drop(readers.swap_remove(at));
                }
            }
            drop(readers);
            assert_eq!(place.arriving(), 0);
            let kept = place.file(&digest).exists();
            assert!(kept || cut || !is_read, "who reads it to its end leaves it there");
            assert_eq!(place.cache.usage().bytes, if kept { whole.len() as u64 } else { 0 });
        });
    }
}

/// Readers that come and go on several threads, so that the last of one blob goes while others look for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_that_go_on_other_threads_hold_nobody_up() {
    let place = Place::new(100_000_000);
    let content = pieces(6);
    let (_, key) = place.put(&content).await;
    let whole = Bytes::from(content.concat());
    for round in 0..50_usize {
        let readers = (0..8_usize).map(|reader| {
            let (cache, key, whole) = (place.cache.clone(), key.clone(), whole.clone());
            tokio::spawn(async move {
                let object = cache.open(&key).await.unwrap().unwrap();
                let body = object.read(Span::whole(whole.len() as u64)).await.unwrap();
                let mut frames = body.into_stream(Arc::new(TokioBlocking));
                let mut read = Vec::new();
                // Most go early, each at another place.
                let most = if reader == 0 { usize::MAX } else { (reader + round) % 5 };
                while read.len() < whole.len() && most > read.len() / PIECE {
                    read.extend_from_slice(&frames.next().await.unwrap().unwrap());
                    assert!(whole.starts_with(&read));
                }
            })
        });
        for reader in readers.collect::<Vec<_>>() {
            reader.await.unwrap();
        }
        assert_eq!(place.arriving(), 0);
        place.cache.shelf.forget(layout::blob_digest(&key).unwrap()).await;
    }
    assert_eq!(place.cache.usage().bytes, 0);
}
