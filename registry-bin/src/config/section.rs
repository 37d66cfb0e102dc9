//! Reading settings out of one section.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration;
use super::node::Node;
use super::report::{Report, Shown};

/// One section of the configuration. Settings are taken out by name; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Section<'r> {
    path: String,
    fields: BTreeMap<String, Node>,
    report: &'r Report,
}

impl<'r> Section<'r> {
    /// The whole configuration.
    pub(super) fn root(node: Node, report: &'r Report) -> Self {
        Self::at(String::new(), node, report)
    }

    fn at(path: String, node: Node, report: &'r Report) -> Self {
        Self::shown_at(path, node, report, |node| Shown::Open(node))
    }

    fn shown_at(path: String, node: Node, report: &'r Report, shown: fn(&Node) -> Shown<'_>) -> Self {
        let fields = match node {
            Node::Map(fields) => fields,
            Node::Null => BTreeMap::new(),
            other => {
                let named = if path.is_empty() { "the configuration" } else { &path };
                report.form(named, "a section of names and values", &shown(&other));
                BTreeMap::new()
            }
        };
        Self { path, fields, report }
    }

    /// The full name of a setting in this section.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Whether nothing is said in it.
    pub(super) fn is_blank(&self) -> bool {
        self.fields.values().all(Node::is_blank)
    }

    /// Whether the name is there with anything but nothing at all, if only an empty text or section.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|node| *node != Node::Null)
    }

    /// Whether something is said under this name.
    pub(super) fn says(&self, key: &str) -> bool {
        self.fields.get(key).is_some_and(|node| !node.is_blank())
    }

    /// The names that have not been taken.
    pub(super) fn keys(&self) -> Vec<String> {
        self.fields.keys().cloned().collect()
    }

    /// Takes a value as it is.
    pub(super) fn take(&mut self, key: &str) -> Option<Node> {
        self.fields.remove(key)
    }

    /// Takes a section; a missing one has no settings.
    pub(super) fn section(&mut self, key: &str) -> Section<'r> {
        let node = self.take(key).unwrap_or_default();
        Self::at(self.path_of(key), node, self.report)
    }

    /// Takes a section of which no report may show what stands in its place.
    pub(super) fn secret_section(&mut self, key: &str) -> Section<'r> {
        let node = self.take(key).unwrap_or_default();
        Self::shown_at(self.path_of(key), node, self.report, |node| Shown::Secret(node))
    }

    /// Takes a setting that `read` understands. Nothing written is `None`, and so is what `read` refuses, which
    /// then stands in the report.
    pub(super) fn read<T>(&mut self, key: &str, expected: &str, read: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        self.read_shown(key, expected, read, |node| Shown::Open(node))
    }

    /// The same for what no report may show.
    pub(super) fn read_secret<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        self.read_shown(key, expected, read, |node| Shown::Secret(node))
    }

    fn read_shown<T>(
        &mut self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
        shown: fn(&Node) -> Shown<'_>,
    ) -> Option<T> {
        let node = self.take(key)?;
        let value = match &node {
            Node::Null => return None,
            Node::Scalar(text) => read(text),
            Node::List(_) | Node::Map(_) => None,
        };
        if value.is_none() {
            self.report.form(&self.path_of(key), expected, &shown(&node));
        }
        value
    }

    /// Takes a boolean, in each form that YAML 1.1 knows.
    pub(super) fn boolean(&mut self, key: &str) -> Option<bool> {
        self.read(key, "true or false", read_boolean)
    }

    /// Takes a text that is not empty.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.read(key, "a text", |text| Some(text.to_owned())).filter(|text| !text.is_empty())
    }

    /// Takes a text that no report may show.
    pub(super) fn secret(&mut self, key: &str) -> Option<String> {
        match self.take(key)? {
            Node::Null => None,
            Node::Scalar(text) => Some(text).filter(|text| !text.is_empty()),
            other => {
                self.report.form(&self.path_of(key), "a text", &Shown::Secret(&other));
                None
            }
        }
    }

    /// Takes a whole number.
    pub(super) fn integer(&mut self, key: &str) -> Option<i64> {
        self.read(key, "a whole number", |text| text.parse().ok())
    }

    /// Takes a number of bytes, with or without a unit of 1024.
    pub(super) fn bytes(&mut self, key: &str) -> Option<u64> {
        self.read(key, "a number of bytes such as 1048576, 512KB, 64MB or 2GB", read_bytes)
    }

    /// Takes a duration.
    pub(super) fn duration(&mut self, key: &str) -> Option<Duration> {
        self.read(key, "a duration such as 168h, 1h30m or 1.5s", |text| duration::parse(text).ok())
    }

    /// Takes one of several words, in any case. An empty word says nothing.
    pub(super) fn choice<T: Copy>(&mut self, key: &str, choices: &[(&str, T)]) -> Option<T> {
        if self.fields.get(key).is_some_and(Node::is_blank) {
            self.take(key);
            return None;
        }
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        self.read(key, &format!("one of {}", names.join(", ")), |text| {
            choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
        })
    }

    /// Takes a list of values; a single value is a list of one.
    pub(super) fn list(&mut self, key: &str) -> Vec<Node> {
        match self.take(key) {
            None | Some(Node::Null) => Vec::new(),
            Some(Node::List(items)) => items,
            Some(single) => vec![single],
        }
    }

    /// Takes a list of texts; a single text is a list of one.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let mut texts = Vec::new();
        for (index, node) in self.list(key).into_iter().enumerate() {
            match node {
                Node::Scalar(text) => texts.push(text),
                other => {
                    self.report.form(&format!("{}.{index}", self.path_of(key)), "a text", &Shown::Open(&other));
                }
            }
        }
        texts
    }

    /// Takes a list of sections.
    pub(super) fn sections(&mut self, key: &str) -> Vec<Section<'r>> {
        let path = self.path_of(key);
        let items = self.list(key).into_iter().enumerate();
        items.map(|(index, node)| Self::at(format!("{path}.{index}"), node, self.report)).collect()
    }

    /// Reports a setting of the right form that is refused.
    pub(super) fn refuse(&self, key: &str, reason: impl Into<String>) {
        self.report.refuse(&self.path_of(key), reason);
    }

    /// Reports a setting that stops nothing.
    pub(super) fn warn(&self, key: &str, reason: &str) {
        self.report.warn(&self.path_of(key), reason);
    }

    /// Drops settings that are not acted on, with a warning that says why for each that says something.
    pub(super) fn without_effect(&mut self, keys: &[(&str, &str)]) {
        for (key, reason) in keys {
            if self.take(key).is_some_and(|node| !node.is_blank()) {
                self.warn(key, &format!("has no effect: {reason}"));
            }
        }
    }

    /// Refuses every setting that was not taken, where one that is misspelt could open a door.
    pub(super) fn refuse_rest(self, reason: &str) {
        for key in self.fields.keys() {
            self.refuse(key, reason);
        }
    }

    /// Warns of every setting that was not taken.
    pub(super) fn finish(self) {
        for key in self.fields.keys() {
            self.report.warn(&self.path_of(key), "unknown, and ignored");
        }
    }
}

