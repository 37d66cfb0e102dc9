//! Who sent a request.

use std::fmt;
use std::sync::Arc;

/// Who sent a request, as an [`Authenticator`](crate::Authenticator) found out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Principal {
    name: Option<Arc<str>>,
}

impl Principal {
    /// Somebody who did not say who they are.
    #[must_use]
    pub fn anonymous() -> Self {
        Self::default()
    }

    /// Somebody known by a name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self { name: Some(name.into()) }
    }

    /// The name; `None` for somebody anonymous.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether they did not say who they are.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name.is_none()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("anonymous"))
    }
}
