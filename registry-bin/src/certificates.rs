//! The certificate of the server: read from its files, and read again when they changed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use registry_core::{Clock, SystemClock};
use registry_http::{ClientAuth, ClientRoots, Identity, Tls, TlsBuilder, TlsError};

use crate::config::{ClientCertificates, TlsConfig};
use crate::followed::{Content, Files};
use crate::reloads::{Reloads, seconds};
use crate::watch::Outcome;

/// The largest file that is read, in bytes.
const MAX_BYTES: u64 = 1024 * 1024;
/// How long before its end a certificate is told of.
const SOON: Duration = Duration::from_hours(7 * 24);

/// A certificate that is kept as its files are.
#[derive(Debug)]
pub struct Certificates {
    certificate: PathBuf,
    key: PathBuf,
    opened: Files,
    tls: Tls,
    /// The end of the certificate that is shown, in seconds since 1970.
    not_after: AtomicU64,
    /// Whether the files hold a certificate that is not good yet.
    is_early: AtomicBool,
    reloads: Arc<Reloads>,
}

/// Why there is no certificate to show.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content is not good for TLS.
    #[error("cannot use {}", path.display())]
    Tls {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TlsError,
    },
}

impl Certificates {
    /// Reads the files. A certificate that has expired is shown all the same: better an error that clients understand
    /// than no server, which might just be about to get a new one.
    ///
    /// # Errors
    /// If a file cannot be read or used.
    pub fn open(config: &TlsConfig) -> Result<Self, CertificatesError> {
        let (opened, contents) = Files::open([&*config.certificate, &*config.key], MAX_BYTES);
        let identity = identity(&config.certificate, &config.key, contents)?;
        let not_after = identity.not_after();
        if let Err(error) = identity.check(SystemClock.now()) {
            let path = config.certificate.display();
            tracing::error!(%error, %path, not_after = %rfc3339(not_after), "clients will refuse the certificate");
        }
        Self::build(Tls::builder(identity), config, opened, seconds(not_after))
    }

    /// Begins without a certificate where there is none yet, as `challenges` lead to one.
    ///
    /// # Errors
    /// If a file with authorities cannot be read or used.
    #[cfg(feature = "letsencrypt")]
    pub fn challenged(
        config: &TlsConfig,
        challenges: Arc<dyn rustls::server::ResolvesServerCert>,
    ) -> Result<Self, CertificatesError> {
        let (opened, contents) = Files::open([&*config.certificate, &*config.key], MAX_BYTES);
        let is_there =
            contents.iter().all(|content| !matches!(content, Err(error) if error.kind() == io::ErrorKind::NotFound));
        let certificates = Self::build(Tls::challenged(challenges), config, opened, 0)?;
        if is_there {
            certificates.reload(contents);
        } else {
            tracing::warn!("there is no certificate yet: handshakes fail until ACME brings one");
        }
        Ok(certificates)
    }

    fn build(tls: TlsBuilder, config: &TlsConfig, opened: Files, not_after: u64) -> Result<Self, CertificatesError> {
        let tls = tls
            .minimum_version(config.minimum_version)
            .cipher_suites(config.cipher_suites.clone())
            .client_auth(client_auth(&config.client_certificates)?)
            .http2(config.http2)
            .build()
            .map_err(|source| CertificatesError::Tls { path: config.certificate.clone(), source })?;
        let (certificate, key) = (config.certificate.clone(), config.key.clone());
        Ok(Self {
            certificate,
            key,
            opened,
            tls,
            not_after: AtomicU64::new(not_after),
            is_early: AtomicBool::new(false),
            reloads: Arc::default(),
        })
    }

    /// What connections are encrypted with.
    #[must_use]
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// The files, the certificate and its key, as they were taken over at the start.
    #[must_use]
    pub fn files(&self) -> Files {
        self.opened.clone()
    }

