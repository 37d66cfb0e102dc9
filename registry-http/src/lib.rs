//! The HTTP API of an OCI registry: routes, headers, status codes, errors.
//!
//! [`service()`] makes a [`RegistryService`] out of a [`Registry`](registry_core::Registry): a [`tower::Service`] for
//! requests with any body, and an [`axum::Router`] to merge into an application. `serve` runs it on a listener, with
//! the timeouts and limits that a server on a network needs. Nothing here is global, nothing runs in the background
//! unless it is started, and no environment is read.
//!
//! Each request goes through three steps: its path is parsed once into values that cannot be wrong, one place decides
//! about access, and the handler of the resource takes only what that place has let in.

mod about;
mod access;
mod base;
mod blobs;
mod body;
mod budget;
mod call;
mod catalog;
mod condition;
mod connection;
mod content;
mod dispatch;
mod error;
mod forwarded;
mod header;
mod limits;
mod location;
mod manifests;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(any(feature = "metrics", feature = "ui"))]
mod observer;
mod page;
mod query;
mod range;
mod referrers;
mod request_id;
mod route;
#[cfg(feature = "serve")]
mod serve;
mod service;
mod tags;
#[cfg(feature = "test-util")]
mod test_registry;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "ui")]
mod ui;
#[cfg(not(any(feature = "metrics", feature = "ui")))]
mod unobserved;
mod uploads;

#[cfg(not(any(feature = "metrics", feature = "ui")))]
use unobserved as observer;

pub use about::{About, ErrorAnswer};
pub use body::ResponseBody;
pub use connection::{Encrypted, PeerAddress, PeerCertificate};
pub use forwarded::{ParseProxyError, TrustedProxies};
pub use limits::RequestRate;
pub use location::{ExternalUrl, ParseExternalUrlError, ParsePrefixError, Prefix};
#[cfg(feature = "metrics")]
pub use metrics::HttpMetrics;
pub use request_id::RequestId;
#[cfg(feature = "serve")]
pub use serve::{Drained, Listener, RequestBody, ServeOptions, serve};
pub use service::{RegistryService, ServiceBuilder, Unguarded, service};
#[cfg(feature = "test-util")]
pub use test_registry::{TestRegistry, TestRegistryBuilder};
#[cfg(feature = "tls")]
pub use tls::{
    CipherSuite, CipherSuiteError, ClientAuth, ClientRoots, Identity, Tls, TlsBuilder, TlsError, TlsVersion,
};

#[cfg(feature = "ui")]
pub use ui::{
    Activity, Collect, CollectionEnd, CollectionRun, DiskSpace, Figures, ReadFigures, Reclaimable, RunUnderWay, Ui,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Entry points for fuzzing; no part of the interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use crate::forwarded::Origin;
    pub use crate::route::{BlobAt, ManifestAt, ReferrersAt, Route, RouteError, TagsAt, UploadAt, UploadsAt};
    #[cfg(feature = "ui")]
    pub use crate::ui::read;
}
