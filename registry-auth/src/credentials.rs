//! What a client sends to say who it is.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::AuthenticationError;

/// The content of an `Authorization` header, or what stands in for one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user and a password (RFC 7617).
    Basic {
        /// The user; it has no colon.
        user: String,
        /// The password.
        password: Password,
    },
    /// A token (RFC 6750).
    Bearer {
        /// The token.
        token: Password,
    },
    /// A client certificate whose chain was verified when the connection was made.
    Certificate {
        /// Whom it was made for: the common name of its subject.
        subject: String,
    },
    /// A header that cannot be read as any of those. It is wrong wherever there are logins.
    Unreadable,
}

impl Credentials {
    /// The longest header that is looked at, in bytes: a generous token.
    pub const MAX_BYTES: usize = 8 * 1024;

    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// [`AuthenticationError::Malformed`] if it is too long, of an unknown scheme, not base64, not UTF-8, without a
    /// colon, or has control characters.
    pub fn parse(header: &str) -> Result<Self, AuthenticationError> {
        if header.len() > Self::MAX_BYTES {
            return Err(AuthenticationError::Malformed);
        }
        let (scheme, value) = header.trim_ascii().split_once(' ').ok_or(AuthenticationError::Malformed)?;
        let value = value.trim_ascii();
        if scheme.eq_ignore_ascii_case("basic") {
            basic(value).ok_or(AuthenticationError::Malformed)
        } else if scheme.eq_ignore_ascii_case("bearer") && is_token(value) {
            Ok(Self::Bearer { token: Password(value.into()) })
        } else {
            Err(AuthenticationError::Malformed)
        }
    }

    /// A user and a password as somebody typed them; `None` for what no `Authorization` header could say: a colon in the
    /// user, control characters, or more than [`MAX_BYTES`](Self::MAX_BYTES).
    ///
    /// ```
    /// # use registry_auth::Credentials;
    /// assert_eq!(Credentials::basic("ann", "secret"), Some(Credentials::parse("Basic YW5uOnNlY3JldA==").unwrap()));
    /// assert_eq!(Credentials::basic("a:b", "secret"), None);
    /// ```
    #[must_use]
    pub fn basic(user: &str, password: &str) -> Option<Self> {
        let fits = user.len() + password.len() < Self::MAX_BYTES;
        let is_plain = !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control);
        (fits && is_plain).then(|| Self::Basic { user: user.into(), password: Password(password.into()) })
    }

    /// Whether these are an empty user and an empty password. Podman and its kin answer a challenge so when they have
    /// none.
    pub(crate) fn are_empty(&self) -> bool {
        matches!(self, Self::Basic { user, password } if user.is_empty() && password.expose().is_empty())
    }
}

fn basic(value: &str) -> Option<Credentials> {
    let decoded = String::from_utf8(STANDARD.decode(value).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    if decoded.chars().any(char::is_control) {
        return None;
    }
    Some(Credentials::Basic { user: user.into(), password: Password(password.into()) })
}

/// `token68` of RFC 9110 §11.2.
fn is_token(value: &str) -> bool {
    !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte))
}

/// A secret: it can be read, but does not show in logs.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(bytes: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode(bytes))
    }

    #[test]
    fn reads_users_and_passwords() {
        for (text, user, password) in
            [("ann:secret", "ann", "secret"), ("ann:a:b:", "ann", "a:b:"), (":", "", ""), ("é:ü", "é", "ü")]
        {
            let wanted = Credentials::Basic { user: user.into(), password: Password(password.into()) };
            assert_eq!(Credentials::parse(&encoded(text.as_bytes())).unwrap(), wanted);
        }
        assert!(matches!(Credentials::parse("bAsIc  YTpi "), Ok(Credentials::Basic { .. })));
        assert!(matches!(Credentials::parse("Bearer a.b-c"), Ok(Credentials::Bearer { .. })));
    }

    #[test]
    fn refuses_the_rest() {
        for bad in
            ["", "Basic", "Basic ", "Basic !!", "Basic YTpi=", "Basic YQ==", "Digest YTpi", "Bearer ", "Bearer a b"]
        {
            assert!(matches!(Credentials::parse(bad), Err(AuthenticationError::Malformed)), "{bad:?}");
        }
        for bad in [&b"\xff:a"[..], b"ann:a\0b", b"a\nb:c", b"no colon"] {
            assert!(matches!(Credentials::parse(&encoded(bad)), Err(AuthenticationError::Malformed)), "{bad:?}");
        }
        assert!(Credentials::parse(&format!("Bearer {}", "a".repeat(9000))).is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let printed = format!("{:?}", Credentials::parse(&encoded(b"ann:secret")).unwrap());
        assert!(printed.contains("ann") && !printed.contains("secret"), "{printed}");
    }

    proptest! {
        #[test]
        fn never_panics(header in "(Basic |Bearer |)\\PC{0,60}") {
            let _ = Credentials::parse(&header);
        }
    }
}
