//! `registry serve`: from the configuration to the end of the last request.

use std::convert::Infallible;
use std::error::Error;
use std::future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use registry_core::storage::Storage;
use registry_core::{PullTimes, Registry, SystemClock};
use registry_http::{Activity, Listener, RequestBody, ServeOptions, ServiceBuilder, Ui, serve};
use registry_storage::filesystem::{Filesystem, ServingLock};
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tower::Service;

use super::{complain, configuration};
use crate::access_log::{AccessLog, AccessLogged};
use crate::assemble::{self, Assembled, Doors};
use crate::causes::with_causes;
use crate::config::{Config, Driver, Durability, Parsed};
use crate::configured::Configured;
use crate::debug::Debugging;
use crate::descriptors::Room;
use crate::figures::Known;
use crate::health::{Check, Gated, Health, ProbeError};
use crate::lines::Lines;
use crate::listen::{self, Listening, Place};
use crate::metrics::Metrics;
use crate::openness::Openness;
use crate::schedule::{Claim, Collection, KnownSpace, Reach, Wishes};
use crate::traces::{Traces, traced};
use crate::{descriptors, schedule, telemetry, watch};

/// How long the program waits at its end for work that blocks, such as a write to the disk.
const LAST_WORK: Duration = Duration::from_secs(5);

