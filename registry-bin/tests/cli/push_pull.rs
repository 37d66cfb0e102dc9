//! A blob and a manifest, there and back.

use registry_core::{Algorithm, Digest};

use crate::client::request;
use crate::program::{Program, Server};

/// A client for one repository of a server.
pub(crate) struct Repository<'a> {
    pub(crate) server: &'a Server,
    pub(crate) name: &'a str,
}

impl Repository<'_> {
    /// Begins an upload and gives its path.
    #[track_caller]
    pub(crate) fn start(&self) -> String {
        let answer = request(&self.server.address, &format!("POST /v2/{}/blobs/uploads/", self.name), &[], b"");
        assert_eq!(answer.status, 202, "{answer:?}");
        path_of(answer.header("location"))
    }

    /// Pushes a blob in one go and gives its digest.
    #[track_caller]
    pub(crate) fn push(&self, content: &[u8]) -> Digest {
        let digest = Digest::of(Algorithm::Sha256, content);
        let upload = self.start();
        let answer = request(&self.server.address, &format!("PUT {}", with_digest(&upload, &digest)), &[], content);
        assert_eq!(answer.status, 201, "{answer:?}");
        assert_eq!(answer.header("docker-content-digest"), digest.to_string());
        digest
    }

    /// Pulls a blob.
    #[track_caller]
    pub(crate) fn pull(&self, digest: &Digest) -> Vec<u8> {
        let answer = request(&self.server.address, &format!("GET /v2/{}/blobs/{digest}", self.name), &[], b"");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body
    }
}

/// The path of an address, which may be whole or a path already.
pub(crate) fn path_of(location: &str) -> String {
    match location.split_once("://") {
        Some((_, rest)) => rest[rest.find('/').unwrap()..].to_owned(),
        None => location.to_owned(),
    }
}

/// The address of an upload that ends it with this digest.
pub(crate) fn with_digest(upload: &str, digest: &Digest) -> String {
    let separator = if upload.contains('?') { '&' } else { '?' };
    format!("{upload}{separator}digest={digest}")
}

#[test]
fn there_and_back_over_both_storages() {
    for storage in ["filesystem", "inmemory"] {
        let folder = tempfile::tempdir().unwrap();
        let server = Program::in_folder(&folder)
            .env("REGISTRY_STORAGE", storage)
            .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
            .serve();
        let repository = Repository { server: &server, name: "lib/app" };
        let config = repository.push(b"{}");
        let layer = repository.push(b"some bytes");
        assert_eq!(repository.pull(&layer), b"some bytes", "{storage}");

        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":10}}]}}"#
        );
        let headers = [("Content-Type", media_type)];
        let answer = request(&server.address, "PUT /v2/lib/app/manifests/1", &headers, manifest.as_bytes());
        assert_eq!(answer.status, 201, "{answer:?}");
        let answer = request(&server.address, "GET /v2/lib/app/manifests/1", &[("Accept", media_type)], b"");
        assert_eq!((answer.status, answer.body.as_slice()), (200, manifest.as_bytes()), "{storage}");

        // Without a configuration, deleting is allowed.
        assert_eq!(request(&server.address, "DELETE /v2/lib/app/manifests/1", &[], b"").status, 202);
    }
}

#[test]
fn deleting_is_not_allowed_unless_the_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = "version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n";
    let server = Program::in_folder(&folder).config(config).serve();
    let repository = Repository { server: &server, name: "lib/app" };
    let digest = repository.push(b"some bytes");
    let answer = request(&server.address, &format!("DELETE /v2/lib/app/blobs/{digest}"), &[], b"");
    assert_eq!(answer.status, 405);
    assert_eq!(repository.pull(&digest), b"some bytes");
}
