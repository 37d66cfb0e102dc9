//! How the server does, for its pages.

use std::sync::Arc;

use registry_http::{DiskSpace, Figures, ReadFigures};

use crate::schedule::{CollectionCounts, KnownSpace};

/// What is known of the disk and of garbage collection.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// The room of the disk.
    pub space: KnownSpace,
    /// What came of collections.
    pub collections: Arc<CollectionCounts>,
}

impl ReadFigures for Known {
    fn figures(&self) -> Figures {
        let snapshot = self.collections.snapshot();
        let mut figures = Figures::default();
        figures.space = self
            .space
            .last()
            .map(|space| DiskSpace { total_bytes: space.total_bytes, available_bytes: space.available_bytes });
        figures.last_collection = snapshot.last_success;
        figures.collection_took = snapshot.last_took;
        figures.quarantine_bytes = snapshot.in_quarantine.map(|amount| amount.bytes);
        figures.collection = snapshot.under_way;
        figures.last_run = snapshot.last_run;
        figures.reclaimable = snapshot.reclaimable;
        figures.freed_bytes = snapshot.last_took.map(|_| snapshot.purged.bytes);
        figures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_not_told() {
        assert_eq!(Known::default().figures(), Figures::default());
    }
}
