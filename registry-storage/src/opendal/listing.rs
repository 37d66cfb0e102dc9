//! What lies below a prefix.

use std::collections::BTreeMap;

use ::opendal::options::ListOptions;
use ::opendal::{ErrorKind, Operator};
use futures::TryStreamExt as _;
use registry_core::storage::{Entry, EntryKind, Error, Key, Listing};

use super::{directory, error};

/// One page, sorted here.
///
/// Services order whole paths, so that `a-b` comes before `a/`, and mix up objects and prefixes within their own
/// pages; some do not order at all. So all names behind `after` are looked at, of which no more are kept than the
/// page takes; a service that can skip what lies before `after` does so.
pub(super) async fn list(
    operator: &Operator,
    prefix: &Key,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, Error> {
    let directory = directory(prefix)?;
    let skips = operator.info().capability().list_with_start_after;
    // A name behind `after` never has a path before it: at most a slash is added.
    let start_after = after.filter(|after| skips && !after.is_empty()).map(|after| format!("{directory}{after}"));
    let mut page = Page { names: BTreeMap::new(), limit };
    let walk = async {
        let options = ListOptions { start_after, ..ListOptions::default() };
        let mut entries = operator.lister_options(&directory, options).await?;
        while let Some(entry) = entries.try_next().await? {
            let found = entry.path().strip_prefix(&directory).and_then(name);
            if let Some((name, kind)) = found.filter(|(name, _)| after.is_none_or(|after| *name > after)) {
                page.add(name, kind);
            }
        }
        Ok(())
    };
    match walk.await {
        Err(error) if ::opendal::Error::kind(&error) != ErrorKind::NotFound => Err(error::of(prefix, error)),
        _ => Ok(page.into_listing()),
    }
}

/// The name that a path below the prefix stands for; none for the prefix itself.
fn name(path: &str) -> Option<(&str, EntryKind)> {
    let (name, kind) = match path.strip_suffix('/') {
        Some(name) => (name, EntryKind::Prefix),
        None => (path, EntryKind::Object),
    };
    (!name.is_empty() && !name.contains('/')).then_some((name, kind))
}

/// The smallest names so far, one more than the page has room for, which shows that there are more.
struct Page {
    names: BTreeMap<String, EntryKind>,
    limit: usize,
}

impl Page {
    fn add(&mut self, name: &str, kind: EntryKind) {
        let known = self.names.entry(name.to_owned()).or_insert(kind);
        *known = (*known).max(kind);
        if self.names.len() > self.limit.saturating_add(1) {
            self.names.pop_last();
        }
    }

    fn into_listing(self) -> Listing {
        let more = self.names.len() > self.limit;
        let entries = self.names.into_iter().take(self.limit).map(|(name, kind)| Entry { name, kind });
        Listing { entries: entries.collect(), more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_smallest_in_any_order() {
        let mut page = Page { names: BTreeMap::new(), limit: 2 };
        for (name, kind) in [
            ("d", EntryKind::Object),
            ("b", EntryKind::Prefix),
            ("c", EntryKind::Object),
            ("a", EntryKind::Prefix),
            ("b", EntryKind::Object),
        ] {
            page.add(name, kind);
        }
        let listing = page.into_listing();
        let names: Vec<_> = listing.entries.iter().map(|entry| (entry.name.as_str(), entry.kind)).collect();
        assert_eq!(names, [("a", EntryKind::Prefix), ("b", EntryKind::Prefix)]);
        assert!(listing.more);
    }

    #[test]
    fn a_name_is_one_segment() {
        assert_eq!(name("a"), Some(("a", EntryKind::Object)));
        assert_eq!(name("a/"), Some(("a", EntryKind::Prefix)));
        assert_eq!((name(""), name("/"), name("a/b")), (None, None, None));
    }
}
