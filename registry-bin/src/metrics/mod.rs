//! Numbers for Prometheus: which there are, and their text.

mod collection;
mod disk_cache;
mod logins;
mod notifications;
mod process;
mod read;
mod reloads;
mod storage;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry, TEXT_FORMAT, TextEncoder};
use registry_core::Registry as Core;
use registry_core::storage::{Observed, Storage};
use registry_http::{HttpMetrics, RegistryService};
use registry_storage::DiskCache;
use registry_storage::filesystem::Space;

pub use read::{Read, as_float};

use crate::config::Driver;
use crate::debug::Numbers;
use crate::health::Health;
use crate::lines::Lines;
use crate::notifications::NotificationCounts;
use crate::reloads::seconds;
use crate::schedule::{CollectionCounts, KnownSpace};
use crate::watch::Watched;
use notifications::NotificationNumbers;
use storage::StorageActions;

/// The numbers of one server.
pub struct Metrics {
    registry: Registry,
    http: HttpMetrics,
    open: IntGauge,
}

impl Metrics {
    /// Those that every server has.
    ///
    /// # Errors
    /// If two of them have one name.
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let http = HttpMetrics::register(&registry)?;
        let open = IntGauge::new(
            "registry_open_without_login",
            "Whether anybody who reaches this server over a network may do everything.",
        )?;
        registry.register(Box::new(open.clone()))?;
        let build = Opts::new("registry_build_info", "The version of the server.");
        let build = IntGaugeVec::new(build, &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        registry.register(Box::new(build))?;
        registry.register(Box::new(process::numbers()?))?;
        Ok(Self { registry, http, open })
    }

    /// Adds further numbers.
    ///
    /// # Errors
    /// If there are some of these names already.
    pub fn register(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        self.registry.register(collector)
    }

    /// Those of the HTTP service.
    #[must_use]
    pub fn http(&self) -> HttpMetrics {
        self.http.clone()
    }

    /// The same storage, whose operations are counted from now on.
    ///
    /// # Errors
    /// If a storage is counted already.
    pub fn count_storage(&self, storage: Arc<dyn Storage>, driver: &Driver) -> prometheus::Result<Arc<dyn Storage>> {
        let actions = StorageActions::register(&self.registry, driver)?;
        Ok(Arc::new(Observed::new(storage, Arc::new(actions))))
    }

    /// Counts what comes of the files that are followed.
    ///
    /// # Errors
    /// If there are others already.
    pub fn count_watched(&self, watched: &Watched) -> prometheus::Result<()> {
        if let Some(logins) = &watched.logins {
            self.register(Box::new(logins::numbers(logins)?))?;
            self.register(Box::new(reloads::numbers("htpasswd", &logins.reloads())?))?;
        }
        if let Some(tokens) = &watched.tokens {
            self.register(Box::new(reloads::numbers("token", &tokens.reloads())?))?;
        }
        if let Some(certificates) = &watched.certificates {
            self.register(Box::new(reloads::numbers("certificate", &certificates.reloads())?))?;
            let help = "When the certificate that clients are shown ends.";
            let certificates = Arc::clone(certificates);
            let read = move || Some(as_float(seconds(certificates.not_after())));
            let opts = Opts::new("registry_certificate_not_after_timestamp_seconds", help);
            self.register(Box::new(Read::default().gauge(opts, read)?))?;
        }
        Ok(())
    }

    /// Counts notifications.
    ///
    /// # Errors
    /// If they are counted already.
    pub fn count_notifications(&self, counts: NotificationCounts) -> prometheus::Result<()> {
        self.register(Box::new(NotificationNumbers::new(counts)?))
    }

    /// Counts what comes of the collector, and what is found in its quarantine.
    ///
    /// # Errors
    /// If another collector is counted already.
    pub fn count_collection(&self, core: &Core, counts: &Arc<CollectionCounts>) -> prometheus::Result<()> {
        self.register(Box::new(collection::numbers(core, counts)?))
    }

    /// Counts what a cache before the storage is good for.
    ///
    /// # Errors
    /// If another one is counted already.
    pub fn count_disk_cache(&self, cache: &DiskCache) -> prometheus::Result<()> {
        self.register(Box::new(disk_cache::numbers(cache)?))
    }

    /// Tells how much room the disk has.
    ///
    /// # Errors
    /// If that of another disk is told already.
    pub fn tell_space(&self, known: &KnownSpace) -> prometheus::Result<()> {
        let read = |of: fn(Space) -> u64| {
            let known = known.clone();
            // Not a number stands for what is not known: an old number would be believed.
            move || Some(known.last().map_or(f64::NAN, |space| as_float(of(space))))
        };
        let numbers = Read::default()
            .gauge(
                Opts::new("registry_storage_size_bytes", "The size of the disk that the storage lies on."),
                read(|space| space.total_bytes),
            )?
            .gauge(
                Opts::new("registry_storage_available_bytes", "What can still be written to it."),
                read(|space| space.available_bytes),
            )?;
        self.register(Box::new(numbers))
    }

