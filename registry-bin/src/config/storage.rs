//! `storage`: where the bytes lie, and what may be done to them.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(feature = "azure")]
use super::azure;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
use super::bucket::BucketConfig;
use super::cache::{self, Caches, DiskCacheConfig};
use super::collection::{self, GarbageCollection};
#[cfg(feature = "gcs")]
use super::gcs;
use super::retention::{self, RetentionConfig};
#[cfg(feature = "s3")]
use super::s3;
use super::section::Section;

/// Where the bytes lie, and what may be done to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageConfig {
    /// Where the bytes lie.
    pub driver: Driver,
    /// Whether blobs and manifests may be deleted.
    pub delete: bool,
    /// Whether nothing may be changed.
    pub read_only: bool,
    /// How long an address holds by which a client may fetch content where it lies; `None` where all of it comes through
    /// this server. A folder has no addresses, and what is kept on a disk comes from there.
    pub redirects: Option<Duration>,
    /// Where blobs are kept once they were read; `None` where they are not.
    pub disk_cache: Option<DiskCacheConfig>,
    /// How long it counts where a tag pointed, though another server may have moved it; nothing for not at all.
    pub tag_patience: Duration,
    /// How abandoned uploads are cleaned up, if they are.
    pub upload_purging: Option<UploadPurging>,
    /// How what nothing needs is taken away.
    pub garbage_collection: GarbageCollection,
    /// Which tags stay.
    pub retention: RetentionConfig,
}

/// Where the bytes lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Driver {
    /// In a folder.
    Filesystem {
        /// The folder.
        root: PathBuf,
        /// What an acknowledged push survives.
        durability: Durability,
    },
    /// In the memory of this process.
    InMemory,
    /// In a bucket.
    #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
    Bucket(Box<BucketConfig>),
}

impl Driver {
    /// Whether it is a service that is asked over a network.
    #[must_use]
    pub fn is_bucket(&self) -> bool {
        match self {
            Self::Filesystem { .. } | Self::InMemory => false,
            #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
            Self::Bucket(_) => true,
        }
    }

    /// Distribution's name for it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Filesystem { .. } => "filesystem",
            Self::InMemory => "inmemory",
            #[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
            Self::Bucket(bucket) => bucket.name(),
        }
    }
}

/// What an acknowledged push survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut.
    #[default]
    Strict,
    /// A power cut, with fewer waits for the disk; an upload under way may not survive it.
    Group,
    /// The end of the process; after a power cut, what the operating system had written by then.
    Os,
}

impl Durability {
    /// The word for it in a configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Group => "group",
            Self::Os => "os",
        }
    }
}

/// How abandoned uploads are cleaned up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadPurging {
    /// How long ago an upload began that is cleaned up.
    pub age: Duration,
    /// How long from one round to the next.
    pub interval: Duration,
    /// Whether it is only told what would be cleaned up.
    pub dry_run: bool,
}

impl Default for UploadPurging {
    /// A week, looked after once a day.
    fn default() -> Self {
        Self { age: Duration::from_hours(168), interval: Duration::from_hours(24), dry_run: false }
    }
}

/// What holds where nothing is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct StorageDefaults {
    /// The folder of a filesystem.
    pub(super) root: &'static str,
    /// Whether a filesystem is taken when no driver is named.
    pub(super) filesystem: bool,
    /// Whether deleting is allowed.
    pub(super) delete: bool,
    /// Whether what nothing needs is taken away.
    pub(super) garbage_collection: bool,
}

const WITHOUT_EFFECT: [(&str, &str); 1] = [("tag", "tags are looked up with a bound of their own")];

/// The names beside which one driver stands.
const RESERVED: [&str; 5] = ["cache", "delete", "maintenance", "redirect", "tag"];

/// Reads `storage`. Without a driver there is no configuration, and the reason stands in the report.
pub(super) fn read(root: &mut Section<'_>, defaults: StorageDefaults) -> Option<StorageConfig> {
    let mut storage = root.section("storage");
    let driver = driver(root, &mut storage, defaults);
    let delete = delete(&mut storage).unwrap_or(defaults.delete);
    let mut maintenance = storage.section("maintenance");
    let read_only = read_only(&mut maintenance);
    let upload_purging = upload_purging(&mut maintenance);
    let garbage_collection = collection::read(&mut maintenance, defaults.garbage_collection);
    let retention = retention::read(&mut maintenance);
    warn_of_idle_rules(&maintenance, &retention, &garbage_collection);
    maintenance.finish();
    let Caches { disk: disk_cache, tags: tag_patience } =
        cache::read(&mut storage, driver.as_ref().is_some_and(Driver::is_bucket));
    let redirects = redirects(&mut storage, disk_cache.is_some());
    storage.without_effect(&WITHOUT_EFFECT);
    storage.finish();
    Some(StorageConfig {
        driver: driver?,
        delete,
        read_only,
        redirects,
        disk_cache,
        tag_patience,
        upload_purging,
        garbage_collection,
        retention,
    })
}

/// How long an address of the bucket's holds where nothing is said, as Distribution has it.
const REDIRECT: Duration = Duration::from_mins(20);

