//! Rights that came together with credentials.

use std::collections::BTreeMap;

use async_trait::async_trait;
use registry_core::RepositoryName;

use crate::{Access, Action, Actions, AuthorizationError, Authorizer, Decision, Principal};

/// Rights that came together with credentials, as those of a token do.
///
/// ```
/// use registry_auth::{Access, Action, Grants};
///
/// let mut grants = Grants::default();
/// grants.add(Access::repository("library/app".parse()?, [Action::Pull]));
/// assert!(grants.cover(&Access::repository("library/app".parse()?, [Action::Pull])));
/// assert!(!grants.cover(&Access::repository("library/app".parse()?, [Action::Push])));
/// # Ok::<(), registry_core::ParseNameError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Grants {
    repositories: BTreeMap<RepositoryName, Actions>,
    catalog: bool,
    maintenance: bool,
}

impl Grants {
    /// Adds a right to those there are.
    pub fn add(&mut self, access: Access) {
        match access {
            Access::Base => {}
            Access::Catalog => self.catalog = true,
            Access::Maintenance => self.maintenance = true,
            Access::Repository { name, actions } => {
                let held = self.repositories.entry(name).or_default();
                *held = held.iter().chain(actions.iter()).collect();
            }
        }
    }

    /// Whether these rights are enough for all of `access`.
    #[must_use]
    pub fn cover(&self, access: &Access) -> bool {
        match access {
            Access::Base => true,
            Access::Catalog => self.catalog,
            Access::Maintenance => self.maintenance,
            Access::Repository { name, actions } => {
                let held = self.repositories.get(name).copied().unwrap_or_default();
                actions.iter().all(|action| held.contains(action))
            }
        }
    }
}

/// Allows what the credentials themselves [grant](Principal::grants), and nothing to those whose credentials say
/// nothing of rights.
#[derive(Debug, Clone, Copy)]
pub struct Granted;

#[async_trait]
impl Authorizer for Granted {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        Ok(Decision::allow_if(principal.grants().is_some_and(|grants| grants.cover(access))))
    }

    /// Who was granted the catalog was granted all of it: no token names every repository.
    async fn authorize_listing(
        &self,
        principal: &Principal,
        name: &RepositoryName,
    ) -> Result<Decision, AuthorizationError> {
        let covers =
            |grants: &Grants| grants.catalog || grants.cover(&Access::repository(name.clone(), [Action::Pull]));
        Ok(Decision::allow_if(principal.grants().is_some_and(covers)))
    }
}

/// Like [`Granted`], but has nothing against those who came without credentials: for [`AllOf`](crate::AllOf), beside
/// an [`Authorizer`] that knows what those may do.
#[derive(Debug, Clone, Copy)]
pub struct GrantedOrAnonymous;

#[async_trait]
impl Authorizer for GrantedOrAnonymous {
    async fn authorize(&self, principal: &Principal, access: &Access) -> Result<Decision, AuthorizationError> {
        if principal.is_anonymous() { Ok(Decision::Allow) } else { Granted.authorize(principal, access).await }
    }

    async fn authorize_listing(
        &self,
        principal: &Principal,
        name: &RepositoryName,
    ) -> Result<Decision, AuthorizationError> {
        if principal.is_anonymous() { Ok(Decision::Allow) } else { Granted.authorize_listing(principal, name).await }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::AllOf;

    fn access(name: &str, actions: &[Action]) -> Access {
        Access::Repository { name: name.parse().unwrap(), actions: actions.iter().copied().collect() }
    }

    #[test]
    fn grants_add_up_and_reach_no_further() {
        let mut grants = Grants::default();
        grants.add(access("a", &[Action::Pull]));
        grants.add(access("a", &[Action::Push]));
        assert!(grants.cover(&access("a", &[Action::Pull, Action::Push])));
        let others = [access("a", &[Action::Delete]), access("a/b", &[Action::Pull]), Access::Catalog];
        for beyond in others.into_iter().chain([Access::Maintenance]) {
            assert!(!grants.cover(&beyond), "{beyond}");
        }
        grants.add(Access::Catalog);
        assert!(grants.cover(&Access::Catalog) && grants.cover(&Access::Base));
        assert!(!grants.cover(&Access::Maintenance));
        grants.add(Access::Maintenance);
        assert!(grants.cover(&Access::Maintenance));
    }

    #[tokio::test]
    async fn who_may_ask_for_the_catalog_sees_all_of_it() {
        let (mut some, mut all) = (Grants::default(), Grants::default());
        some.add(access("a", &[Action::Pull]));
        all.add(Access::Catalog);
        let both = AllOf(vec![Arc::new(GrantedOrAnonymous), Arc::new(Granted)]);
        for (grants, name, wanted) in [(&some, "a", true), (&some, "b", false), (&all, "b", true)] {
            let (holder, name) = (Principal::named("ann").with_grants(grants.clone()), name.parse().unwrap());
            let wanted = Decision::allow_if(wanted);
            assert_eq!(Granted.authorize_listing(&holder, &name).await.unwrap(), wanted, "{name}");
            assert_eq!(both.authorize_listing(&holder, &name).await.unwrap(), wanted, "{name}");
        }
        let nobody = Principal::anonymous();
        assert_eq!(both.authorize_listing(&nobody, &"a".parse().unwrap()).await.unwrap(), Decision::Deny);
    }

    #[tokio::test]
    async fn those_without_credentials_are_for_others_to_judge() {
        let pull = access("a", &[Action::Pull]);
        let judged = async |principal: &Principal| GrantedOrAnonymous.authorize(principal, &pull).await.unwrap();
        assert_eq!(judged(&Principal::anonymous()).await, Decision::Allow);
        assert_eq!(judged(&Principal::named("ann")).await, Decision::Deny);
        assert_eq!(judged(&Principal::anonymous().with_grants(Grants::default())).await, Decision::Deny);
    }

    #[tokio::test]
    async fn without_grants_nothing_is_allowed() {
        let mut grants = Grants::default();
        grants.add(access("a", &[Action::Pull]));
        let pull = access("a", &[Action::Pull]);
        let holder = Principal::named("ann").with_grants(grants);
        assert_eq!(Granted.authorize(&holder, &pull).await.unwrap(), Decision::Allow);
        assert_eq!(Granted.authorize(&Principal::named("ann"), &pull).await.unwrap(), Decision::Deny);
        assert_eq!(Granted.authorize(&Principal::anonymous(), &Access::Base).await.unwrap(), Decision::Deny);
    }
}
