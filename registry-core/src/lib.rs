//! The rules of an OCI registry over a storage trait.
//!
//! A [`Registry`] keeps blobs, manifests and tags in a [`storage::Storage`], in the disk layout of CNCF
//! Distribution ([`layout`]). This crate knows no HTTP, no users and no backend; it starts no task of its own, reads
//! no environment and keeps nothing global. Time, randomness and blocking work come through seams ([`Clock`],
//! [`Random`], [`Blocking`]) that the builder takes.
//!
//! Names, tags, digests and ranges exist only out of their parsers, so a function that takes one need not check it.

mod abandoned;
mod ambiguity;
mod blobs;
mod blocking;
mod catalog;
mod clock;
mod closure;
mod content;
mod digest;
mod document;
mod error;
mod events;
pub mod gc;
mod hasher;
mod known_manifests;
mod known_repositories;
mod known_tags;
mod known_uploads;
pub mod layout;
mod limits;
mod listings;
mod looks;
mod manifests;
mod media_type;
#[cfg(any(test, feature = "contract-tests"))]
pub mod model;
mod name;
mod pattern;
mod protection;
mod pulls;
mod quarantine;
mod range;
mod recent_blobs;
mod reference;
mod referrers;
mod registry;
mod remembered;
pub mod retention;
pub mod storage;
mod tag_rules;
mod tags;
pub mod transfer;
mod upload_id;
mod upload_state;
mod uploads;
pub mod verify;
mod walk;

pub use blobs::{Blob, BlobAddress, BlobInfo, Blobs};
pub use blocking::{Blocking, InlineBlocking, Stopped, TokioBlocking};
pub use catalog::CatalogPage;
pub use clock::{Clock, Random, SystemClock, SystemRandom};
pub use content::ContentStream;
pub use digest::{Algorithm, Digest, ParseDigestError};
pub use document::Platform;
#[doc(hidden)]
pub use document::is_manifest;
pub use error::{BodyError, Error, InvalidManifest};
pub use events::{Caller, Event, EventAction, EventSink, RequestOrigin};
pub use gc::{ParseRunIdError, RunId};
pub use hasher::{HashCheckpoint, Hasher};
pub use limits::{Limits, Platforms, References, UrlRule, Validation};
pub use looks::{Cleared, ManifestPage, TagInfo};
pub use manifests::{Manifest, Manifests, Pushed};
pub use media_type::{MediaType, ParseMediaTypeError};
pub use name::{ParseNameError, RepositoryName};
pub use pattern::{Glob, ParsePatternError, RepositoryPattern, TagPattern};
pub use pulls::PullTimes;
pub use range::{ByteRange, ContentRange, ParseRangeError, Span};
pub use reference::{ParseReferenceError, ParseTagError, Reference, Tag};
pub use referrers::{Referrer, ReferrerPage, Referrers};
pub use registry::{Registry, RegistryBuilder, Repository};
pub use tag_rules::{TagRule, TagRules};
pub use tags::{TagPage, Tags};
pub use upload_id::{ParseUploadIdError, UploadId};
pub use uploads::{UploadStatus, Uploads};
