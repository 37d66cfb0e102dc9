//! `storage.gcs`: a bucket of Google Cloud Storage.

use std::path::PathBuf;

use super::bucket::required;
use super::section::Section;

/// A bucket of Google Cloud Storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GcsConfig {
    /// The bucket.
    pub bucket: String,
    /// The folder in the bucket; empty for the bucket itself.
    pub root: String,
    /// A file of credentials; `None` for those in the surroundings of the process: the environment, or the identity of
    /// the machine.
    pub key_file: Option<PathBuf>,
}

/// Settings of Distribution's driver that tune what this one decides for itself.
const WITHOUT_EFFECT: [(&str, &str); 2] =
    [("chunksize", "parts have a size of their own"), ("maxconcurrency", "requests have a bound of their own")];

/// Reads the section. Without a bucket there is no configuration, and the reason stands in the report.
pub(super) fn read(mut section: Section<'_>) -> Option<GcsConfig> {
    let bucket = required(&mut section, "bucket");
    let root = section.text("rootdirectory").unwrap_or_default();
    let key_file = section.text("keyfile").map(PathBuf::from);
    if section.is_set("credentials") {
        section.take("credentials");
        section.refuse("credentials", "not here: put them into a file, and name it by keyfile");
    }
    section.without_effect(&WITHOUT_EFFECT);
    section.finish();
    Some(GcsConfig { bucket: bucket?, root, key_file })
}
