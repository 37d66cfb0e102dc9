//! Who sent a request.

use std::fmt;
use std::sync::Arc;

use crate::Grants;

/// Who sent a request, as an [`Authenticator`](crate::Authenticator) found out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Principal {
    name: Option<Arc<str>>,
    grants: Option<Arc<Grants>>,
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
        Self { name: Some(name.into()), grants: None }
    }

    /// The same, with the rights that came together with the credentials.
    #[must_use]
    pub fn with_grants(self, grants: Grants) -> Self {
        Self { grants: Some(Arc::new(grants)), ..self }
    }

    /// The rights that came together with the credentials, as those of a token do; `None` where credentials say
    /// nothing of rights.
    #[must_use]
    pub fn grants(&self) -> Option<&Grants> {
        self.grants.as_deref()
    }

    /// The name; `None` for somebody anonymous.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether they came without credentials. A token that names nobody is no name, but credentials it is.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name.is_none() && self.grants.is_none()
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("anonymous"))
    }
}
