//! What nobody may do to some tags.

use crate::{RepositoryName, RepositoryPattern, Tag, TagPattern};

/// What nobody may do to some tags, whatever else they may do.
///
/// ```
/// use registry_core::{TagRule, TagRules};
///
/// let mut rules = TagRules::default();
/// rules.immutable.push(TagRule::new(vec!["prod/**".parse()?], vec!["v*".parse()?]));
/// assert!(rules.is_immutable(&"prod/app".parse().unwrap(), &"v1.2".parse().unwrap()));
/// assert!(!rules.is_immutable(&"prod/app".parse().unwrap(), &"latest".parse().unwrap()));
/// # Ok::<(), registry_core::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TagRules {
    /// Tags that can be made, and never be moved to another manifest. Unless they are protected too, they can be deleted,
    /// and made again.
    pub immutable: Vec<TagRule>,
    /// Tags that cannot be deleted, neither by a client nor by a rule of retention, nor can what they point to and what
    /// that names. They can be moved, unless they are immutable too.
    pub protected: Vec<TagRule>,
}

/// Some tags of some repositories.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TagRule {
    /// The repositories: any that one of these matches.
    pub repositories: Vec<RepositoryPattern>,
    /// The tags: any that one of these matches.
    pub tags: Vec<TagPattern>,
}

impl TagRule {
    /// A rule about whatever one of `tags` matches in whatever one of `repositories` matches.
    #[must_use]
    pub fn new(repositories: Vec<RepositoryPattern>, tags: Vec<TagPattern>) -> Self {
        Self { repositories, tags }
    }

    /// Whether the rule is about any tag of a repository.
    #[must_use]
    pub fn is_about_repository(&self, name: &RepositoryName) -> bool {
        self.repositories.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether the rule is about a tag.
    #[must_use]
    pub fn is_about(&self, name: &RepositoryName, tag: &Tag) -> bool {
        self.tags.iter().any(|pattern| pattern.matches(tag)) && self.is_about_repository(name)
    }
}

impl TagRules {
    /// Whether a tag can be made and not be moved.
    #[must_use]
    pub fn is_immutable(&self, name: &RepositoryName, tag: &Tag) -> bool {
        self.immutable.iter().any(|rule| rule.is_about(name, tag))
    }

    /// Whether a tag cannot be deleted.
    #[must_use]
    pub fn is_protected(&self, name: &RepositoryName, tag: &Tag) -> bool {
        self.protected.iter().any(|rule| rule.is_about(name, tag))
    }

    pub(crate) fn protects_in(&self, name: &RepositoryName) -> bool {
        self.protected.iter().any(|rule| rule.is_about_repository(name))
    }
}
