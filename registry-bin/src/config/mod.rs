//! The configuration: Distribution's `config.yml`, version 0.1, and the `REGISTRY_*` variables over it.
//!
//! A document becomes a tree ([`node`]), the variables change the tree ([`environment`]), and the file of each
//! concern reads its settings out of it. Everything that is wrong is collected, so one start tells all of it.

mod access;
mod auth;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
mod bucket;
mod cache;
mod collection;
mod debug;
pub mod duration;
pub mod environment;
#[cfg(feature = "gcs")]
mod gcs;
mod headers;
mod health;
mod http;
mod known;
mod limits;
mod log;
pub mod node;
mod notifications;
mod pages;
mod report;
mod retention;
#[cfg(feature = "s3")]
mod s3;
mod section;
mod storage;
mod summary;
mod tls;
mod token;
mod ui;
mod unavailable;
mod validation;
pub mod yaml;

use std::io;
use std::path::Path;

use registry_auth::Policy;
use registry_core::{TagRules, Validation};

pub use self::auth::AuthConfig;
#[cfg(feature = "azure")]
pub use self::azure::AzureConfig;
#[cfg(any(feature = "s3", feature = "gcs", feature = "azure"))]
pub use self::bucket::BucketConfig;
pub use self::cache::DiskCacheConfig;
pub use self::collection::GarbageCollection;
pub use self::debug::DebugConfig;
#[cfg(feature = "gcs")]
pub use self::gcs::GcsConfig;
pub use self::health::{CheckConfig, CheckTarget};
pub use self::http::{HttpConfig, Listen};
pub use self::limits::{Limit, LimitsConfig};
pub use self::log::{LogConfig, LogFormat, LogLevel};
pub use self::notifications::{EndpointConfig, NotificationsConfig, SpoolConfig};
pub use self::pages::PagesConfig;
pub use self::report::Problem;
pub use self::retention::RetentionConfig;
#[cfg(feature = "s3")]
pub use self::s3::{Encryption, S3Config, S3Credentials};
pub use self::storage::{Driver, Durability, StorageConfig, UploadPurging};
pub use self::tls::{ClientCertificates, LetsEncryptConfig, TlsConfig};
pub use self::token::TokenConfig;
pub use self::ui::UiConfig;

use self::node::Node;
use self::report::Report;
use self::section::Section;
use self::storage::StorageDefaults;

/// Everything that the server is told.
#[derive(Debug, Clone)]
pub struct Config {
    /// What is told, and how.
    pub log: LogConfig,
    /// Where the bytes lie.
    pub storage: StorageConfig,
    /// Where and how the server answers.
    pub http: HttpConfig,
    /// How people say who they are.
    pub auth: AuthConfig,
    /// Who may do what; `None` where everybody who is let in may do everything.
    pub access: Option<Policy>,
    /// How much one page of a listing holds.
    pub pages: PagesConfig,
    /// The pages for people.
    pub ui: UiConfig,
    /// How much clients may ask for.
    pub limits: LimitsConfig,
    /// Which manifests are taken.
    pub validation: Validation,
    /// What nobody may do to some tags.
    pub tag_rules: TagRules,
    /// What is looked at to tell whether the server can do its work.
    pub health: Vec<CheckConfig>,
    /// Who is told what happens.
    pub notifications: NotificationsConfig,
}

/// A configuration that was understood.
#[derive(Debug, Clone)]
pub struct Parsed {
    /// What it says.
    pub config: Config,
    /// What in it has no effect.
    pub warnings: Vec<String>,
    /// Its settings as they are written, the variables among them.
    pub tree: Node,
}

/// A configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// All that is wrong with it, one at least.
    pub problems: Vec<Problem>,
    /// What in it has no effect.
    pub warnings: Vec<String>,
}

/// Reads a configuration: the document, if there is one, and the variables over it.
///
/// Without a document the server stores below `./registry-data`, allows deleting, and takes away what nothing needs. `read_file` reads what a
/// variable with `_FILE` behind its name points to.
///
/// # Errors
/// [`Rejected`] with everything that is wrong.
pub fn parse(
    document: Option<&str>,
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: &mut dyn FnMut(&Path) -> io::Result<String>,
) -> Result<Parsed, Rejected> {
    let report = Report::default();
    let config = read(document, variables, read_file, &report);
    let (problems, warnings) = report.into_parts();
    match config {
        Some((config, tree)) if problems.is_empty() => Ok(Parsed { config, warnings, tree }),
        _ => Err(Rejected { problems, warnings }),
    }
}

fn read(
    document: Option<&str>,
    variables: impl IntoIterator<Item = (String, String)>,
    read_file: &mut dyn FnMut(&Path) -> io::Result<String>,
    report: &Report,
) -> Option<(Config, Node)> {
    let parsed = yaml::parse(document.unwrap_or_default());
    if let Err(error) = &parsed {
        report.unreadable("the file", error.to_string());
    }
    let is_readable = parsed.is_ok();
    let mut tree = parsed.unwrap_or_default();
    name_sections(&mut tree);
    environment::apply(&mut tree, variables, read_file, report);
    if !is_readable {
        // What a file that cannot be read does not set would only bring errors that are none.
        return None;
    }
    let written = tree.clone();
    let mut root = Section::root(tree, report);
    version(&mut root, document.is_some());
    let log = log::read(&mut root);
    let storage = storage::read(&mut root, storage_defaults(document.is_some()));
    let http = self::http::read(&mut root);
    let auth = auth::read(&mut root);
    let access = access::read(&mut root);
    let pages = pages::read(&mut root);
    let ui = ui::read(&mut root);
    let limits = limits::read(&mut root);
    let (validation, tag_rules) = validation::read(&mut root);
    let driver = storage.as_ref().map(|storage| &storage.driver);
    let health = health::read(&mut root, driver);
    let notifications = notifications::read(&mut root, driver);
    unavailable::read(&mut root);
    root.finish();
    let (storage, http, auth) = (storage?, http?, auth?);
    let config =
        Config { log, storage, http, auth, access, pages, ui, limits, validation, tag_rules, health, notifications };
    Some((config, written))
}

/// `storage: inmemory` and `auth: none` name a section.
fn name_sections(tree: &mut Node) {
    if let Node::Map(fields) = tree {
        for name in environment::NAMED {
            if let Some(node) = fields.get_mut(name) {
                node.name_to_section();
            }
        }
    }
}

fn version(root: &mut Section<'_>, required: bool) {
    let is_set = root.is_set("version");
    root.read("version", "0.1", |text| (text == "0.1").then_some(()));
    if required && !is_set {
        root.refuse("version", "missing: it must be 0.1");
    }
}

fn storage_defaults(has_document: bool) -> StorageDefaults {
    if has_document {
        StorageDefaults { root: "/var/lib/registry", filesystem: false, delete: false, garbage_collection: false }
    } else {
        StorageDefaults { root: "./registry-data", filesystem: true, delete: true, garbage_collection: true }
    }
}

#[cfg(test)]
mod tests;
