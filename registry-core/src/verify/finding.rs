//! What is wrong, and what became of it.

use std::fmt;

use serde::Serialize;

use crate::{Digest, RepositoryName, Tag};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// The key that it lies at, or should.
    pub place: String,
    /// What is wrong.
    #[serde(flatten)]
    pub damage: Damage,
    /// What was done about it; `None` if nothing was.
    pub remedy: Option<Remedy>,
    /// Where what lay there was set aside.
    pub aside: Option<String>,
    /// The manifests that are of no use because of it; twenty at most.
    pub breaks: Vec<Broken>,
    /// How many manifests are of no use because of it, each counted in every repository.
    pub breaks_total: u64,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "damage", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Damage {
    /// What lies at the place of some content is not that content.
    CorruptContent {
        /// The digest that it lies under.
        digest: Digest,
        /// The digest that it has.
        computed: Digest,
        /// How many bytes it has.
        bytes: u64,
    },
    /// Some content cannot be read, and trying again does not help.
    UnreadableContent {
        /// Its digest.
        digest: Digest,
        /// What the storage says.
        error: String,
    },
    /// Content that a manifest needs, or the manifest itself, is not there.
    MissingContent {
        /// Its digest.
        digest: Digest,
    },
    /// Something that a manifest needs is not a member of the repository.
    MissingLink {
        /// The repository.
        repository: RepositoryName,
        /// What has no link.
        digest: Digest,
    },
    /// A link is empty or torn.
    TornLink {
        /// The repository.
        repository: RepositoryName,
        /// What it should point to.
        digest: Digest,
    },
    /// A link points to other content than it is named after.
    MisdirectedLink {
        /// The repository.
        repository: RepositoryName,
        /// What it is named after.
        digest: Digest,
        /// What it points to.
        target: Digest,
    },
    /// What is linked as a manifest is not one, or is larger than a manifest may be.
    NotAManifest {
        /// The repository.
        repository: RepositoryName,
        /// Its digest.
        digest: Digest,
    },
    /// A manifest states another size than the content has.
    WrongSize {
        /// The repository.
        repository: RepositoryName,
        /// The manifest.
        manifest: Digest,
        /// The content.
        digest: Digest,
        /// The size that the manifest states.
        stated: u64,
        /// The size that it has.
        stored: u64,
    },
    /// A tag is empty or torn.
    TornTag {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
    },
    /// A tag points to a manifest that is not in the repository.
    DeadTag {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// What it points to.
        digest: Digest,
    },
    /// A name that does not belong where it is. It harms nothing.
    StrayName,
}

impl Damage {
    /// Its name, as the report counts it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::CorruptContent { .. } => "corrupt-content",
            Self::UnreadableContent { .. } => "unreadable-content",
            Self::MissingContent { .. } => "missing-content",
            Self::MissingLink { .. } => "missing-link",
            Self::TornLink { .. } => "torn-link",
            Self::MisdirectedLink { .. } => "misdirected-link",
            Self::NotAManifest { .. } => "not-a-manifest",
            Self::WrongSize { .. } => "wrong-size",
            Self::TornTag { .. } => "torn-tag",
            Self::DeadTag { .. } => "dead-tag",
            Self::StrayName => "stray-name",
        }
    }

    /// Whether it harms nothing.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        matches!(self, Self::StrayName)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CorruptContent { digest, computed, bytes } => {
                write!(f, "corrupt: {digest} has {bytes} bytes that hash to {computed}")
            }
            Self::UnreadableContent { digest, error } => write!(f, "unreadable: {digest}: {error}"),
            Self::MissingContent { digest } => write!(f, "missing: {digest}"),
            Self::MissingLink { repository, digest } => write!(f, "no link: {repository} has no {digest}"),
            Self::TornLink { repository, digest } => {
                write!(f, "torn: the link of {repository} to {digest} is empty or torn")
            }
            Self::MisdirectedLink { repository, digest, target } => {
                write!(f, "misdirected: the link of {repository} to {digest} points to {target}")
            }
            Self::NotAManifest { repository, digest } => {
                write!(f, "no manifest: {repository}@{digest} cannot be served as one")
            }
            Self::WrongSize { repository, manifest, digest, stated, stored } => {
                write!(f, "wrong size: {repository}@{manifest} states {stated} bytes for {digest}, which has {stored}")
            }
            Self::TornTag { repository, tag } => write!(f, "torn: the tag {repository}:{tag} is empty or torn"),
            Self::DeadTag { repository, tag, digest } => {
                write!(f, "dead tag: {repository}:{tag} points to {digest}, which is not in the repository")
            }
            Self::StrayName => f.write_str("stray: the name does not belong here"),
        }
    }
}

/// What was done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Remedy {
    /// It was set aside, and reads as absent now: the next push of the same content heals it.
    SetAside,
    /// It was set aside, and a good copy was put in its place.
    Restored,
    /// It was written again.
    Rewritten,
}

impl Remedy {
    /// Whether what was damaged is whole again.
    #[must_use]
    pub fn is_whole(self) -> bool {
        matches!(self, Self::Restored | Self::Rewritten)
    }
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SetAside => "set aside; the next push heals it",
            Self::Restored => "set aside, and restored from a good copy",
            Self::Rewritten => "written again",
        })
    }
}

/// A manifest that is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Broken {
    /// The repository.
    pub repository: RepositoryName,
    /// The manifest.
    pub manifest: Digest,
    /// The tags that point to it; twenty at most.
    pub tags: Vec<Tag>,
    /// How many tags point to it.
    pub tags_total: u64,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.repository, self.manifest)?;
        for (position, tag) in self.tags.iter().enumerate() {
            write!(f, "{}{tag}", if position == 0 { " (" } else { ", " })?;
        }
        match self.tags_total - self.tags.len() as u64 {
            _ if self.tags.is_empty() => Ok(()),
            0 => f.write_str(")"),
            more => write!(f, ", and {more} more)"),
        }
    }
}

/// How many manifests, and how many of their tags, are listed with a finding.
const LISTED: usize = 20;

impl Finding {
    pub(super) fn new(place: &impl ToString, damage: Damage) -> Self {
        Self { place: place.to_string(), damage, remedy: None, aside: None, breaks: Vec::new(), breaks_total: 0 }
    }

    /// Adds a manifest that is of no use because of it.
    pub(super) fn breaks(&mut self, repository: &RepositoryName, manifest: Digest, tags: &[&Tag]) {
        self.breaks_total += 1;
        if self.breaks.len() < LISTED {
            let tags_total = tags.len() as u64;
            let tags = tags.iter().take(LISTED).map(|tag| (*tag).clone()).collect();
            self.breaks.push(Broken { repository: repository.clone(), manifest, tags, tags_total });
        }
    }

    /// Whether it does no harm, or no more.
    #[must_use]
    pub fn is_mended(&self) -> bool {
        self.damage.is_harmless() || self.remedy.is_some_and(Remedy::is_whole)
    }
}
