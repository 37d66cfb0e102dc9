//! What a server knows of itself beyond its requests.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::collection::{CollectionRun, Reclaimable, RunUnderWay};

/// How a server does, for the [pages](super::Ui::figures). What is `None` is not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Figures {
    /// The disk that the storage lies on.
    pub space: Option<DiskSpace>,
    /// When the last garbage collection ended well.
    pub last_collection: Option<SystemTime>,
    /// How long it took.
    pub collection_took: Option<Duration>,
    /// What lay in quarantine after it, in bytes.
    pub quarantine_bytes: Option<u64>,
    /// The garbage collection that is under way.
    pub collection: Option<RunUnderWay>,
    /// How the last one ended, or the last look at what would go.
    pub last_run: Option<CollectionRun>,
    /// What the last look found.
    pub reclaimable: Option<Reclaimable>,
    /// What became free by collections since the start, in bytes.
    pub freed_bytes: Option<u64>,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// All of it, in bytes.
    pub total_bytes: u64,
    /// What can still be written, in bytes.
    pub available_bytes: u64,
}

/// Tells how a server does.
pub trait ReadFigures: fmt::Debug + Send + Sync + 'static {
    /// How it does now. It is asked in the middle of a request, so it must not block.
    fn figures(&self) -> Figures;
}
