//! Buckets, opened as a storage.

use registry_core::{Algorithm, Digest, Random as _, SystemRandom};
#[cfg(feature = "s3")]
use registry_storage::MultipartUploads;
use registry_storage::opendal_crate::Operator;
#[cfg(feature = "azure")]
use registry_storage::opendal_crate::services::Azblob;
#[cfg(feature = "gcs")]
use registry_storage::opendal_crate::services::Gcs;
#[cfg(feature = "s3")]
use registry_storage::opendal_crate::services::S3;
#[cfg(any(feature = "s3", feature = "gcs"))]
use registry_storage::opendal_crate::{Capability, layers::CapabilityOverrideLayer};
#[cfg(any(feature = "s3", feature = "azure"))]
use registry_storage::over_http_unverified;
use registry_storage::{MissingCapability, Opendal, ProbeError, ReadAhead, Retries, opendal_crate, over_http};

#[cfg(feature = "azure")]
use crate::config::AzureConfig;
use crate::config::BucketConfig;
#[cfg(feature = "gcs")]
use crate::config::GcsConfig;
#[cfg(feature = "s3")]
use crate::config::{Encryption, S3Config, S3Credentials};

/// Why a bucket cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BucketError {
    /// It cannot be opened as it is described.
    #[error("cannot use the bucket")]
    Open(#[from] opendal_crate::Error),
    /// The service cannot do what a registry needs.
    #[error(transparent)]
    Capability(#[from] MissingCapability),
    /// The service does not do what a registry needs.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

/// Opens a bucket. Nothing is asked of the service yet.
///
/// # Errors
/// If the description makes no sense to the service's client.
pub fn open(bucket: &BucketConfig) -> Result<Opendal, BucketError> {
    let bucket = match bucket {
        #[cfg(feature = "s3")]
        BucketConfig::S3(config) => {
            let bucket = Opendal::new(s3(config, config.endpoint.as_deref())?)?;
            let bucket = bucket.ending_multipart_uploads(multipart_uploads(config));
            match &config.redirect_endpoint {
                Some(endpoint) => bucket.presigning_with(s3(config, Some(endpoint))?),
                None => bucket,
            }
        }
        #[cfg(feature = "gcs")]
        BucketConfig::Gcs(config) => {
            let emulator = std::env::var(EMULATOR).ok().filter(|host| !host.is_empty());
            Opendal::new(gcs(config, emulator.as_deref())?)?
        }
        #[cfg(feature = "azure")]
        BucketConfig::Azure(config) => Opendal::new(azure(config)?)?,
    };
    Ok(bucket.retrying(Retries::default()).reading_ahead(ReadAhead::default()))
}

/// Opens a bucket and tries it out, so that one that loses content is noticed before there is any. One that is only read
/// is not tried.
///
/// # Errors
/// If it cannot be opened, or does not do as it should.
pub async fn open_probed(bucket: &BucketConfig, read_only: bool) -> Result<Opendal, BucketError> {
    let bucket = open(bucket)?;
    if !read_only {
        let name = Digest::of(Algorithm::Sha256, &SystemRandom.bytes());
        bucket.probe(&name.hex()).await?;
    }
    Ok(bucket)
}

#[cfg(feature = "s3")]
fn s3(config: &S3Config, endpoint: Option<&str>) -> opendal_crate::Result<Operator> {
    let mut service = S3::default().bucket(&config.bucket).region(&config.region).root(&config.root);
    if let Some(endpoint) = endpoint {
        service = service.endpoint(endpoint);
    }
    if !config.path_style {
        service = service.enable_virtual_host_style();
    }
    if let Some(credentials) = &config.credentials {
        service = service
            .access_key_id(&credentials.access_key)
            .secret_access_key(&credentials.secret_key)
            .session_token(credentials.session_token.as_deref().unwrap_or_default())
            .disable_config_load();
    }
    match &config.encryption {
        Some(Encryption::Key(key)) => service = service.server_side_encryption_with_customer_managed_kms_key(key),
        Some(Encryption::Bucket) => service = service.server_side_encryption_with_s3_key(),
        None => {}
    }
    let operator = match &config.storage_class {
        // A copy would get the default class: opendal does not name another with it, but does with an object of parts.
        Some(class) => Operator::new(service.default_storage_class(class))?
            .layer(CapabilityOverrideLayer::new(|kept| Capability { copy: false, ..kept })),
        None => Operator::new(service)?,
    };
    if config.verify { over_http(operator) } else { over_http_unverified(operator) }
}

#[cfg(feature = "s3")]
fn multipart_uploads(config: &S3Config) -> MultipartUploads {
    let uploads = MultipartUploads::in_region(&config.region);
    match &config.credentials {
        Some(S3Credentials { access_key, secret_key, session_token }) => {
            uploads.credentials(access_key, secret_key, session_token.as_deref())
        }
        None => uploads,
    }
}

/// Where Google's own libraries look for a service that is not Google's, with or without `http://`.
#[cfg(feature = "gcs")]
const EMULATOR: &str = "STORAGE_EMULATOR_HOST";

#[cfg(feature = "gcs")]
fn gcs(config: &GcsConfig, emulator: Option<&str>) -> opendal_crate::Result<Operator> {
    let mut service = Gcs::default().bucket(&config.bucket).root(&config.root);
    if let Some(path) = &config.key_file {
        service = service.credential_path(&path.to_string_lossy());
    }
    let Some(host) = emulator else { return over_http(Operator::new(service)?) };
    let endpoint = if host.contains("://") { host.to_owned() } else { format!("http://{host}") };
    tracing::warn!(endpoint, "{EMULATOR} names the service, and nobody logs in there");
    let operator = Operator::new(service.endpoint(&endpoint).skip_signature())?;
    over_http(operator.layer(CapabilityOverrideLayer::new(|kept| Capability { presign: false, ..kept })))
}

#[cfg(feature = "azure")]
fn azure(config: &AzureConfig) -> opendal_crate::Result<Operator> {
    let mut service = Azblob::default()
        .container(&config.container)
        .endpoint(&config.endpoint)
        .account_name(&config.account)
        .root(&config.root);
    if let Some(key) = &config.key {
        service = service.account_key(key);
    }
    let operator = Operator::new(service)?;
    if config.verify { over_http(operator) } else { over_http_unverified(operator) }
}
