//! `storage.maintenance.retention` and `validation.tags`: which tags stay. Distribution has neither, and ignores both.

use registry_core::retention::RetentionRule;
use registry_core::{ParsePatternError, RepositoryPattern, TagPattern, TagRule, TagRules};

use super::section::Section;

/// Which tags stay, and what becomes of the others.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionConfig {
    /// Whether the others go; otherwise it is only told which ones would.
    pub enforce: bool,
    /// The rules.
    pub rules: Vec<RetentionRule>,
}

impl RetentionConfig {
    /// Whether a rule asks when something was pulled, so that it has to be noted.
    #[must_use]
    pub fn asks_for_pulls(&self) -> bool {
        self.rules.iter().any(|rule| rule.keep_pulled_within.is_some())
    }
}

/// Reads `storage.maintenance.retention`. Nothing goes because of what was misspelt, so that stops the start.
pub(super) fn read(maintenance: &mut Section<'_>) -> RetentionConfig {
    let mut section = maintenance.section("retention");
    let dry_run = section.boolean("dryrun").unwrap_or(true);
    let rules = section.sections("rules").into_iter().map(rule).collect();
    section.refuse_rest("not a setting of retention");
    RetentionConfig { enforce: !dry_run, rules }
}

/// What is wrong with it stands in the report.
fn rule(mut section: Section<'_>) -> RetentionRule {
    let about = about(&mut section, Some("*"));
    let mut keep = section.section("keep");
    let mut rule = RetentionRule::new(about.unwrap_or_default());
    rule.keep_newest = keep.read("newest", "a number of tags", |text| text.parse().ok());
    rule.keep_tags = patterns(&mut keep, "tags").unwrap_or_default();
    rule.keep_pushed_within = keep.duration("pushedwithin");
    rule.keep_pulled_within = keep.duration("pulledwithin");
    keep.refuse_rest("not something that a rule can keep");
    if !rule.keeps_anything() {
        section.refuse("keep", "keeps nothing, so that every tag would go");
    }
    section.refuse_rest("not a part of a rule");
    rule
}

/// Reads `validation.tags`.
pub(super) fn read_tag_rules(validation: &mut Section<'_>) -> TagRules {
    let mut section = validation.section("tags");
    let mut rules = TagRules::default();
    for (key, rules) in [("immutable", &mut rules.immutable), ("protected", &mut rules.protected)] {
        for mut section in section.sections(key) {
            rules.extend(about(&mut section, None));
            section.refuse_rest("not a part of a rule");
        }
    }
    section.refuse_rest("not a setting of tags");
    rules
}

/// Which tags of which repositories; `None` with the reason in the report.
fn about(section: &mut Section<'_>, default: Option<&str>) -> Option<TagRule> {
    let repositories: Option<Vec<RepositoryPattern>> = patterns(section, "repositories");
    let tags: Option<Vec<TagPattern>> = match default {
        Some(all) if !section.says("tags") => all.parse().ok().map(|pattern| vec![pattern]),
        _ => patterns(section, "tags"),
    };
    for (key, is_missing) in [
        ("repositories", repositories.as_ref().is_some_and(Vec::is_empty)),
        ("tags", tags.as_ref().is_some_and(Vec::is_empty)),
    ] {
        if is_missing {
            section.refuse(key, "missing, or empty");
        }
    }
    Some(TagRule::new(repositories?, tags?))
}

