//! Requests to a registry in memory, and what comes back.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use registry_auth::{Anonymous, Authenticator, Basic, OrAnonymous};
use registry_core::storage::{Key, Memory, Storage as _};
use registry_core::{Algorithm, Digest, Registry};
use registry_http::{RegistryService, ServiceBuilder, service};
use tower::ServiceExt as _;

/// A registry in memory.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) storage: Arc<Memory>,
    pub(crate) service: RegistryService,
}

/// Logins of ann and bob, who have the same password, for those who have one.
pub(crate) fn optional_logins(password: &'static str) -> Arc<dyn Authenticator> {
    let is_known = move |user: &str, given: &str| ["ann", "bob"].contains(&user) && given == password;
    Arc::new(OrAnonymous(Arc::new(Basic::new("test", is_known))))
}

/// An answer.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Api {
    /// A registry that anybody may do everything with.
    pub(crate) fn open() -> Self {
        Self::with(|service| service)
    }

    /// A registry that differs.
    pub(crate) fn with(settings: impl FnOnce(ServiceBuilder) -> ServiceBuilder) -> Self {
        Self::over(Registry::builder, settings)
    }

    /// A registry whose rules differ too.
    pub(crate) fn over(
        registry: impl FnOnce(Arc<dyn registry_core::storage::Storage>) -> registry_core::RegistryBuilder,
        settings: impl FnOnce(ServiceBuilder) -> ServiceBuilder,
    ) -> Self {
        let storage = Arc::new(Memory::new());
        let registry = registry(storage.clone()).build();
        let service = settings(service(registry).authenticator(Arc::new(Anonymous)).deletes(true)).build();
        Self { storage, service }
    }

    /// The same content behind other settings.
    pub(crate) fn again(&self, settings: impl FnOnce(ServiceBuilder) -> ServiceBuilder) -> Self {
        let registry = self.service.registry().clone();
        let service = settings(service(registry).authenticator(Arc::new(Anonymous)).deletes(true)).build();
        Self { storage: self.storage.clone(), service }
    }

    /// Sends a request through the router.
    pub(crate) async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.service.clone().into_router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status, headers: parts.headers, body }
    }

    /// Sends a request without a body.
    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(Method::GET, path, &[], "").await
    }

    /// Sends any request.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Reply {
        let body = body.into();
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header("host", "registry.test");
        }
        // So that answers can be compared.
        request = request.header("x-request-id", "test");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Pushes a blob in one request.
    pub(crate) async fn push_blob(&self, repository: &str, content: &'static [u8]) -> Digest {
        let digest = sha256(content);
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        self.request(Method::POST, &path, &[], content).await.assert(201);
        digest
    }

    /// Pushes a manifest that names the two bytes `{}` as configuration and layer, and `extra` fields.
    pub(crate) async fn push_image(&self, repository: &str, reference: Option<&str>, extra: &str) -> Digest {
        self.push_blob(repository, b"{}").await;
        let content = image(extra);
        let digest = sha256(content.as_bytes());
        let reference = reference.map_or(digest.to_string(), str::to_owned);
        let path = format!("/v2/{repository}/manifests/{reference}");
        self.request(Method::PUT, &path, &[("content-type", OCI_MANIFEST)], content).await.assert(201);
        digest
    }

    /// Starts an upload; gives the path and query that it goes on at.
    pub(crate) async fn start_upload(&self, repository: &str) -> String {
        let reply = self.request(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), &[], "").await;
        reply.assert(202).location()
    }

    /// Everything that lies in the storage.
    pub(crate) async fn snapshot(&self) -> Vec<(String, Option<Bytes>)> {
        let mut found = Vec::new();
        let mut prefixes: Vec<Key> = vec!["docker".parse().unwrap()];
        while let Some(prefix) = prefixes.pop() {
            for entry in self.storage.list(&prefix, None, usize::MAX).await.unwrap().entries {
                let key = prefix.child(&entry.name).unwrap();
                let content = self.storage.read(&key, u64::MAX).await.unwrap();
                found.push((key.to_string(), content));
                prefixes.push(key);
            }
        }
        found.sort();
        found
    }
}

impl Reply {
    /// Checks the status.
    #[track_caller]
    pub(crate) fn assert(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// Checks status and code of an error, and that it has the form of one.
    #[track_caller]
    pub(crate) fn assert_error(self, status: u16, code: &str) -> Self {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        assert_eq!(self.json()["errors"][0]["code"], code, "{self:?}");
        assert!(self.body.ends_with(b"\n"));
        self.assert(status)
    }

    #[track_caller]
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no {name}: {self:?}")).to_str().unwrap()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.headers.contains_key(name)
    }

    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Path and query of the `Location`.
    #[track_caller]
    pub(crate) fn location(&self) -> String {
        let uri: http::Uri = self.header("location").parse().unwrap();
        uri.path_and_query().unwrap().to_string()
    }
}

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

pub(crate) fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

/// A manifest whose configuration and layer are `{}`.
pub(crate) fn image(extra: &str) -> String {
    let descriptor = descriptor("application/vnd.oci.empty.v1+json", b"{}");
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{descriptor},"layers":[{descriptor}]{extra}}}"#
    )
}

pub(crate) fn descriptor(media_type: &str, content: &[u8]) -> String {
    format!(r#"{{"mediaType":"{media_type}","digest":"{}","size":{}}}"#, sha256(content), content.len())
}
