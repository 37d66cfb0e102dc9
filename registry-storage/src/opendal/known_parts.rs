//! Parts that this process closed, so that it need not list them to go on.
//!
//! What is known may be old: another process may have gone on with the same bytes since. It is never wrong about what is there,
//! as parts are created once and stay until the bytes are discarded; and who writes a part where another lies is told so.

use std::fmt;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use registry_core::storage::Key;

use super::parts::Part;

/// The parts of staged bytes that nobody writes just now.
#[derive(Clone)]
pub(super) struct KnownParts(Option<Arc<Cache<Key, Vec<Part>, Weight>>>);

#[derive(Debug, Clone)]
struct Weight;

impl Weighter<Key, Vec<Part>> for Weight {
    fn weight(&self, _: &Key, parts: &Vec<Part>) -> u64 {
        parts.len() as u64 + 1
    }
}

/// Some 200 bytes each.
const MOST_PARTS: u64 = 100_000;
const USUAL: usize = 1_000;

impl KnownParts {
    pub(super) fn new() -> Self {
        let options =
            OptionsBuilder::new().shards(1).estimated_items_capacity(USUAL).weight_capacity(MOST_PARTS).build().ok();
        let cache =
            |options| Cache::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self(options.map(|options| Arc::new(cache(options))))
    }

    /// What is known of these bytes; from now on that is the caller's.
    pub(super) fn take(&self, key: &Key) -> Option<Vec<Part>> {
        self.0.as_ref()?.remove(key).map(|(_, parts)| parts)
    }

    /// The caller writes no more.
    pub(super) fn put(&self, key: Key, parts: Vec<Part>) {
        if let Some(known) = &self.0 {
            known.insert(key, parts);
        }
    }
}

impl fmt::Debug for KnownParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KnownParts({})", self.0.as_ref().map_or(0, |known| known.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_has_them() {
        let (known, key): (_, Key) = (KnownParts::new(), "up/data".parse().unwrap());
        assert_eq!(known.take(&key), None);
        known.put(key.clone(), Vec::new());
        assert_eq!(known.clone().take(&key), Some(Vec::new()));
        assert_eq!(known.take(&key), None);
    }

    #[test]
    fn they_do_not_grow_without_a_bound() {
        let known = KnownParts::new();
        let parts: Vec<Part> = (0..10_000).map(|offset| Part { path: String::new(), offset, size: 1 }).collect();
        for number in 0..30 {
            known.put(format!("up/{number}").parse().unwrap(), parts.clone());
        }
        assert!(known.0.unwrap().weight() <= MOST_PARTS);
    }
}
