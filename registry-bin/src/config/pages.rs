//! `catalog` and `tags`: how much one page of a listing holds.

use super::section::Section;

/// How much one page of a listing holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PagesConfig {
    /// The most repositories in one page of the catalog.
    pub catalog_entries: usize,
    /// The most tags in one page.
    pub tags: usize,
}

const DEFAULT: usize = 1000;

/// Reads `catalog` and `tags`.
pub(super) fn read(root: &mut Section<'_>) -> PagesConfig {
    let mut catalog = root.section("catalog");
    let catalog_entries = catalog.integer("maxentries").unwrap_or(0);
    catalog.finish();
    let mut tags = root.section("tags");
    let max_tags = tags.read("maxtags", "a whole number, 0 or more", |text| text.parse::<u64>().ok()).unwrap_or(0);
    tags.finish();
    PagesConfig { catalog_entries: or_default(catalog_entries), tags: or_default(max_tags) }
}

/// Nothing, and less than that, mean the default, as in Distribution.
fn or_default(value: impl TryInto<usize>) -> usize {
    value.try_into().ok().filter(|value| *value > 0).unwrap_or(DEFAULT)
}