fn patterns<T: std::str::FromStr<Err = ParsePatternError>>(section: &mut Section<'_>, key: &str) -> Option<Vec<T>> {
    let read: Result<Vec<_>, _> =
        section.texts(key).iter().map(|text| text.parse().map_err(|error| format!("{text:?}: {error}"))).collect();
    read.map_err(|reason| section.refuse(key, reason)).ok()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{Config, parse};

    fn read_all(maintenance: &str, validation: &str) -> Result<(Config, Vec<String>), Vec<String>> {
        let document = format!(
            "version: 0.1\nstorage: {{inmemory: , maintenance: {{{maintenance}}}}}\nvalidation: {{{validation}}}\n"
        );
        match parse(Some(&document), [], &mut |_| Ok(String::new())) {
            Ok(parsed) => Ok((parsed.config, parsed.warnings)),
            Err(rejected) => Err(rejected.problems.iter().map(ToString::to_string).collect()),
        }
    }

    fn read(retention: &str) -> Result<(RetentionConfig, Vec<String>), Vec<String>> {
        let collection = "garbagecollection: {enabled: true, deleteuntagged: true}";
        let read = read_all(&format!("retention: {retention}, {collection}"), "");
        read.map(|(config, warnings)| (config.storage.retention, warnings))
    }

    #[test]
    fn each_is_read() {
        let (read, warnings) = read(
            "{dryrun: false, rules: [{repositories: [ci/**], keep: {newest: 10}}, {repositories: app, tags: ['v*'], keep: \
             {tags: [v1, v2], pushedwithin: 720h, pulledwithin: 48h}}]}",
        )
        .unwrap();
        assert_eq!(warnings, [""; 0]);
        let about = |repositories: &str, tags: &str| {
            RetentionRule::new(TagRule::new(vec![repositories.parse().unwrap()], vec![tags.parse().unwrap()]))
        };
        let (mut one, mut two) = (about("ci/**", "*"), about("app", "v*"));
        one.keep_newest = Some(10);
        two.keep_tags = vec!["v1".parse().unwrap(), "v2".parse().unwrap()];
        two.keep_pushed_within = Some(Duration::from_hours(720));
        two.keep_pulled_within = Some(Duration::from_hours(48));
        assert!(read.asks_for_pulls());
        assert_eq!(read, RetentionConfig { enforce: true, rules: vec![one, two] });
    }

    #[test]
    fn nothing_goes_before_somebody_looked() {
        let (read, _) = read("{rules: [{repositories: ['**'], keep: {newest: 1}}]}").unwrap();
        assert!(!read.enforce && read.rules.len() == 1 && !read.asks_for_pulls());
        assert_eq!(read_all("", "").unwrap().0.storage.retention, RetentionConfig::default());
    }

    #[test]
    fn what_could_let_too_much_go_is_refused() {
        for (retention, path) in [
            ("{rules: [{repositories: ['**']}]}", "rules.0.keep"),
            ("{rules: [{repositories: ['**'], keep: {newest: 0}}]}", "rules.0.keep"),
            ("{rules: [{repositories: ['**'], keep: {newest: -1, tags: [a]}}]}", "rules.0.keep.newest"),
            ("{rules: [{repositories: ['**'], keep: {newest: 1, pulledwithn: 1h}}]}", "rules.0.keep.pulledwithn"),
            ("{rules: [{repositories: ['**'], keep: {pushedwithin: 30}}]}", "rules.0.keep"),
            ("{rules: [{repositories: ['A'], keep: {newest: 1}}]}", "rules.0.repositories"),
            ("{rules: [{keep: {newest: 1}}]}", "rules.0.repositories"),
            ("{rules: [{repositories: ['a'], tags: ['a b'], keep: {newest: 1}}]}", "rules.0.tags"),
            ("{rules: [{repositories: ['a'], tag: ['a'], keep: {newest: 1}}]}", "rules.0.tag"),
            ("{dryrn: true, rules: [{repositories: ['a'], keep: {newest: 1}}]}", "dryrn"),
            ("{dryrun: maybe}", "dryrun"),
        ] {
            let problems = read(retention).unwrap_err();
            let path = format!("storage.maintenance.retention.{path}");
            assert!(problems.iter().any(|problem| problem.starts_with(&path)), "{retention}: {problems:?}");
        }
    }

    #[test]
    fn rules_that_nobody_acts_on_are_told() {
        let rules = "retention: {rules: [{repositories: ['**'], keep: {newest: 1}}]}";
        let warnings = read_all(rules, "").unwrap().1;
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("storage.maintenance.retention.rules: "), "{warnings:?}");
        let warnings = read_all(&format!("{rules}, garbagecollection: {{enabled: true}}"), "").unwrap().1;
        assert!(warnings.len() == 1 && warnings[0].contains("deleteuntagged"), "{warnings:?}");
    }

    #[test]
    fn rules_about_tags() {
        let tags = "tags: {immutable: [{repositories: ['**'], tags: ['v*']}], protected: [{repositories: [prod/*, a], tags: [latest]}]}";
        let rules = read_all("", tags).unwrap().0.tag_rules;
        let (name, other) = ("prod/app".parse().unwrap(), "b".parse().unwrap());
        let (release, latest) = ("v1".parse().unwrap(), "latest".parse().unwrap());
        assert!(rules.is_immutable(&other, &release) && !rules.is_immutable(&other, &latest));
        assert!(rules.is_protected(&name, &latest) && !rules.is_protected(&other, &latest));
        for (tags, path) in [
            ("tags: {immutable: [{repositories: ['**']}]}", "immutable.0.tags"),
            ("tags: {immutable: [{tags: ['*']}]}", "immutable.0.repositories"),
            ("tags: {protected: [{repositories: ['**'], tags: ['^v']}]}", "protected.0.tags"),
            ("tags: {protected: [{repositories: ['**'], tags: ['*'], users: [a]}]}", "protected.0.users"),
            ("tags: {imutable: [{repositories: ['**'], tags: ['*']}]}", "imutable"),
        ] {
            let problems = read_all("", tags).unwrap_err();
            let path = format!("validation.tags.{path}: ");
            assert!(problems.iter().any(|problem| problem.starts_with(&path)), "{tags}: {problems:?}");
        }
        // What decides which manifests are taken can be off; what keeps tags stays.
        let off = read_all("", &format!("disabled: true, {tags}")).unwrap().0;
        assert!(off.tag_rules.is_immutable(&other, &release));
    }
}
