//! Telling others what happens, by webhooks as CNCF Distribution has them. What is told survives a restart.
//!
//! A request only pushes its event into the `queue`. One thread, the `writer`, puts the `envelope` of each into the
//! `spool` of every endpoint whose `filter` lets it pass. One task for each endpoint, the `delivery`, sends what
//! is in its spool, in order.

mod counts;
mod delivery;
mod envelope;
mod filter;
mod queue;
mod references;
#[cfg(test)]
mod sample;
mod spool;
mod transport;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use registry_core::{EventSink, SystemClock, TokioBlocking};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use self::counts::{EndpointSnapshot, NotificationCounts};
pub use self::envelope::Source;

use self::counts::{Counted, EndpointCounts};
use self::delivery::{Delivery, Patience};
use self::filter::Filter;
use self::queue::{Complaints, Queue, Waiting};
use self::spool::{Bounds, Spool};
use self::transport::Http;
use self::writer::Writer;
use crate::config::{EndpointConfig, NotificationsConfig, SpoolConfig};

/// How long the end of the program waits for what is on its way, to the disk and to endpoints each.
const LAST_WORK: Duration = Duration::from_secs(2);

/// Keeps a second server off the same folder. No endpoint's folder has a dot in its name.
const LOCK: &str = ".lock";

/// Notifications cannot be delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationsError {
    /// Another server keeps its notifications in the same folder.
    #[error("another server keeps its notifications in {0}")]
    Held(PathBuf),
    /// The folder cannot be used.
    #[error("cannot keep notifications in {path}")]
    Spool {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There can be no client for an endpoint.
    #[error("cannot send to the endpoint {name}")]
    Client {
        /// The endpoint.
        name: String,
        /// Why.
        source: reqwest::Error,
    },
}

/// An endpoint, as those see it who write for it.
#[derive(Debug)]
struct Endpoint {
    name: String,
    filter: Filter,
    spool: Arc<Spool>,
    counts: Arc<EndpointCounts>,
}

/// Notifications that are taken in, but not written yet.
#[derive(Debug)]
pub struct Prepared {
    queue: Arc<Queue>,
    waiting: Waiting,
    endpoints: Arc<[Endpoint]>,
    clients: Vec<(Http, Patience)>,
    lock: Option<Arc<File>>,
}

/// Opens what earlier servers left to deliver; `None` if nobody is to be told anything. Blocks.
///
/// # Errors
/// [`NotificationsError`].
pub fn prepare(config: &NotificationsConfig) -> Result<Option<Prepared>, NotificationsError> {
    if config.endpoints.is_empty() {
        return Ok(None);
    }
    let lock = config.spool.path.as_deref().map(lock).transpose()?.map(Arc::new);
    let mut endpoints = Vec::new();
    let mut clients = Vec::new();
    for endpoint in &config.endpoints {
        let client = Http::new(endpoint).map_err(|source| client_error(endpoint, source))?;
        clients.push((client, Patience::new(endpoint)));
        let spool = Arc::new(spool_of(endpoint, &config.spool)?);
        if spool.pending() > 0 {
            tracing::info!(endpoint = endpoint.name, pending = spool.pending(), "notifications are left to deliver");
        }
        let (name, filter) = (endpoint.name.clone(), Filter::new(endpoint));
        endpoints.push(Endpoint { name, filter, spool, counts: Arc::default() });
    }
    let endpoints: Arc<[_]> = endpoints.into();
    let (queue, waiting) = Queue::new(Arc::clone(&endpoints), config.include_references);
    Ok(Some(Prepared { queue: Arc::new(queue), waiting, endpoints, clients, lock }))
}

fn client_error(endpoint: &EndpointConfig, source: reqwest::Error) -> NotificationsError {
    NotificationsError::Client { name: endpoint.name.clone(), source: source.without_url() }
}

