//! Reads everything, and tells what is not as it should be.
//!
//! All content is hashed, in its place and where a collector put it; every link is read; and everything that a manifest
//! or a tag needs is looked for: whether it is linked, there, of the stated size, and what its name says. Each finding
//! tells which manifests and tags are of no use because of it.
//!
//! Servers may serve, and a collector may run, meanwhile. What seems wrong is looked at twice, and a thing that moves is
//! looked for where readers look for it. Memory is needed for what there is by number, not by bytes.
//!
//! Repairing never deletes a thing without a copy. What is not the content that its place is named after is set aside, and
//! its place reads as absent then, so that the next push of that content heals it; or it is healed at once, from a copy of
//! a collector that is good. Links that are empty or torn are written again where they can only mean one thing.
//!
//! ```
//! use std::sync::Arc;
//! use registry_core::verify::{Verifier, VerifyOptions};
//! use registry_core::{Registry, storage::Memory};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), registry_core::Error> {
//! let registry = Registry::builder(Arc::new(Memory::new())).build();
//! let report = Verifier::new(registry, VerifyOptions::default()).run().await?;
//! assert!(report.is_sound());
//! # Ok(())
//! # }
//! ```

mod aside;
mod contents;
mod faults;
mod finding;
mod inspect;
mod mend;
mod needs;
mod options;
mod report;
mod repository;

use std::sync::Arc;

use futures::stream::TryStreamExt as _;

use crate::gc::digests::{Digests, Id};
use crate::gc::documents::Documents;
use crate::gc::history;
use crate::{Error, Registry, RepositoryName, layout};
use contents::{Contents, Resolved};

pub use finding::{Broken, Damage, Finding, Remedy};
pub use options::{Pacer, VerifyOptions};
pub use report::{Seen, VerifyObserver, VerifyReport};

/// Looks whether everything is whole.
#[derive(Debug)]
pub struct Verifier {
    registry: Registry,
    options: VerifyOptions,
    observer: Option<Arc<dyn VerifyObserver>>,
}

impl Verifier {
    /// A verifier of all that `registry` stores.
    #[must_use]
    pub fn new(registry: Registry, options: VerifyOptions) -> Self {
        Self { registry, options, observer: None }
    }

    /// Tells `observer` how far it is.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn VerifyObserver>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Looks at everything, and repairs what it finds if it is to.
    ///
    /// Dropping the future leaves what a crash would leave: what was being set aside lies in both places, or only among
    /// what is corrupt.
    ///
    /// # Errors
    /// If the storage fails in a way that may pass. An object that the storage cannot read, and that trying again will
    /// not change, is a finding.
    pub async fn run(&self) -> Result<VerifyReport, Error> {
        let begun = self.registry.clock().now();
        let mut scrub = Scrub {
            verifier: self,
            digests: Digests::default(),
            documents: Documents::with_sizes(),
            contents: Contents::default(),
            aliases: Aliases::default(),
            resolved_runs: history::resolved(&self.registry).await?,
            report: VerifyReport::new(self.options.repair),
        };
        scrub.read_contents().await?;
        scrub.look_through().await?;
        let mut report = scrub.report;
        report.took = self.registry.clock().now().duration_since(begun).unwrap_or_default();
        Ok(report)
    }

    fn registry(&self) -> &Registry {
        &self.registry
    }

    fn options(&self) -> &VerifyOptions {
        &self.options
    }

    fn tell(&self, seen: &Seen<'_>) {
        if let Some(observer) = &self.observer {
            observer.saw(seen);
        }
    }
}

/// Names by SHA-512 and the contents that they were found to stand for.
type Aliases = std::collections::HashSet<(Id, Id)>;

/// A look at everything that is under way.
#[derive(Debug)]
struct Scrub<'a> {
    verifier: &'a Verifier,
    digests: Digests,
    documents: Documents,
    contents: Contents,
    aliases: Aliases,
    resolved_runs: Resolved,
    report: VerifyReport,
}

impl<'a> Scrub<'a> {
    /// Looks through all repositories, those of which a collector left only copies too.
    async fn look_through(&mut self) -> Result<(), Error> {
        let registry = self.registry();
        let mut seen = std::collections::HashSet::<RepositoryName>::new();
        let mut names = registry.walk(None);
        while let Some(name) = names.try_next().await? {
            self.verify_repository(&name).await?;
            seen.insert(name);
        }
        let mut names = registry.walk_in(layout::retired_directory, None);
        while let Some(name) = names.try_next().await? {
            if !seen.contains(&name) {
                self.verify_repository(&name).await?;
            }
        }
        self.report.manifests = self.documents.len() as u64;
        Ok(())
    }

    fn registry(&self) -> &'a Registry {
        &self.verifier.registry
    }
}
