//! What a verifier found, all in all.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::finding::Finding;
use crate::gc::Amount;
use crate::{Digest, RepositoryName};

/// What a verifier found, and what it did about it.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Whether what could be repaired was.
    pub repair: bool,
    /// How long it took, in seconds.
    #[serde(serialize_with = "as_seconds")]
    pub took: Duration,
    /// The contents that hash to their names, wherever they lie.
    pub sound: Amount,
    /// How many repositories were looked through.
    pub repositories: u64,
    /// How many tags there are.
    pub tags: u64,
    /// How many manifests there are, each counted once.
    pub manifests: u64,
    /// How many links make something a member of a repository.
    pub links: u64,
    /// What is wrong; a thousand at most.
    pub findings: Vec<Finding>,
    /// How much is wrong, by the name of the damage.
    pub counts: BTreeMap<&'static str, u64>,
    /// How much is wrong, names that do not belong where they are counted too.
    pub findings_total: u64,
    /// How much of it was set aside, and is not replaced by a good copy.
    pub set_aside: u64,
    /// How much of it was made whole again.
    pub mended: u64,
    /// How much of it was left as it is, and harms.
    pub unmended: u64,
    /// Manifests that cannot be read, or lack something, each counted in every repository.
    pub broken_manifests: u64,
    /// Tags that cannot be read, or whose manifest is broken.
    pub broken_tags: u64,
}

/// How many findings are listed.
const LISTED: usize = 1_000;

impl VerifyReport {
    pub(super) fn new(repair: bool) -> Self {
        Self {
            repair,
            took: Duration::ZERO,
            sound: Amount::default(),
            repositories: 0,
            tags: 0,
            manifests: 0,
            links: 0,
            findings: Vec::new(),
            counts: BTreeMap::new(),
            findings_total: 0,
            set_aside: 0,
            mended: 0,
            unmended: 0,
            broken_manifests: 0,
            broken_tags: 0,
        }
    }

    /// Whether everything is whole, or is again. Content that was set aside leaves nothing broken if nothing needs it.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.unmended == 0 && self.broken_manifests == 0 && self.broken_tags == 0
    }

    /// Takes a finding in; gives its position if it is listed.
    pub(super) fn add(&mut self, finding: Finding) -> Option<usize> {
        tracing::warn!(place = finding.place, remedy = ?finding.remedy, "{}", finding.damage);
        *self.counts.entry(finding.damage.name()).or_default() += 1;
        self.findings_total += 1;
        if !finding.damage.is_harmless() {
            let count = match finding.remedy {
                None => &mut self.unmended,
                Some(remedy) if remedy.is_whole() => &mut self.mended,
                Some(_) => &mut self.set_aside,
            };
            *count += 1;
        }
        let position = self.findings.len();
        if position == LISTED {
            return None;
        }
        self.findings.push(finding);
        Some(position)
    }
}

fn as_seconds<S: serde::Serializer>(took: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(took.as_secs_f64())
}

/// Is told how far a verifier is.
pub trait VerifyObserver: fmt::Debug + Send + Sync + 'static {
    /// It went on.
    fn saw(&self, seen: &Seen<'_>);
}

/// How far a verifier is.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Seen<'a> {
    /// So many contents are there to be read; more may come.
    Listed(u64),
    /// So many bytes more were read.
    Bytes(u64),
    /// Content was read to its end.
    Content(&'a Digest),
    /// A repository was looked through.
    Repository(&'a RepositoryName),
    /// Something is wrong. What it breaks is only known at the end.
    Finding(&'a Finding),
}
