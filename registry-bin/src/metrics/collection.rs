//! What comes of the collector.

use std::sync::Arc;

use prometheus::Opts;
use registry_core::Registry;

use super::read::{Read, as_float};
use crate::reloads::seconds;
use crate::schedule::{CollectionCounts, Outcome, Snapshot};

/// The numbers of the collector.
pub(super) fn numbers(registry: &Registry, counts: &Arc<CollectionCounts>) -> prometheus::Result<Read> {
    let mut numbers = Read::default();
    for outcome in Outcome::ALL {
        let opts = Opts::new("registry_gc_runs_total", "Runs of the garbage collection by how they ended.");
        let counts = Arc::clone(counts);
        numbers = numbers.counter(opts.const_label("outcome", outcome.as_str()), move || {
            Some(as_float(counts.snapshot().runs(outcome)))
        })?;
    }
    let read = |of: fn(&Snapshot) -> Option<f64>| {
        let counts = Arc::clone(counts);
        move || of(&counts.snapshot())
    };
    let registry = registry.clone();
    tags(numbers, counts)?
        .gauge(
            Opts::new("registry_gc_last_success_timestamp_seconds", "When a run last ended well."),
            read(|snapshot| Some(as_float(seconds(snapshot.last_success?)))),
        )?
        .gauge(
            Opts::new("registry_gc_last_run_seconds", "How long the last run took."),
            read(|snapshot| Some(snapshot.last_took?.as_secs_f64())),
        )?
        .counter(
            Opts::new("registry_gc_quarantined_blobs_total", "Blobs that were taken away."),
            read(|snapshot| Some(as_float(snapshot.quarantined.count))),
        )?
        .counter(
            Opts::new("registry_gc_quarantined_bytes_total", "Bytes of the blobs that were taken away."),
            read(|snapshot| Some(as_float(snapshot.quarantined.bytes))),
        )?
        .counter(
            Opts::new("registry_gc_purged_blobs_total", "Blobs that were purged after the quarantine."),
            read(|snapshot| Some(as_float(snapshot.purged.count))),
        )?
        .counter(
            Opts::new("registry_gc_purged_bytes_total", "Bytes that became free by that."),
            read(|snapshot| Some(as_float(snapshot.purged.bytes))),
        )?
        .gauge(
            Opts::new("registry_gc_quarantine_blobs", "Blobs in quarantine after the last run."),
            read(|snapshot| Some(as_float(snapshot.in_quarantine?.count))),
        )?
        .gauge(
            Opts::new("registry_gc_quarantine_bytes", "Bytes in quarantine after the last run."),
            read(|snapshot| Some(as_float(snapshot.in_quarantine?.bytes))),
        )?
        .gauge(
            Opts::new("registry_gc_skipped", "What the last run did not understand and left alone."),
            read(|snapshot| Some(as_float(snapshot.skipped))),
        )?
        .counter(
            Opts::new("registry_gc_quarantine_hits_total", "How often something was only found in quarantine."),
            move || Some(as_float(registry.quarantine_hits())),
        )
}

fn tags(numbers: Read, counts: &Arc<CollectionCounts>) -> prometheus::Result<Read> {
    let (expired, to_expire) = (Arc::clone(counts), Arc::clone(counts));
    numbers
        .counter(
            Opts::new("registry_retention_expired_tags_total", "Tags that were deleted because no rule keeps them."),
            move || Some(as_float(expired.snapshot().expired_tags)),
        )?
        .gauge(
            Opts::new(
                "registry_retention_tags_to_expire",
                "Tags that the last dry run of the rules would have deleted.",
            ),
            move || Some(as_float(to_expire.snapshot().tags_to_expire)),
        )
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use registry_core::storage::Memory;

    use super::*;

    #[test]
    fn every_number_is_there_from_the_start() {
        let core = Registry::builder(Arc::new(Memory::new())).build();
        let registry = prometheus::Registry::new();
        registry.register(Box::new(numbers(&core, &Arc::default()).unwrap())).unwrap();
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "registry_gc_runs_total{outcome=\"ok\"} 0",
            "registry_gc_runs_total{outcome=\"braked\"} 0",
            "registry_gc_runs_total{outcome=\"failed\"} 0",
            "registry_gc_last_success_timestamp_seconds 0",
            "registry_gc_purged_bytes_total 0",
            "registry_gc_quarantine_hits_total 0",
            "registry_retention_expired_tags_total 0",
            "registry_retention_tags_to_expire 0",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} in {text}");
        }
    }
}
