//! How many uploads each requester has under way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use registry_core::{Clock, SystemClock, UploadId};

use super::Requester;

/// After so long without a word an upload counts no longer, though it may still go on.
const REST: Duration = Duration::from_hours(1);
/// How often at most those that rest are looked for.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);

/// The uploads that were begun here and have not ended.
#[derive(Debug)]
pub(crate) struct OpenUploads {
    limit: usize,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    uploads: HashMap<UploadId, Upload>,
    counts: HashMap<Requester, usize>,
    swept: Option<SystemTime>,
}

#[derive(Debug)]
struct Upload {
    requester: Requester,
    last: SystemTime,
}

/// The requester has as many uploads as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl OpenUploads {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, clock: Arc::new(SystemClock), state: Mutex::default() }
    }

    /// Whether the requester may begin another upload. Those that begin at the same time may be more by a few.
    pub(crate) fn check(&self, requester: &Requester) -> Result<(), TooMany> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.count(requester) >= self.limit {
            state.sweep(now);
        }
        if state.count(requester) < self.limit { Ok(()) } else { Err(TooMany) }
    }

    /// The requester has begun an upload.
    pub(crate) fn begun(&self, id: UploadId, requester: Requester) {
        let now = self.clock.now();
        let mut state = self.lock();
        *state.counts.entry(requester.clone()).or_default() += 1;
        state.uploads.insert(id, Upload { requester, last: now });
        // So that those who leave uploads behind and never come again are forgotten as well.
        state.sweep(now);
    }

    /// Something came for an upload.
    pub(crate) fn went_on(&self, id: &UploadId) {
        let now = self.clock.now();
        if let Some(upload) = self.lock().uploads.get_mut(id) {
            upload.last = now;
        }
    }

    /// An upload is no more.
    pub(crate) fn ended(&self, id: &UploadId) {
        self.lock().end(id);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing between lock and unlock panics, so there is no half change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self, requester: &Requester) -> usize {
        self.counts.get(requester).copied().unwrap_or_default()
    }

    fn end(&mut self, id: &UploadId) {
        let Some(upload) = self.uploads.remove(id) else { return };
        if let Some(count) = self.counts.get_mut(&upload.requester) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&upload.requester);
            }
        }
    }

    fn sweep(&mut self, now: SystemTime) {
        // A clock that was set back makes nothing rest.
        let since = |time: SystemTime| now.duration_since(time).unwrap_or_default();
        if self.swept.is_some_and(|swept| since(swept) < SWEEP_INTERVAL) {
            return;
        }
        self.swept = Some(now);
        let resting = self.uploads.iter().filter(|(_, upload)| since(upload.last) >= REST);
        let resting: Vec<_> = resting.map(|(id, _)| *id).collect();
        for id in resting {
            self.end(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Settable(Mutex<SystemTime>);

    impl Clock for Settable {
        fn now(&self) -> SystemTime {
            *self.0.lock().unwrap()
        }
    }

    fn id(number: u8) -> UploadId {
        format!("00000000-0000-4000-8000-0000000000{number:02}").parse().unwrap()
    }

    #[test]
    fn uploads_count_until_they_end_or_rest() {
        let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(1000))));
        let uploads = OpenUploads { clock: Arc::clone(&clock) as _, ..OpenUploads::new(2) };
        let pass = |time: Duration| *clock.0.lock().unwrap() += time;
        let (ann, bob) = (Requester::Named("ann".into()), Requester::Unknown);
        for number in 1..=2 {
            uploads.check(&ann).unwrap();
            uploads.begun(id(number), ann.clone());
        }
        assert_eq!(uploads.check(&ann), Err(TooMany));
        assert_eq!(uploads.check(&bob), Ok(()));
        uploads.ended(&id(1));
        uploads.ended(&id(1));
        assert_eq!(uploads.check(&ann), Ok(()));
        uploads.begun(id(3), ann.clone());
        pass(REST / 2);
        uploads.went_on(&id(3));
        pass(REST / 2);
        // The second rests, the third does not.
        assert_eq!(uploads.check(&ann), Ok(()));
        uploads.begun(id(4), ann.clone());
        assert_eq!(uploads.check(&ann), Err(TooMany));
        pass(REST);
        uploads.begun(id(5), bob);
        let state = uploads.lock();
        assert_eq!((state.uploads.len(), state.counts.len()), (1, 1), "nobody is kept for ever");
    }
}
