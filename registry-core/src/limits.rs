//! Bounds on what one request may ask for, and which manifests are taken.

use std::fmt;
use std::sync::Arc;

use crate::Platform;

/// Bounds on what one request may ask for. The defaults suit every client known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The largest manifest, in bytes; 4 MiB.
    pub manifest_bytes: u64,
    /// How much content one manifest may name, that of its children counted; 20,000.
    pub references: usize,
    /// How deep indexes may lie in each other; 32.
    pub nesting: usize,
    /// How many tags one push may set; 64.
    pub tags_per_push: usize,
    /// How much a page of referrers may hold, in bytes, one descriptor at least; 4 MiB.
    pub referrers_page_bytes: usize,
    /// How many bytes of manifests are looked through for one page of referrers; 32 MiB.
    pub referrers_search_bytes: u64,
    /// How many bytes of an upload are staged before its state is noted, so that whoever goes on after a crash hashes
    /// no more than that again; 256 MiB.
    pub checkpoint_bytes: u64,
    /// How many repositories are looked into for a blob to mount when the client does not say which; 1,000.
    pub mount_search: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            manifest_bytes: 4 * 1024 * 1024,
            references: 20_000,
            nesting: 32,
            tags_per_push: 64,
            referrers_page_bytes: 4 * 1024 * 1024,
            referrers_search_bytes: 32 * 1024 * 1024,
            checkpoint_bytes: 256 * 1024 * 1024,
            mount_search: 1_000,
        }
    }
}

/// Which manifests are taken.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct Validation {
    /// Whether a manifest may name what is not in the repository.
    pub references: References,
    /// Which children of an index must be in the repository.
    pub platforms: Platforms,
    /// Which addresses a layer that lies elsewhere may have; any `http` or `https` one if there is no rule.
    pub urls: Option<UrlRule>,
}

/// Tells whether an address is allowed.
pub type UrlRule = Arc<dyn Fn(&str) -> bool + Send + Sync>;

impl fmt::Debug for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validation")
            .field("references", &self.references)
            .field("platforms", &self.platforms)
            .field("urls", &self.urls.as_ref().map(|_| "a rule"))
            .finish()
    }
}

/// Whether a manifest may name what is not in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum References {
    /// Everything that a manifest names must be there: what was pulled once can be pulled again.
    #[default]
    Required,
    /// Manifests are taken whatever they name.
    Sparse,
}

/// Which children of an index must be in the repository.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Platforms {
    /// All of them.
    #[default]
    All,
    /// None of them.
    None,
    /// Those for one of these machines.
    Only(Vec<Platform>),
}

impl Platforms {
    pub(crate) fn require(&self, platform: Option<&Platform>) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Only(list) => platform.is_some_and(|platform| list.contains(platform)),
        }
    }
}
