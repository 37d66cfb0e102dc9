//! `access`: who may do what to which repository. Distribution has no such section, and ignores it.

use std::collections::{BTreeMap, BTreeSet};

use registry_auth::{Action, Actions, Policy, RepositoryPattern, Rule, Subject};

use super::section::Section;

/// Reads `access`; `None` without one, and then whoever is let in may do everything. What is wrong with it stands in
/// the report.
pub(super) fn read(root: &mut Section<'_>) -> Option<Policy> {
    if !root.keys().iter().any(|key| key == "access") {
        return None;
    }
    if !root.is_set("access") {
        root.take("access");
        root.refuse("access", "has no rules; leave it out to allow everything, or write one");
        return None;
    }
    let mut access = root.section("access");
    let groups = groups(&mut access);
    let rules = access.sections("rules").into_iter().filter_map(|section| rule(section, &groups)).collect();
    access.refuse_rest("not a setting of access");
    Some(Policy::new(rules, groups))
}

fn groups(access: &mut Section<'_>) -> BTreeMap<String, BTreeSet<String>> {
    let mut section = access.section("groups");
    let names = section.keys();
    names.into_iter().map(|name| (name.clone(), section.texts(&name).into_iter().collect())).collect()
}

/// A rule of which a part is wrong is none: the others may allow less without it, never more.
fn rule(mut section: Section<'_>, groups: &BTreeMap<String, BTreeSet<String>>) -> Option<Rule> {
    let who = each(&mut section, "who", |text| subject(text, groups));
    let repositories = each(&mut section, "repositories", |text| {
        text.parse::<RepositoryPattern>().map_err(|error| format!("{text:?}: {error}"))
    });
    let actions = each(&mut section, "actions", action);
    // What is left out could make the rule allow more than was meant.
    section.refuse_rest("not a part of a rule");
    Some(Rule::new(who?, repositories?, actions?.into_iter().collect::<Actions>()))
}

/// Reads every text of a list that must not be empty.
fn each<T>(section: &mut Section<'_>, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
    let texts = section.texts(key);
    if texts.is_empty() {
        section.refuse(key, "missing, or empty");
        return None;
    }
    let read: Result<Vec<_>, _> = texts.iter().map(|text| read(text)).collect();
    read.map_err(|reason| section.refuse(key, reason)).ok()
}

fn subject(text: &str, groups: &BTreeMap<String, BTreeSet<String>>) -> Result<Subject, String> {
    match text.split_once(':') {
        None if text == "anonymous" => Ok(Subject::Anonymous),
        None if text == "authenticated" => Ok(Subject::Authenticated),
        None if text == "anyone" => Ok(Subject::Anyone),
        Some(("user", name)) if !name.is_empty() => Ok(Subject::User(name.to_owned())),
        Some(("group", name)) if groups.contains_key(name) => Ok(Subject::Group(name.to_owned())),
        Some(("group", name)) => Err(format!("there is no group {name:?} below access.groups")),
        _ => Err(format!("{text:?}: expected anonymous, authenticated, anyone, user:NAME or group:NAME")),
    }
}

fn action(text: &str) -> Result<Action, String> {
    let action = Action::ALL.into_iter().find(|action| action.as_str() == text);
    action.ok_or_else(|| format!("{text:?}: expected pull, push or delete"))
}
