//! Logins by certificates of clients.

use async_trait::async_trait;

use crate::{Asked, AuthenticationError, Authenticator, Challenge, Credentials, Principal};

/// Knows clients by the certificates that were verified when they connected; who has none is anonymous.
///
/// It is for servers without another login. Where there are passwords or tokens, a certificate is only the lock on the
/// connection, and the login tells who it is.
#[derive(Debug, Clone, Copy)]
pub struct ClientCertificates;

#[async_trait]
impl Authenticator for ClientCertificates {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        Ok(credentials.and_then(|credentials| self.recall(credentials)).unwrap_or_else(Principal::anonymous))
    }

    fn recall(&self, credentials: &Credentials) -> Option<Principal> {
        match credentials {
            Credentials::Certificate { subject } => Some(Principal::named(subject)),
            _ => None,
        }
    }

    /// A certificate is asked for when the connection is made, and at no other time.
    fn challenge(&self, _: &Asked<'_>) -> Option<Challenge> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_subject_is_the_name() {
        let certificate = Credentials::Certificate { subject: "ann".into() };
        assert_eq!(ClientCertificates.authenticate(Some(&certificate)).await.unwrap(), Principal::named("ann"));
        let password = Credentials::parse("Basic YW5uOmI=").unwrap();
        assert_eq!(ClientCertificates.authenticate(Some(&password)).await.unwrap(), Principal::anonymous());
        assert_eq!(ClientCertificates.authenticate(None).await.unwrap(), Principal::anonymous());
        assert_eq!(ClientCertificates.recall(&certificate), Some(Principal::named("ann")));
        assert_eq!(ClientCertificates.recall(&password), None);
    }
}
