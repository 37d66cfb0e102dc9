//! The tree that a document and the environment are merged in.

use std::collections::BTreeMap;

/// A value of the configuration before it has a type.
///
/// A scalar keeps the text that was written. So a password of `007` stays that, and whether `on` is a boolean or a
/// word is decided by the setting that reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Node {
    /// Nothing was written, or `null`, or `~`.
    #[default]
    Null,
    /// A text, a number, a boolean.
    Scalar(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// A word for what it is.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a section",
        }
    }

    /// Whether nothing is said in it: no text at any depth.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Scalar(text) => text.is_empty(),
            Self::List(items) => items.iter().all(Self::is_blank),
            Self::Map(fields) => fields.values().all(Self::is_blank),
        }
    }

    /// The same as JSON, all of whose values are texts.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Null => serde_json::Value::Null,
            Self::Scalar(text) => text.clone().into(),
            Self::List(items) => items.iter().map(Self::to_json).collect(),
            Self::Map(fields) => fields.iter().map(|(key, node)| (key.clone(), node.to_json())).collect(),
        }
    }

    /// Turns a bare name into a section of that name: `storage: inmemory` means `storage: {inmemory: {}}`.
    pub fn name_to_section(&mut self) {
        if let Self::Scalar(name) = self {
            *self = Self::Map(BTreeMap::from([(std::mem::take(name), Self::Null)]));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_becomes_a_section() {
        let mut node = Node::Scalar("inmemory".into());
        node.name_to_section();
        assert_eq!(node, Node::Map(BTreeMap::from([("inmemory".into(), Node::Null)])));
        node.name_to_section();
        assert_eq!(node.kind(), "a section");
    }

    #[test]
    fn blank_says_nothing_at_any_depth() {
        assert!(Node::Map(BTreeMap::from([("a".into(), Node::List(vec![Node::Scalar(String::new())]))])).is_blank());
        assert!(!Node::Map(BTreeMap::from([("a".into(), Node::List(vec![Node::Scalar("x".into())]))])).is_blank());
    }
}
