//! What lies below a prefix.

use std::collections::BTreeMap;

use ::opendal::options::ListOptions;
use ::opendal::{ErrorKind, Operator};
use futures::TryStreamExt as _;
use registry_core::storage::{Entry, EntryKind, Error, Key, Listing, Scan, still_to_come};

use super::{directory, error};

/// No service gives more in one answer.
const SCANNED_AT_ONCE: usize = 1_000;
/// Fewer in one answer cost as much.
const LISTED_AT_ONCE: usize = 100;

/// One page, sorted here.
///
/// Services order whole paths, so that `a-b/` comes before `a/`, and mix up objects and prefixes within their own answers; some do
/// not order at all. There all names behind `after` are looked at, of which no more are kept than the page takes. A service that
/// can skip what lies before `after` orders paths. There it is enough, where all names stand for the same, to read whole answers
/// until there are as many names as the page takes, and to ask for those few that still may come and belong before them.
pub(super) async fn list(
    operator: &Operator,
    prefix: &Key,
    after: Option<&str>,
    limit: usize,
) -> Result<Listing, Error> {
    let directory = directory(prefix)?;
    let is_ordered = operator.info().capability().list_with_start_after;
    // A name behind `after` never has a path before it: at most a slash is added.
    let start_after = after.filter(|after| is_ordered && !after.is_empty()).map(|after| format!("{directory}{after}"));
    let mut page = Page { names: BTreeMap::new(), limit };
    let walk = async {
        let at_once = limit.saturating_add(1).clamp(LISTED_AT_ONCE, SCANNED_AT_ONCE);
        let options = ListOptions { start_after, limit: is_ordered.then_some(at_once), ..ListOptions::default() };
        let mut seen = Seen::default();
        let mut entries = operator.lister_options(&directory, options).await?;
        while let Some(entry) = entries.try_next().await? {
            let Some(path) = entry.path().strip_prefix(&directory) else { continue };
            let Some((name, kind)) = name(path) else { continue };
            seen.note(kind);
            if after.is_none_or(|after| name > after) {
                page.add(name, kind);
            }
            if is_ordered && page.is_full() && seen.is_whole(at_once) {
                for name in still_to_come(name).filter(|name| after.is_none_or(|after| *name > after)) {
                    if has_any(operator, &format!("{directory}{name}/")).await? {
                        page.add(name, EntryKind::Prefix);
                    }
                }
                break;
            }
        }
        Ok(())
    };
    match walk.await {
        Err(error) if ::opendal::Error::kind(&error) != ErrorKind::NotFound => Err(error::of(prefix, error)),
        _ => Ok(page.into_listing()),
    }
}

/// What was read of a service's answers.
#[derive(Default)]
struct Seen {
    entries: usize,
    objects: bool,
    prefixes: bool,
}

impl Seen {
    fn note(&mut self, kind: EntryKind) {
        self.entries += 1;
        match kind {
            EntryKind::Object => self.objects = true,
            EntryKind::Prefix => self.prefixes = true,
        }
    }

    /// Whether it is all of some answers, in the order of paths.
    fn is_whole(&self, at_once: usize) -> bool {
        self.entries.is_multiple_of(at_once) && !(self.objects && self.prefixes)
    }
}

async fn has_any(operator: &Operator, directory: &str) -> ::opendal::Result<bool> {
    let options = ListOptions { limit: Some(1), recursive: true, ..ListOptions::default() };
    let mut entries = operator.lister_options(directory, options).await?;
    match entries.try_next().await {
        Ok(found) => Ok(found.is_some()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// One page of all that lies below a prefix, as the service orders it, behind `after`.
pub(super) async fn scan(operator: &Operator, prefix: &Key, after: &str, limit: usize) -> Result<Scan, Error> {
    let directory = directory(prefix)?;
    let start_after = Some(format!("{directory}{after}"));
    let mut scan = Scan::default();
    let walk = async {
        let sought = Some(limit.min(SCANNED_AT_ONCE));
        let options = ListOptions { recursive: true, start_after, limit: sought, ..ListOptions::default() };
        let mut entries = operator.lister_options(&directory, options).await?;
        while let Some(entry) = entries.try_next().await? {
            // Some programs mark directories by empty objects.
            let Some(path) = entry.path().strip_prefix(&directory).filter(|path| !path.ends_with('/')) else {
                continue;
            };
            // A page that comes twice, as when the answer to a request was lost, says nothing new.
            if path <= scan.paths.last().map_or(after, String::as_str) {
                continue;
            }
            scan.paths.push(path.to_owned());
            // Whether another one comes would take another request.
            if scan.paths.len() >= limit {
                scan.more = true;
                break;
            }
        }
        Ok(())
    };
    match walk.await {
        Err(error) if ::opendal::Error::kind(&error) != ErrorKind::NotFound => Err(error::of(prefix, error)),
        _ => Ok(scan),
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

    /// Whether it has all that a page takes, and the one that shows that there are more.
    fn is_full(&self) -> bool {
        self.names.len() > self.limit
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
