//! What a cache before the storage has, and is good for.

use prometheus::Opts;
use registry_storage::{DiskCache, DiskCacheUsage};

use super::{Read, as_float};

pub(super) fn numbers(cache: &DiskCache) -> prometheus::Result<Read> {
    let read = |of: fn(DiskCacheUsage) -> u64| {
        let cache = cache.clone();
        move || Some(as_float(of(cache.usage())))
    };
    Read::default()
        .counter(
            Opts::new("registry_disk_cache_hits_total", "Blobs that were read without leaving the bucket again."),
            read(|usage| usage.hits),
        )?
        .counter(
            Opts::new("registry_disk_cache_misses_total", "Blobs, or ranges of them, that were read from the bucket."),
            read(|usage| usage.misses),
        )?
        .gauge(Opts::new("registry_disk_cache_blobs", "Blobs that are kept."), read(|usage| usage.blobs))?
        .gauge(
            Opts::new("registry_disk_cache_bytes", "The bytes of the blobs that are kept or on their way."),
            read(|usage| usage.bytes),
        )?
        .gauge(
            Opts::new("registry_disk_cache_limit_bytes", "How many bytes may be kept."),
            read(|usage| usage.limit_bytes),
        )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use prometheus::{Registry, TextEncoder};
    use registry_core::storage::{Memory, Storage as _};
    use registry_core::{Algorithm, Digest, layout};

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let cache = DiskCache::builder(Arc::new(Memory::new()), folder.path(), 100).open().unwrap();
        let registry = Registry::new();
        registry.register(Box::new(numbers(&cache).unwrap())).unwrap();
        let key = layout::blob(&Digest::of(Algorithm::Sha256, b"a layer"));
        cache.write(&key, "a layer".into(), registry_core::storage::WriteOptions::default()).await.unwrap();
        for _ in 0..3 {
            let object = cache.open(&key).await.unwrap().unwrap();
            let body = object.read(registry_core::Span::whole(7)).await.unwrap();
            let frames = body.into_stream(Arc::new(registry_core::TokioBlocking));
            assert_eq!(futures::TryStreamExt::try_collect::<Vec<_>>(frames).await.unwrap().concat(), b"a layer");
        }
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in ["hits_total 2", "misses_total 1", "blobs 1", "bytes 7", "limit_bytes 100"] {
            assert!(text.contains(&format!("\nregistry_disk_cache_{line}\n")), "{line} in {text}");
        }
    }
}
