//! The identity of an upload session.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// The identity of an upload: a UUID, as its directory is named on disk.
///
/// New ones are of version 7, ordered by the time that they started at; those of other versions, which
/// another registry may have left on the volume, are read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId(Uuid);

impl UploadId {
    /// An identity from a time and ten random bytes.
    #[must_use]
    pub fn new(now: SystemTime, random: [u8; 10]) -> Self {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// When the upload started, if its identity tells.
    #[must_use]
    pub fn started(&self) -> Option<SystemTime> {
        if self.0.get_version_num() != 7 {
            return None;
        }
        let (seconds, nanoseconds) = self.0.get_timestamp()?.to_unix();
        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
    }
}

/// A text that is not the identity of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an upload is named by a UUID in lower-case hexadecimal with hyphens")]
pub struct ParseUploadIdError;

impl FromStr for UploadId {
    type Err = ParseUploadIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = Uuid::try_parse(text).map_err(|_| ParseUploadIdError)?;
        // One upload has one spelling, so that it has one directory.
        if uuid.as_hyphenated().to_string() == text { Ok(Self(uuid)) } else { Err(ParseUploadIdError) }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn has_one_spelling() {
        assert!("550e8400-e29b-41d4-a716-446655440000".parse::<UploadId>().is_ok());
        for bad in [
            "",
            "..",
            "../../etc",
            "550E8400-E29B-41D4-A716-446655440000",
            "550e8400e29b41d4a716446655440000",
            "{550e8400-e29b-41d4-a716-446655440000}",
            "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
        ] {
            assert_eq!(bad.parse::<UploadId>(), Err(ParseUploadIdError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trips(seconds in 0..10_000_000_000_u64, random in any::<[u8; 10]>()) {
            let id = UploadId::new(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds), random);
            prop_assert_eq!(id.to_string().parse(), Ok(id));
            prop_assert_eq!(id.started(), Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)));
        }

        #[test]
        fn later_is_greater(at in 0..1_000_000_000_u64, random in any::<[u8; 10]>()) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(at);
            prop_assert!(UploadId::new(time, random) < UploadId::new(time + Duration::from_secs(1), [0; 10]));
        }
    }
}
