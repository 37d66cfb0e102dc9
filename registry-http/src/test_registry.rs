//! A registry for the tests of those who push and pull.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use registry_auth::{Anonymous, Authenticator, Authorizer};
use registry_core::storage::{Memory, Storage};
use registry_core::{Registry, Validation};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::{RegistryService, ServeOptions, serve, service};

/// A registry on a port of its own, on 127.0.0.1, in a thread of its own. Dropping it stops it.
///
/// Without a [builder](Self::builder) it keeps everything in memory, lets everybody in, and lets everything be deleted.
///
/// ```
/// let registry = registry_http::TestRegistry::start_blocking()?;
/// assert_eq!(registry.reference("library/app", "1"), format!("{}/library/app:1", registry.addr()));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct TestRegistry {
    address: SocketAddr,
    service: RegistryService,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl TestRegistry {
    /// Starts a registry from asynchronous code.
    ///
    /// Dropping the future stops what was started.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    #[expect(clippy::unused_async, reason = "starting may come to wait, and callers are asynchronous")]
    pub async fn start() -> io::Result<Self> {
        Self::start_blocking()
    }

    /// Starts a registry from anywhere.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    pub fn start_blocking() -> io::Result<Self> {
        Self::builder().start_blocking()
    }

    /// Begins a registry that is different.
    pub fn builder() -> TestRegistryBuilder {
        TestRegistryBuilder {
            storage: Arc::new(Memory::new()),
            validation: Validation::default(),
            authenticator: Arc::new(Anonymous),
            authorizer: Arc::new(registry_auth::AllowAll),
            deletes: true,
            options: ServeOptions::default(),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its address, such as `http://127.0.0.1:5000`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How a client names an image in it, such as `127.0.0.1:5000/library/app:1`.
    #[must_use]
    pub fn reference(&self, repository: &str, tag: &str) -> String {
        format!("{}/{repository}:{tag}", self.address)
    }

    /// The registry behind it, to look into or to prepare.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.service.registry()
    }
}

impl Drop for TestRegistry {
    fn drop(&mut self) {
        // It may have ended by itself, if its runtime could not start.
        drop(self.stop.take());
        if let Some(Err(_)) = self.thread.take().map(JoinHandle::join) {
            tracing::error!("the thread of a test registry panicked");
        }
    }
}

/// Puts a [`TestRegistry`] together.
#[derive(Debug)]
#[must_use]
pub struct TestRegistryBuilder {
    storage: Arc<dyn Storage>,
    validation: Validation,
    authenticator: Arc<dyn Authenticator>,
    authorizer: Arc<dyn Authorizer>,
    deletes: bool,
    options: ServeOptions,
}

impl TestRegistryBuilder {
    /// Keeps content there; in memory by default.
    pub fn storage(mut self, storage: Arc<dyn Storage>) -> Self {
        self.storage = storage;
        self
    }

    /// Decides which manifests are taken.
    pub fn validation(mut self, validation: Validation) -> Self {
        self.validation = validation;
        self
    }

    /// Finds out who sends a request; nobody is asked by default.
    pub fn authenticator(mut self, authenticator: Arc<dyn Authenticator>) -> Self {
        self.authenticator = authenticator;
        self
    }

    /// Decides what they may do; everything by default.
    pub fn authorizer(mut self, authorizer: Arc<dyn Authorizer>) -> Self {
        self.authorizer = authorizer;
        self
    }

    /// Whether manifests, tags and blobs can be deleted; they can by default.
    pub fn deletes(mut self, deletes: bool) -> Self {
        self.deletes = deletes;
        self
    }

    /// How connections are treated.
    pub fn options(mut self, options: ServeOptions) -> Self {
        self.options = options;
        self
    }

    /// Starts the registry from asynchronous code.
    ///
    /// Dropping the future stops what was started.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    #[expect(clippy::unused_async, reason = "starting may come to wait, and callers are asynchronous")]
    pub async fn start(self) -> io::Result<TestRegistry> {
        self.start_blocking()
    }

    /// Starts the registry from anywhere.
    ///
    /// # Errors
    /// If there is no port or no thread to be had.
    pub fn start_blocking(self) -> io::Result<TestRegistry> {
        let registry = Registry::builder(self.storage).validation(self.validation).build();
        let service = service(registry)
            .authenticator(self.authenticator)
            .authorizer(self.authorizer)
            .deletes(self.deletes)
            .build();
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let (served, options) = (service.clone(), self.options);
        let thread = std::thread::Builder::new().name("test-registry".into()).spawn(move || {
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        // Whoever holds the registry ends it by letting go; what is under way then is of no use.
                        let serving = serve(listener, served, options, std::future::pending());
                        tokio::select! {
                            _ = serving => {}
                            _ = stopped => {}
                        }
                    }
                    Err(error) => tracing::error!(%error, "a test registry cannot listen"),
                }
            });
            runtime.shutdown_background();
        })?;
        Ok(TestRegistry { address, service, stop: Some(stop), thread: Some(thread) })
    }
}
