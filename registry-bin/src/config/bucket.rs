//! Where a bucket lies, whoever keeps it.

use std::fmt;

#[cfg(feature = "azure")]
use super::azure::AzureConfig;
#[cfg(feature = "gcs")]
use super::gcs::GcsConfig;
#[cfg(feature = "s3")]
use super::s3::S3Config;
use super::section::Section;

/// A bucket, or what a service calls one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketConfig {
    /// Of Amazon S3, or of a service that speaks its protocol.
    #[cfg(feature = "s3")]
    S3(S3Config),
    /// Of Google Cloud Storage.
    #[cfg(feature = "gcs")]
    Gcs(GcsConfig),
    /// A container of Azure Blob Storage.
    #[cfg(feature = "azure")]
    Azure(AzureConfig),
}

impl BucketConfig {
    /// Distribution's name for the driver.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            #[cfg(feature = "s3")]
            Self::S3(_) => "s3",
            #[cfg(feature = "gcs")]
            Self::Gcs(_) => "gcs",
            #[cfg(feature = "azure")]
            Self::Azure(_) => "azure",
        }
    }
}

impl fmt::Display for BucketConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (place, endpoint): (String, Option<&str>) = match self {
            #[cfg(feature = "s3")]
            Self::S3(s3) => (format!("bucket {}, region {}", s3.bucket, s3.region), s3.endpoint.as_deref()),
            #[cfg(feature = "gcs")]
            Self::Gcs(gcs) => (format!("bucket {}", gcs.bucket), None),
            #[cfg(feature = "azure")]
            Self::Azure(azure) => (format!("container {}", azure.container), Some(azure.endpoint.as_str())),
        };
        write!(f, "{}, {place}", self.name())?;
        endpoint.map_or(Ok(()), |endpoint| write!(f, ", at {endpoint}"))
    }
}

/// Takes a text that has to be there.
pub(super) fn required(section: &mut Section<'_>, key: &str) -> Option<String> {
    let is_set = section.says(key);
    let text = section.text(key);
    if text.is_none() && !is_set {
        section.refuse(key, "missing");
    }
    text
}

/// Whether the service has to prove who it is.
#[cfg(any(feature = "s3", feature = "azure"))]
pub(super) fn verify(section: &mut Section<'_>) -> bool {
    let is_skipped = section.boolean("skipverify").unwrap_or(false);
    if is_skipped {
        section.warn("skipverify", "anybody between this server and the bucket can read and change what goes by");
    }
    !is_skipped
}
