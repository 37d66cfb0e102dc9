//! The configuration that is in force, read again when the server is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use registry_auth::{Policy, Reloadable};

use crate::command::configuration;
use crate::config::node::Node;
use crate::config::{Config, Parsed};
use crate::openness::Openness;

/// The configuration that is in force, and what of it can change while the server runs: the rules of `access`.
#[derive(Debug)]
pub struct Configured {
    path: Option<PathBuf>,
    config: Config,
    /// As it is written.
    tree: Node,
    rules: Option<Arc<Reloadable<Policy>>>,
    openness: Option<Openness>,
}

impl Configured {
    /// `parsed` is in force, and came from `path` and the environment.
    #[must_use]
    pub fn new(path: Option<PathBuf>, parsed: Parsed, rules: Option<Arc<Reloadable<Policy>>>) -> Self {
        let Parsed { config, tree, .. } = parsed;
        Self { path, config, tree, rules, openness: None }
    }

    /// Other rules are told to this, as they may let in anybody.
    #[must_use]
    pub fn telling(self, openness: Openness) -> Self {
        Self { openness: Some(openness), ..self }
    }

    /// Reads it again. Other rules hold from now on; for everything else that differs the log says that it needs a
    /// restart. One that is wrong changes nothing.
    pub fn reload(&mut self) {
        match configuration::load(self.path.clone()) {
            Ok(parsed) => {
                for warning in &parsed.warnings {
                    tracing::warn!("configuration: {warning}");
                }
                let differing = self.take_over(&parsed);
                if !differing.is_empty() {
                    let settings = differing.into_iter().collect::<Vec<_>>().join(", ");
                    tracing::warn!(settings, "the configuration has changed in what needs a restart");
                }
            }
            Err(lines) => {
                tracing::error!("the configuration has become wrong; what is in force stays: {}", lines.join("; "));
            }
        }
    }

    /// Takes over what can be, and gives the names of the other settings that differ.
    fn take_over(&mut self, fresh: &Parsed) -> BTreeSet<String> {
        if let (Some(rules), Some(policy)) = (&self.rules, &fresh.config.access) {
            let is_new = self.config.access.as_ref() != Some(policy);
            self.config.access = Some(policy.clone());
            if is_new {
                rules.reload(policy.clone());
                self.openness.iter().for_each(|openness| openness.tell(&self.config));
                tracing::info!("the rules of access were read again");
            }
            copy_section(&mut self.tree, &fresh.tree, "access");
        }
        differing(&self.tree, &fresh.tree)
    }
}

fn copy_section(to: &mut Node, from: &Node, name: &str) {
    if let (Node::Map(to), Node::Map(from)) = (to, from) {
        match from.get(name) {
            Some(section) => drop(to.insert(name.to_owned(), section.clone())),
            None => drop(to.remove(name)),
        }
    }
}

/// The settings in which two configurations differ.
fn differing(one: &Node, other: &Node) -> BTreeSet<String> {
    let (one, other) = (settings(one), settings(other));
    let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    names.into_iter().filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

/// The settings by their names. A list of values is one setting, and one of sections is not.
fn settings(tree: &Node) -> BTreeMap<String, &Node> {
    let mut found = BTreeMap::new();
    let mut rest = vec![(String::new(), tree)];
    while let Some((path, node)) = rest.pop() {
        let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
        match node {
            Node::Map(fields) => rest.extend(fields.iter().map(|(key, node)| (below(key), node))),
            Node::List(items) if items.iter().any(|item| matches!(item, Node::Map(_))) => {
                rest.extend(items.iter().enumerate().map(|(index, node)| (below(&index.to_string()), node)));
            }
            Node::Null => {}
            _ => drop(found.insert(path, node)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn parsed(rest: &str) -> Parsed {
        let document = format!("version: 0.1\nstorage: inmemory\n{rest}\n");
        config::parse(Some(&document), [], &mut |_| Ok(String::new())).unwrap()
    }

    fn told(one: &str, other: &str) -> Vec<String> {
        Configured::new(None, parsed(one), None).take_over(&parsed(other)).into_iter().collect()
    }

    #[test]
    fn what_differs_is_named() {
        assert!(told("", "").is_empty());
        assert!(told("http: {addr: ':1'}", "http:\n  addr: :1").is_empty());
        assert_eq!(
            told("http: {addr: ':1'}", "http: {addr: ':2', relativeurls: true, headers: {X: [a]}}"),
            ["http.addr", "http.headers.X", "http.relativeurls"]
        );
        assert_eq!(told("limits: {uploads: 1}", "limits: {uploads: 2}"), ["limits.uploads"]);
        let urls = "validation: {manifests: {urls: {allow: ['^https:']}}}";
        assert_eq!(told("", urls), ["validation.manifests.urls.allow"]);
        assert_eq!(told("auth: {htpasswd: {realm: r, path: /a}}", "auth: none").len(), 2);
        let rules = "access: {rules: [{who: [anyone], repositories: ['**'], actions: [pull]}]}";
        assert_eq!(told("", rules).len(), 3);
        assert_eq!(told("health: {file: [{file: /a}]}", "health: {file: [{file: /b}]}"), ["health.file.0.file"]);
    }

    #[test]
    fn rules_hold_at_once() {
        let rule = |actions: &str, more: &str| {
            parsed(&format!("access: {{rules: [{{who: [anyone], repositories: ['**'], actions: {actions}}}]}}\n{more}"))
        };
        let first = rule("[pull]", "");
        let rules = Arc::new(Reloadable::new(first.config.access.clone().unwrap()));
        let mut configured = Configured::new(None, first, Some(rules));
        let second = rule("[pull, push]", "");
        assert!(configured.take_over(&second).is_empty());
        assert_eq!(configured.config.access, second.config.access);
        let third = rule("[push]", "limits: {uploads: 1}");
        assert_eq!(configured.take_over(&third).into_iter().collect::<Vec<_>>(), ["limits.uploads"]);
    }
}
