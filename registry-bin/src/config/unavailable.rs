//! Sections of Distribution's configuration that this version does not act on.

use super::section::Section;

/// Sections that say nothing about who may do what.
const WITHOUT_EFFECT: [&str; 4] = ["compatibility", "policy", "redis", "reporting"];

/// Refuses what would open a door if it were left out, and warns of the rest.
pub(super) fn read(root: &mut Section<'_>) {
    if root.take("proxy").is_some_and(|node| !node.is_blank()) {
        root.refuse("proxy", "a registry that fetches from another one is not available in this version");
    }
    if root.take("middleware").is_some_and(|node| !node.is_blank()) {
        root.refuse("middleware", "not available: nothing can be put between the server and its storage");
    }
    root.without_effect(&WITHOUT_EFFECT);
}
