//! A registry on a port of its own.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Empty};
use registry_auth::{Anonymous, Authenticator};
use registry_core::storage::{Durability, WriteOptions};
use registry_core::{Digest, PullTimes, Reference, Registry, Repository, RepositoryName, Tag, layout};
use registry_http::{Activity, RegistryService, ServeOptions, Ui, serve};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;

use crate::{Connection, Layer, MEBIBYTE, Place, image_manifest};

/// A registry on a port of its own, with one thread for each processor. Dropping it stops it and removes its files.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    service: RegistryService,
    runtime: Runtime,
    directory: Option<TempDir>,
}

impl Server {
    /// The repository that everything is pushed to.
    pub const REPOSITORY: &str = "library/app";

    /// Starts a registry; if it needs a directory, that lies below `parent`.
    ///
    /// # Errors
    /// If there is no port, thread or directory to be had.
    pub fn start(place: Place, parent: &str) -> io::Result<Self> {
        Self::guarded(place, parent, Arc::new(Anonymous))
    }

    /// The same, for those whom `authenticator` lets in.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn guarded(place: Place, parent: &str, authenticator: Arc<dyn Authenticator>) -> io::Result<Self> {
        let (storage, directory) = place.open(Path::new(parent))?;
        // As the program has it.
        let activity = Activity::new();
        let registry = Registry::builder(storage)
            .manifest_cache(8 * MEBIBYTE)
            .events(Arc::new(activity.clone()))
            .events(Arc::new(PullTimes::default()))
            .build();
        let ui = Ui::new().activity(activity);
        let service = registry_http::service(registry).authenticator(authenticator).deletes(true).ui(ui).build();
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        runtime.spawn(serve(listener, service.clone(), ServeOptions::default(), std::future::pending()));
        Ok(Self { address, service, runtime, directory })
    }

    /// The registry behind it.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        self.service.registry()
    }

    /// Where its files lie, if it has any.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        self.directory.as_ref().map(TempDir::path)
    }

    /// Does something with it in this process, and waits for its end.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Does something beside it, on the same threads.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
        self.runtime.spawn(work)
    }

    /// Has it end before it is done.
    ///
    /// # Errors
    /// If it panicked.
    pub fn stop(&self, work: JoinHandle<()>) -> io::Result<()> {
        work.abort();
        match self.runtime.block_on(work) {
            Err(ended) if ended.is_panic() => Err(io::Error::other(ended)),
            _ => Ok(()),
        }
    }

    /// Connects to it.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn connect(&self) -> io::Result<Connection> {
        Connection::open(self.address)
    }

    /// Sends a request without a socket; gives the number of bytes of the answer's body.
    ///
    /// # Errors
    /// If the answer is no success, or breaks off.
    pub async fn call(&self, method: Method, path: &str) -> io::Result<usize> {
        let request = Request::builder().method(method).uri(path).header("host", "registry.test");
        let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
        let Ok(response) = self.service.clone().oneshot(request).await;
        if !response.status().is_success() {
            return Err(io::Error::other(response.status().to_string()));
        }
        Ok(response.into_body().collect().await.map_err(io::Error::other)?.to_bytes().len())
    }

    /// Pushes a blob without a socket.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub fn prepare_layer(&self, layer: &Layer) -> io::Result<()> {
        self.runtime.block_on(push(&self.repository()?, layer))
    }

    /// Takes a blob out of the repository and out of the storage, so that it can be pushed as if for the first time.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn forget(&self, digest: &Digest) -> io::Result<()> {
        let repository = self.repository()?;
        let storage = self.service.registry().storage();
        self.runtime.block_on(async {
            for key in [layout::layer_link(repository.name(), digest), layout::blob(digest)] {
                storage.delete(&key).await.map_err(io::Error::other)?;
            }
            Ok(())
        })
    }

    /// Pushes an image of ten layers by `tag`; gives its digest.
    ///
    /// # Errors
    /// If the registry refuses it.
    pub fn prepare_image(&self, tag: &Tag) -> io::Result<Digest> {
        let repository = self.repository()?;
        self.runtime.block_on(async {
            let layers: Vec<Layer> = (0..10).map(|seed| Layer::new(64, seed)).collect();
            for layer in &layers {
                push(&repository, layer).await?;
            }
            let told: Vec<_> = layers.iter().map(Layer::told).collect();
            let manifest = image_manifest(told[0], &told);
            let reference = Reference::Tag(tag.clone());
            let content = Bytes::from(manifest);
            let pushed = repository.manifests().put(&reference, None, content, &[]).await;
            Ok(pushed.map_err(io::Error::other)?.digest)
        })
    }

    /// Makes `count` tags of one image: `t000000`, `t000001` and so on. Only what a reader looks at is written.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn prepare_tags(&self, count: usize) -> io::Result<()> {
        let digest = self.prepare_image(&tag(0)?)?;
        let name = name()?;
        let storage = self.service.registry().storage();
        let options = WriteOptions { durability: Durability::Volatile, ..WriteOptions::default() };
        self.runtime.block_on(async {
            for number in 1..count {
                let key = layout::tag_current(&name, &tag(number)?);
                storage.write(&key, layout::link(&digest), options).await.map_err(io::Error::other)?;
            }
            Ok(())
        })
    }

    /// Makes `count` repositories with one tag each, all of the same image.
    ///
    /// # Errors
    /// If the storage fails.
    pub fn prepare_repositories(&self, count: usize) -> io::Result<()> {
        let digest = self.prepare_image(&tag(0)?)?;
        let storage = self.service.registry().storage();
        let options = WriteOptions { durability: Durability::Volatile, ..WriteOptions::default() };
        self.runtime.block_on(async {
            for number in 0..count {
                let name: RepositoryName =
                    format!("team{:02}/app{number:05}", number % 100).parse().map_err(io::Error::other)?;
                for key in [layout::revision_link(&name, &digest), layout::tag_current(&name, &tag(1)?)] {
                    storage.write(&key, layout::link(&digest), options).await.map_err(io::Error::other)?;
                }
            }
            Ok(())
        })
    }

    /// A handle to [`REPOSITORY`](Self::REPOSITORY).
    ///
    /// # Errors
    /// None, as that is a name.
    pub fn repository(&self) -> io::Result<Repository> {
        Ok(self.service.registry().repository(&name()?))
    }
}

async fn push(repository: &Repository, layer: &Layer) -> io::Result<()> {
    let frames = stream::iter(layer.frames(MEBIBYTE)).map(Ok).boxed();
    repository.uploads().push(&layer.digest, frames).await.map_err(io::Error::other)?;
    Ok(())
}

fn name() -> io::Result<RepositoryName> {
    Server::REPOSITORY.parse().map_err(io::Error::other)
}

fn tag(number: usize) -> io::Result<Tag> {
    format!("t{number:06}").parse().map_err(io::Error::other)
}
