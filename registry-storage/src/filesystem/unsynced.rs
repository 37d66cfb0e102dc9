//! What a power cut would still undo.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The places (directories whose entries changed, files that were not synced) that this process changed and did
/// not sync since.
///
/// A change is announced before it happens and released after its maker synced the place; so whoever finds a
/// place here and syncs it covers all that it can see there.
#[derive(Debug)]
pub(super) struct Unsynced {
    /// Whether anybody cares: without syncs there is nothing to track.
    tracking: bool,
    places: Mutex<Places>,
}

#[derive(Debug, Default)]
struct Places {
    /// Counts the changes that were left unsynced.
    left: u64,
    states: HashMap<Box<str>, State>,
}

#[derive(Debug, Default)]
struct State {
    /// How many changes are announced and not released. Their makers sync them.
    under_way: usize,
    /// The count at which the last change was left unsynced; 0 if there is none.
    left: u64,
    /// A sync failed. The kernel forgets what it could not write, so a later sync that succeeds proves nothing.
    failed: bool,
}

/// Which changes of a place a sync that begins now covers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark(u64);

/// A sync failed earlier.
#[derive(Debug, thiserror::Error)]
#[error("a sync of {place:?} failed earlier: nothing below it can be promised until the storage is opened again")]
struct Failed {
    place: Box<str>,
}

impl Unsynced {
    pub(super) fn new(tracking: bool) -> Self {
        Self { tracking, places: Mutex::default() }
    }

    /// Announces a change.
    pub(super) fn begin(&self, place: &str) -> Change<'_> {
        if !self.tracking {
            return Change { of: None };
        }
        self.lock().states.entry(place.into()).or_default().under_way += 1;
        Change { of: Some((self, place.into())) }
    }

    /// Those of `path` and the directories above it that need a sync, outermost first.
    ///
    /// # Errors
    /// If the sync of one of them failed before.
    pub(super) fn along(&self, path: &str) -> io::Result<Vec<String>> {
        let places = self.lock();
        let mut found = Vec::new();
        if places.states.is_empty() {
            return Ok(found);
        }
        for place in ancestors(path) {
            match places.states.get(place) {
                None => {}
                Some(state) if state.failed => return Err(io::Error::other(Failed { place: place.into() })),
                Some(_) => found.push(place.to_owned()),
            }
        }
        found.reverse();
        Ok(found)
    }

    /// To be taken before a place is synced or removed, and given to [`cover`](Self::cover) after.
    pub(super) fn mark(&self, place: &str) -> Mark {
        Mark(self.lock().states.get(place).map_or(0, |state| state.left))
    }

    /// The place was synced, or is gone: changes up to the mark need nothing more.
    pub(super) fn cover(&self, place: &str, mark: Mark) {
        self.update(place, |state| {
            if state.left == mark.0 {
                state.left = 0;
            }
        });
    }

    /// The sync of the place failed.
    pub(super) fn fail(&self, place: &str) {
        self.lock().states.entry(place.into()).or_default().failed = true;
    }

    fn update(&self, place: &str, update: impl FnOnce(&mut State)) {
        let mut places = self.lock();
        if let Some(state) = places.states.get_mut(place) {
            update(state);
            if state.under_way == 0 && state.left == 0 && !state.failed {
                places.states.remove(place);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A change that was announced. Dropping it leaves the place unsynced, for whoever needs it durable.
#[derive(Debug)]
#[must_use]
pub(super) struct Change<'a> {
    of: Option<(&'a Unsynced, Box<str>)>,
}

impl Change<'_> {
    /// Its maker synced the place, or changed nothing.
    pub(super) fn release(mut self) {
        if let Some((unsynced, place)) = self.of.take() {
            unsynced.update(&place, |state| state.under_way -= 1);
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some((unsynced, place)) = self.of.take() {
            let mut places = unsynced.lock();
            places.left += 1;
            let left = places.left;
            if let Some(state) = places.states.get_mut(&place) {
                state.under_way -= 1;
                state.left = left;
            }
        }
    }
}

/// `path` and every directory above it, the root (an empty path) last.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| (!path.is_empty()).then(|| directory_of(path)))
}

/// The directory that a path is an entry of; the root is an empty path.
pub(super) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_shows_until_it_is_released() {
        let unsynced = Unsynced::new(true);
        let change = unsynced.begin("a/b");
        assert_eq!(unsynced.along("a/b/c").unwrap(), ["a/b"]);
        assert!(unsynced.along("a/c").unwrap().is_empty());
        change.release();
        assert!(unsynced.along("a/b/c").unwrap().is_empty());
    }

    #[test]
    fn the_root_is_above_everything_and_comes_first() {
        let unsynced = Unsynced::new(true);
        let _changes = [unsynced.begin("a"), unsynced.begin(""), unsynced.begin("a/b")];
        assert_eq!(unsynced.along("a/b").unwrap(), ["", "a", "a/b"]);
    }

    #[test]
    fn a_sync_covers_what_was_left_before_it_and_not_what_came_after() {
        let unsynced = Unsynced::new(true);
        drop(unsynced.begin("a"));
        let mark = unsynced.mark("a");
        drop(unsynced.begin("a"));
        unsynced.cover("a", mark);
        assert_eq!(unsynced.along("a").unwrap(), ["a"]);
        unsynced.cover("a", unsynced.mark("a"));
        assert!(unsynced.along("a").unwrap().is_empty());
    }

    #[test]
    fn a_sync_by_one_writer_does_not_hide_the_change_of_another() {
        let unsynced = Unsynced::new(true);
        let slow = unsynced.begin("a");
        let quick = unsynced.begin("a");
        let mark = unsynced.mark("a");
        unsynced.cover("a", mark);
        quick.release();
        assert_eq!(unsynced.along("a").unwrap(), ["a"]);
        slow.release();
        assert!(unsynced.lock().states.is_empty());
    }

    #[test]
    fn a_failed_sync_is_not_forgotten() {
        let unsynced = Unsynced::new(true);
        let change = unsynced.begin("a");
        unsynced.fail("a");
        change.release();
        unsynced.cover("a", unsynced.mark("a"));
        assert!(unsynced.along("a/b").is_err());
        assert!(unsynced.along("b").is_ok());
    }

    #[test]
    fn without_syncs_nothing_is_tracked() {
        let unsynced = Unsynced::new(false);
        drop(unsynced.begin("a"));
        assert!(unsynced.lock().states.is_empty());
    }
}
