//! What a collector is told.

use std::time::{Duration, SystemTime};

use crate::layout::Member;

/// What a collector is told.
///
/// ```
/// use std::time::Duration;
/// use registry_core::gc::GcOptions;
///
/// let mut options = GcOptions::default();
/// options.delete_untagged = true;
/// options.quarantine = Duration::from_hours(1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
#[non_exhaustive]
pub struct GcOptions {
    /// How long an uploaded or mounted blob that no manifest names is left alone; a day.
    pub lease: Duration,
    /// How long what was taken away can still be found and brought back before it is purged; a day. A client that was
    /// told that a blob is there can build on that for so long.
    pub quarantine: Duration,
    /// Whether manifests without a tag are taken away, unless a manifest that is kept names them or is their subject;
    /// off.
    pub delete_untagged: bool,
    /// How old a manifest without a tag must be to be taken away; a day.
    pub untagged_grace: Duration,
    /// A run stops before it takes anything away if more than so many percent of all content would go, and more than a
    /// hundred; 30. `None` lets everything go.
    pub max_condemned: Option<u8>,
    /// Whether the run only tells what it would do; off.
    pub dry_run: bool,
    /// Whether no other run can be at work, here or elsewhere, and none that was dropped can still have a delete under
    /// way: then what earlier runs left behind can be finished. Off. On a filesystem, a kernel lock that is held until
    /// the process ends gives this certainty.
    pub alone: bool,
    /// Whether nobody outside of this process writes to the storage, so that the turns that changes of tags take here are
    /// all there are. Only then tags are removed whose manifest is gone; otherwise they are reported. Off.
    pub only_process: bool,
    /// Whether nobody else has the storage at all: no server, no other collector. Then what cannot be copied because there
    /// is no room is deleted without a copy. Off. It must only be on together with [`alone`](Self::alone) and
    /// [`only_process`](Self::only_process).
    pub exclusive: bool,
    /// How much room a run keeps for later ones, in bytes, so that they can free more when there is none; 0. A run that finds
    /// no room gives back some of it and begins anew.
    pub reserve_bytes: usize,
}

impl Default for GcOptions {
    fn default() -> Self {
        let day = Duration::from_hours(24);
        Self {
            lease: day,
            quarantine: day,
            delete_untagged: false,
            untagged_grace: day,
            max_condemned: Some(30),
            dry_run: false,
            alone: false,
            only_process: false,
            exclusive: false,
            reserve_bytes: 0,
        }
    }
}

impl GcOptions {
    /// How old a link must be to be taken away.
    pub(super) fn patience(&self, member: Member) -> Duration {
        match member {
            Member::Revision if self.delete_untagged => self.untagged_grace,
            Member::Revision | Member::Layer => self.lease,
        }
    }
}

/// No registry has content that is older; who says so has a clock that jumped, or lost the time.
const OLDEST: Duration = Duration::from_hours(10 * 366 * 24);

/// Whether something last touched at `modified` is older than `age` at `now`. What has no time that can be believed is
/// not: a time to come, or one before there were registries.
pub(crate) fn is_older(now: SystemTime, modified: Option<SystemTime>, age: Duration) -> bool {
    let since = modified.and_then(|modified| now.duration_since(modified).ok());
    since.is_some_and(|since| since >= age && since < OLDEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_that_can_be_believed_makes_old() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let hour = Duration::from_hours(1);
        assert!(is_older(now, Some(now - hour), hour));
        assert!(is_older(now, Some(now), Duration::ZERO));
        assert!(!is_older(now, Some(now - hour), hour * 2));
        assert!(!is_older(now, Some(now + hour), Duration::ZERO), "a time to come");
        assert!(!is_older(now, Some(SystemTime::UNIX_EPOCH), hour), "1970");
        assert!(!is_older(now, None, Duration::ZERO));
        assert!(!is_older(now + 2 * OLDEST, Some(now), hour), "the clock jumped");
    }
}