/// Distribution knows only `disable`.
fn redirects(storage: &mut Section<'_>, has_cache: bool) -> Option<Duration> {
    let mut section = storage.section("redirect");
    let is_disabled = section.boolean("disable");
    if has_cache && is_disabled == Some(false) {
        section.warn("disable", "has no effect: blobs come from the disk of storage.cache");
    }
    let is_disabled = is_disabled.unwrap_or(false) || has_cache;
    let expiry = section.duration("expiry").unwrap_or(REDIRECT);
    // What services sign holds for a week at the most.
    if !(Duration::from_secs(1)..=Duration::from_hours(7 * 24)).contains(&expiry) {
        section.refuse("expiry", "must be between 1s and 168h");
    }
    section.finish();
    (!is_disabled).then_some(expiry)
}

/// Rules are looked at by each run of the collector, and let tags go alone.
fn warn_of_idle_rules(maintenance: &Section<'_>, retention: &RetentionConfig, collection: &GarbageCollection) {
    if retention.rules.is_empty() {
        return;
    }
    if !collection.enabled {
        maintenance
            .warn("retention.rules", "looked at by garbage-collect alone: garbagecollection.enabled is not true");
    } else if !collection.delete_untagged {
        maintenance
            .warn("retention.rules", "let tags go, but no manifests: garbagecollection.deleteuntagged is not true");
    }
}

fn driver(root: &Section<'_>, storage: &mut Section<'_>, defaults: StorageDefaults) -> Option<Driver> {
    let mut names = storage.keys();
    names.retain(|name| !RESERVED.contains(&name.as_str()));
    match names.as_slice() {
        [] if defaults.filesystem => Some(filesystem(storage, defaults)),
        [] => {
            root.refuse("storage", format!("names no driver; this server has {}", drivers()));
            None
        }
        [name] => match name.as_str() {
            "filesystem" => Some(filesystem(storage, defaults)),
            "inmemory" => {
                storage.section("inmemory").finish();
                Some(Driver::InMemory)
            }
            #[cfg(feature = "s3")]
            "s3" | "s3aws" => s3::read(storage.section(name)).map(|s3| Driver::Bucket(Box::new(BucketConfig::S3(s3)))),
            #[cfg(feature = "gcs")]
            "gcs" => gcs::read(storage.section(name)).map(|gcs| Driver::Bucket(Box::new(BucketConfig::Gcs(gcs)))),
            #[cfg(feature = "azure")]
            "azure" => {
                azure::read(storage.section(name)).map(|azure| Driver::Bucket(Box::new(BucketConfig::Azure(azure))))
            }
            _ => {
                storage.take(name);
                let has = format!("not a driver that this server has: {}", drivers());
                storage.refuse(name, instead_of(name).map_or(has.clone(), |instead| format!("{has}; {instead}")));
                None
            }
        },
        several => {
            root.refuse("storage", format!("names more than one driver: {}", several.join(", ")));
            for name in &names {
                storage.take(name);
            }
            None
        }
    }
}

/// What takes the place of a driver.
fn instead_of(driver: &str) -> Option<&'static str> {
    match driver {
        "s3" | "s3aws" => Some("build it with the feature s3"),
        "swift" | "oss" => Some("Distribution 3 has none either; both services speak the protocol of s3"),
        "gcs" => Some("build it with the feature gcs"),
        "azure" => Some("build it with the feature azure"),
        _ => None,
    }
}

/// The drivers that are built in.
fn drivers() -> String {
    let buckets = [("s3", cfg!(feature = "s3")), ("gcs", cfg!(feature = "gcs")), ("azure", cfg!(feature = "azure"))];
    let buckets = buckets.into_iter().filter(|(_, is_built)| *is_built).map(|(name, _)| name);
    ["filesystem", "inmemory"].into_iter().chain(buckets).collect::<Vec<_>>().join(", ")
}

fn filesystem(storage: &mut Section<'_>, defaults: StorageDefaults) -> Driver {
    let mut section = storage.section("filesystem");
    let root = section.text("rootdirectory").unwrap_or_else(|| defaults.root.to_owned()).into();
    let choices = [Durability::Strict, Durability::Group, Durability::Os].map(|mode| (mode.as_str(), mode));
    let durability = section.choice("durability", &choices).unwrap_or_default();
    section.without_effect(&[("maxthreads", "work on the disk has a pool of bounded size")]);
    section.finish();
    Driver::Filesystem { root, durability }
}

fn delete(storage: &mut Section<'_>) -> Option<bool> {
    let mut section = storage.section("delete");
    let enabled = section.boolean("enabled");
    section.finish();
    enabled
}

fn read_only(maintenance: &mut Section<'_>) -> bool {
    let mut section = maintenance.section("readonly");
    let enabled = section.boolean("enabled").unwrap_or(false);
    section.finish();
    enabled
}

fn upload_purging(maintenance: &mut Section<'_>) -> Option<UploadPurging> {
    let mut section = maintenance.section("uploadpurging");
    let defaults = UploadPurging::default();
    let enabled = section.boolean("enabled").unwrap_or(true);
    let purging = UploadPurging {
        age: section.duration("age").unwrap_or(defaults.age),
        interval: section.duration("interval").unwrap_or(defaults.interval),
        dry_run: section.boolean("dryrun").unwrap_or(defaults.dry_run),
    };
    if enabled {
        for (key, value) in [("age", purging.age), ("interval", purging.interval)] {
            if value.is_zero() {
                section.refuse(key, "must be longer than nothing");
            }
        }
    }
    section.finish();
    enabled.then_some(purging)
}
