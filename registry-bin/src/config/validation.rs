//! `validation`: which manifests are taken.

use std::sync::Arc;

use regex::{Regex, RegexBuilder};
use registry_core::{Platform, Platforms, References, TagRules, Validation};

use super::retention;
use super::section::Section;

/// The largest program that a pattern may become, in bytes.
const PATTERN_LIMIT_BYTES: usize = 1024 * 1024;

/// Reads `validation`: which manifests are taken, and what nobody may do to some tags.
pub(super) fn read(root: &mut Section<'_>) -> (Validation, TagRules) {
    let mut section = root.section("validation");
    let enabled = section.boolean("enabled");
    let disabled = section.boolean("disabled").unwrap_or(false);
    let mut manifests = section.section("manifests");
    let references = [("required", References::Required), ("sparse", References::Sparse)];
    let mut validation = Validation::default();
    validation.references = manifests.choice("references", &references).unwrap_or_default();
    validation.urls = urls(&mut manifests).map(|rule| Arc::new(move |url: &str| rule.allows(url)) as _);
    validation.platforms = platforms(&mut manifests);
    manifests.finish();
    let tag_rules = retention::read_tag_rules(&mut section);
    section.finish();
    // `enabled` is the older word, and wins where both are set.
    if disabled && enabled != Some(true) {
        validation = Validation::default();
        validation.references = References::Sparse;
        validation.platforms = Platforms::None;
    }
    (validation, tag_rules)
}

/// Which addresses a layer may have that lies elsewhere.
struct UrlPatterns {
    allow: Vec<Regex>,
    deny: Vec<Regex>,
}

impl UrlPatterns {
    fn allows(&self, url: &str) -> bool {
        let allowed = self.allow.is_empty() || self.allow.iter().any(|pattern| pattern.is_match(url));
        allowed && !self.deny.iter().any(|pattern| pattern.is_match(url))
    }
}

fn urls(manifests: &mut Section<'_>) -> Option<UrlPatterns> {
    let mut section = manifests.section("urls");
    let allow = patterns(&mut section, "allow");
    let deny = patterns(&mut section, "deny");
    section.finish();
    (!allow.is_empty() || !deny.is_empty()).then_some(UrlPatterns { allow, deny })
}

fn patterns(section: &mut Section<'_>, key: &str) -> Vec<Regex> {
    let mut patterns = Vec::new();
    for text in section.texts(key) {
        match RegexBuilder::new(&text).size_limit(PATTERN_LIMIT_BYTES).build() {
            Ok(pattern) => patterns.push(pattern),
            Err(_) => section.refuse(key, format!("not a regular expression: {text:?}")),
        }
    }
    patterns
}

fn platforms(manifests: &mut Section<'_>) -> Platforms {
    #[derive(Clone, Copy)]
    enum Choice {
        All,
        None,
        List,
    }
    let mut section = manifests.section("indexes");
    let choices = [("all", Choice::All), ("none", Choice::None), ("list", Choice::List)];
    let choice = section.choice("platforms", &choices).unwrap_or(Choice::All);
    let mut list = Vec::new();
    for mut item in section.sections("platformlist") {
        let architecture = item.text("architecture").unwrap_or_default();
        let os = item.text("os").unwrap_or_default();
        list.push(Platform { architecture, os });
        item.finish();
    }
    section.finish();
    match choice {
        Choice::All => Platforms::All,
        Choice::None => Platforms::None,
        Choice::List => Platforms::Only(list),
    }
}
