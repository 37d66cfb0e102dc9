//! Blobs that the storage gives out itself.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Method;
use registry_core::Registry;
use registry_core::storage::{
    Capabilities, Deletion, Error, Fault, Faulty, Key, Listing, Metadata, Object, OperationKind, Presigned, StageMode,
    Staged, Storage, WriteOptions,
};

use crate::client::{Api, sha256};

/// A storage that signs addresses, as object stores do.
#[derive(Debug)]
struct Signing(Arc<dyn Storage>);

#[async_trait]
impl Storage for Signing {
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.presign = true;
        capabilities
    }

    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.0.stat(key).await
    }

    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error> {
        self.0.confirm(key).await
    }

    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error> {
        self.0.read(key, limit_bytes).await
    }

    async fn open(&self, key: &Key) -> Result<Option<Object>, Error> {
        self.0.open(key).await
    }

    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error> {
        self.0.write(key, content, options).await
    }

    async fn delete(&self, key: &Key) -> Result<Deletion, Error> {
        self.0.delete(key).await
    }

    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error> {
        self.0.delete_all(prefix).await
    }

    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
        self.0.copy(from, to).await
    }

    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error> {
        self.0.list(prefix, after, limit).await
    }

    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error> {
        self.0.stage(key, mode).await
    }

    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error> {
        self.0.staged_size(key).await
    }

    async fn create_directory(&self, prefix: &Key) -> Result<(), Error> {
        self.0.create_directory(prefix).await
    }

    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error> {
        self.0.remove_directory(prefix).await
    }

    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error> {
        let address = format!("https://bucket.example/{key}?method={request:?}&seconds={}", validity.as_secs());
        self.0.presign(key, request, validity).await?;
        Ok(Some(address))
    }
}

const VALIDITY: Duration = Duration::from_mins(20);

#[tokio::test]
async fn clients_are_led_to_where_the_blob_lies() {
    let api = Api::over(|storage| Registry::builder(Arc::new(Signing(storage))), |service| service.redirects(VALIDITY));
    let digest = api.push_blob("a", b"content").await;
    let path = format!("/v2/a/blobs/{digest}");
    for (method, name) in [(Method::GET, "Get"), (Method::HEAD, "Head")] {
        // The range is for whoever has the bytes.
        let reply = api.request(method, &path, &[("range", "bytes=1-2")], "").await.assert(307);
        let place = format!("docker/registry/v2/blobs/sha256/{}/{}/data", &digest.hex()[..2], digest.hex());
        assert_eq!(reply.header("location"), format!("https://bucket.example/{place}?method={name}&seconds=1200"));
        assert_eq!(reply.header("docker-content-digest"), digest.to_string());
        assert_eq!(reply.header("cache-control"), "no-store");
        assert!(reply.body.is_empty());
    }
    let known = ("if-none-match", &*format!("\"{digest}\""));
    api.request(Method::GET, &path, &[known], "").await.assert(304);
    // What is not in this repository has no address, wherever else it is.
    for path in [format!("/v2/b/blobs/{digest}"), format!("/v2/a/blobs/{}", sha256(b"other"))] {
        api.get(&path).await.assert(404);
        api.request(Method::HEAD, &path, &[], "").await.assert(404);
    }
    // Manifests are small, and looked into by clients that follow nothing.
    api.push_image("a", Some("1"), "").await;
    api.get("/v2/a/manifests/1").await.assert(200);
}

#[tokio::test]
async fn without_being_told_nobody_is_led_anywhere() {
    let api = Api::over(|storage| Registry::builder(Arc::new(Signing(storage))), |service| service);
    let digest = api.push_blob("a", b"content").await;
    assert_eq!(api.get(&format!("/v2/a/blobs/{digest}")).await.assert(200).body, "content");
}

#[tokio::test]
async fn where_the_storage_has_no_addresses_content_comes_from_here() {
    let api = Api::with(|service| service.redirects(VALIDITY));
    let digest = api.push_blob("a", b"content").await;
    assert_eq!(api.get(&format!("/v2/a/blobs/{digest}")).await.assert(200).body, "content");
    api.request(Method::HEAD, &format!("/v2/a/blobs/{digest}"), &[], "").await.assert(200);
}

#[tokio::test]
async fn what_cannot_be_signed_or_looked_up_is_no_absence() {
    let mut faulty = None;
    let api = Api::over(
        |storage| {
            let storage = Arc::new(Faulty::new(storage));
            faulty = Some(Arc::clone(&storage));
            Registry::builder(Arc::new(Signing(storage)))
        },
        |service| service.redirects(VALIDITY),
    );
    let faulty = faulty.unwrap();
    let digest = api.push_blob("a", b"content").await;
    for operation in [OperationKind::Presign, OperationKind::Stat] {
        faulty.fail_next(operation, Fault::Before);
        api.get(&format!("/v2/a/blobs/{digest}")).await.assert(503);
        api.get(&format!("/v2/a/blobs/{digest}")).await.assert(307);
    }
}
