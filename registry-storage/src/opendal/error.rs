//! What the service's errors mean to a registry.

use std::fmt;

use ::opendal::{ErrorKind, Operator};
use registry_core::storage::{Deletion, Error, Key};

/// A service cannot do what a registry needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingCapability {
    service: &'static str,
    missing: Vec<&'static str>,
}

impl MissingCapability {
    pub(super) fn new(service: &'static str, missing: Vec<&'static str>) -> Self {
        Self { service, missing }
    }

    /// The scheme of the service.
    #[must_use]
    pub fn service(&self) -> &str {
        self.service
    }

    /// All that it cannot do.
    pub fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().copied()
    }
}

impl fmt::Display for MissingCapability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a registry cannot be kept on the service {}: it cannot {}", self.service, self.missing.join(", "))
    }
}

impl std::error::Error for MissingCapability {}

/// The error of an operation other than a delete.
pub(super) fn of(key: &Key, error: ::opendal::Error) -> Error {
    let key = key.clone();
    let passing = error.is_temporary() || error.is_persistent();
    if passing || matches!(error.kind(), ErrorKind::RateLimited | ErrorKind::Conflict) {
        Error::Unavailable { key, source: error.into() }
    } else {
        Error::Failed { key, source: error.into() }
    }
}

/// Nothing lies there; a directory above it that is an object says the same.
pub(super) fn is_absent(error: &::opendal::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory)
}

/// Whether a create-only write was refused because something lies there.
pub(super) async fn is_taken(operator: &Operator, path: &str, error: &::opendal::Error) -> bool {
    match error.kind() {
        ErrorKind::ConditionNotMatch | ErrorKind::AlreadyExists => true,
        // Another writer is at work at the same key; it may have won by now.
        ErrorKind::Conflict => operator.stat(path).await.is_ok(),
        _ => false,
    }
}

/// What is known after a delete. Only a plain refusal says that the object is still there.
pub(super) fn deletion(key: &Key, outcome: ::opendal::Result<()>) -> Result<Deletion, Error> {
    let Err(error) = outcome else { return Ok(Deletion::Acked) };
    match error.kind() {
        ErrorKind::NotFound => Ok(Deletion::Acked),
        ErrorKind::PermissionDenied
        | ErrorKind::ConfigInvalid
        | ErrorKind::Unsupported
        | ErrorKind::ConditionNotMatch
        | ErrorKind::IsADirectory
        | ErrorKind::NotADirectory => Err(Error::Failed { key: key.clone(), source: error.into() }),
        _ => {
            tracing::warn!(%key, %error, "unknown whether a delete took effect");
            Ok(Deletion::Unknown)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(kind: ErrorKind) -> ::opendal::Error {
        ::opendal::Error::new(kind, "told by the service")
    }

    #[test]
    fn a_lost_answer_to_a_delete_is_unknown() {
        let key: Key = "key".parse().unwrap();
        for lost in [
            error(ErrorKind::Unexpected),
            error(ErrorKind::Unexpected).set_temporary(),
            error(ErrorKind::RateLimited),
            error(ErrorKind::Conflict),
        ] {
            assert_eq!(deletion(&key, Err(lost)).unwrap(), Deletion::Unknown);
        }
        for refused in [ErrorKind::PermissionDenied, ErrorKind::Unsupported, ErrorKind::ConfigInvalid] {
            assert!(matches!(deletion(&key, Err(error(refused))), Err(Error::Failed { .. })));
        }
        assert_eq!(deletion(&key, Err(error(ErrorKind::NotFound))).unwrap(), Deletion::Acked);
        assert_eq!(deletion(&key, Ok(())).unwrap(), Deletion::Acked);
    }

    #[test]
    fn what_passes_is_unavailable() {
        let key: Key = "key".parse().unwrap();
        for passing in [error(ErrorKind::RateLimited), error(ErrorKind::Unexpected).set_temporary()] {
            assert!(matches!(of(&key, passing), Error::Unavailable { .. }));
        }
        assert!(matches!(of(&key, error(ErrorKind::PermissionDenied)), Error::Failed { .. }));
    }
}