/// Units as Distribution reads them: in any case, of 1024, with a `b` behind them or without.
fn read_bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.trim_end().parse::<u64>().ok()?.checked_mul(factor)
}

/// The booleans of YAML 1.1, as the files of many years use them.
fn read_boolean(text: &str) -> Option<bool> {
    match text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::yaml;

    fn read<T>(text: &str, take: impl FnOnce(&mut Section<'_>) -> T) -> (T, Vec<String>, Vec<String>) {
        let report = Report::default();
        let mut section = Section::root(yaml::parse(text).unwrap(), &report);
        let value = take(&mut section);
        section.finish();
        let (problems, warnings) = report.into_parts();
        (value, problems.iter().map(ToString::to_string).collect(), warnings)
    }

    #[test]
    fn booleans_of_yaml_1_1() {
        for (text, value) in
            [("yes", true), ("on", true), ("True", true), ("'true'", true), ("off", false), ("n", false)]
        {
            assert_eq!(read(&format!("a: {text}"), |section| section.boolean("a")).0, Some(value), "{text}");
        }
        let (value, problems, _) = read("a: 1", |section| section.boolean("a"));
        assert_eq!((value, problems), (None, vec!["a: expected true or false, found \"1\"".to_owned()]));
    }

    #[test]
    fn bytes_with_units() {
        for (text, value) in [("0", 0), ("12", 12), ("2k", 2048), ("1MB", 1 << 20), ("3 GB", 3 << 30), ("7b", 7)] {
            assert_eq!(read(&format!("a: {text}"), |section| section.bytes("a")).0, Some(value), "{text}");
        }
        for text in ["-1", "1.5M", "1TB", "MB", "99999999999999999999", "18446744073709551615k"] {
            assert_eq!(read(&format!("a: {text}"), |section| section.bytes("a")).1.len(), 1, "{text}");
        }
    }

    #[test]
    fn nothing_written_is_no_error() {
        let take = |section: &mut Section<'_>| {
            (section.boolean("a"), section.text("b"), section.duration("missing"), section.integer("c"))
        };
        assert_eq!(read("a:\nb: ''\nc: ~\n", take), ((None, None, None, None), vec![], vec![]));
    }

    #[test]
    fn unknown_settings_warn_by_path() {
        let ((), problems, warnings) = read("a: {b: 1, c: 2}", |section| {
            let mut inner = section.section("a");
            assert_eq!(inner.integer("b"), Some(1));
            inner.finish();
        });
        assert_eq!((problems, warnings), (vec![], vec!["a.c: unknown, and ignored".to_owned()]));
    }

    #[test]
    fn secrets_are_not_told() {
        let (value, problems, _) = read("a: [hush]", |section| section.secret("a"));
        assert_eq!((value, problems), (None, vec!["a: expected a text, found a list".to_owned()]));
    }

    #[test]
    fn lists_and_sections_of_the_wrong_form_are_told() {
        let ((), problems, _) = read("a: [x, [y]]\nb: 1\n", |section| {
            assert_eq!(section.texts("a"), ["x"]);
            section.section("b").finish();
        });
        assert_eq!(
            problems,
            ["a.1: expected a text, found a list", "b: expected a section of names and values, found \"1\""]
        );
    }
}
