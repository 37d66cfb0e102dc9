//! `storage.cache`: what is kept near of a bucket that is far away.

use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;

/// Where blobs of a bucket are kept once they were read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskCacheConfig {
    /// The folder.
    pub root: PathBuf,
    /// How many bytes there may be.
    pub limit_bytes: u64,
}

/// What `storage.cache` says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Caches {
    pub(super) disk: Option<DiskCacheConfig>,
    /// How long it counts where a tag pointed; nothing for not at all.
    pub(super) tags: Duration,
}

/// Who would wait longer for a tag that was moved takes it for lost.
const LONGEST: Duration = Duration::from_hours(1);

/// Some thousand layers.
const LIMIT_BYTES: u64 = 10 << 30;

const DESCRIPTORS: &str = "what a blob is like is looked up where it lies, so there is nothing to go stale";

/// Reads `storage.cache`. Only a bucket is far enough away for a disk to be nearer.
pub(super) fn read(storage: &mut Section<'_>, is_bucket: bool) -> Caches {
    let mut section = storage.section("cache");
    section.without_effect(&["blobdescriptor", "blobdescriptorsize", "layerinfo"].map(|key| (key, DESCRIPTORS)));
    let tags = section.duration("tags").unwrap_or_default();
    if tags > LONGEST {
        section.refuse("tags", "must be at most 1h");
    } else if !tags.is_zero() && !is_bucket {
        section.warn("tags", "has no effect: it is for what lies in a bucket");
    }
    let disk = disk(&mut section, is_bucket);
    section.finish();
    Caches { disk, tags: if is_bucket { tags } else { Duration::ZERO } }
}

fn disk(section: &mut Section<'_>, is_bucket: bool) -> Option<DiskCacheConfig> {
    let is_named = section.says("disk");
    let mut disk = section.section("disk");
    let (root, limit) = (disk.text("rootdirectory"), disk.bytes("maxsize"));
    if limit == Some(0) {
        disk.refuse("maxsize", "must be more than nothing");
    }
    disk.finish();
    if is_named && !is_bucket {
        section.warn("disk", "has no effect: it is for what lies in a bucket");
    } else if is_named && root.is_none() {
        section.refuse("disk", "must name a rootdirectory");
    }
    let root = root.filter(|_| is_bucket)?.into();
    Some(DiskCacheConfig { root, limit_bytes: limit.unwrap_or(LIMIT_BYTES) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::report::Report;
    use crate::config::yaml;

    fn read_text(text: &str, is_bucket: bool) -> (Option<DiskCacheConfig>, Vec<String>, Vec<String>) {
        let (caches, problems, warnings) = caches(text, is_bucket);
        (caches.disk, problems, warnings)
    }

    fn caches(text: &str, is_bucket: bool) -> (Caches, Vec<String>, Vec<String>) {
        let report = Report::default();
        let mut storage = Section::root(yaml::parse(text).unwrap(), &report);
        let read = read(&mut storage, is_bucket);
        let (problems, warnings) = report.into_parts();
        (read, problems.iter().map(ToString::to_string).collect(), warnings)
    }

    #[test]
    fn a_disk_before_a_bucket() {
        let of = |root: &str, limit_bytes| Some(DiskCacheConfig { root: root.into(), limit_bytes });
        assert_eq!(read_text("cache: {disk: {rootdirectory: /c}}", true), (of("/c", 10 << 30), vec![], vec![]));
        assert_eq!(
            read_text("cache: {disk: {rootdirectory: /c, maxsize: 2GB}}", true),
            (of("/c", 2 << 30), vec![], vec![])
        );
        assert_eq!(read_text("cache: {disk: {}}", true), (None, vec![], vec![]));
        assert_eq!(read_text("", true), (None, vec![], vec![]));
    }

    #[test]
    fn tags_that_may_be_a_bit_old() {
        let tags = |text: &str, is_bucket| {
            let (caches, problems, warnings) = caches(text, is_bucket);
            (caches.tags.as_secs(), problems.len(), warnings.len())
        };
        assert_eq!(tags("cache: {tags: 5s}", true), (5, 0, 0));
        assert_eq!(tags("cache: {tags: 1h}", true), (3600, 0, 0));
        assert_eq!(tags("cache: {tags: 0s}", true), (0, 0, 0));
        assert_eq!(tags("", true), (0, 0, 0));
        assert_eq!(tags("cache: {tags: 5s}", false), (0, 0, 1));
        assert_eq!(tags("cache: {tags: 61m}", true).1, 1);
        assert_eq!(tags("cache: {tags: soon}", true).1, 1);
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let problems = |text: &str| read_text(text, true).1;
        assert_eq!(problems("cache: {disk: {maxsize: 2GB}}"), ["cache.disk: must name a rootdirectory"]);
        assert_eq!(problems("cache: {disk: {rootdirectory: /c, maxsize: much}}").len(), 1);
        assert_eq!(
            problems("cache: {disk: {rootdirectory: /c, maxsize: 0}}"),
            ["cache.disk.maxsize: must be more than nothing"]
        );
        let (read, problems, warnings) = read_text("cache: {disk: {rootdirectory: /c}}", false);
        assert_eq!((read, problems.len(), warnings.len()), (None, 0, 1), "a folder is on a disk itself");
        let (read, _, warnings) = read_text("cache: {blobdescriptor: inmemory, disk: {rootdirectory: /c}}", true);
        assert_eq!((read.is_some(), warnings.len()), (true, 1));
    }
}
