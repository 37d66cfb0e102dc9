//! From a configuration to the values that serve it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use registry_auth::{
    AllOf, AllowAll, Anonymous, Authenticator, Authorizer, ClientCertificates, Granted, GrantedOrAnonymous,
    OrAnonymous, Policy, Reloadable,
};
use registry_core::storage::{Memory, Storage};
use registry_core::{Blocking, PullTimes, Registry, TokioBlocking};
use registry_http::{Activity, RegistryService, RequestRate, Ui};
use registry_storage::filesystem::{Filesystem, LockError, OpenError, ServingLock, SyncMode};
use registry_storage::{DiskCache, DiskCacheError, DiskCacheUsage};

#[cfg(feature = "letsencrypt")]
use crate::acme::Acme;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use crate::buckets;
use crate::certificates::{Certificates, CertificatesError};
use crate::config::{AuthConfig, Config, DiskCacheConfig, Driver, Durability};
use crate::logins::Logins;
use crate::metrics::Metrics;
use crate::notifications::{self, NotificationsError};
use crate::tokens::{Tokens, TokensError};
use crate::traces::Traces;
use crate::watch::Watched;

/// Some thousands of manifests.
const MANIFEST_CACHE_BYTES: usize = 8 * 1024 * 1024;

/// Twenty thousand repositories.
const CATALOG_CACHE_BYTES: usize = 4 * 1024 * 1024;

/// Some ten thousand tags.
const TAG_CACHE_BYTES: usize = 4 * 1024 * 1024;

/// How late the catalog may tell what other processes changed in the same storage.
const CATALOG_PATIENCE: Duration = Duration::from_secs(2);

/// A client pushes the manifest right behind its blobs.
const RECENT: Duration = Duration::from_mins(1);

/// A registry, and the claim on what it stores in.
#[derive(Debug)]
pub struct Assembled {
    /// The registry.
    pub registry: Registry,
    /// What it stores in.
    pub storage: Arc<dyn Storage>,
    /// What it tells others; `None` where nobody is to be told anything.
    pub notifications: Option<notifications::Prepared>,
    /// The folder, and what keeps a second server off it for as long as it lives; `None` where there is no folder.
    pub folder: Option<(Filesystem, ServingLock)>,
    /// What happens, for the pages; `None` where there are none.
    pub activity: Option<Activity>,
    /// What was pulled, to be written from time to time; `None` where neither a rule nor a page asks for it.
    pub pulls: Option<Arc<PullTimes>>,
}

