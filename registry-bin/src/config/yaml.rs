//! YAML into a [`Node`].

use std::collections::BTreeMap;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Tag};

use super::node::Node;

/// The longest document, in bytes.
pub const MAX_BYTES: usize = 1024 * 1024;
/// How deep sections and lists may lie in each other, aliases counted as what they stand for.
pub const MAX_DEPTH: usize = 32;
/// How many values a document may have, aliases counted as what they stand for.
pub const MAX_NODES: usize = 20_000;

/// Reads one document. An empty one is [`Node::Null`].
///
/// # Errors
/// If it is not YAML, names a key twice, has more than one document, a tag of its own, a key that is not a single
/// value, or goes beyond [`MAX_BYTES`], [`MAX_DEPTH`] or [`MAX_NODES`].
pub fn parse(text: &str) -> Result<Node, SyntaxError> {
    if text.len() > MAX_BYTES {
        return Err(SyntaxError { line: 1, column: 1, reason: format!("longer than {MAX_BYTES} bytes") });
    }
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
    };
    let mut builder = Builder::default();
    for item in Parser::new_from_str_with_options(text, options) {
        let (event, span) = item.map_err(|error| at(error.marker(), error.info()))?;
        builder.take(event).map_err(|reason| at(&span.start, reason))?;
    }
    Ok(builder.root.unwrap_or_default())
}

/// Where a text stops being a document, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {reason}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong there. It never quotes a value, for a value may be a secret.
    pub reason: String,
}

fn at(marker: &Marker, reason: String) -> SyntaxError {
    SyntaxError { line: marker.line(), column: marker.col() + 1, reason }
}

/// Puts events together to a tree, without recursion.
#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: BTreeMap<usize, Measured>,
    nodes: usize,
}

/// A list or a section whose end has not come yet.
struct Open {
    content: Content,
    anchor: usize,
    nodes: usize,
    depth: usize,
}

enum Content {
    List(Vec<Node>),
    Map { fields: BTreeMap<String, Node>, merged: Vec<Node>, key: Option<String> },
}

/// A finished value, with how many values it has and how deep it goes.
#[derive(Clone)]
struct Measured {
    node: Node,
    nodes: usize,
    depth: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>) -> Result<(), String> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.as_deref())?;
                let node = scalar(text.into_owned(), style);
                self.finished(Measured { node, nodes: 1, depth: 0 }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => self.start(Content::List(Vec::new()), anchor, tag.as_deref()),
            Event::MappingStart(_, anchor, tag) => {
                let content = Content::Map { fields: BTreeMap::new(), merged: Vec::new(), key: None };
                self.start(content, anchor, tag.as_deref())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(id) => {
                let known = self.anchors.get(&id).cloned();
                self.finished(known.ok_or("an alias inside of what it stands for")?, 0)
            }
            Event::DocumentStart(..) if self.root.is_some() => Err("a second document".into()),
            _ => Ok(()),
        }
    }

    fn start(&mut self, content: Content, anchor: usize, tag: Option<&Tag>) -> Result<(), String> {
        refuse_tag(tag)?;
        if matches!(self.open.last(), Some(Open { content: Content::Map { key: None, .. }, .. })) {
            return Err("a key that is not a single value".into());
        }
        self.open.push(Open { content, anchor, nodes: 1, depth: 1 });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let Some(open) = self.open.pop() else { return Err("an end without a beginning".into()) };
        let node = match open.content {
            Content::List(items) => Node::List(items),
            Content::Map { fields, merged, .. } => Node::Map(merge(fields, merged)?),
        };
        self.finished(Measured { node, nodes: open.nodes, depth: open.depth }, open.anchor)
    }

    /// Puts a value where it belongs: into the root, a list, or behind its key.
    fn finished(&mut self, value: Measured, anchor: usize) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(value.nodes);
        if self.nodes > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        if self.open.len() + value.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} levels"));
        }
        if anchor != 0 {
            self.anchors.insert(anchor, value.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value.node);
            return Ok(());
        };
        open.nodes += value.nodes;
        open.depth = open.depth.max(value.depth + 1);
        open.content.add(value.node)
    }
}

impl Content {
    fn add(&mut self, node: Node) -> Result<(), String> {
        match self {
            Self::List(items) => items.push(node),
            Self::Map { fields, merged, key } => match key.take() {
                None => *key = Some(key_of(node)?),
                Some(name) if name == "<<" => merged.push(node),
                Some(name) => {
                    if fields.insert(name, node).is_some() {
                        return Err("a key that was there before".into());
                    }
                }
            },
        }
        Ok(())
    }
}

fn key_of(node: Node) -> Result<String, String> {
    match node {
        Node::Scalar(text) => Ok(text),
        Node::Null => Ok(String::new()),
        Node::List(_) | Node::Map(_) => Err("a key that is not a single value".into()),
    }
}

