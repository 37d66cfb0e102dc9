//! What a server knows of the connection that a request came on, as extensions of the request. `serve` sets them.

use std::net::SocketAddr;
use std::sync::Arc;

/// The address that a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The request came encrypted, whatever it says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encrypted;

/// The client's certificate, that an authority of this server's choice stands for. Its subject is shown to the
/// authenticator as [`Credentials::Certificate`](registry_auth::Credentials::Certificate): first to
/// [`recall`](registry_auth::Authenticator::recall), and where a request has no `Authorization` header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    subject: Arc<str>,
}

impl PeerCertificate {
    /// The longest subject that counts, in bytes.
    pub const MAX_SUBJECT: usize = 255;

    /// A certificate made for `subject`, the common name. Whoever calls this has verified it. `None` if that is empty,
    /// too long, or has control characters.
    #[must_use]
    pub fn verified(subject: &str) -> Option<Self> {
        let is_name = (1..=Self::MAX_SUBJECT).contains(&subject.len()) && !subject.chars().any(char::is_control);
        is_name.then(|| Self { subject: subject.into() })
    }

    /// Whom it was made for.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_name() {
        assert_eq!(PeerCertificate::verified("Ann Müller").unwrap().subject(), "Ann Müller");
        for bad in ["", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(PeerCertificate::verified(bad), None, "{bad:?}");
        }
    }
}
