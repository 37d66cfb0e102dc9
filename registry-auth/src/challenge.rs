//! What a client is told that must come back with credentials.

use std::fmt;

/// The value of a `WWW-Authenticate` header (RFC 9110 §11.6.1): a scheme and its parameters.
///
/// Whatever the parameters hold, the value is one line of visible ASCII.
///
/// ```
/// use registry_auth::Challenge;
///
/// let challenge = Challenge::new("Bearer").with("realm", "https://auth.example/token").with("service", "registry");
/// assert_eq!(challenge.to_string(), r#"Bearer realm="https://auth.example/token",service="registry""#);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    scheme: &'static str,
    parameters: Vec<(&'static str, String)>,
}

impl Challenge {
    /// A challenge of a scheme, as yet without parameters.
    #[must_use]
    pub fn new(scheme: &'static str) -> Self {
        Self { scheme, parameters: Vec::new() }
    }

    /// The challenge of the Basic scheme (RFC 7617).
    #[must_use]
    pub fn basic(realm: &str) -> Self {
        Self::new("Basic").with("realm", realm)
    }

    /// The scheme, such as `Basic`.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Adds a parameter behind the others.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.parameters.push((name, value.into()));
        self
    }
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme)?;
        for (index, (name, value)) in self.parameters.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { "," })?;
            write!(f, "{name}=\"")?;
            write_quoted(f, value)?;
            f.write_str("\"")?;
        }
        Ok(())
    }
}

/// The inside of a `quoted-string` (RFC 9110 §5.6.4); what does not fit a header shows as `?`.
fn write_quoted(f: &mut fmt::Formatter<'_>, value: &str) -> fmt::Result {
    for character in value.chars() {
        match character {
            '"' | '\\' => write!(f, "\\{character}")?,
            ' '..='~' => write!(f, "{character}")?,
            _ => f.write_str("?")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_one_line_whatever_the_realm() {
        assert_eq!(Challenge::basic("My Registry").to_string(), r#"Basic realm="My Registry""#);
        assert_eq!(Challenge::basic(r#"a"b\c"#).to_string(), r#"Basic realm="a\"b\\c""#);
        assert_eq!(Challenge::basic("a\r\nX-Evil: é").to_string(), r#"Basic realm="a??X-Evil: ?""#);
        assert_eq!(Challenge::new("Negotiate").to_string(), "Negotiate");
    }
}
