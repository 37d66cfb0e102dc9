//! Logins by user and password.

use std::fmt;

use async_trait::async_trait;

use crate::{Asked, AuthenticationError, Authenticator, Challenge, Credentials, Principal, Shortfall};

/// Logins by user and password, checked by a function: true if they belong together.
///
/// The function is called on an async worker for each request, so it must be fast, and should take as long for an
/// unknown user as for a known one.
pub struct Basic<F> {
    realm: String,
    check: F,
}

impl<F: Fn(&str, &str) -> bool> Basic<F> {
    /// Logins checked by `check`, which gets the user and the password. `realm` is shown to people who are asked to
    /// log in.
    pub fn new(realm: &str, check: F) -> Self {
        Self { realm: realm.into(), check }
    }
}

#[async_trait]
impl<F: Fn(&str, &str) -> bool + Send + Sync + 'static> Authenticator for Basic<F> {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match credentials {
            None | Some(Credentials::Certificate { .. }) => Err(AuthenticationError::Missing),
            Some(Credentials::Basic { user, password }) if (self.check)(user, password.expose()) => {
                Ok(Principal::named(user))
            }
            Some(_) => Err(AuthenticationError::Rejected),
        }
    }

    /// Who has logged in gets no further by logging in again.
    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge> {
        (asked.shortfall != Shortfall::Insufficient).then(|| Challenge::basic(&self.realm))
    }
}

impl<F> fmt::Debug for Basic<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Basic").field("realm", &self.realm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lets_in_those_who_are_known() {
        let logins = Basic::new("r", |user: &str, password: &str| (user, password) == ("ann", "secret"));
        let login = async |header: &str| logins.authenticate(Some(&Credentials::parse(header).unwrap())).await;
        assert_eq!(login("Basic YW5uOnNlY3JldA==").await.unwrap(), Principal::named("ann"));
        assert!(matches!(login("Basic YW5uOndyb25n").await, Err(AuthenticationError::Rejected)));
        assert!(matches!(login("Bearer YW5uOnNlY3JldA==").await, Err(AuthenticationError::Rejected)));
        assert!(matches!(logins.authenticate(None).await, Err(AuthenticationError::Missing)));
        let asked = |shortfall| Asked { wanted: &[], shortfall, origin: None };
        assert_eq!(logins.challenge(&asked(Shortfall::Missing)), Some(Challenge::basic("r")));
        assert_eq!(logins.challenge(&asked(Shortfall::Insufficient)), None);
    }
}
