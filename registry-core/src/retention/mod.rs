//! Rules that say which tags stay, and what lets the others go.
//!
//! Tags alone go. What they pointed to is then a manifest without a tag, which a [collector](crate::gc) takes away if it
//! is told to; until that is purged, it can be tagged again.
//!
//! ```
//! use std::sync::Arc;
//! use registry_core::retention::{Retention, RetentionRule};
//! use registry_core::{Registry, TagRule, storage::Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let registry = Registry::builder(Arc::new(Memory::new())).build();
//! let mut rule = RetentionRule::new(TagRule::new(vec!["ci/**".parse()?], vec!["*".parse()?]));
//! rule.keep_newest = Some(10);
//! // Without `enforce` it only tells what would go.
//! let report = Retention::new(registry, vec![rule]).run().await?;
//! assert_eq!((report.dry_run, report.expired), (true, 0));
//! # Ok(())
//! # }
//! ```

mod report;
mod rule;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::stream::{StreamExt as _, TryStreamExt as _};

use crate::{Digest, Error, Registry, Repository, RepositoryName, Tag, layout, pulls};
use rule::Known;

pub use report::{ExpiredTag, RetentionObserver, RetentionReport};
pub use rule::RetentionRule;

/// Lets tags go that no rule keeps.
#[derive(Debug)]
pub struct Retention {
    registry: Registry,
    rules: Vec<RetentionRule>,
    enforce: bool,
    observer: Option<Arc<dyn RetentionObserver>>,
}

/// How many tags are looked at side by side.
const CONCURRENCY: usize = 16;

impl Retention {
    /// Rules over all that `registry` stores.
    #[must_use]
    pub fn new(registry: Registry, rules: Vec<RetentionRule>) -> Self {
        Self { registry, rules, enforce: false, observer: None }
    }

    /// Whether tags go; otherwise it is only told which ones would. Off.
    ///
    /// Nobody else may change tags but through the same registry and its clones: it is not seen whether a tag is pushed again
    /// just when it goes.
    #[must_use]
    pub fn enforce(mut self, enforce: bool) -> Self {
        self.enforce = enforce;
        self
    }

    /// Tells `observer` of each tag that goes, or would.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn RetentionObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Looks at all tags that there are rules about, and lets those go that none keeps.
    ///
    /// Dropping the future leaves some of them.
    ///
    /// # Errors
    /// If the storage fails. Some tags may be gone then.
    pub async fn run(&self) -> Result<RetentionReport, Error> {
        let registry = &self.registry;
        let now = registry.clock().now();
        let mut report = RetentionReport::new(!self.enforce);
        let noted_since = pulls::noted_since(registry, now).await?;
        let asks_for_pulls = self.rules.iter().any(|rule| rule.keep_pulled_within.is_some());
        report.pulls_unknown = asks_for_pulls && noted_since.is_none();
        let mut names = registry.walk(None);
        while let Some(name) = names.try_next().await? {
            if self.rules.iter().any(|rule| rule.about.is_about_repository(&name)) {
                self.judge(&registry.repository(&name), now, noted_since, &mut report).await?;
            }
        }
        report.took = registry.clock().now().duration_since(now).unwrap_or_default();
        Ok(report)
    }

    async fn judge(
        &self,
        repository: &Repository,
        now: SystemTime,
        noted_since: Option<SystemTime>,
        report: &mut RetentionReport,
    ) -> Result<(), Error> {
        tokio::task::consume_budget().await;
        let name = repository.name();
        let known = self.known(repository, noted_since).await?;
        report.repositories += u64::from(!known.is_empty());
        report.tags += known.len() as u64;
        for known in rule::expired(&self.rules, name, &known, now) {
            if repository.tags().is_protected(&known.tag) {
                report.protected += 1;
                continue;
            }
            let goes = !self.enforce || repository.tags().expire(&known.tag, &known.digest, known.pushed).await?;
            if !goes {
                report.moved += 1;
                continue;
            }
            report.expired += 1;
            if let Some(observer) = &self.observer {
                let (tag, digest) = (known.tag.clone(), known.digest);
                observer.expired(&ExpiredTag { repository: name.clone(), tag, digest });
            }
        }
        Ok(())
    }

    /// The tags of a repository whose manifests are there.
    async fn known(&self, repository: &Repository, noted_since: Option<SystemTime>) -> Result<Vec<Known>, Error> {
        let name = repository.name();
        let entries = self.registry.entries(layout::tags(name), None);
        let tags = entries.try_filter_map(|entry| async move { Ok(entry.name.parse::<Tag>().ok()) });
        let asks_for_pulls = self.longest_pulled(name).is_some();
        let known = tags.map(|tag| async move {
            let tag = tag?;
            let link = self.registry.storage().stat(&layout::tag_current(name, &tag)).await?;
            let (Some(link), Some(digest)) = (link, repository.tags().resolve(&tag).await?) else { return Ok(None) };
            let pulled = match noted_since {
                Some(since) if asks_for_pulls => Some(self.pulled(name, &digest, since).await?),
                _ => None,
            };
            Ok::<_, Error>(Some(Known { tag, digest, pushed: link.modified, pulled }))
        });
        known.buffered(CONCURRENCY).try_filter_map(|known| async move { Ok(known) }).try_collect().await
    }

    /// When a manifest was pulled at the latest: when nothing is noted of it, before pulls were noted.
    async fn pulled(&self, name: &RepositoryName, digest: &Digest, since: SystemTime) -> Result<SystemTime, Error> {
        let noted = pulls::time_of(&self.registry, name, digest).await?;
        Ok(noted.map_or(since, |noted| noted.max(since)))
    }

    fn longest_pulled(&self, name: &RepositoryName) -> Option<Duration> {
        let rules = self.rules.iter().filter(|rule| rule.about.is_about_repository(name));
        rules.filter_map(|rule| rule.keep_pulled_within).max()
    }
}
