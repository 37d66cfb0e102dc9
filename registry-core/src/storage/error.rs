//! What can go wrong in a storage.

use super::Key;

/// The cause of a failure, as the backend tells it.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A storage operation failed. Absence is no failure: operations that look something up return an `Option`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The write was create-only, and something lies there.
    #[error("{key} exists already")]
    Exists {
        /// Where.
        key: Key,
    },
    /// Another writer holds the staged bytes, or was faster at this offset. Ask for the size and go on from there.
    #[error("another writer is at work on {key}")]
    Busy {
        /// Which staged bytes.
        key: Key,
    },
    /// The object is larger than the caller was ready to take.
    #[error("{key} has more than {limit_bytes} bytes")]
    TooLarge {
        /// Where.
        key: Key,
        /// What the caller would have taken.
        limit_bytes: u64,
    },
    /// The disk or the quota is full. Nothing was lost; freeing space heals it.
    #[error("no space left for {key}")]
    NoSpace {
        /// What was to be written.
        key: Key,
        /// The backend's words.
        #[source]
        source: Source,
    },
    /// The backend cannot be reached, or asks to slow down; the operation may or may not have taken effect.
    #[error("the storage is not available for {key}")]
    Unavailable {
        /// Which object.
        key: Key,
        /// The backend's words.
        #[source]
        source: Source,
    },
    /// The backend failed in a way that trying again will not change.
    #[error("the storage failed at {key}")]
    Failed {
        /// Which object.
        key: Key,
        /// The backend's words.
        #[source]
        source: Source,
    },
    /// The backend lacks something that this needs.
    #[error("the storage cannot {capability}")]
    Unsupported {
        /// What it cannot do.
        capability: &'static str,
    },
    /// The runtime is shutting down.
    #[error(transparent)]
    Stopped(#[from] crate::Stopped),
}

impl Error {
    /// Sorts an error of the operating system into what the caller can do about it.
    #[must_use]
    pub fn from_io(key: &Key, error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        // No more files can be opened, in this process or at all: others will be closed.
        const TOO_MANY_FILES: [i32; 2] = [23, 24];
        let key = key.clone();
        if error.raw_os_error().is_some_and(|number| TOO_MANY_FILES.contains(&number)) {
            return Self::Unavailable { key, source: error.into() };
        }
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::NoSpace { key, source: error.into() },
            ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::ResourceBusy | ErrorKind::Interrupted => {
                Self::Unavailable { key, source: error.into() }
            }
            _ => Self::Failed { key, source: error.into() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_system_are_sorted_by_what_can_be_done() {
        let of = |number| Error::from_io(&crate::layout::root(), std::io::Error::from_raw_os_error(number));
        assert!(matches!(of(28), Error::NoSpace { .. }), "ENOSPC");
        assert!(matches!(of(122), Error::NoSpace { .. }), "EDQUOT");
        assert!(matches!(of(23), Error::Unavailable { .. }), "ENFILE");
        assert!(matches!(of(24), Error::Unavailable { .. }), "EMFILE");
        assert!(matches!(of(5), Error::Failed { .. }), "EIO");
        assert!(matches!(of(13), Error::Failed { .. }), "EACCES");
    }
}
