//! Patterns of names: of repositories, and of tags.

use std::fmt;
use std::str::FromStr;

use crate::name::is_component;
use crate::{RepositoryName, Tag};

/// A text in which each `*` stands for any text.
///
/// ```
/// use registry_core::Glob;
///
/// let glob = Glob::new("v1.*-rc*");
/// assert!(glob.matches("v1.2-rc3"));
/// assert!(!glob.matches("v1.2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob(Box<str>);

impl Glob {
    /// Any text is one.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `text` is the pattern with any texts for its `*`. Takes time in proportion to the lengths of both.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, parts)) = self.0.split_once('*') else { return *self.0 == *text };
        let (middle, last) = parts.rsplit_once('*').unwrap_or(("", parts));
        let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else { return false };
        // To take the first place of each part is enough: what follows a `*` has no less room then.
        for part in middle.split('*') {
            let Some((_, behind)) = rest.split_once(part) else { return false };
            rest = behind;
        }
        true
    }
}

/// A text that is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParsePatternError {
    /// Not a pattern of repository names.
    #[error("a pattern is a repository name of at most 255 bytes with * in it, or with ** at its end")]
    Repository,
    /// Not a pattern of tags.
    #[error("a pattern of tags is a tag of at most 128 bytes with * in it")]
    Tag,
}

/// Which repositories are meant.
///
/// `team/app` is one repository, `team/*` those one component below `team`, `team/app-*` those of them that begin so,
/// `team/**` everything below `team` but not `team` itself, and `**` everything.
///
/// ```
/// use registry_core::RepositoryPattern;
///
/// let pattern: RepositoryPattern = "team/**".parse()?;
/// assert!(pattern.matches(&"team/app/base".parse().unwrap()));
/// assert!(!pattern.matches(&"team".parse().unwrap()));
/// # Ok::<(), registry_core::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepositoryPattern {
    components: Vec<Glob>,
    /// Whether it ends in `**`.
    below: bool,
}

impl RepositoryPattern {
    /// Whether the pattern matches `name`. Takes time in proportion to the lengths of both.
    #[must_use]
    pub fn matches(&self, name: &RepositoryName) -> bool {
        let mut rest = name.components();
        let begins = self.components.iter().all(|pattern| rest.next().is_some_and(|text| pattern.matches(text)));
        begins && rest.next().is_some() == self.below
    }
}

impl FromStr for RepositoryPattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        if text.len() > RepositoryName::MAX_BYTES {
            return Err(ParsePatternError::Repository);
        }
        if text == "**" {
            return Ok(Self { components: Vec::new(), below: true });
        }
        let (path, below) = text.strip_suffix("/**").map_or((text, false), |path| (path, true));
        let components: Option<_> = path.split('/').map(Self::component).collect();
        Ok(Self { components: components.ok_or(ParsePatternError::Repository)?, below })
    }
}

impl RepositoryPattern {
    /// Reads one component of a pattern: that of a name, with `*` in it.
    #[must_use]
    pub fn component(text: &str) -> Option<Glob> {
        // Any letter for a `*` makes a name, or else nothing does.
        let is_pattern = is_component(&text.replace('*', "a")) && !text.contains("**");
        is_pattern.then(|| Glob::new(text))
    }
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components: Vec<_> = self.components.iter().map(Glob::as_str).chain(self.below.then_some("**")).collect();
        f.write_str(&components.join("/"))
    }
}

/// Which tags are meant: `v1.2` is one tag, `v*` those that begin so, and `*` all.
///
/// ```
/// use registry_core::TagPattern;
///
/// let pattern: TagPattern = "v*".parse()?;
/// assert!(pattern.matches(&"v1.2".parse().unwrap()));
/// assert!(!pattern.matches(&"latest".parse().unwrap()));
/// # Ok::<(), registry_core::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TagPattern(Glob);

impl TagPattern {
    /// Whether the pattern matches `tag`. Takes time in proportion to the lengths of both.
    #[must_use]
    pub fn matches(&self, tag: &Tag) -> bool {
        self.0.matches(tag.as_str())
    }
}

