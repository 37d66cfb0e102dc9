//! The identity of a run of the collector.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use uuid::Uuid;

/// The identity of a run of the collector: a UUID of version 7, ordered by the time that the run started at.
///
/// What a run takes away is named after it, so that no two runs ever write to the same place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl RunId {
    /// An identity from a time and ten random bytes.
    #[must_use]
    pub fn new(now: SystemTime, random: [u8; 10]) -> Self {
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let millis = u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX);
        Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
    }

    /// When the run began, to the millisecond.
    #[must_use]
    pub fn started_at(&self) -> SystemTime {
        // The time is in the first 48 bits.
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.0.as_u64_pair().0 >> 16)
    }
}

/// A text that is not the identity of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run is named by a UUID in lower-case hexadecimal with hyphens")]
pub struct ParseRunIdError;

impl FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Self(Uuid::try_parse(text).map_err(|_| ParseRunIdError)?);
        // One run has one spelling, so that it has one place.
        if id.to_string() == text { Ok(id) } else { Err(ParseRunIdError) }
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RunId({self})")
    }
}

impl serde::Serialize for RunId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_runs_are_greater_and_have_one_spelling() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let (first, second) = (RunId::new(time, [255; 10]), RunId::new(time + Duration::from_secs(1), [0; 10]));
        assert!(first < second);
        assert_eq!(first.started_at(), time);
        assert_eq!(first.to_string().parse(), Ok(first));
        assert_eq!(first.to_string().to_uppercase().parse::<RunId>(), Err(ParseRunIdError));
        assert_eq!("../lock".parse::<RunId>(), Err(ParseRunIdError));
    }
}
