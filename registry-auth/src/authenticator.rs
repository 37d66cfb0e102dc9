//! Finding out who sent a request.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Access, AuthenticationError, Challenge, Credentials, Principal};

/// Finds out who sent a request.
///
/// # Contract
/// - The answer depends on the credentials, never on what is asked for: that is the
///   [`Authorizer`](crate::Authorizer)'s part.
/// - Wrong credentials are an error also where none would do, so that a client learns of its mistake.
/// - Cancelling leaves nothing behind.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Who sent a request with these credentials, `None` if it came without any.
    ///
    /// # Errors
    /// Whoever gets an error refuses the request, whichever it is.
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError>;

    /// Whose these credentials are, where that takes no more than a look at what is in memory: `authenticate` would
    /// answer the same. `None`, which is the default, where it takes work, or they are wrong. What is known so is not
    /// counted against those who try passwords, and a certificate that is known so goes before a header.
    fn recall(&self, credentials: &Credentials) -> Option<Principal> {
        let _ = credentials;
        None
    }

    /// What to tell a client that has to come back with credentials, or with better ones; `None` if no credentials
    /// would change anything.
    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge>;
}

/// What was refused, for a [`Challenge`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked<'a> {
    /// What the client wanted.
    pub wanted: &'a [Access],
    /// Why it was refused.
    pub shortfall: Shortfall,
    /// The address that the client asked, such as `https://registry.example.com`, where it is known.
    pub origin: Option<&'a str>,
}

/// What the credentials of a refused request lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shortfall {
    /// There were none.
    Missing,
    /// They are wrong, or no longer good.
    Invalid,
    /// They are good, and not for this.
    Insufficient,
}

/// Takes everybody for [`Principal::anonymous`], whatever they send: a registry without logins.
///
/// Together with [`AllowAll`](crate::AllowAll) anybody who reaches the port may push and delete. That is why it has
/// to be said aloud and is the default of nothing.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

#[async_trait]
impl Authenticator for Anonymous {
    async fn authenticate(&self, _: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        Ok(Principal::anonymous())
    }

    fn recall(&self, _: &Credentials) -> Option<Principal> {
        Some(Principal::anonymous())
    }

    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        None
    }
}

/// Lets those who send no credentials, or an empty user with an empty password, in as [`Principal::anonymous`], for an
/// [`Authorizer`](crate::Authorizer) that knows what they may do. Those who send some have to send good ones.
#[derive(Debug, Clone)]
pub struct OrAnonymous<A>(pub A);

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<A: Authenticator> Authenticator for OrAnonymous<Arc<A>> {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match self.0.authenticate(credentials.filter(|credentials| !credentials.are_empty())).await {
            Err(AuthenticationError::Missing) => Ok(Principal::anonymous()),
            answer => answer,
        }
    }

    fn recall(&self, credentials: &Credentials) -> Option<Principal> {
        if credentials.are_empty() { Some(Principal::anonymous()) } else { self.0.recall(credentials) }
    }

    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge> {
        self.0.challenge(asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_is_anonymous() {
        let credentials = Credentials::parse("Basic YTpi").unwrap();
        assert_eq!(Anonymous.authenticate(Some(&credentials)).await.unwrap(), Principal::anonymous());
        assert_eq!(Anonymous.authenticate(None).await.unwrap(), Principal::anonymous());
        assert_eq!(Anonymous.recall(&Credentials::Unreadable), Some(Principal::anonymous()));
        let asked = Asked { wanted: &[Access::Base], shortfall: Shortfall::Missing, origin: None };
        assert_eq!(Anonymous.challenge(&asked), None);
    }

    #[tokio::test]
    async fn without_credentials_one_may_be_anonymous_and_with_wrong_ones_nobody() {
        let logins = OrAnonymous(Arc::new(crate::Basic::new("r", |_: &str, password: &str| password == "b")));
        let login = async |header: &str| logins.authenticate(Some(&Credentials::parse(header).unwrap())).await;
        assert_eq!(logins.authenticate(None).await.unwrap(), Principal::anonymous());
        assert_eq!(login("Basic Og==").await.unwrap(), Principal::anonymous());
        assert_eq!(login("Basic YTpi").await.unwrap(), Principal::named("a"));
        assert!(matches!(login("Basic YTo=").await, Err(AuthenticationError::Rejected)));
        assert!(matches!(login("Basic YTpj").await, Err(AuthenticationError::Rejected)));
        let unreadable = logins.authenticate(Some(&Credentials::Unreadable)).await;
        assert!(matches!(unreadable, Err(AuthenticationError::Rejected)));
        let recall = |header: &str| logins.recall(&Credentials::parse(header).unwrap());
        assert_eq!(recall("Basic Og=="), Some(Principal::anonymous()));
        assert_eq!(recall("Basic YTpi"), None, "to check it is work");
        let asked = Asked { wanted: &[], shortfall: Shortfall::Missing, origin: None };
        assert_eq!(logins.challenge(&asked), Some(Challenge::basic("r")));
    }
}
