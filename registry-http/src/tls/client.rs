//! Certificates of clients.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::asn1_rs::{FromDer as _, Sequence};
use x509_parser::parse_x509_certificate;

use super::{TlsError, identity};
use crate::PeerCertificate;

/// Whether clients are asked for a certificate, and what becomes of those that have none.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They are asked, and may have any or none. Nothing follows from it.
    Request,
    /// They must have one, and it may be any.
    RequireAny,
    /// They may have none; one that they have must be of these authorities.
    VerifyIfGiven(ClientRoots),
    /// They must have one of these authorities.
    RequireAndVerify(ClientRoots),
}

/// The authorities whose certificates clients may have.
#[derive(Clone)]
pub struct ClientRoots(Arc<RootCertStore>);

impl ClientRoots {
    /// Reads the certificates of authorities.
    ///
    /// # Errors
    /// [`TlsError::ClientRoots`] if there is none, or one that cannot be used.
    pub fn from_pem<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::empty();
        for text in texts {
            let certificates = identity::chain(text).map_err(|error| TlsError::ClientRoots(error.to_string()))?;
            if certificates.is_empty() {
                return Err(TlsError::ClientRoots("there is none".into()));
            }
            for certificate in certificates {
                roots.add(certificate).map_err(|error| TlsError::ClientRoots(error.to_string()))?;
            }
        }
        if roots.is_empty() {
            return Err(TlsError::ClientRoots("there is none".into()));
        }
        Ok(Self(Arc::new(roots)))
    }
}

impl fmt::Debug for ClientRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientRoots").field(&self.0.len()).finish()
    }
}

impl ClientAuth {
    pub(super) fn verifier(
        &self,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
        let by = |roots: &ClientRoots| {
            WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots.0), Arc::clone(provider))
        };
        let verifier = match self {
            Self::None => return Ok(None),
            Self::Request | Self::RequireAny => {
                let algorithms = provider.signature_verification_algorithms;
                return Ok(Some(Arc::new(AnyCertificate {
                    is_required: matches!(self, Self::RequireAny),
                    algorithms,
                })));
            }
            Self::VerifyIfGiven(roots) => by(roots).allow_unauthenticated(),
            Self::RequireAndVerify(roots) => by(roots),
        };
        Ok(Some(verifier.build().map_err(|error| TlsError::ClientRoots(error.to_string()))?))
    }

    /// Whether a certificate that came through is of an authority.
    pub(super) fn verifies(&self) -> bool {
        matches!(self, Self::VerifyIfGiven(_) | Self::RequireAndVerify(_))
    }
}

/// Takes any certificate of whoever has its key, also of the first version of X.509 and of an authority: nothing follows
/// from what it says.
#[derive(Debug)]
struct AnyCertificate {
    is_required: bool,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        self.is_required
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The bytes of an algorithm are those inside of its sequence, as the names of the provider's are.
        let key = public_key(certificate)?;
        let is_good =
            self.algorithms.mapping.iter().filter(|(scheme, _)| *scheme == signature.scheme).any(|(_, all)| {
                all.iter().any(|algorithm| {
                    key.algorithm == *algorithm.public_key_alg_id()
                        && algorithm.verify_signature(&key.bits, message, signature.signature()).is_ok()
                })
            });
        is_good.then(HandshakeSignatureValid::assertion).ok_or(CertificateError::BadSignature.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key(certificate)?.whole);
        verify_tls13_signature_with_raw_key(message, &key, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The key in a certificate.
struct PublicKey {
    whole: Vec<u8>,
    algorithm: Vec<u8>,
    bits: Vec<u8>,
}

fn public_key(certificate: &CertificateDer<'_>) -> Result<PublicKey, Error> {
    let broken = || Error::from(CertificateError::BadEncoding);
    let (_, certificate) = parse_x509_certificate(certificate).map_err(|_| broken())?;
    let key = certificate.public_key();
    let (_, parts) = Sequence::from_der(key.raw).map_err(|_| broken())?;
    let (_, algorithm) = Sequence::from_der(&parts.content).map_err(|_| broken())?;
    let (algorithm, bits) = (algorithm.content.to_vec(), key.subject_public_key.data.to_vec());
    Ok(PublicKey { whole: key.raw.to_vec(), algorithm, bits })
}

/// Whom a certificate was made for, which was verified; `None` if it names nobody.
pub(super) fn subject(certificate: &CertificateDer<'_>) -> Option<PeerCertificate> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    PeerCertificate::verified(certificate.subject().iter_common_name().next()?.as_str().ok()?)
}