    /// Whether the files hold a certificate that is not good yet, and so is to be looked at again.
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.is_early.load(Ordering::Relaxed)
    }

    /// Until when the certificate that is shown is good.
    #[must_use]
    pub fn not_after(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(self.not_after.load(Ordering::Relaxed))
    }

    /// What became of the files.
    #[must_use]
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// Shows from now on what the files hold. What is not good leaves the certificate as it was; one that is not good yet
    /// is to be shown to this again.
    pub fn reload(&self, contents: Vec<Content>) -> Outcome {
        let path = self.certificate.display();
        let fresh = identity(&self.certificate, &self.key, contents).and_then(|identity| {
            let good = identity.check(SystemClock.now());
            good.map_err(|source| CertificatesError::Tls { path: self.certificate.clone(), source })?;
            Ok(identity)
        });
        let is_good = fresh.is_ok();
        let outcome = match fresh {
            Ok(identity) => {
                let not_after = identity.not_after();
                self.not_after.store(seconds(not_after), Ordering::Relaxed);
                self.tls.reload(&identity);
                tracing::info!(%path, not_after = %rfc3339(not_after), "the certificate was read again");
                Outcome::Done
            }
            Err(CertificatesError::Tls { source: TlsError::NotYetValid { not_before }, .. }) => {
                // It is looked at again every second.
                if !self.is_early.swap(true, Ordering::Relaxed) {
                    let not_before = rfc3339(not_before);
                    tracing::warn!(%path, %not_before, "the new certificate is not valid yet; the old one stays until then");
                }
                self.reloads.note(false);
                return Outcome::NotYet;
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::error!(error, %path, "the new certificate cannot be used; the old one stays");
                Outcome::Done
            }
        };
        self.is_early.store(false, Ordering::Relaxed);
        self.reloads.note(is_good);
        outcome
    }

    /// Tells when the certificate ends soon.
    pub fn tell_end(&self, now: SystemTime) {
        let not_after = self.not_after();
        // Without one yet there is none that ends.
        if not_after > SystemTime::UNIX_EPOCH && not_after < now + SOON {
            tracing::warn!(path = %self.certificate.display(), not_after = %rfc3339(not_after), "the certificate ends soon");
        }
    }
}

fn identity(certificate: &Path, key: &Path, contents: Vec<Content>) -> Result<Identity, CertificatesError> {
    let mut contents = contents.into_iter();
    let mut next = |path: &Path| {
        let content = contents.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()));
        content.map_err(|source| CertificatesError::Read { path: path.to_owned(), source })
    };
    let (certificates, private) = (next(certificate)?, next(key)?);
    Identity::from_pem(&certificates, &private).map_err(|source| {
        let path = if matches!(source, TlsError::Certificate(_)) { certificate } else { key };
        CertificatesError::Tls { path: path.to_owned(), source }
    })
}

fn client_auth(config: &ClientCertificates) -> Result<ClientAuth, CertificatesError> {
    Ok(match config {
        ClientCertificates::No => ClientAuth::None,
        ClientCertificates::Request => ClientAuth::Request,
        ClientCertificates::RequireAny => ClientAuth::RequireAny,
        ClientCertificates::VerifyIfGiven(files) => ClientAuth::VerifyIfGiven(roots(files)?),
        ClientCertificates::RequireAndVerify(files) => ClientAuth::RequireAndVerify(roots(files)?),
    })
}

/// The authorities of several files. Each is tried alone first, so that an error has the name of its file.
fn roots(files: &[PathBuf]) -> Result<ClientRoots, CertificatesError> {
    let mut texts = Vec::new();
    for path in files {
        let text = read(path)?;
        ClientRoots::from_pem([&*text]).map_err(|source| CertificatesError::Tls { path: path.clone(), source })?;
        texts.push(text);
    }
    let all = ClientRoots::from_pem(texts.iter().map(Vec::as_slice));
    all.map_err(|source| CertificatesError::Tls { path: files.first().cloned().unwrap_or_default(), source })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificatesError> {
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut text));
    let read = read.and_then(|length| {
        let fits = length as u64 <= MAX_BYTES;
        fits.then_some(()).ok_or_else(|| io::Error::other(format!("longer than {MAX_BYTES} bytes")))
    });
    read.map_err(|source| CertificatesError::Read { path: path.to_owned(), source })?;
    Ok(text)
}

