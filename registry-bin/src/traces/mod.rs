//! Traces of requests for a collector of OpenTelemetry, where the environment asks for them and the program was built
//! with the feature `otel`.

#[cfg(not(feature = "otel"))]
mod absent;
mod asked;
#[cfg(feature = "otel")]
mod export;
#[cfg(feature = "otel")]
mod outage;
#[cfg(feature = "otel")]
mod request;
#[cfg(feature = "otel")]
mod storage;

#[cfg(not(feature = "otel"))]
pub use absent::{Traces, traced};
pub use asked::{Asked, Unable};
#[cfg(feature = "otel")]
pub use export::Traces;
#[cfg(feature = "otel")]
pub(crate) use outage::is_repeated;
#[cfg(feature = "otel")]
pub use request::{Traced, TracedBody, traced};