impl FromStr for TagPattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        let is_pattern = text.replace('*', "a").parse::<Tag>().is_ok() && !text.contains("**");
        if is_pattern { Ok(Self(Glob::new(text))) } else { Err(ParsePatternError::Tag) }
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<RepositoryPattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn what_a_pattern_matches() {
        for (pattern, yes, no) in [
            ("**", &["a", "a/b/c"] as &[_], &[] as &[_]),
            ("team/**", &["team/a", "team/a/b"], &["team", "teams/a", "a/team/b"]),
            ("team/*", &["team/a"], &["team", "team/a/b", "other/a"]),
            ("team/app", &["team/app"], &["team/app/a", "team/apps", "team", "app"]),
            ("team/app-*", &["team/app-a"], &["team/app", "team/app-a/b", "team/b-app-a"]),
            ("*/a*b*c", &["x/abc", "x/a1b2b3c", "x/abcc"], &["x/acb", "x/ac", "abc", "x/y/abc"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("*", &["a"], &["a/b"]),
            ("*/**", &["a/b", "a/b/c"], &["a"]),
        ] {
            for name in yes {
                assert!(matches(pattern, name), "{pattern} {name}");
            }
            for name in no {
                assert!(!matches(pattern, name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern() {
        let long = "a".repeat(256);
        for text in [
            "", "/", "/a", "a/", "a//b", "A", "Team/*", "**/a", "a**", "a/**b", "a/**/b", "***", "a/***", "{user}",
            "a b", "a?", "[a]", "é", "-*", "a..*", "/**", &long,
        ] {
            assert_eq!(text.parse::<RepositoryPattern>(), Err(ParsePatternError::Repository), "{text}");
        }
        assert!(long[1..].parse::<RepositoryPattern>().is_ok());
    }

    #[test]
    fn patterns_of_tags() {
        let matches = |pattern: &str, tag: &str| pattern.parse::<TagPattern>().unwrap().matches(&tag.parse().unwrap());
        for (pattern, yes, no) in [
            ("*", &["latest", "V1", "_"] as &[_], &[] as &[_]),
            ("latest", &["latest"], &["latest2", "Latest"]),
            ("v*.*.0", &["v1.2.0", "v10.0.0"], &["v1.0", "v1.2.1", "1.2.0"]),
            ("*-rc*", &["1-rc1", "a-rc"], &["rc1"]),
        ] {
            for tag in yes {
                assert!(matches(pattern, tag), "{pattern} {tag}");
            }
            for tag in no {
                assert!(!matches(pattern, tag), "{pattern} {tag}");
            }
        }
        let long = "a".repeat(129);
        for text in ["", "**", "v**", ".*", "-a", "a/b", "a b", "^v", "v?", "é", &long] {
            assert_eq!(text.parse::<TagPattern>(), Err(ParsePatternError::Tag), "{text}");
        }
    }

    /// Tries everything.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([b'*', b'*'], _) => !text.is_empty(),
            ([b'*', rest @ ..], _) => {
                naive(rest, text) || matches!(text, [first, behind @ ..] if *first != b'/' && naive(pattern, behind))
            }
            ([first, rest @ ..], [other, behind @ ..]) => first == other && naive(rest, behind),
            _ => pattern.is_empty() && text.is_empty(),
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_trying_everything(
            pattern in "([ab*]{1,5}/){0,2}([ab*]{1,5}|\\*\\*)",
            name in "([ab]{1,5}/){0,2}[ab]{1,5}",
        ) {
            if let Ok(parsed) = pattern.parse::<RepositoryPattern>() {
                let expected = naive(pattern.as_bytes(), name.as_bytes());
                prop_assert_eq!(parsed.matches(&name.parse().unwrap()), expected, "{} {}", pattern, name);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[a-zA-Z*/{}._-]{0,300}") {
            if let Ok(pattern) = text.parse::<RepositoryPattern>() {
                prop_assert_eq!(pattern.to_string(), text.clone());
                let _ = pattern.matches(&"a/b".parse().unwrap());
            }
            if let Ok(pattern) = text.parse::<TagPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let _ = pattern.matches(&"a-b".parse().unwrap());
            }
        }
    }
}
