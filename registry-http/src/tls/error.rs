//! Why there is no TLS.

use std::time::SystemTime;

use super::CipherSuiteError;

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The text is no certificate, or none that can be read.
    #[error("no usable certificate: {0}")]
    Certificate(String),
    /// The text is no private key, or none that can be used.
    #[error("no usable private key: {0}")]
    Key(String),
    /// The key is that of another certificate.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The certificate is no longer good.
    #[error("the certificate has expired")]
    Expired {
        /// When it did.
        not_after: SystemTime,
    },
    /// The certificate is not good yet.
    #[error("the certificate is not valid yet")]
    NotYetValid {
        /// When it will be.
        not_before: SystemTime,
    },
    /// The cipher suites and the versions leave nothing to speak.
    #[error("no cipher suite is left for the TLS versions")]
    NoCipherSuite,
    /// A name is no cipher suite that can be used.
    #[error(transparent)]
    CipherSuite(#[from] CipherSuiteError),
    /// The authorities that clients' certificates are verified by cannot be used.
    #[error("no usable certificate authority for clients: {0}")]
    ClientRoots(String),
}