fn rfc3339(time: SystemTime) -> humantime::Rfc3339Timestamp {
    humantime::format_rfc3339_seconds(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use registry_http::TlsVersion;
    use tempfile::TempDir;

    /// Writes a certificate that is good until the beginning of this year, and its key.
    fn write(folder: &TempDir, until: i32) {
        write_from(folder, 2020, until);
    }

    fn write_from(folder: &TempDir, from: i32, until: i32) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        std::fs::write(folder.path().join("c"), params.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(folder.path().join("k"), key.serialize_pem()).unwrap();
    }

    fn config(folder: &TempDir) -> TlsConfig {
        TlsConfig {
            certificate: folder.path().join("c"),
            key: folder.path().join("k"),
            minimum_version: TlsVersion::V1_2,
            cipher_suites: Vec::new(),
            client_certificates: ClientCertificates::No,
            http2: true,
            letsencrypt: None,
        }
    }

    fn year(certificates: &Certificates) -> String {
        rfc3339(certificates.not_after()).to_string()[..4].to_owned()
    }

    #[test]
    fn what_is_not_good_leaves_the_certificate_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, 3000);
        let certificates = Certificates::open(&config(&folder)).unwrap();
        let look = |change: &dyn Fn()| {
            change();
            certificates.reload(certificates.files().take());
            (year(&certificates), certificates.reloads().failed())
        };
        assert_eq!(look(&|| write(&folder, 3001)), ("3001".into(), false));
        assert_eq!(look(&|| write(&folder, 2021)), ("3001".into(), true), "it has expired");
        assert_eq!(look(&|| write(&folder, 3002)), ("3002".into(), false));
        let other_key = KeyPair::generate().unwrap().serialize_pem();
        assert_eq!(look(&|| std::fs::write(folder.path().join("k"), &other_key).unwrap()), ("3002".into(), true));
        assert_eq!(look(&|| std::fs::remove_file(folder.path().join("k")).unwrap()), ("3002".into(), true));
    }

    #[test]
    fn a_server_starts_with_a_certificate_that_expired_and_not_without_one() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(Certificates::open(&config(&folder)), Err(CertificatesError::Read { .. })));
        write(&folder, 2021);
        assert_eq!(year(&Certificates::open(&config(&folder)).unwrap()), "2021");
    }

    #[cfg(feature = "letsencrypt")]
    #[test]
    fn one_that_is_found_too_early_is_looked_at_again() {
        #[derive(Debug)]
        struct NoChallenges;
        impl rustls::server::ResolvesServerCert for NoChallenges {
            fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
                None
            }
        }
        let folder = tempfile::tempdir().unwrap();
        for (from, is_early) in [(2020, false), (2999, true)] {
            write_from(&folder, from, 3000);
            let certificates = Certificates::challenged(&config(&folder), Arc::new(NoChallenges)).unwrap();
            assert_eq!((certificates.is_early(), certificates.reloads().failed()), (is_early, is_early));
        }
    }

    #[test]
    fn an_error_has_the_name_of_its_file() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, 3000);
        let broken = folder.path().join("authority");
        std::fs::write(&broken, "x").unwrap();
        let files = vec![folder.path().join("c"), broken.clone()];
        let config = TlsConfig { client_certificates: ClientCertificates::RequireAndVerify(files), ..config(&folder) };
        assert_eq!(Certificates::open(&config).unwrap_err().to_string(), format!("cannot use {}", broken.display()));
        std::fs::write(&broken, vec![b'x'; 1024 * 1024 + 1]).unwrap();
        assert_eq!(Certificates::open(&config).unwrap_err().to_string(), format!("cannot read {}", broken.display()));
    }
}