fn spool_of(endpoint: &EndpointConfig, config: &SpoolConfig) -> Result<Spool, NotificationsError> {
    let bounds = Bounds { events: config.max_events, bytes: config.max_bytes };
    let Some(path) = &config.path else { return Ok(Spool::in_memory(bounds)) };
    let folder = path.join(folder_name(&endpoint.name));
    // So that the folder is there after a power cut, too.
    let opened = Spool::open(&folder, bounds).and_then(|spool| File::open(path)?.sync_all().map(|()| spool));
    opened.map_err(|source| NotificationsError::Spool { path: folder, source })
}

/// Any name as one of a folder, a different one for each.
fn folder_name(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    name.bytes().map(|byte| if is_plain(byte) { char::from(byte).into() } else { format!("%{byte:02x}") }).collect()
}

fn lock(path: &Path) -> Result<File, NotificationsError> {
    let failed = |source| NotificationsError::Spool { path: path.to_owned(), source };
    fs::create_dir_all(path).map_err(failed)?;
    let file = File::options().create(true).truncate(false).write(true).open(path.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(NotificationsError::Held(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

impl Prepared {
    /// What a registry tells of everything that happens.
    #[must_use]
    pub fn sink(&self) -> Arc<dyn EventSink> {
        Arc::clone(&self.queue) as _
    }

    /// What becomes of the notifications, in numbers.
    #[must_use]
    pub fn counts(&self) -> NotificationCounts {
        NotificationCounts::new(self.endpoints.iter().map(|endpoint| Counted {
            endpoint: endpoint.name.clone(),
            counts: Arc::clone(&endpoint.counts),
            spool: Arc::clone(&endpoint.spool),
        }))
    }

    /// Begins to write and to deliver, on the runtime that this is called on.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn start(self, source: Source) -> io::Result<Notifying> {
        let Self { queue, waiting, endpoints, clients, lock } = self;
        let writer = Writer { endpoints: Arc::clone(&endpoints), source, complaints: Complaints::default() };
        let (closed_at_end, written) = oneshot::channel();
        let lock_of_writer = lock.clone();
        thread::Builder::new().name("notifications".into()).spawn(move || {
            writer.run(waiting);
            drop(lock_of_writer);
            drop(closed_at_end);
        })?;
        let (stop, stopped) = watch::channel(false);
        let mut deliveries = JoinSet::new();
        for (endpoint, (transport, patience)) in endpoints.iter().zip(clients) {
            let delivery = Delivery {
                name: endpoint.name.clone(),
                patience,
                spool: Arc::clone(&endpoint.spool),
                counts: Arc::clone(&endpoint.counts),
                transport,
                blocking: Arc::new(TokioBlocking),
                complaints: Complaints::default(),
                clock: Arc::new(SystemClock),
            };
            deliveries.spawn(delivery.run(stopped.clone()));
        }
        Ok(Notifying { queue, written, stop, deliveries, _lock: lock })
    }
}

/// Notifications under way. Dropping it ends the deliveries at once.
#[derive(Debug)]
pub struct Notifying {
    queue: Arc<Queue>,
    /// Closed when everything is written.
    written: oneshot::Receiver<()>,
    stop: watch::Sender<bool>,
    deliveries: JoinSet<()>,
    _lock: Option<Arc<File>>,
}

impl Notifying {
    /// Writes what is left to write, and ends the deliveries after the attempts that are on their way; within some
    /// seconds in all. What is not delivered then stays in its folder for the next start.
    pub async fn finish(self) {
        let Self { queue, written, stop, deliveries, _lock } = self;
        let writing = async {
            queue.end().await;
            // The other side is never sent to, only dropped.
            let _ = written.await;
        };
        if tokio::time::timeout(LAST_WORK, writing).await.is_err() {
            tracing::warn!("the last notifications are lost, because they cannot be written");
        }
        // There may be nobody left to hear it.
        let _ = stop.send(true);
        if tokio::time::timeout(LAST_WORK, deliveries.join_all()).await.is_err() {
            tracing::info!("a notification may be delivered again, because its endpoint took too long to answer");
        }
    }
}

#[cfg(test)]
mod tests;
