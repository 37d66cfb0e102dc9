//! A configuration in words, for those who want to know what holds.

use std::fmt::{self, Write as _};

use registry_core::{Platforms, References};
use registry_http::TlsVersion;

use super::storage::{Driver, StorageConfig};
use super::{AuthConfig, CheckConfig, Config, DiskCacheConfig, GarbageCollection, Listen, RetentionConfig, duration};

impl fmt::Display for Config {
    /// One setting in a line, by its path, without secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "http.addr: {}", self.http.listen)?;
        if let Some(host) = &self.http.host {
            writeln!(f, "http.host: {host}")?;
        }
        writeln!(f, "http.prefix: {}/", self.http.prefix.as_str())?;
        writeln!(f, "http.relativeurls: {}", self.http.relative_urls)?;
        writeln!(f, "http.trustforwarded: {}", self.http.trust_forwarded)?;
        for name in self.http.headers.keys() {
            writeln!(f, "http.headers: {name}")?;
        }
        self.tls(f)?;
        writeln!(f, "http.draintimeout: {}", duration::format(self.http.drain_timeout))?;
        if let Some(debug) = &self.http.debug {
            let metrics = debug.metrics_path.as_deref().unwrap_or("off");
            writeln!(f, "http.debug.addr: {}, metrics {metrics}", debug.listen)?;
        }
        self.doors(f)?;
        for check in &self.health {
            let CheckConfig { name, interval, threshold, .. } = check;
            writeln!(f, "health: {name}, every {}, threshold {threshold}", duration::format(*interval))?;
        }
        storage(&self.storage, f)?;
        write!(f, "{}", self.notifications)?;
        writeln!(f, "log.level: {}", self.log.level.as_str())?;
        writeln!(f, "log.formatter: {}", self.log.formatter.as_str())?;
        writeln!(f, "log.accesslog.disabled: {}", !self.log.access_log)?;
        self.limits(f)?;
        writeln!(f, "catalog.maxentries: {}", self.pages.catalog_entries)?;
        writeln!(f, "tags.maxtags: {}", self.pages.tags)?;
        writeln!(f, "ui: {}", if self.ui.enabled { "on" } else { "off" })?;
        writeln!(f, "validation.manifests.references: {}", self.references())?;
        for (name, rules) in [("immutable", &self.tag_rules.immutable), ("protected", &self.tag_rules.protected)] {
            if !rules.is_empty() {
                writeln!(f, "validation.tags.{name}: {} rules", rules.len())?;
            }
        }
        write!(f, "validation.manifests.indexes.platforms: {}", self.platforms())
    }
}

impl Config {
    fn tls(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(tls) = &self.http.tls else { return writeln!(f, "http.tls: off") };
        let version = match tls.minimum_version {
            TlsVersion::V1_2 => "1.2",
            TlsVersion::V1_3 => "1.3",
        };
        writeln!(f, "http.tls: {}, TLS {version} and above", tls.certificate.display())?;
        writeln!(f, "http.tls.clientauth: {}", tls.client_certificates.as_str())
    }

    fn doors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.auth {
            AuthConfig::None => writeln!(f, "auth: none")?,
            AuthConfig::Htpasswd { realm, path } => writeln!(f, "auth: htpasswd {}, realm {realm}", path.display())?,
            AuthConfig::Token(token) => writeln!(f, "auth: {token}")?,
        }
        writeln!(f, "access: {}", if self.access.is_some() { "by rules" } else { "everything" })
    }

    fn limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.http.max_body {
            Some(bytes) => writeln!(f, "http.maxbody: {bytes} bytes")?,
            None => writeln!(f, "http.maxbody: none")?,
        }
        match self.limits.rate {
            Some(rate) => writeln!(f, "limits.rate: {} requests a second, {} at once", rate.per_second, rate.burst)?,
            None => writeln!(f, "limits.rate: none")?,
        }
        writeln!(f, "limits.connections: {}", self.limits.serve_options().max_connections)
    }

    fn references(&self) -> &'static str {
        match self.validation.references {
            References::Required => "required",
            References::Sparse => "sparse",
        }
    }

    fn platforms(&self) -> String {
        match &self.validation.platforms {
            Platforms::All => "all".into(),
            Platforms::None => "none".into(),
            Platforms::Only(list) => list.iter().fold(String::from("list:"), |mut text, platform| {
                // Writing to a text does not fail.
                let _ = write!(text, " {}/{}", platform.os, platform.architecture);
                text
            }),
        }
    }
}

fn storage(storage: &StorageConfig, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    writeln!(f, "storage: {}", storage.driver)?;
    if let Some(DiskCacheConfig { root, limit_bytes }) = &storage.disk_cache {
        writeln!(f, "storage.cache.disk: {}, {limit_bytes} bytes at most", root.display())?;
    }
    if !storage.tag_patience.is_zero() {
        writeln!(f, "storage.cache.tags: as they were within {}", duration::format(storage.tag_patience))?;
    }
    writeln!(f, "storage.delete.enabled: {}", storage.delete)?;
    writeln!(f, "storage.maintenance.readonly.enabled: {}", storage.read_only)?;
    garbage_collection(&storage.garbage_collection, f)?;
    retention(&storage.retention, f)?;
    match &storage.upload_purging {
        None => writeln!(f, "storage.maintenance.uploadpurging: off"),
        Some(purging) => writeln!(
            f,
            "storage.maintenance.uploadpurging: older than {}, every {}{}",
            duration::format(purging.age),
            duration::format(purging.interval),
            if purging.dry_run { ", dry run" } else { "" }
        ),
    }
}

fn garbage_collection(collection: &GarbageCollection, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "storage.maintenance.garbagecollection: ")?;
    if !collection.enabled {
        return writeln!(f, "off");
    }
    let GarbageCollection { interval, lease, quarantine, .. } = collection;
    let [interval, lease, quarantine] = [interval, lease, quarantine].map(|time| duration::format(*time));
    write!(f, "every {interval}, lease {lease}, quarantine {quarantine}")?;
    if collection.delete_untagged {
        write!(f, ", untagged manifests after {}", duration::format(collection.untagged_grace))?;
    }
    match collection.max_condemned {
        Some(percent) => write!(f, ", {percent} % at most")?,
        None => write!(f, ", however much")?,
    }
    match collection.rate {
        Some(rate) => writeln!(f, ", {rate} operations a second"),
        None => writeln!(f),
    }
}

fn retention(retention: &RetentionConfig, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let RetentionConfig { enforce, rules } = retention;
    if rules.is_empty() {
        return Ok(());
    }
    writeln!(f, "storage.maintenance.retention: {} rules{}", rules.len(), if *enforce { "" } else { ", dry run" })
}

impl fmt::Display for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filesystem { root, durability } => {
                write!(f, "filesystem, {}, durability {}", root.display(), durability.as_str())
            }
            Self::InMemory => f.write_str("inmemory, gone when the server ends"),
            #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