    /// Counts the uploads that are under way.
    ///
    /// # Errors
    /// If those of another service are counted already.
    pub fn count_uploads(&self, service: RegistryService) -> prometheus::Result<()> {
        let opts = Opts::new("registry_uploads_open", "Uploads that were begun here and have not ended.");
        let read = move || Some(as_float(service.open_uploads() as u64));
        self.register(Box::new(Read::default().gauge(opts, read)?))
    }

    /// Counts the lines of the log, and of the access log if there is one, that nobody gets to read.
    ///
    /// # Errors
    /// If others are counted already.
    pub fn count_lost_lines(&self, log: &Lines, access_log: Option<&Lines>) -> prometheus::Result<()> {
        for (name, lines) in [("application", Some(log)), ("access", access_log)] {
            let Some(lines) = lines.cloned() else { continue };
            let opts = Opts::new("registry_log_lines_lost_total", "Lines of a log that could not be written.");
            let read = move || Some(as_float(lines.lost()));
            self.register(Box::new(Read::default().counter(opts.const_label("log", name), read)?))?;
        }
        Ok(())
    }

    /// Tells whether nothing fails.
    ///
    /// # Errors
    /// If there is another health already.
    pub fn tell_health(&self, health: Health) -> prometheus::Result<()> {
        let help = "Whether no health check fails; while one does, clients are refused.";
        let read = move || Some(if health.is_healthy() { 1.0 } else { 0.0 });
        self.register(Box::new(Read::default().gauge(Opts::new("registry_healthy", help), read)?))
    }

    /// Tells whether anybody who reaches the server over a network may do everything.
    pub fn tell_open(&self, open: bool) {
        self.open.set(open.into());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Numbers for Metrics {
    fn text(&self) -> Result<(&'static str, String), Box<dyn Error + Send + Sync>> {
        Ok((TEXT_FORMAT, TextEncoder::new().encode_to_string(&self.registry.gather())?))
    }
}

#[cfg(test)]
mod tests {
    use registry_core::storage::{Key, Memory};

    use super::*;

    #[tokio::test]
    async fn the_numbers_of_a_server() {
        let metrics = Metrics::new().unwrap();
        let storage = metrics.count_storage(Arc::new(Memory::new()), &Driver::InMemory).unwrap();
        let key: Key = "a".parse().unwrap();
        storage.stat(&key).await.unwrap();
        assert!(storage.read(&key, 1).await.unwrap().is_none());
        let health = Health::default();
        metrics.tell_health(health.clone()).unwrap();
        assert!(metrics.tell_health(health).is_err(), "one server has one health");
        metrics.tell_open(true);
        let (media_type, text) = metrics.text().unwrap();
        assert!(media_type.starts_with("text/plain; version=0.0.4"), "{media_type}");
        for line in [
            concat!("registry_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "registry_open_without_login 1",
            "registry_healthy 1",
            "registry_storage_action_seconds_count{action=\"Stat\",driver=\"inmemory\"} 1",
            "registry_storage_action_seconds_count{action=\"GetContent\",driver=\"inmemory\"} 1",
            "registry_storage_action_seconds_count{action=\"Move\",driver=\"inmemory\"} 0",
            "registry_storage_errors_total{action=\"Stat\",driver=\"inmemory\"} 0",
            "registry_auth_total{result=\"ok\"} 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
        assert!(text.contains("\nprocess_start_time_seconds "), "{text}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_room_of_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let storage = registry_storage::filesystem::Filesystem::builder(folder.path()).open().unwrap();
        let (metrics, known) = (Metrics::new().unwrap(), KnownSpace::default());
        metrics.tell_space(&known).unwrap();
        let value = |name: &str| {
            let (_, text) = metrics.text().unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap().to_owned();
            line.parse::<f64>().unwrap()
        };
        assert!(value("registry_storage_size_bytes").is_nan(), "nobody looked");
        let looking = tokio::spawn(crate::schedule::look_at_space(storage, known.clone()));
        while known.last().is_none() {
            tokio::task::yield_now().await;
        }
        assert!(value("registry_storage_available_bytes") <= value("registry_storage_size_bytes"));
        drop(folder);
        while known.last().is_some() {
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
        assert!(value("registry_storage_available_bytes").is_nan(), "what was known is known no more");
        looking.abort();
    }
}
