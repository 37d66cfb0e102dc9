//! What a request asks of the storage, as parts of its trace.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use registry_core::storage::{OperationKind, StorageObserver};
use registry_core::{Clock, SystemClock};

#[derive(Debug)]
pub(super) struct StorageSpans {
    tracer: SdkTracer,
    clock: SystemClock,
}

impl StorageSpans {
    pub(super) fn new(tracer: SdkTracer) -> Self {
        Self { tracer, clock: SystemClock }
    }
}

impl StorageObserver for StorageSpans {
    /// Adds what ended just now to the request under way. What no request asked for is in no trace, and neither are the
    /// pieces of a blob: there may be thousands.
    fn observed(&self, kind: OperationKind, took: Duration, succeeded: bool) {
        let request = Context::current();
        let is_piece = matches!(kind, OperationKind::Append | OperationKind::ReadStaged);
        if is_piece || !request.span().is_recording() {
            return;
        }
        let end = self.clock.now();
        let begin = end.checked_sub(took).unwrap_or(SystemTime::UNIX_EPOCH);
        let builder = SpanBuilder::from_name(format!("storage {kind:?}"))
            .with_kind(SpanKind::Internal)
            .with_start_time(begin)
            .with_attributes([KeyValue::new("registry.storage.operation", format!("{kind:?}"))]);
        let mut span = self.tracer.build_with_context(builder, &request);
        if !succeeded {
            span.set_status(Status::error("the storage failed"));
        }
        span.end_with_timestamp(end);
    }
}