/// Serves until told to end.
pub(super) fn run(path: Option<PathBuf>) -> ExitCode {
    let parsed = match configuration::load(path.clone()) {
        Ok(parsed) => parsed,
        Err(lines) => {
            complain(&lines);
            return ExitCode::FAILURE;
        }
    };
    let log = match telemetry::install(&parsed.config.log) {
        Ok(log) => log,
        Err(error) => {
            complain(&[format!("cannot serve: {error}")]);
            return ExitCode::FAILURE;
        }
    };
    let ended = start(path, parsed, &log);
    if let Err(error) = &ended {
        tracing::error!("cannot serve: {}", with_causes(&**error));
    }
    // Where nobody reads the end of the log there is nobody to tell.
    let _ = log.finish();
    if ended.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn start(path: Option<PathBuf>, parsed: Parsed, log: &Lines) -> Result<(), Box<dyn Error>> {
    for warning in &parsed.warnings {
        telemetry::warn_in_any_case(&format!("configuration: {warning}"));
    }
    let traces = Traces::start();
    let runtime = Runtime::new()?;
    let served = runtime.block_on(run_server(path, parsed, log, traces.as_ref()));
    // The claim on the folder is let go of when nothing can write there any more.
    runtime.shutdown_timeout(LAST_WORK);
    if let Some(traces) = traces {
        traces.finish();
    }
    served.map(drop)
}

/// Serves until the end, and gives what must outlive the runtime.
async fn run_server(
    path: Option<PathBuf>,
    parsed: Parsed,
    log: &Lines,
    traces: Option<&Traces>,
) -> Result<Claims, Box<dyn Error>> {
    let mut config = parsed.config.clone();
    let options = options(&mut config);
    let config = &config;
    let mut signals = Signals::new()?;
    // It would end the program while nobody listens for it.
    let hangup = signal(SignalKind::hangup())?;
    let metrics = metrics(config)?;
    let Assembled { registry, storage, notifications, folder, activity, pulls } =
        assemble::registry(config, metrics.as_deref(), traces).await?;
    let Listening { listener, place } = listen::bind(&config.http.listen)
        .await
        .map_err(|error| format!("cannot listen on {}: {error}", config.http.listen))?;
    #[cfg_attr(not(feature = "letsencrypt"), expect(unused_mut, reason = "nothing is taken out"))]
    let mut doors = assemble::doors(config).await?;
    let listener = guarded(listener, &doors, config);
    let health = Health::default();
    // All of it ends when this is dropped.
    let mut background = JoinSet::new();
    #[cfg(feature = "letsencrypt")]
    doors.acme.take().map(|acme| background.spawn(acme.run()));
    watch_health(config, &storage, &health, &mut background)?;
    if let Some(metrics) = &metrics {
        metrics.tell_health(health.clone())?;
        metrics.count_watched(&doors.watched)?;
        if let Some(notifications) = &notifications {
            metrics.count_notifications(notifications.counts())?;
        }
    }
    debug(config, &health, metrics.clone(), &mut background).await?;
    let access_log = access_log(config)?;
    let known = Known::default();
    let (pages, wishes) = pages(config, activity.as_ref(), &known);
    let api = assemble::service(registry.clone(), &doors, config, metrics.as_deref(), pages);
    if let Some(metrics) = &metrics {
        metrics.count_uploads(api.clone())?;
        metrics.count_lost_lines(log, access_log.as_ref())?;
    }
    let service = traced(AccessLogged::new(Gated::new(api, health), access_log.clone().map(AccessLog::new)), traces);
    let openness = Openness::new(&place, metrics.clone());
    let configured = Configured::new(path, parsed, doors.rules.clone()).telling(openness.clone());
    let watching = tokio::spawn(watch::watch(doors.watched.clone(), configured, hangup));
    let notifying = notifications.map(|prepared| prepared.start(place.event_source())).transpose()?;
    greet(config, &place);
    openness.tell(config);

    watch_space(metrics.as_deref(), folder.as_ref(), &known.space, &mut background)?;
    if let Some(pulls) = &pulls {
        background.spawn(schedule::note_pulls(registry.clone(), Arc::clone(pulls)));
    }
    let claim = by_the_clock(config, &registry, folder.as_ref(), metrics.as_deref(), wishes, &mut background)?;
    serve_until_told(listener, service, options, || leave(place, activity), &mut signals).await;
    background.abort_all();
    write_last(&registry, pulls.as_deref(), folder.as_ref()).await;
    watching.abort();
    if let Some(notifying) = notifying {
        notifying.finish().await;
    }
    if access_log.is_some_and(|lines| !lines.finish()) {
        tracing::warn!("the end of the access log is lost, because nobody reads it");
    }
    Ok(Claims { _serving: folder.map(|(_, lock)| lock), _collecting: claim })
}

/// Writes what is not written yet, when nothing is served any more.
async fn write_last(registry: &Registry, pulls: Option<&PullTimes>, folder: Option<&(Filesystem, ServingLock)>) {
    if let Some(pulls) = pulls {
        schedule::write_pulls(registry, pulls).await;
    }
    if let Some((folder, _)) = folder {
        schedule::checkpoint(folder).await;
    }
}

/// What a server holds of its folder until nothing can be written there any more.
struct Claims {
    _serving: Option<ServingLock>,
    _collecting: Claim,
}

/// Begins what is done from time to time. In a registry that may not be changed that is nothing.
fn by_the_clock(
    config: &Config,
    registry: &Registry,
    folder: Option<&(Filesystem, ServingLock)>,
    metrics: Option<&Metrics>,
    wishes: Wishes,
    background: &mut JoinSet<()>,
) -> prometheus::Result<Claim> {
    let (storage, claim) = (&config.storage, Claim::default());
    if storage.read_only {
        return Ok(claim);
    }
    if let (Some((folder, _)), Driver::Filesystem { durability: Durability::Group, .. }) = (folder, &storage.driver) {
        background.spawn(schedule::checkpoints(folder.clone()));
    }
    if let Some(purging) = storage.upload_purging {
        background.spawn(schedule::purge_uploads(registry.clone(), purging));
    }
    let counts = Arc::clone(wishes.counts());
    if let Some(metrics) = metrics {
        metrics.count_collection(registry, &counts)?;
    }
    let reach = match (folder, &storage.driver) {
        (Some((folder, _)), _) => Reach::Folder(folder.clone(), claim.clone()),
        (None, Driver::InMemory) => Reach::Process,
        (None, _) => Reach::Shared,
    };
    let (registry, clock) = (registry.clone(), Arc::new(SystemClock));
    let (settings, retention) = (storage.garbage_collection, storage.retention.clone());
    let tag_rules = config.tag_rules.clone();
    let collection = Collection { registry, settings, tag_rules, retention, reach, counts, clock };
    background.spawn(collection.run(wishes));
    Ok(claim)
}

/// The same listener, with what connections begin with, and what it knows of those who connect.
fn guarded(listener: Listener, doors: &Doors, config: &Config) -> Listener {
    let listener = match &doors.watched.certificates {
        Some(certificates) => listener.with_tls(certificates.tls()),
        None => listener,
    };
    if config.http.trust_forwarded {
        listener.with_trusted_proxies(config.http.trusted_proxies.clone())
    } else {
        listener
    }
}

/// Serves until a signal, and then to the end of the requests under way, or until a second signal.
async fn serve_until_told<S, B>(
    listener: Listener,
    service: S,
    options: ServeOptions,
    told: impl FnOnce(),
    signals: &mut Signals,
) where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (stop, stopped) = oneshot::channel::<()>();
    let until_stopped = async {
        // The other side is only dropped together with this future.
        let _ = stopped.await;
    };
    let mut serving = pin!(serve(listener, service, options, until_stopped));
    tokio::select! {
        _ = &mut serving => {}
        () = signals.next() => {
            tracing::info!("stopping server gracefully...");
            told();
            // Serving has not ended, so it listens.
            let _ = stop.send(());
            tokio::select! {
                drained = serving => tell_end(drained.cut),
                () = signals.next() => tracing::warn!("stopping at once; requests under way are cut"),
            }
        }
    }
}

