//! How many uploads each requester has under way.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use registry_core::{Clock, RepositoryName, SystemClock, UploadId};

use super::Requester;
use crate::content::Content;

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
    #[cfg_attr(not(feature = "ui"), expect(dead_code, reason = "pages alone tell of it"))]
    repository: RepositoryName,
    #[cfg_attr(not(feature = "ui"), expect(dead_code, reason = "pages alone tell of it"))]
    begun: SystemTime,
    last: SystemTime,
    bytes: Arc<AtomicU64>,
}

/// An upload that was begun here and has not ended.
#[cfg(feature = "ui")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnderWay {
    pub(crate) repository: RepositoryName,
    pub(crate) begun: SystemTime,
    /// How many bytes came; those that came to another process are not counted.
    pub(crate) bytes: u64,
    /// Who sends it, by name; `None` for somebody who has none.
    pub(crate) user: Option<Arc<str>>,
}

/// The requester has as many uploads as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl OpenUploads {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, clock: Arc::new(SystemClock), state: Mutex::default() }
    }

    /// Takes a place for an upload that the requester is about to begin.
    pub(crate) fn reserve(&self, requester: &Requester) -> Result<Reserved<'_>, TooMany> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.count(requester) >= self.limit {
            state.sweep(now);
        }
        if state.count(requester) >= self.limit {
            return Err(TooMany);
        }
        *state.counts.entry(requester.clone()).or_default() += 1;
        Ok(Reserved { uploads: self, requester: Some(requester.clone()) })
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        let now = self.clock.now();
        let mut state = self.lock();
        state.sweep(now);
        state.uploads.len()
    }

    /// All of them, those that were begun last first.
    #[cfg(feature = "ui")]
    pub(crate) fn list(&self) -> Vec<UnderWay> {
        let now = self.clock.now();
        let mut state = self.lock();
        state.sweep(now);
        let mut list: Vec<_> = state.uploads.values().map(Upload::under_way).collect();
        list.sort_by_key(|upload| std::cmp::Reverse(upload.begun));
        list
    }

    /// The same content, which comes for an upload: its bytes count as they come.
    pub(crate) fn went_on(&self, id: &UploadId, content: Content) -> Content {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(upload) = state.uploads.get_mut(id) else { return content };
        upload.last = now;
        let bytes = Arc::clone(&upload.bytes);
        content.inspect(move |frame| {
            bytes.fetch_add(frame, Ordering::Relaxed);
        })
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

/// The place of an upload that has not begun. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reserved<'a> {
    uploads: &'a OpenUploads,
    requester: Option<Requester>,
}

impl Reserved<'_> {
    /// The upload has begun, and keeps the place.
    pub(crate) fn begun(mut self, id: UploadId, repository: &RepositoryName) {
        let Some(requester) = self.requester.take() else { return };
        let now = self.uploads.clock.now();
        let mut state = self.uploads.lock();
        let upload = Upload { requester, repository: repository.clone(), begun: now, last: now, bytes: Arc::default() };
        state.uploads.insert(id, upload);
        // So that those who leave uploads behind and never come again are forgotten as well.
        state.sweep(now);
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        if let Some(requester) = &self.requester {
            self.uploads.lock().release(requester);
        }
    }
}

#[cfg(feature = "ui")]
impl Upload {
    fn under_way(&self) -> UnderWay {
        UnderWay {
            repository: self.repository.clone(),
            begun: self.begun,
            bytes: self.bytes.load(Ordering::Relaxed),
            user: match &self.requester {
                Requester::Named(name) => Some(Arc::clone(name)),
                Requester::Address(_) | Requester::Unknown => None,
            },
        }
    }
}

impl State {
    fn count(&self, requester: &Requester) -> usize {
        self.counts.get(requester).copied().unwrap_or_default()
    }

    fn end(&mut self, id: &UploadId) {
        if let Some(upload) = self.uploads.remove(id) {
            self.release(&upload.requester);
        }
    }

    fn release(&mut self, requester: &Requester) {
        if let Some(count) = self.counts.get_mut(requester) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(requester);
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

    #[tokio::test]
    async fn uploads_count_until_they_end_or_rest() {
        let clock = Arc::new(Settable(Mutex::new(SystemTime::UNIX_EPOCH + Duration::from_hours(1000))));
        let uploads = OpenUploads { clock: Arc::clone(&clock) as _, ..OpenUploads::new(2) };
        let pass = |time: Duration| *clock.0.lock().unwrap() += time;
        let (ann, bob) = (Requester::Named("ann".into()), Requester::Unknown);
        let begin = |number, requester: &Requester| {
            uploads.reserve(requester).map(|reserved| reserved.begun(id(number), &"a/b".parse().unwrap()))
        };
        for number in 1..=2 {
            begin(number, &ann).unwrap();
        }
        assert_eq!(begin(9, &ann), Err(TooMany));
        assert!(uploads.reserve(&bob).is_ok());
        uploads.ended(&id(1));
        uploads.ended(&id(1));
        begin(3, &ann).unwrap();
        pass(REST / 2);
        let content = || Content::new(http_body_util::Full::new(bytes::Bytes::from_static(b"hello")));
        let came: Vec<_> = futures::StreamExt::collect(uploads.went_on(&id(3), content()).into_stream()).await;
        assert_eq!(came.len(), 1);
        drop(uploads.went_on(&id(77), content()));
        #[cfg(feature = "ui")]
        assert_eq!(uploads.list().iter().map(|upload| upload.bytes).sum::<u64>(), 5);
        pass(REST / 2);
        // The second rests, the third does not.
        begin(4, &ann).unwrap();
        assert_eq!((begin(9, &ann), uploads.len()), (Err(TooMany), 2));
        pass(REST);
        begin(5, &bob).unwrap();
        assert_eq!(uploads.len(), 1);
        assert_eq!(uploads.lock().counts.len(), 1, "nobody is kept for ever");
    }

    #[test]
    fn a_place_is_taken_before_the_upload_begins() {
        let uploads = OpenUploads::new(1);
        let ann = Requester::Named("ann".into());
        let reserved = uploads.reserve(&ann).unwrap();
        assert!(uploads.reserve(&ann).is_err());
        drop(reserved);
        uploads.reserve(&ann).unwrap().begun(id(1), &"a/b".parse().unwrap());
        assert!(uploads.reserve(&ann).is_err());
    }
}
