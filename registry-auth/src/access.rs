//! What a request asks for.

use std::fmt;

use registry_core::RepositoryName;

use crate::{Action, Actions};

/// What a request asks for, as an [`Authorizer`](crate::Authorizer) decides about it.
///
/// Printed, it is the scope of a token:
///
/// ```
/// use registry_auth::{Access, Action};
///
/// let access = Access::repository("library/app".parse()?, [Action::Pull, Action::Push]);
/// assert_eq!(access.to_string(), "repository:library/app:pull,push");
/// assert_eq!(Access::Catalog.to_string(), "registry:catalog:*");
/// # Ok::<(), registry_core::ParseNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Access {
    /// To learn that this is a registry: the request of `docker login`. It has no scope and prints as nothing.
    Base,
    /// To list the repositories.
    Catalog,
    /// To maintain the registry as a whole: to have its garbage collected.
    Maintenance,
    /// All of some actions on one repository.
    Repository {
        /// Which repository; it need not exist.
        name: RepositoryName,
        /// What is to be done to it.
        actions: Actions,
    },
}

impl Access {
    /// All of `actions` on one repository.
    pub fn repository(name: RepositoryName, actions: impl Into<Actions>) -> Self {
        Self::Repository { name, actions: actions.into() }
    }

    /// Whether nothing but reading is asked for.
    #[must_use]
    pub fn is_read(&self) -> bool {
        match self {
            Self::Base | Self::Catalog => true,
            Self::Maintenance => false,
            Self::Repository { actions, .. } => *actions == Actions::from([Action::Pull]),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Base => Ok(()),
            Self::Catalog => f.write_str("registry:catalog:*"),
            Self::Maintenance => f.write_str("registry:maintenance:*"),
            Self::Repository { name, actions } => write!(f, "repository:{name}:{actions}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pulling_is_reading() {
        let access = |actions: &[Action]| Access::Repository {
            name: "a".parse().unwrap(),
            actions: actions.iter().copied().collect(),
        };
        assert!(access(&[Action::Pull]).is_read());
        assert!(!access(&[Action::Pull, Action::Push]).is_read());
        assert!(!access(&[Action::Delete]).is_read());
        assert!(Access::Base.is_read() && !Access::Maintenance.is_read());
    }
}