/// Adds what `<<` brings in: its own keys win, then the first that brings one.
fn merge(mut fields: BTreeMap<String, Node>, merged: Vec<Node>) -> Result<BTreeMap<String, Node>, String> {
    for node in merged {
        let sections = if let Node::List(items) = node { items } else { vec![node] };
        for section in sections {
            let Node::Map(section) = section else { return Err("<< takes a section or a list of sections".into()) };
            for (key, value) in section {
                fields.entry(key).or_insert(value);
            }
        }
    }
    Ok(fields)
}

fn scalar(text: String, style: ScalarStyle) -> Node {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" if style == ScalarStyle::Plain => Node::Null,
        _ => Node::Scalar(text),
    }
}

fn refuse_tag(tag: Option<&Tag>) -> Result<(), String> {
    match tag {
        Some(tag) if !tag.is_yaml_core_schema() => Err("a tag that is not one of YAML's own".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn map<const N: usize>(fields: [(&str, Node); N]) -> Node {
        Node::Map(fields.map(|(key, value)| (key.to_owned(), value)).into())
    }

    fn text(text: &str) -> Node {
        Node::Scalar(text.into())
    }

    #[test]
    fn keeps_the_text_of_a_scalar() {
        let node = parse("a: 007\nb: yes\nc: 1.10\nd: \"null\"\ne: ~\nf:\ng: 168h\nh: [x, 'y']\n").unwrap();
        let expected = map([
            ("a", text("007")),
            ("b", text("yes")),
            ("c", text("1.10")),
            ("d", text("null")),
            ("e", Node::Null),
            ("f", Node::Null),
            ("g", text("168h")),
            ("h", Node::List(vec![text("x"), text("y")])),
        ]);
        assert_eq!(node, expected);
    }

    #[test]
    fn an_empty_document_is_nothing() {
        for empty in ["", "\n", "# only a comment\n", "---\n", "~"] {
            assert_eq!(parse(empty), Ok(Node::Null), "{empty:?}");
        }
    }

    #[test]
    fn flow_forms_are_read() {
        assert_eq!(parse("{enabled: true}").unwrap(), map([("enabled", text("true"))]));
        assert_eq!(parse("{\"enabled\":true}").unwrap(), map([("enabled", text("true"))]));
        assert_eq!(parse(":5000").unwrap(), text(":5000"));
        assert_eq!(parse("127.0.0.1:0").unwrap(), text("127.0.0.1:0"));
    }

    #[test]
    fn aliases_and_merges_stand_for_what_they_name() {
        let node = parse("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\nagain: *b\n").unwrap();
        let base = map([("x", text("1")), ("y", text("2"))]);
        let used = map([("x", text("1")), ("y", text("3"))]);
        assert_eq!(node, map([("base", base.clone()), ("use", used), ("again", base)]));
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for (bad, reason) in [
            ("a: 1\nb: 2\na: 3\n", "a key that was there before"),
            ("a: 1\n---\nb: 2\n", "a second document"),
            ("? [a]\n: 1\n", "a key that is not a single value"),
            ("a: !mine 1\n", "a tag that is not one of YAML's own"),
            ("a: &a [*a]\n", "an alias inside of what it stands for"),
            ("<<: 1\n", "<< takes a section or a list of sections"),
        ] {
            assert_eq!(parse(bad).unwrap_err().reason, reason, "{bad:?}");
        }
        assert_eq!(parse("a: 1\nb: 2\na: 3\n").unwrap_err().line, 3);
        for bad in ["a: [", "a: b: c", "a: *missing"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn values_do_not_show_in_errors() {
        for secret in
            ["*hush", "@hush", "%hush", "`hush", "\"hush", "[hush", "a: hush: x", "!hush x", "{hush", "\"\\hush\""]
        {
            let error = parse(secret).unwrap_err().to_string();
            assert!(!error.contains("hush"), "{secret}: {error}");
        }
    }

    #[test]
    fn anchors_do_not_blow_up() {
        let bomb: Vec<_> = (1..9)
            .map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", ")))
            .collect();
        let bomb = format!("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n{}", bomb.concat());
        assert_eq!(parse(&bomb).unwrap_err().reason, format!("more than {MAX_NODES} values"));
    }

    #[test]
    fn depth_is_bounded_through_aliases_too() {
        assert!(parse(&"[".repeat(10_000)).is_err());
        let chain: Vec<_> = (1..40).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1)).collect();
        let chain = format!("a0: &a0 [x]\n{}", chain.concat());
        assert_eq!(parse(&chain).unwrap_err().reason, format!("more than {MAX_DEPTH} levels"));
    }

    #[test]
    fn length_is_bounded() {
        assert!(parse(&"#".repeat(MAX_BYTES + 1)).is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "(?s).{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn never_panics_on_what_looks_like_yaml(text in "[a-b&*<:\\[\\]{},?!|>'\" \n\t-]{0,60}") {
            let _ = parse(&text);
        }
    }
}
