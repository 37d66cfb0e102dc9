//! What the log says of a collector that does not take what it is sent.

use std::sync::Mutex;
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tracing::Metadata;

use crate::causes::with_causes;

/// Tells once when `inner` begins to fail, and once when it works again, however often it fails in between.
#[derive(Debug)]
pub(super) struct OutageTold<E> {
    inner: E,
    /// What was lost since it failed first.
    lost: Mutex<Option<usize>>,
}

impl<E> OutageTold<E> {
    pub(super) fn new(inner: E) -> Self {
        Self { inner, lost: Mutex::new(None) }
    }

    fn note(&self, result: &OTelSdkResult, spans: usize) {
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match (result, *lost) {
            (Ok(()), None) => {}
            (Ok(()), Some(spans)) => {
                tracing::info!(spans, "the collector takes traces again; some were lost");
                *lost = None;
            }
            (Err(_), Some(before)) => *lost = Some(before + spans),
            (Err(error), None) => {
                tracing::warn!("traces are lost, until the collector takes them again: {}", with_causes(error));
                *lost = Some(spans);
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for OutageTold<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let result = self.inner.export(batch).await;
        self.note(&result, spans);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

/// Whether OpenTelemetry itself tells of a failure that [`OutageTold`] tells of, and would do so every few seconds.
pub(crate) fn is_repeated(metadata: &Metadata<'_>) -> bool {
    metadata.target() == "opentelemetry-otlp" || metadata.name() == "BatchSpanProcessor.ExportError"
}

#[cfg(test)]
mod tests {
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    #[derive(Debug)]
    struct Nowhere;

    impl SpanExporter for Nowhere {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            Ok(())
        }
    }

    #[test]
    fn what_is_lost_is_counted_until_it_works_again() {
        let exporter = OutageTold::new(Nowhere);
        let lost = || *exporter.lost.lock().unwrap();
        let failed = Err(OTelSdkError::InternalFailure("gone".into()));
        exporter.note(&Ok(()), 5);
        assert_eq!(lost(), None);
        exporter.note(&failed, 3);
        exporter.note(&failed, 4);
        assert_eq!(lost(), Some(7));
        exporter.note(&Ok(()), 1);
        assert_eq!(lost(), None);
    }
}
