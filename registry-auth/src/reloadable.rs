//! Rules that change while requests are decided.

use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use registry_core::RepositoryName;

use crate::{Access, AuthorizationError, Authorizer, Decision, Principal};

/// An authorizer that another one of its kind can take the place of. A request is decided by one of them as a whole.
///
/// ```
/// use registry_auth::{Policy, Reloadable};
///
/// let rules = Reloadable::new(Policy::default());
/// rules.reload(Policy::default());
/// ```
#[derive(Debug)]
pub struct Reloadable<A>(RwLock<Arc<A>>);

impl<A> Reloadable<A> {
    /// Decides as `authorizer` does.
    pub fn new(authorizer: A) -> Self {
        Self(RwLock::new(Arc::new(authorizer)))
    }

    /// Decides as `authorizer` does from the next request on.
    pub fn reload(&self, authorizer: A) {
        let fresh = Arc::new(authorizer);
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
    }

    fn current(&self) -> Arc<A> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl<A: Authorizer> Authorizer for Reloadable<A> {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        self.current().authorize(principal, access).await
    }

    async fn authorize_listing(
        &self,
        principal: &Principal,
        name: &RepositoryName,
    ) -> Result<Decision, AuthorizationError> {
        self.current().authorize_listing(principal, name).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Action, DecideBy};

    #[tokio::test]
    async fn the_next_request_is_decided_by_the_new_one() {
        let decide = |allow: bool| DecideBy(move |_: &Principal, _: &Access| Decision::allow_if(allow));
        let rules = Reloadable::new(decide(true));
        let name: RepositoryName = "a".parse().unwrap();
        let access = Access::repository(name.clone(), [Action::Pull]);
        for decision in [Decision::Allow, Decision::Deny] {
            assert_eq!(rules.authorize(&Principal::anonymous(), &access).await.unwrap(), decision);
            assert_eq!(rules.authorize_listing(&Principal::anonymous(), &name).await.unwrap(), decision);
            rules.reload(decide(false));
        }
    }
}
