//! What is asked of the storage and how long it takes, under Distribution's names.

use std::fmt;
use std::time::Duration;

use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};
use registry_core::storage::{OperationKind, StorageObserver};

use crate::config::Driver;

/// Distribution's names, and behind them those of what it has no names for.
const ACTIONS: [&str; 12] = [
    "GetContent",
    "PutContent",
    "Reader",
    "Writer",
    "Stat",
    "List",
    "Move",
    "Delete",
    "RedirectURL",
    "Append",
    "Sync",
    "Other",
];

/// What is asked of the storage and how long it takes.
pub(super) struct StorageActions {
    seconds: [Histogram; ACTIONS.len()],
    errors: [IntCounter; ACTIONS.len()],
}

impl StorageActions {
    pub(super) fn register(registry: &Registry, driver: &Driver) -> prometheus::Result<Self> {
        // What a configuration calls s3 is called so by the driver itself.
        let driver = if driver.name() == "s3" { "s3aws" } else { driver.name() };
        let help = "How long operations of the storage took. Reader and Writer are only opened within it.";
        let opts = HistogramOpts::new("registry_storage_action_seconds", help);
        let seconds = HistogramVec::new(opts, &["driver", "action"])?;
        registry.register(Box::new(seconds.clone()))?;
        let opts = Opts::new("registry_storage_errors_total", "The operations of the storage that failed.");
        let errors = IntCounterVec::new(opts, &["driver", "action"])?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self {
            seconds: ACTIONS.map(|action| seconds.with_label_values(&[driver, action])),
            errors: ACTIONS.map(|action| errors.with_label_values(&[driver, action])),
        })
    }
}

impl StorageObserver for StorageActions {
    fn observed(&self, kind: OperationKind, took: Duration, succeeded: bool) {
        let action = action(kind);
        self.seconds[action].observe(took.as_secs_f64());
        if !succeeded {
            self.errors[action].inc();
        }
    }
}

impl fmt::Debug for StorageActions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StorageActions")
    }
}

/// Which of the [`ACTIONS`] it is.
fn action(kind: OperationKind) -> usize {
    match kind {
        OperationKind::Read => 0,
        OperationKind::Write => 1,
        OperationKind::Open | OperationKind::ReadStaged => 2,
        OperationKind::Stage => 3,
        OperationKind::Stat | OperationKind::Confirm | OperationKind::StagedSize => 4,
        OperationKind::List | OperationKind::Scan => 5,
        OperationKind::Publish | OperationKind::Copy => 6,
        OperationKind::Delete | OperationKind::DeleteAll | OperationKind::Discard => 7,
        OperationKind::Presign => 8,
        OperationKind::Append => 9,
        OperationKind::Sync => 10,
        _ => 11,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_go_by_distributions_names() {
        for (kind, name) in [
            (OperationKind::Read, "GetContent"),
            (OperationKind::Write, "PutContent"),
            (OperationKind::Open, "Reader"),
            (OperationKind::Stage, "Writer"),
            (OperationKind::Confirm, "Stat"),
            (OperationKind::List, "List"),
            (OperationKind::Publish, "Move"),
            (OperationKind::DeleteAll, "Delete"),
            (OperationKind::Presign, "RedirectURL"),
            (OperationKind::Append, "Append"),
            (OperationKind::Sync, "Sync"),
            (OperationKind::CreateDirectory, "Other"),
        ] {
            assert_eq!(ACTIONS[action(kind)], name, "{kind:?}");
        }
    }

    #[test]
    fn failures_are_counted_beside() {
        let registry = Registry::new();
        let actions = StorageActions::register(&registry, &Driver::InMemory).unwrap();
        actions.observed(OperationKind::List, Duration::from_secs(2), false);
        actions.observed(OperationKind::List, Duration::from_secs(1), true);
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "registry_storage_action_seconds_sum{action=\"List\",driver=\"inmemory\"} 3",
            "registry_storage_action_seconds_bucket{action=\"List\",driver=\"inmemory\",le=\"1\"} 1",
            "registry_storage_errors_total{action=\"List\",driver=\"inmemory\"} 1",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
    }
}
