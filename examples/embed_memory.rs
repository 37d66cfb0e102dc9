//! A registry inside a program, without a socket: push an image, list its tags, pull it.
//!
//! ```text
//! cargo run -p registry-examples --example embed_memory
//! ```

use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use registry_core::storage::Memory;
use registry_core::{Algorithm, BlobInfo, Digest, MediaType, Reference, Registry, Repository, Span, TokioBlocking};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    let repository = registry.repository(&"library/hello".parse()?);

    // A manifest names blobs, so those come first.
    let config = push(&repository, "{}").await?;
    let layer = push(&repository, "this would be a tar archive").await?;
    let manifest = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OCI_MANIFEST,
        "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": config.digest, "size": config.size },
        "layers": [
            { "mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer.digest, "size": layer.size },
        ],
    })
    .to_string();
    let tag = Reference::Tag("1.0".parse()?);
    let pushed = repository.manifests().put(&tag, None, manifest.clone().into(), &["latest".parse()?]).await?;
    println!("pushed {} as {:?}", pushed.digest, pushed.tags);

    let page = repository.tags().list(None, 100).await?;
    println!("{} has the tags {:?}", repository.name(), page.tags);
    assert_eq!(page.tags, ["1.0".parse()?, "latest".parse()?]);

    // Pulling goes the other way: from the tag to the manifest, from there to the blobs.
    let pulled = repository.manifests().get(&Reference::Tag("latest".parse()?)).await?;
    assert_eq!(pulled.content, manifest);
    let content = pull(&repository, &layer.digest).await?;
    println!("pulled {} bytes of {}", content.len(), layer.digest);
    assert_eq!(content, b"this would be a tar archive");
    Ok(())
}

/// Content comes as a stream, so that a layer need not fit in memory. When the push returns, it is stored and checked.
async fn push(repository: &Repository, content: &'static str) -> Result<BlobInfo, registry_core::Error> {
    let digest = Digest::of(Algorithm::Sha256, content.as_bytes());
    let content = stream::once(async move { Ok(Bytes::from(content)) }).boxed();
    let info = repository.uploads().push(&digest, content).await?;
    println!("pushed {} bytes as {digest}", info.size);
    Ok(info)
}

/// It goes out as a stream, too; [`Span`] asks for a part of it.
async fn pull(repository: &Repository, digest: &Digest) -> Result<Vec<u8>, Box<dyn Error>> {
    let blob = repository.blobs().open(digest).await?;
    let size = blob.info().size;
    let frames = blob.read(Span::whole(size)).await?.into_stream(Arc::new(TokioBlocking));
    let content = frames.try_fold(Vec::new(), |mut content, frame| async move {
        content.extend_from_slice(&frame);
        Ok(content)
    });
    Ok(content.await?)
}
