//! What is found wrong, or without effect, while a configuration is read.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;

use super::node::Node;

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Problem {
    /// A setting has another form than it should.
    Form {
        /// The setting, such as `http.addr`.
        path: String,
        /// The form it should have.
        expected: String,
        /// What stands there, or a word for it where it may be a secret.
        found: String,
        /// The variable that brought it, where it was not the file.
        variable: Option<String>,
    },
    /// A setting has the right form and is refused all the same.
    Refused {
        /// The setting.
        path: String,
        /// Why.
        reason: String,
        /// The variable that brought it, where it was not the file.
        variable: Option<String>,
    },
    /// The file, or one variable, cannot be read.
    Unreadable {
        /// The file or the variable.
        origin: String,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let variable = match self {
            Self::Form { path, expected, found, variable } => {
                write!(f, "{path}: expected {expected}, found {found}")?;
                variable
            }
            Self::Refused { path, reason, variable } => {
                write!(f, "{path}: {reason}")?;
                variable
            }
            Self::Unreadable { origin, reason } => {
                write!(f, "{origin}: {reason}")?;
                &None
            }
        };
        variable.as_ref().map_or(Ok(()), |name| write!(f, " (set by {name})"))
    }
}

/// Collects problems and warnings, so that all of them are told at once.
#[derive(Debug, Default)]
pub(super) struct Report {
    found: RefCell<Found>,
    /// Which variable set which path.
    variables: RefCell<BTreeMap<String, String>>,
}

#[derive(Debug, Default)]
struct Found {
    problems: Vec<Problem>,
    warnings: Vec<String>,
}

impl Report {
    /// Notes that what lies at `path` came from the variable `name`.
    pub(super) fn set_by(&self, path: &[String], name: &str) {
        self.variables.borrow_mut().insert(path.join("."), name.to_owned());
    }

    /// A setting has another form than `expected`.
    pub(super) fn form(&self, path: &str, expected: &str, found: &Shown<'_>) {
        let variable = self.variable_of(path);
        let (path, expected, found) = (path.to_owned(), expected.to_owned(), found.to_string());
        self.found.borrow_mut().problems.push(Problem::Form { path, expected, found, variable });
    }

    /// A setting is refused.
    pub(super) fn refuse(&self, path: &str, reason: impl Into<String>) {
        let variable = self.variable_of(path);
        let (path, reason) = (path.to_owned(), reason.into());
        self.found.borrow_mut().problems.push(Problem::Refused { path, reason, variable });
    }

    /// A file or a variable cannot be read.
    pub(super) fn unreadable(&self, origin: &str, reason: impl Into<String>) {
        let problem = Problem::Unreadable { origin: origin.to_owned(), reason: reason.into() };
        self.found.borrow_mut().problems.push(problem);
    }

    /// Something is without effect, or not as it should be, and stops nothing.
    pub(super) fn warn(&self, path: &str, reason: &str) {
        let variable = self.variable_of(path).map_or_else(String::new, |name| format!(" (set by {name})"));
        self.found.borrow_mut().warnings.push(format!("{path}: {reason}{variable}"));
    }

    /// What was found: the problems, then the warnings.
    pub(super) fn into_parts(self) -> (Vec<Problem>, Vec<String>) {
        let found = self.found.into_inner();
        (found.problems, found.warnings)
    }

    fn variable_of(&self, path: &str) -> Option<String> {
        let variables = self.variables.borrow();
        let mut path = path;
        loop {
            if let Some(name) = variables.get(path) {
                return Some(name.clone());
            }
            path = path.rsplit_once('.')?.0;
        }
    }
}

/// A value as a report shows it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shown<'a> {
    /// As it was written.
    Open(&'a Node),
    /// Only what kind of value it is.
    Secret(&'a Node),
}

/// As much of a value as a line of a report shows, in characters.
const MAX_SHOWN: usize = 80;

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(Node::Scalar(text)) if text.chars().count() > MAX_SHOWN => {
                write!(f, "{:?} and more", text.chars().take(MAX_SHOWN).collect::<String>())
            }
            Self::Open(Node::Scalar(text)) => write!(f, "{text:?}"),
            Self::Secret(Node::Scalar(_)) => f.write_str("a value that is not shown"),
            Self::Open(node) | Self::Secret(node) => f.write_str(node.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_path_form_value_and_variable() {
        let report = Report::default();
        report.set_by(&["http".into()], "REGISTRY_HTTP");
        report.form("http.addr", "HOST:PORT", &Shown::Open(&Node::Scalar("x".into())));
        report.form("log.level", "a level", &Shown::Secret(&Node::Scalar("x".into())));
        report.refuse("proxy", "not built");
        let told: Vec<_> = report.into_parts().0.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "http.addr: expected HOST:PORT, found \"x\" (set by REGISTRY_HTTP)",
                "log.level: expected a level, found a value that is not shown",
                "proxy: not built",
            ]
        );
    }

    #[test]
    fn long_values_are_cut() {
        let long = Node::Scalar("é".repeat(1000));
        assert!(Shown::Open(&long).to_string().chars().count() < 100);
    }
}
