//! A whole registry on a filesystem.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use registry_core::storage::Storage;
use registry_core::{Algorithm, Digest, Registry, layout};

use crate::{Ground, TMP};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_pushes_of_the_same_blob_make_one() {
    let ground = Ground::new();
    let registry = Registry::builder(Arc::new(ground.storage.clone()) as Arc<dyn Storage>).build();
    let content: Bytes = vec![7; 300_000].into();
    let digest = Digest::of(Algorithm::Sha256, &content);
    let pushes = (0..100).map(|number| {
        let repository = registry.repository(&format!("r{}", number % 3).parse().unwrap());
        let content = content.clone();
        tokio::spawn(async move {
            let frames = futures::stream::once(async { Ok(content) }).boxed();
            repository.uploads().push(&digest, frames).await
        })
    });
    for push in pushes.collect::<Vec<_>>() {
        assert_eq!(push.await.unwrap().unwrap().size, 300_000);
    }
    assert_eq!(ground.names("docker/registry/v2/blobs/sha256").await.len(), 1);
    assert_eq!(std::fs::read(ground.path(layout::blob(&digest).as_str())).unwrap(), content);
    for number in 0..3 {
        let uploads = format!("docker/registry/v2/repositories/r{number}/_uploads");
        assert_eq!(ground.names(&uploads).await, Vec::<String>::new());
    }
    assert!(std::fs::read_dir(ground.path(TMP)).map_or(0, Iterator::count) == 0);
}

#[tokio::test]
async fn the_volume_is_laid_out_as_distribution_does() {
    let ground = Ground::new();
    let registry = Registry::builder(Arc::new(ground.storage.clone()) as Arc<dyn Storage>).build();
    let repository = registry.repository(&"lib/app".parse().unwrap());
    let index = Bytes::from_static(
        br#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#,
    );
    let pushed = repository.manifests().put(&"1".parse().unwrap(), None, index, &[]).await.unwrap();
    let (hex, link) = (pushed.digest.hex(), pushed.digest.to_string());
    let at = |path: &str| ground.path("docker/registry/v2/repositories/lib/app").join(path);
    for path in [
        format!("_manifests/revisions/sha256/{hex}/link"),
        "_manifests/tags/1/current/link".into(),
        format!("_manifests/tags/1/index/sha256/{hex}/link"),
    ] {
        assert_eq!(std::fs::read_to_string(at(&path)).unwrap(), link, "{path}");
    }
    // Distribution's collector gives up on a repository without it.
    assert!(at("_layers").is_dir());

    let upload = repository.uploads().start(Algorithm::Sha256).await.unwrap();
    let started_at = std::fs::read_to_string(at(&format!("_uploads/{}/startedat", upload.id))).unwrap();
    assert_eq!((started_at.len(), started_at.ends_with('Z')), (20, true), "{started_at}");
    assert_eq!(std::fs::read(at(&format!("_uploads/{}/data", upload.id))).unwrap(), b"");
}
