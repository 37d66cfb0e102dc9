//! Cipher suites by the names that Go, and so Distribution's configuration, has for them.

use rustls::crypto::CryptoProvider;
use rustls::{CipherSuite as Suite, SupportedCipherSuite};

use super::provider;

/// A cipher suite that can be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CipherSuite(Suite);

/// Why a name is no cipher suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CipherSuiteError {
    /// There is no such suite.
    #[error("not a cipher suite")]
    Unknown,
    /// It is one that is too weak to be spoken here.
    #[error("a cipher suite that is not supported, as it is weak")]
    Unsupported,
}

/// The suites that can be spoken, by Go's names.
const SPOKEN: [(&str, Suite); 9] = [
    ("TLS_AES_128_GCM_SHA256", Suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_AES_256_GCM_SHA384", Suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", Suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", Suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", Suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// The suites that Go knows besides: without forward secrecy, or with modes that were broken.
const WEAK: [&str; 16] = [
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

impl CipherSuite {
    /// Finds a suite by the name that Go has for it.
    ///
    /// # Errors
    /// [`CipherSuiteError::Unknown`] if Go has no such name, [`CipherSuiteError::Unsupported`] if the suite is not
    /// spoken here.
    pub fn from_go_name(name: &str) -> Result<Self, CipherSuiteError> {
        match SPOKEN.iter().find(|(known, _)| *known == name) {
            Some((_, suite)) if provider().cipher_suites.iter().any(|known| known.suite() == *suite) => {
                Ok(Self(*suite))
            }
            None if !WEAK.contains(&name) => Err(CipherSuiteError::Unknown),
            _ => Err(CipherSuiteError::Unsupported),
        }
    }

    fn is_of_tls13(self) -> bool {
        SPOKEN[..3].iter().any(|(_, suite)| *suite == self.0)
    }
}

/// The provider with these suites alone. Without one of TLS 1.3 among them those stay as they are.
pub(super) fn restrict(mut provider: CryptoProvider, suites: &[CipherSuite]) -> CryptoProvider {
    if !suites.is_empty() {
        let names_tls13 = suites.iter().any(|suite| suite.is_of_tls13());
        provider.cipher_suites.retain(|suite| {
            let is_of_tls13 = matches!(suite, SupportedCipherSuite::Tls13(_));
            suites.contains(&CipherSuite(suite.suite())) || (is_of_tls13 && !names_tls13)
        });
    }
    provider
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(names: &[&str]) -> usize {
        let suites: Vec<_> = names.iter().map(|name| CipherSuite::from_go_name(name).unwrap()).collect();
        restrict(provider(), &suites).cipher_suites.len()
    }

    #[test]
    fn every_suite_has_a_name() {
        for (name, suite) in SPOKEN {
            assert_eq!(CipherSuite::from_go_name(name), Ok(CipherSuite(suite)));
        }
        assert_eq!(provider().cipher_suites.len(), SPOKEN.len());
    }

    #[test]
    fn weak_suites_are_known_and_others_are_not() {
        for name in WEAK {
            assert_eq!(CipherSuite::from_go_name(name), Err(CipherSuiteError::Unsupported));
        }
        for name in ["", "ECDHE-RSA-AES128-GCM-SHA256", "tls_aes_128_gcm_sha256", "TLS_NULL_WITH_NULL_NULL"] {
            assert_eq!(CipherSuite::from_go_name(name), Err(CipherSuiteError::Unknown), "{name}");
        }
    }

    #[test]
    fn a_list_of_tls_1_2_leaves_tls_1_3_alone() {
        assert_eq!(left(&[]), 9);
        assert_eq!(left(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"]), 4);
        assert_eq!(left(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384"]), 2);
        assert_eq!(left(&["TLS_AES_256_GCM_SHA384"]), 1);
    }
}
