//! The rules of an OCI registry over a storage trait.
mod blocking;
mod clock;
mod digest;
mod hasher;
pub mod layout;
mod media_type;
mod name;
mod range;
mod reference;
pub mod storage;
mod upload_id;

pub use blocking::{Blocking, InlineBlocking, Stopped, TokioBlocking};
pub use clock::{Clock, Random, SystemClock, SystemRandom};
pub use digest::{Algorithm, Digest, ParseDigestError};
pub use hasher::{HashCheckpoint, Hasher};
pub use media_type::{MediaType, ParseMediaTypeError};
pub use name::{ParseNameError, RepositoryName};
pub use range::{ByteRange, ContentRange, ParseRangeError, Span};
pub use reference::{ParseReferenceError, ParseTagError, Reference, Tag};
pub use upload_id::{ParseUploadIdError, UploadId};