/// Why there is no registry.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// The folder cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The folder of the cache cannot be used.
    #[error(transparent)]
    Cache(#[from] DiskCacheError),
    /// The folder cannot be claimed.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The password file can neither be read nor made.
    #[error("cannot use the password file {path}")]
    Logins {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The certificate cannot be used.
    #[error("cannot speak TLS")]
    Certificates(#[from] CertificatesError),
    /// There are no keys to check tokens with.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// Nobody can be told what happens.
    #[error(transparent)]
    Notifications(#[from] NotificationsError),
    /// The numbers of the storage are there already.
    #[error("the storage cannot be counted")]
    Metrics(#[from] prometheus::Error),
    /// Nobody can be asked for a certificate.
    #[cfg(feature = "letsencrypt")]
    #[error("cannot speak ACME")]
    Acme(#[from] rustls::Error),
    /// The program is ending.
    #[error(transparent)]
    Stopped(#[from] registry_core::Stopped),
    /// The bucket cannot be used.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    #[error(transparent)]
    Bucket(#[from] buckets::BucketError),
}

/// Opens the storage, claims it, and puts a registry over it. What is asked of it is counted, if there are numbers,
/// and traced, if there are traces.
///
/// # Errors
/// If the storage cannot be opened, or another server has it.
pub async fn registry(
    config: &Config,
    metrics: Option<&Metrics>,
    traces: Option<&Traces>,
) -> Result<Assembled, AssembleError> {
    let (storage, folder): (Arc<dyn Storage>, _) = match &config.storage.driver {
        Driver::Filesystem { root, durability } => {
            let folder = filesystem(root, *durability, |folder| {
                let lock = folder.lock_for_serving()?;
                Ok((folder, lock))
            });
            let folder = folder.await?;
            (Arc::new(folder.0.clone()), Some(folder))
        }
        Driver::InMemory => (Arc::new(Memory::new()), None),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        Driver::Bucket(bucket) => (Arc::new(buckets::open_probed(bucket, config.storage.read_only).await?), None),
    };
    let storage = match metrics {
        Some(metrics) => metrics.count_storage(storage, &config.storage.driver)?,
        None => storage,
    };
    let storage = match traces {
        Some(traces) => traces.storage(storage),
        None => storage,
    };
    let storage = match &config.storage.disk_cache {
        Some(cache) => disk_cache(storage, cache, metrics).await?,
        None => storage,
    };
    let notifications = prepare_notifications(config).await?;
    let mut builder = Registry::builder(Arc::clone(&storage))
        .validation(config.validation.clone())
        .tag_rules(config.tag_rules.clone())
        .read_only(config.storage.read_only)
        .manifest_cache(MANIFEST_CACHE_BYTES)
        .catalog_cache(CATALOG_CACHE_BYTES, CATALOG_PATIENCE);
    if config.storage.driver.is_bucket() {
        builder = builder.recent_blobs(RECENT).tag_cache(TAG_CACHE_BYTES, config.storage.tag_patience);
    }
    if let Some(notifications) = &notifications {
        builder = builder.events(notifications.sink());
    }
    let activity = config.ui.enabled.then(Activity::new);
    if let Some(activity) = &activity {
        builder = builder.events(Arc::new(activity.clone()));
    }
    let ask_for_pulls = config.storage.retention.asks_for_pulls() || config.ui.notes_pulls(&config.storage.driver);
    let notes_pulls = ask_for_pulls && !config.storage.read_only;
    let pulls = notes_pulls.then(Arc::<PullTimes>::default);
    if let Some(pulls) = &pulls {
        builder = builder.events(Arc::clone(pulls) as _);
    }
    Ok(Assembled { registry: builder.build(), storage, notifications, folder, activity, pulls })
}

/// Puts a cache before a bucket. What is asked of the bucket is counted behind it.
async fn disk_cache(
    storage: Arc<dyn Storage>,
    config: &DiskCacheConfig,
    metrics: Option<&Metrics>,
) -> Result<Arc<dyn Storage>, AssembleError> {
    let builder = DiskCache::builder(storage, &config.root, config.limit_bytes);
    let blocking: &dyn Blocking = &TokioBlocking;
    let cache = blocking.run(move || builder.open()).await??;
    if let Some(metrics) = metrics {
        metrics.count_disk_cache(&cache)?;
    }
    let DiskCacheUsage { blobs, bytes, .. } = cache.usage();
    tracing::info!(path = %config.root.display(), blobs, bytes, "blobs are kept on a disk");
    Ok(Arc::new(cache))
}

/// Reads what earlier servers left to deliver, off the async workers. The folder may lie in that of the storage, so it
/// comes after that.
async fn prepare_notifications(config: &Config) -> Result<Option<notifications::Prepared>, AssembleError> {
    let config = config.notifications.clone();
    let blocking: &dyn Blocking = &TokioBlocking;
    Ok(blocking.run(move || notifications::prepare(&config)).await??)
}

/// Opens a folder and claims it. Both wait for the disk, so they happen off the async workers.
pub(crate) async fn filesystem<T: Send + 'static>(
    root: &Path,
    durability: Durability,
    claim: impl FnOnce(Filesystem) -> Result<T, LockError> + Send + 'static,
) -> Result<T, AssembleError> {
    let mode = match durability {
        Durability::Strict => SyncMode::Strict,
        Durability::Group => SyncMode::Group,
        Durability::Os => SyncMode::Os,
    };
    let builder = Filesystem::builder(root).durability(mode);
    let blocking: &dyn Blocking = &TokioBlocking;
    blocking.run(move || Ok(claim(builder.open()?)?)).await?
}

/// Who gets in.
#[derive(Debug)]
pub struct Doors {
    /// Finds out who sends a request.
    pub authenticator: Arc<dyn Authenticator>,
    /// Who may do what; `None` where there are no rules.
    pub rules: Option<Arc<Reloadable<Policy>>>,
    /// What has to be read again when its files change.
    pub watched: Watched,
    /// What gets the certificate; to be run while the server serves.
    pub acme: Option<Acme>,
}

#[cfg(not(feature = "letsencrypt"))]
type Acme = std::convert::Infallible;

/// The certificate, and what gets it.
#[derive(Default)]
struct Opened {
    certificates: Option<Arc<Certificates>>,
    acme: Option<Acme>,
}

fn open_certificates(config: &Config) -> Result<Opened, AssembleError> {
    let Some(tls) = &config.http.tls else { return Ok(Opened::default()) };
    #[cfg(feature = "letsencrypt")]
    if let Some(letsencrypt) = &tls.letsencrypt {
        let acme = Acme::new(letsencrypt)?;
        let certificates = Certificates::challenged(tls, acme.challenges())?;
        return Ok(Opened { certificates: Some(Arc::new(certificates)), acme: Some(acme) });
    }
    Ok(Opened { certificates: Some(Arc::new(Certificates::open(tls)?)), acme: None })
}

/// Reads the passwords or the keys of tokens, and the certificate.
///
/// # Errors
/// If a file of theirs cannot be used.
pub async fn doors(config: &Config) -> Result<Doors, AssembleError> {
    let config = config.clone();
    let blocking: &dyn Blocking = &TokioBlocking;
    blocking.run(move || open_doors(&config)).await?
}

fn open_doors(config: &Config) -> Result<Doors, AssembleError> {
    let has_rules = config.access.is_some();
    let Opened { certificates, acme } = open_certificates(config)?;
    let mut watched = Watched { certificates, ..Watched::default() };
    let authenticator: Arc<dyn Authenticator> = match &config.auth {
        // Without certificates that are verified everybody is anonymous.
        AuthConfig::None if watched.certificates.is_some() => Arc::new(ClientCertificates),
        AuthConfig::None => Arc::new(Anonymous),
        AuthConfig::Htpasswd { realm, path } => {
            let opened = Logins::open(realm, path);
            let logins = Arc::new(opened.map_err(|source| AssembleError::Logins { path: path.clone(), source })?);
            let htpasswd = logins.authenticator();
            watched.logins = Some(logins);
            or_anonymous(htpasswd, has_rules)
        }
        AuthConfig::Token(config) => {
            let tokens = Arc::new(Tokens::open(config)?);
            let token = tokens.authenticator();
            watched.tokens = Some(tokens);
            or_anonymous(token, has_rules)
        }
    };
    let rules = config.access.clone().map(|policy| Arc::new(Reloadable::new(policy)));
    Ok(Doors { authenticator, rules, watched, acme })
}

/// Rules may have something for those without a login.
fn or_anonymous<A: Authenticator>(logins: Arc<A>, has_rules: bool) -> Arc<dyn Authenticator> {
    if has_rules { Arc::new(OrAnonymous(logins)) } else { logins }
}

/// What tokens say holds where there are tokens, and so do the rules. Those without a token have the rules alone.
fn authorizer(config: &Config, doors: &Doors) -> Arc<dyn Authorizer> {
    let policy = doors.rules.clone().map(|rules| rules as Arc<dyn Authorizer>);
    match (policy, &config.auth) {
        (None, AuthConfig::Token(_)) => Arc::new(Granted),
        (None, _) => Arc::new(AllowAll),
        (Some(policy), AuthConfig::Token(_)) => Arc::new(AllOf(vec![Arc::new(GrantedOrAnonymous), policy])),
        (Some(policy), _) => policy,
    }
}

/// Puts the HTTP API over a registry.
#[must_use]
pub fn service(
    registry: Registry,
    doors: &Doors,
    config: &Config,
    metrics: Option<&Metrics>,
    pages: Option<Ui>,
) -> RegistryService {
    let mut builder = registry_http::service(registry)
        .authenticator(Arc::clone(&doors.authenticator))
        .authorizer(authorizer(config, doors))
        .read_only(config.storage.read_only)
        .deletes(config.storage.delete)
        .relative_urls(config.http.relative_urls)
        .trust_forwarded(config.http.trust_forwarded)
        .trusted_proxies(config.http.trusted_proxies.clone())
        .prefix(config.http.prefix.clone())
        .headers(config.http.headers.clone())
        .catalog_limit(config.pages.catalog_entries)
        .tags_limit(config.pages.tags);
    if let Some(validity) = config.storage.redirects {
        builder = builder.redirects(validity);
    }
    if let Some(bytes) = config.http.max_body {
        builder = builder.max_body(bytes);
    }
    if let Some(requests) = config.limits.requests {
        builder = builder.max_requests(requests);
    }
    if let Some(requests) = config.limits.requests_per_address {
        builder = builder.max_requests_per_address(requests);
    }
    builder = builder.wrong_passwords(config.limits.wrong_passwords.or(RequestRate::WRONG_PASSWORDS));
    if let Some(rate) = config.limits.rate {
        builder = builder.request_rate(rate);
    }
    if let Some(uploads) = config.limits.uploads {
        builder = builder.max_uploads(uploads);
    }
    if let Some(bytes) = config.limits.manifest_memory {
        builder = builder.manifest_memory(bytes);
    }
    if let Some(pages) = pages {
        builder = builder.ui(pages);
    }
    if let Some(host) = &config.http.host {
        builder = builder.external_url(host.clone());
    }
    if let Some(metrics) = metrics {
        builder = builder.metrics(metrics.http());
    }
    builder.build()
}

/// Where the bytes lie, for people: with the whole path of a folder.
#[must_use]
pub fn storage_place(driver: &Driver) -> String {
    match driver {
        Driver::Filesystem { root, .. } => {
            // A folder that was just opened has a path; if it went since, what was configured tells more than nothing.
            std::path::absolute(root).unwrap_or_else(|_| root.clone()).display().to_string()
        }
        Driver::InMemory => driver.to_string(),
        #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
        Driver::Bucket(_) => driver.to_string(),
    }
}
