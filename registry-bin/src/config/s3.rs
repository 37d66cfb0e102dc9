//! `storage.s3`: a bucket.

use std::fmt;

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
            .finish()
    }
}

impl fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("S3Credentials")
    }
}

/// Settings of Distribution's driver that tune what this one decides for itself.
const WITHOUT_EFFECT: [(&str, &str); 13] = [
    ("accelerate", "name the endpoint by regionendpoint"),
    ("chunksize", "parts have a size of their own"),
    ("loglevel", "log.level holds for all"),
    ("multipartcopychunksize", "the service copies as it likes"),
    ("multipartcopymaxconcurrency", "the service copies as it likes"),
    ("multipartcopythresholdsize", "the service copies as it likes"),
    ("objectacl", "objects get the default rights of the bucket"),
    ("storageclass", "objects get the default class of the bucket"),
    ("usedualstack", "name the endpoint by regionendpoint"),
    ("usefipsendpoint", "name the endpoint by regionendpoint"),
    ("useragent", "the service is told no name"),
    ("v4auth", "requests are always signed by version 4"),
    ("maxthreads", "requests have a bound of their own"),
];

/// Reads the section. Without a bucket and a region there is no configuration, and the reason stands in the report.
pub(super) fn read(section: &mut Section<'_>) -> Option<S3Config> {
    let bucket = required(section, "bucket");
    let region = required(section, "region");
    let secure = section.boolean("secure").unwrap_or(true);
    let endpoint = section.text("regionendpoint").map(|endpoint| with_scheme(endpoint, secure));
    let redirect_endpoint = section.text("redirectendpoint").map(|endpoint| with_scheme(endpoint, secure));
    if !secure && endpoint.is_none() {
        section.refuse("secure", "false needs a regionendpoint, for Amazon is only reached by https");
    }
    let root = section.text("rootdirectory").unwrap_or_default();
    let path_style = section.boolean("forcepathstyle").unwrap_or(endpoint.is_some());
    let credentials = credentials(section);
    refuse_what_would_weaken(section);
    section.without_effect(&WITHOUT_EFFECT);
    for key in section.keys() {
        section.take(&key);
        section.warn(&key, "unknown, and ignored");
    }
    let (bucket, region) = (bucket?, region?);
    Some(S3Config { bucket, region, endpoint, redirect_endpoint, root, credentials, path_style })
}

fn required(section: &mut Section<'_>, key: &str) -> Option<String> {
    let is_set = section.says(key);
    let text = section.text(key);
    if text.is_none() && !is_set {
        section.refuse(key, "missing");
    }
    text
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

/// What somebody relies on must not be left out in silence.
fn refuse_what_would_weaken(section: &mut Section<'_>) {
    if section.boolean("skipverify") == Some(true) {
        section.refuse("skipverify", "not available: certificates are always verified");
    }
    if section.boolean("encrypt") == Some(true) {
        section.refuse("encrypt", "not available in this version; a default encryption of the bucket is");
    }
    if section.text("keyid").is_some() {
        section.refuse("keyid", "not available in this version; a default encryption of the bucket is");
    }
}
