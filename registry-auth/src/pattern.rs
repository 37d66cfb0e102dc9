//! Patterns of repository names.

use std::fmt;
use std::str::FromStr;

use registry_core::{Glob, RepositoryName};

/// The component that stands for the name of whoever asks.
const USER: &str = "{user}";

/// Which repositories a rule is about.
///
/// `team/app` is one repository, `team/*` those one component below `team`, `team/app-*` those of them that begin
/// so, `team/**` everything below `team` but not `team` itself, and `**` everything. The component `{user}` is the
/// name of whoever asks, and matches nothing if that cannot be a component.
///
/// ```
/// use registry_auth::RepositoryPattern;
///
/// let pattern: RepositoryPattern = "home/{user}/**".parse()?;
/// assert!(pattern.matches(&"home/ann/app".parse().unwrap(), Some("ann")));
/// assert!(!pattern.matches(&"home/bob/app".parse().unwrap(), Some("ann")));
/// # Ok::<(), registry_auth::ParsePatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepositoryPattern {
    components: Vec<Component>,
    /// Whether it ends in `**`.
    below: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Component {
    User,
    /// With `*` for any text.
    Text(Glob),
}

/// A text that is no pattern of repository names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern is a repository name of at most 255 bytes with *, {{user}} as a component, or ** at the end")]
pub struct ParsePatternError;

impl RepositoryPattern {
    /// Whether the pattern matches `name` when somebody called `user` asks, or somebody without a name. Takes time
    /// in proportion to the lengths of both.
    #[must_use]
    pub fn matches(&self, name: &RepositoryName, user: Option<&str>) -> bool {
        let mut rest = name.components();
        for component in &self.components {
            let Some(text) = rest.next() else { return false };
            let is_match = match component {
                // What equals a component of a name is a valid one.
                Component::User => user == Some(text),
                Component::Text(pattern) => pattern.matches(text),
            };
            if !is_match {
                return false;
            }
        }
        rest.next().is_some() == self.below
    }

    /// Whether it matches every name.
    pub(crate) fn is_everything(&self) -> bool {
        self.components.is_empty() && self.below
    }

    /// Whether there is any name that the pattern matches for `user`.
    pub(crate) fn can_match(&self, user: Option<&str>) -> bool {
        let is_component = user.is_some_and(|user| !user.contains('/') && user.parse::<RepositoryName>().is_ok());
        is_component || !self.components.contains(&Component::User)
    }
}

impl FromStr for RepositoryPattern {
    type Err = ParsePatternError;

    fn from_str(text: &str) -> Result<Self, ParsePatternError> {
        if text.len() > RepositoryName::MAX_BYTES {
            return Err(ParsePatternError);
        }
        if text == "**" {
            return Ok(Self { components: Vec::new(), below: true });
        }
        let (path, below) = text.strip_suffix("/**").map_or((text, false), |path| (path, true));
        let components: Result<_, _> = path.split('/').map(component).collect();
        Ok(Self { components: components?, below })
    }
}

fn component(text: &str) -> Result<Component, ParsePatternError> {
    if text == USER {
        return Ok(Component::User);
    }
    registry_core::RepositoryPattern::component(text).map(Component::Text).ok_or(ParsePatternError)
}

impl fmt::Display for RepositoryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let components = self.components.iter().map(|component| match component {
            Component::User => USER,
            Component::Text(text) => text.as_str(),
        });
        let all: Vec<_> = components.chain(self.below.then_some("**")).collect();
        f.write_str(&all.join("/"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<RepositoryPattern>().unwrap().matches(&name.parse().unwrap(), Some("ann"))
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
            ("{user}", &["ann"], &["bob", "ann/a"]),
            ("x/{user}/*", &["x/ann/a"], &["x/ann", "x/bob/a"]),
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
            "", "/", "/a", "a/", "a//b", "A", "Team/*", "**/a", "a**", "a/**b", "a/**/b", "***", "a/***", "{user",
            "{user}s", "{name}", "a b", "a?", "[a]", "é", "-*", "a..*", "/**", &long,
        ] {
            assert_eq!(text.parse::<RepositoryPattern>(), Err(ParsePatternError), "{text}");
        }
        assert!(long[1..].parse::<RepositoryPattern>().is_ok());
    }

    #[test]
    fn a_name_that_is_no_component_matches_nothing() {
        let pattern: RepositoryPattern = "{user}/**".parse().unwrap();
        for user in [None, Some(""), Some("*"), Some("**"), Some("a/b"), Some("A"), Some("{user}")] {
            assert!(!pattern.matches(&"a/b/c".parse().unwrap(), user), "{user:?}");
            assert!(!pattern.can_match(user), "{user:?}");
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
                prop_assert_eq!(parsed.matches(&name.parse().unwrap(), None), expected, "{} {}", pattern, name);
            }
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}|[a-z*/{}._-]{0,300}", user in "\\PC{0,9}") {
            if let Ok(pattern) = text.parse::<RepositoryPattern>() {
                prop_assert_eq!(pattern.to_string(), text);
                let _ = pattern.matches(&"a/b".parse().unwrap(), Some(&user));
            }
        }
    }
}
