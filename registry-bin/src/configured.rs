//! The configuration that is in force, read again when the server is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use registry_auth::{Policy, Reloadable};

use crate::command::configuration;
use crate::config::{Config, Parsed};

/// The configuration that is in force, and what of it can change while the server runs: the rules of `access`.
#[derive(Debug)]
pub struct Configured {
    path: Option<PathBuf>,
    config: Config,
    rules: Option<Arc<Reloadable<Policy>>>,
}

impl Configured {
    /// `config` is in force, and came from `path` and the environment.
    #[must_use]
    pub fn new(path: Option<PathBuf>, config: Config, rules: Option<Arc<Reloadable<Policy>>>) -> Self {
        Self { path, config, rules }
    }

    /// Reads it again. Other rules hold from now on; for everything else that differs the log says that it needs a
    /// restart. One that is wrong changes nothing.
    pub fn reload(&mut self) {
        match configuration::load(self.path.clone()) {
            Ok(Parsed { config, .. }) => self.take_over(&config),
            Err(lines) => {
                tracing::error!("the configuration has become wrong; what is in force stays: {}", lines.join("; "));
            }
        }
    }

    fn take_over(&mut self, config: &Config) {
        if let (Some(rules), Some(fresh)) = (&self.rules, &config.access)
            && self.config.access.as_ref() != Some(fresh)
        {
            rules.reload(fresh.clone());
            self.config.access = Some(fresh.clone());
            tracing::info!("the rules of access were read again");
        }
        let differing = differing(&self.config, config);
        if !differing.is_empty() {
            let settings = differing.into_iter().collect::<Vec<_>>().join(", ");
            tracing::warn!(settings, "the configuration has changed in what needs a restart");
        }
    }
}

/// The settings, or where they have no line of their own the sections, in which two configurations differ.
fn differing(one: &Config, other: &Config) -> BTreeSet<String> {
    let (lines_of_one, lines_of_other) = (one.to_string(), other.to_string());
    let (lines_of_one, lines_of_other) = (lines(&lines_of_one), lines(&lines_of_other));
    let names: BTreeSet<_> = lines_of_one.keys().chain(lines_of_other.keys()).copied().collect();
    let mut found: BTreeSet<String> = names
        .into_iter()
        .filter(|name| lines_of_one.get(name) != lines_of_other.get(name))
        .map(str::to_owned)
        .collect();
    for (section, differs) in [
        ("access", one.access != other.access),
        ("auth", one.auth != other.auth),
        ("health", one.health != other.health),
        ("http", one.http != other.http),
        ("limits", one.limits != other.limits),
        ("log", one.log != other.log),
        ("notifications", one.notifications != other.notifications),
        ("storage", one.storage != other.storage),
    ] {
        if differs && !found.iter().any(|name| name.starts_with(section)) {
            found.insert(section.to_owned());
        }
    }
    found
}

/// The lines of a summary by their names.
fn lines(summary: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut lines: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for (name, value) in summary.lines().filter_map(|line| line.split_once(": ")) {
        lines.entry(name).or_default().push(value);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn parsed(rest: &str) -> Config {
        let document = format!("version: 0.1\nstorage: inmemory\n{rest}\n");
        config::parse(Some(&document), [], &mut |_| Ok(String::new())).unwrap().config
    }

    fn told(one: &str, other: &str) -> Vec<String> {
        differing(&parsed(one), &parsed(other)).into_iter().collect()
    }

    #[test]
    fn what_differs_is_named() {
        assert!(told("", "").is_empty());
        assert_eq!(
            told("http: {addr: ':1'}", "http: {addr: ':2', relativeurls: true}"),
            ["http.addr", "http.relativeurls"]
        );
        assert_eq!(told("http: {headers: {X: [a]}}", "http: {headers: {X: [b]}}"), ["http"]);
        assert_eq!(told("limits: {uploads: 1}", "limits: {uploads: 2}"), ["limits"]);
        assert_eq!(told("auth: {htpasswd: {realm: r, path: /a}}", "auth: none"), ["auth"]);
        let rules = "access: {rules: [{who: [anyone], repositories: ['**'], actions: [pull]}]}";
        assert_eq!(told("", rules), ["access"]);
        assert_eq!(told("health: {file: [{file: /a}]}", "health: {file: [{file: /b}]}").len(), 1);
    }

    #[test]
    fn rules_hold_at_once() {
        let rule = |actions: &str| {
            parsed(&format!("access: {{rules: [{{who: [anyone], repositories: ['**'], actions: {actions}}}]}}"))
        };
        let first = rule("[pull]");
        let rules = Arc::new(Reloadable::new(first.access.clone().unwrap()));
        let mut configured = Configured::new(None, first, Some(rules));
        let second = rule("[pull, push]");
        configured.take_over(&second);
        assert_eq!(configured.config.access, second.access);
        assert!(differing(&configured.config, &second).is_empty());
    }
}
