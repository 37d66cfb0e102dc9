//! A certificate and its private key.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::{TlsError, provider};

/// A certificate with what leads to its authority, and its private key: what a server shows its clients.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Identity {
    /// The longest chain that is taken, in certificates.
    pub const MAX_CHAIN: usize = 32;

    /// Reads a chain of certificates, the server's own first, and its key.
    ///
    /// # Errors
    /// [`TlsError::Certificate`] if there is no certificate, or one that cannot be read, [`TlsError::Key`] if the key
    /// cannot be read, and [`TlsError::KeyMismatch`] if it belongs to another certificate. Whether the certificate is
    /// good at a time is for [`check`](Self::check).
    pub fn from_pem(certificates: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let chain = chain(certificates)?;
        let (not_before, not_after) = validity(&chain)?;
        let key = private_key(key)?;
        // Of a key that does not tell there is no finding out.
        if key.public_key().is_some_and(|key| public_key(&chain).is_none_or(|own| own != *key)) {
            return Err(TlsError::KeyMismatch);
        }
        Ok(Self { key: Arc::new(CertifiedKey::new(chain, key)), not_before, not_after })
    }

    /// Until when the certificate is good.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Whether the certificate is good at this time.
    ///
    /// # Errors
    /// [`TlsError::Expired`] and [`TlsError::NotYetValid`].
    pub fn check(&self, now: SystemTime) -> Result<(), TlsError> {
        if now > self.not_after {
            Err(TlsError::Expired { not_after: self.not_after })
        } else if now < self.not_before {
            Err(TlsError::NotYetValid { not_before: self.not_before })
        } else {
            Ok(())
        }
    }

    pub(super) fn key(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.key)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("not_after", &self.not_after).finish_non_exhaustive()
    }
}

fn private_key(pem: &[u8]) -> Result<Arc<dyn SigningKey>, TlsError> {
    let is_encrypted = |text: &str| text.contains("ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED");
    if is_encrypted(&String::from_utf8_lossy(pem)) {
        return Err(TlsError::Key("it is encrypted, and nobody is there to ask for its password".into()));
    }
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|error| TlsError::Key(error.to_string()))?;
    provider().key_provider.load_private_key(key).map_err(|error| TlsError::Key(error.to_string()))
}

/// The public key of the first certificate, as the key itself would tell it.
fn public_key(chain: &[CertificateDer<'_>]) -> Option<Vec<u8>> {
    let (_, certificate) = parse_x509_certificate(chain.first()?).ok()?;
    Some(certificate.public_key().raw.to_vec())
}

/// Reads certificates, all of which must be such.
pub(super) fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = pem.strip_prefix(b"\xef\xbb\xbf").unwrap_or(pem);
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| TlsError::Certificate(error.to_string()))?;
        parse_x509_certificate(&certificate).map_err(|error| TlsError::Certificate(error.to_string()))?;
        if chain.len() == Identity::MAX_CHAIN {
            return Err(TlsError::Certificate(format!("more than {} of them", Identity::MAX_CHAIN)));
        }
        chain.push(certificate);
    }
    Ok(chain)
}

/// From when until when the first certificate is good.
fn validity(chain: &[CertificateDer<'_>]) -> Result<(SystemTime, SystemTime), TlsError> {
    let first = chain.first().ok_or_else(|| TlsError::Certificate("there is none".into()))?;
    let (_, parsed) = parse_x509_certificate(first).map_err(|error| TlsError::Certificate(error.to_string()))?;
    let validity = parsed.validity();
    Ok((time(validity.not_before), time(validity.not_after)))
}

fn time(time: ASN1Time) -> SystemTime {
    let seconds = time.timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    // No certificate is from before 1950, so both ends are there.
    if seconds < 0 { SystemTime::UNIX_EPOCH - distance } else { SystemTime::UNIX_EPOCH + distance }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn problem(certificate: &str, key: &str) -> TlsError {
        Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap_err()
    }

    #[test]
    fn a_certificate_is_good_from_its_beginning_to_its_end() {
        let (certificate, key) = made();
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let day = |days: u64| SystemTime::UNIX_EPOCH + Duration::from_hours(24 * days);
        assert_eq!(identity.not_after(), day(18_628));
        assert!(matches!(identity.check(day(18_261)), Err(TlsError::NotYetValid { .. })));
        assert!(identity.check(day(18_262)).is_ok() && identity.check(day(18_628)).is_ok());
        assert!(matches!(identity.check(day(18_629)), Err(TlsError::Expired { .. })));
    }

    #[test]
    fn a_key_belongs_to_its_certificate() {
        let (one, two) = (made(), made());
        assert!(matches!(problem(&one.0, &two.1), TlsError::KeyMismatch));
    }

    /// As `openssl x509 -req` makes them.
    #[test]
    fn a_certificate_may_be_of_the_first_version() {
        let text = include_bytes!("../../tests/api/tls/version1.pem");
        let key = include_bytes!("../../tests/api/tls/version1.key");
        assert!(Identity::from_pem(text, key).is_ok());
        let (_, other) = made();
        assert!(matches!(Identity::from_pem(text, other.as_bytes()), Err(TlsError::KeyMismatch)));
    }

    #[test]
    fn what_is_broken_is_told() {
        let (certificate, key) = made();
        assert!(Identity::from_pem(format!("\u{feff}{certificate}").as_bytes(), key.as_bytes()).is_ok());
        let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        assert!(problem(&certificate, encrypted).to_string().contains("encrypted"));
        assert!(matches!(problem("", &key), TlsError::Certificate(_)));
        assert!(matches!(problem(&key, &key), TlsError::Certificate(_)));
        assert!(matches!(problem(&certificate[..certificate.len() / 2], &key), TlsError::Certificate(_)));
        assert!(matches!(problem(&certificate, &certificate), TlsError::Key(_)));
        let forged = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
        assert!(matches!(problem(forged, &key), TlsError::Certificate(_)));
        assert!(matches!(problem(&format!("{certificate}{forged}"), &key), TlsError::Certificate(_)));
        assert!(matches!(problem(&certificate.repeat(33), &key), TlsError::Certificate(_)));
    }

    #[test]
    fn a_key_does_not_show() {
        let (certificate, key) = made();
        let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes()).unwrap();
        let shown = format!("{identity:?}");
        assert!(shown.starts_with("Identity { not_after: ") && shown.len() < 120, "{shown}");
    }
}