/// Begins to look at how much room there is, where somebody may ask for it.
fn watch_space(
    metrics: Option<&Metrics>,
    folder: Option<&(Filesystem, ServingLock)>,
    known: &KnownSpace,
    background: &mut JoinSet<()>,
) -> prometheus::Result<()> {
    let Some((folder, _)) = folder else { return Ok(()) };
    if let Some(metrics) = metrics {
        metrics.tell_space(known)?;
    }
    background.spawn(schedule::look_at_space(folder.clone(), known.clone()));
    Ok(())
}

/// The pages for people, if there are any, and what is asked for with them.
fn pages(config: &Config, activity: Option<&Activity>, known: &Known) -> (Option<Ui>, Wishes) {
    let (wishing, wishes) = schedule::wishes(Arc::clone(&known.collections), Arc::new(SystemClock));
    let pages = config.ui.pages().map(|pages| {
        let pages = pages.figures(Arc::new(known.clone()));
        let pages = if config.storage.read_only { pages } else { pages.collect(Arc::new(wishing)) };
        match activity {
            Some(activity) => pages.activity(activity.clone()),
            None => pages,
        }
    });
    (pages, wishes)
}

/// What is done when the server is told to end: the next one may listen, and nobody watches any more.
fn leave(place: Place, activity: Option<Activity>) {
    drop(place);
    if let Some(activity) = activity {
        activity.close();
    }
}

/// Begins to look at what the configuration says.
fn watch_health(
    config: &Config,
    storage: &Arc<dyn Storage>,
    health: &Health,
    background: &mut JoinSet<()>,
) -> Result<(), ProbeError> {
    for check in &config.health {
        background.spawn(Check::new(check, storage, health)?.run());
    }
    Ok(())
}

/// The numbers, if anybody can ask for them.
fn metrics(config: &Config) -> prometheus::Result<Option<Arc<Metrics>>> {
    let wanted = config.http.debug.as_ref().is_some_and(|debug| debug.metrics_path.is_some());
    wanted.then(|| Metrics::new().map(Arc::new)).transpose()
}

/// Begins to tell those who run the server how it does, if the configuration has a place for that.
async fn debug(
    config: &Config,
    health: &Health,
    metrics: Option<Arc<Metrics>>,
    background: &mut JoinSet<()>,
) -> Result<(), Box<dyn Error>> {
    let Some(debug) = &config.http.debug else { return Ok(()) };
    let debugging = Debugging::new(debug, health.clone(), metrics.map(|metrics| metrics as _));
    let listening = debugging.listen(debug).await;
    background
        .spawn(listening.map_err(|error| format!("cannot listen on {} (http.debug.addr): {error}", debug.listen))?);
    Ok(())
}

/// How connections are treated. The limits in `config` become those that there is room for.
fn options(config: &mut Config) -> ServeOptions {
    let mut options = config.limits.serve_options();
    options.drain_timeout = config.http.drain_timeout;
    options.h2c = config.http.h2c;
    let requests = config.limits.requests.unwrap_or(ServiceBuilder::DEFAULT_REQUESTS);
    let wanted = Room { connections: options.max_connections, requests };
    let room = descriptors::room(wanted, config.limits.connections.is_some());
    options.max_connections = room.connections;
    config.limits.requests = Some(room.requests);
    options
}

fn access_log(config: &Config) -> io::Result<Option<Lines>> {
    let tell = |lines| tracing::warn!(lines, "lines of the access log were lost");
    config.log.access_log.then(|| Lines::start("access-log", io::stdout(), tell)).transpose()
}

/// Tells where the server listens, where it stores and how to push.
fn greet(config: &Config, place: &Place) {
    let host = match &config.http.host {
        Some(url) => url.to_string().split_once("://").map(|(_, host)| host.to_owned()),
        None => place.push_host(),
    };
    let storage = assemble::storage_place(&config.storage.driver);
    let push = host.map(|host| format!("docker push {host}/NAME:TAG"));
    let tls = config.http.tls.is_some();
    tracing::info!(storage, push, tls, version = env!("CARGO_PKG_VERSION"), "listening on {place}");
}

fn tell_end(cut: usize) {
    if cut == 0 {
        tracing::info!("server stopped");
    } else {
        tracing::warn!(connections = cut, "server stopped; some connections took too long and were cut");
    }
}

/// The signals that mean the end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The next of them.
    async fn next(&mut self) {
        let received = tokio::select! {
            received = self.terminate.recv() => received,
            received = self.interrupt.recv() => received,
        };
        if received.is_none() {
            // There can be no further signals, which is no reason to end.
            future::pending::<()>().await;
        }
    }
}
