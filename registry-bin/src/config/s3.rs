//! `storage.s3`: a bucket.

use std::fmt;

use super::bucket::{required, verify};
use super::section::Section;

/// A bucket of an S3 service.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// The region it lies in.
    pub region: String,
    /// The address of the service, where it is not Amazon's.
    pub endpoint: Option<String>,
    /// The address under which clients reach the service, where it is another.
    pub redirect_endpoint: Option<String>,
    /// The folder in the bucket; empty for the bucket itself.
    pub root: String,
    /// Key and secret, where they are given and not found in the surroundings of the process.
    pub credentials: Option<S3Credentials>,
    /// Whether the bucket stands in the path and not in the host name.
    pub path_style: bool,
    /// How the service encrypts what it keeps; `None` as the bucket has it.
    pub encryption: Option<Encryption>,
    /// The storage class of new objects; `None` for that of the bucket.
    pub storage_class: Option<String>,
    /// Whether the service has to prove who it is.
    pub verify: bool,
}

/// How a service encrypts what it keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With a key of the service.
    Bucket,
    /// With this key of the service for keys.
    Key(String),
}

/// What a bucket is opened with.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The name of the key.
    pub access_key: String,
    /// The key. It never shows.
    pub secret_key: String,
    /// The token that goes with a key that does not last. It never shows.
    pub session_token: Option<String>,
}

impl fmt::Debug for S3Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Config")
            .field("bucket", &self.bucket)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint)
            .field("redirect_endpoint", &self.redirect_endpoint)
            .field("root", &self.root)
            .field("credentials", &self.credentials)
            .field("path_style", &self.path_style)
            .field("encryption", &self.encryption)
            .field("storage_class", &self.storage_class)
            .field("verify", &self.verify)
            .finish()
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials")
    }
}

/// Settings of Distribution's driver that tune what this one decides for itself.
const WITHOUT_EFFECT: [(&str, &str); 12] = [
    ("accelerate", "name the endpoint by regionendpoint"),
    ("chunksize", "parts have a size of their own"),
    ("loglevel", "log.level holds for all"),
    ("multipartcopychunksize", "the service copies as it likes"),
    ("multipartcopymaxconcurrency", "the service copies as it likes"),
    ("multipartcopythresholdsize", "the service copies as it likes"),
    ("objectacl", "objects get the default rights of the bucket"),
    ("usedualstack", "name the endpoint by regionendpoint"),
    ("usefipsendpoint", "name the endpoint by regionendpoint"),
    ("useragent", "the service is told no name"),
    ("v4auth", "requests are always signed by version 4"),
    ("maxthreads", "requests have a bound of their own"),
];

/// Reads the section. Without a bucket and a region there is no configuration, and the reason stands in the report.
pub(super) fn read(mut section: Section<'_>) -> Option<S3Config> {
    let bucket = required(&mut section, "bucket");
    let region = required(&mut section, "region");
    let secure = section.boolean("secure").unwrap_or(true);
    let endpoint = section.text("regionendpoint").map(|endpoint| with_scheme(endpoint, secure));
    let redirect_endpoint = section.text("redirectendpoint").map(|endpoint| with_scheme(endpoint, secure));
    if !secure && endpoint.is_none() {
        section.refuse("secure", "false needs a regionendpoint, for Amazon is only reached by https");
    }
    let root = section.text("rootdirectory").unwrap_or_default();
    let path_style = section.boolean("forcepathstyle").unwrap_or(endpoint.is_some());
    let credentials = credentials(&mut section);
    let (encryption, storage_class) = (encryption(&mut section), storage_class(&mut section));
    let verify = verify(&mut section);
    section.without_effect(&WITHOUT_EFFECT);
    section.finish();
    let (bucket, region) = (bucket?, region?);
    Some(S3Config {
        bucket,
        region,
        endpoint,
        redirect_endpoint,
        root,
        credentials,
        path_style,
        encryption,
        storage_class,
        verify,
    })
}

fn with_scheme(endpoint: String, secure: bool) -> String {
    match (endpoint.contains("://"), secure) {
        (true, _) => endpoint,
        (false, true) => format!("https://{endpoint}"),
        (false, false) => format!("http://{endpoint}"),
    }
}

fn credentials(section: &mut Section<'_>) -> Option<S3Credentials> {
    let access_key = section.secret("accesskey");
    let secret_key = section.secret("secretkey");
    let session_token = section.secret("sessiontoken");
    match (access_key, secret_key) {
        (Some(access_key), Some(secret_key)) => Some(S3Credentials { access_key, secret_key, session_token }),
        (None, None) => None,
        (Some(_), None) => {
            section.refuse("secretkey", "missing, though there is an accesskey");
            None
        }
        (None, Some(_)) => {
            section.refuse("accesskey", "missing, though there is a secretkey");
            None
        }
    }
}

/// What Distribution takes; with `NONE` objects get the class of the bucket.
const STORAGE_CLASSES: [&str; 8] = [
    "NONE",
    "STANDARD",
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "OUTPOSTS",
    "GLACIER_IR",
];

fn storage_class(section: &mut Section<'_>) -> Option<String> {
    let class = section.text("storageclass")?.to_ascii_uppercase();
    if !STORAGE_CLASSES.contains(&class.as_str()) {
        section.refuse("storageclass", format!("not one of {}", STORAGE_CLASSES.join(", ")));
    }
    (class != "NONE").then_some(class)
}

fn encryption(section: &mut Section<'_>) -> Option<Encryption> {
    let (is_wanted, key) = (section.boolean("encrypt").unwrap_or(false), section.text("keyid"));
    match (is_wanted, key) {
        (false, Some(_)) => {
            // Somebody relies on it.
            section.refuse("keyid", "without encrypt: true nothing is encrypted with it");
            None
        }
        (false, None) => None,
        (true, Some(key)) => Some(Encryption::Key(key)),
        (true, None) => Some(Encryption::Bucket),
    }
}
