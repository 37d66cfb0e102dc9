//! Deciding what somebody may do.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use registry_core::RepositoryName;

use crate::{Access, Action, AuthorizationError, Principal};

/// Decides what somebody may do.
#[async_trait]
pub trait Authorizer: fmt::Debug + Send + Sync + 'static {
    /// Whether `principal` has `access`: all of its actions.
    ///
    /// The answer must not depend on whether the repository exists, or strangers could find out.
    ///
    /// # Errors
    /// Whoever gets an error refuses the request.
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError>;

    /// Whether the catalog names a repository to `principal`, who may ask for the catalog. By default it names those
    /// that they may pull.
    ///
    /// # Errors
    /// Whoever gets an error leaves the name out.
    async fn authorize_listing(
        &self,
        principal: &Principal,
        name: &RepositoryName,
    ) -> Result<Decision, AuthorizationError> {
        self.authorize(principal, &Access::repository(name.clone(), [Action::Pull])).await
    }
}

/// What an [`Authorizer`] says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[must_use]
pub enum Decision {
    /// They may.
    Allow,
    /// They may not.
    Deny,
}

impl Decision {
    /// [`Decision::Allow`] if `allowed`.
    pub fn allow_if(allowed: bool) -> Self {
        if allowed { Self::Allow } else { Self::Deny }
    }
}

/// Whoever was authenticated may do everything.
#[derive(Debug, Clone, Copy)]
pub struct AllowAll;

#[async_trait]
impl Authorizer for AllowAll {
    async fn authorize(&self, _: &Principal, _: &Access) -> Result<Decision, AuthorizationError> {
        Ok(Decision::Allow)
    }
}

/// Allows what every one of several allows, asked in their order.
#[derive(Debug, Clone)]
pub struct AllOf(pub Vec<Arc<dyn Authorizer>>);

#[async_trait]
impl Authorizer for AllOf {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        for authorizer in &self.0 {
            if authorizer.authorize(principal, access).await? == Decision::Deny {
                return Ok(Decision::Deny);
            }
        }
        Ok(Decision::Allow)
    }

    async fn authorize_listing(
        &self,
        principal: &Principal,
        name: &RepositoryName,
    ) -> Result<Decision, AuthorizationError> {
        for authorizer in &self.0 {
            if authorizer.authorize_listing(principal, name).await? == Decision::Deny {
                return Ok(Decision::Deny);
            }
        }
        Ok(Decision::Allow)
    }
}

/// Decides by a function.
///
/// ```
/// use registry_auth::{Access, DecideBy, Decision, Principal};
///
/// // Everybody reads; only those with a name write.
/// let policy = DecideBy(|principal: &Principal, access: &Access| {
///     Decision::allow_if(access.is_read() || !principal.is_anonymous())
/// });
/// # let _: Box<dyn registry_auth::Authorizer> = Box::new(policy);
/// ```
#[derive(Clone, Copy)]
pub struct DecideBy<F>(pub F);

#[async_trait]
impl<F> Authorizer for DecideBy<F>
where
    F: Fn(&Principal, &Access) -> Decision + Send + Sync + 'static,
{
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        Ok((self.0)(principal, access))
    }
}

impl<F> fmt::Debug for DecideBy<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DecideBy")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn all_have_to_agree() {
        let no = DecideBy(|_: &Principal, access: &Access| Decision::allow_if(access.is_read()));
        let both = AllOf(vec![Arc::new(AllowAll), Arc::new(no)]);
        let push = Access::repository("a".parse().unwrap(), [crate::Action::Push]);
        assert_eq!(both.authorize(&Principal::anonymous(), &push).await.unwrap(), Decision::Deny);
        assert_eq!(both.authorize(&Principal::anonymous(), &Access::Catalog).await.unwrap(), Decision::Allow);
    }

    #[tokio::test]
    async fn a_function_decides() {
        let policy = DecideBy(|principal: &Principal, access: &Access| {
            Decision::allow_if(access.is_read() || principal.name() == Some("ann"))
        });
        let push = Access::repository("a".parse().unwrap(), [crate::Action::Push]);
        assert_eq!(policy.authorize(&Principal::named("ann"), &push).await.unwrap(), Decision::Allow);
        assert_eq!(policy.authorize(&Principal::named("bob"), &push).await.unwrap(), Decision::Deny);
        assert_eq!(policy.authorize(&Principal::anonymous(), &Access::Catalog).await.unwrap(), Decision::Allow);
        assert_eq!(AllowAll.authorize(&Principal::anonymous(), &push).await.unwrap(), Decision::Allow);
    }
}
