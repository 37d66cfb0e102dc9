//! Where traces go.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue, Value};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use registry_core::storage::{Observed, Storage};

use super::Asked;
use super::outage::OutageTold;
use super::storage::StorageSpans;
use crate::causes::with_causes;

/// How long the end of the program waits for a collector.
const PATIENCE: Duration = Duration::from_secs(5);
const SERVICE: &str = "service.name";

/// Sends what is traced to a collector, in the background, and drops it while the collector does not keep up.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// `None` where the environment does not ask for traces, or asks for what is not to be had, which the log then tells:
    /// that nobody looks on is no reason not to serve.
    #[must_use]
    pub fn start() -> Option<Self> {
        match Asked::of(|name| env::var(name).ok()) {
            Ok(Asked::No) => return None,
            Ok(Asked::Yes) => {}
            Err(unable) => {
                tracing::error!("{unable}");
                return None;
            }
        }
        // The exporter reads the address, the headers and the rest from the environment.
        let exporter = match SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build() {
            Ok(exporter) => exporter,
            Err(error) => {
                tracing::error!("there are no traces: {}", with_causes(&error));
                return None;
            }
        };
        tracing::info!("requests are traced");
        let exporter = OutageTold::new(exporter);
        Some(Self {
            provider: SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build(),
        })
    }

    pub(super) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("registry")
    }

    /// The same storage, whose operations are part of the traces of requests from now on.
    #[must_use]
    pub fn storage(&self, storage: Arc<dyn Storage>) -> Arc<dyn Storage> {
        Arc::new(Observed::new(storage, Arc::new(StorageSpans::new(self.tracer()))))
    }

    /// Sends what is left, for no longer than five seconds. This blocks.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!("the last traces are lost: {}", with_causes(&error));
        }
    }
}

/// What the server is to the collector.
fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let detected = Resource::builder().with_attribute(version.clone()).build();
    let is_named = |name: Value| !name.as_str().starts_with("unknown_service");
    if detected.get(&Key::from_static_str(SERVICE)).is_some_and(is_named) {
        return detected;
    }
    Resource::builder().with_attributes([version, KeyValue::new(SERVICE, "registry")]).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_has_a_name() {
        assert_eq!(resource().get(&Key::from_static_str(SERVICE)), Some("registry".into()));
    }
}
