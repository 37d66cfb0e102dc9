//! TLS on the connections of a listener.

mod ciphers;
mod client;
mod error;
mod identity;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection};

use crate::PeerCertificate;

pub use self::ciphers::{CipherSuite, CipherSuiteError};
pub use self::client::{ClientAuth, ClientRoots};
pub use self::error::TlsError;
pub use self::identity::Identity;

/// A version of TLS. There is nothing below 1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// How connections are encrypted, to be given to a [`Listener`](crate::Listener). Clones are handles to the same: one
/// is kept to [`reload`](Self::reload) the certificate.
///
/// ```
/// use registry_http::{Identity, Tls};
///
/// # let made = rcgen::generate_simple_self_signed(["registry.example".to_owned()]).unwrap();
/// # let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// let identity = Identity::from_pem(certificate.as_bytes(), key.as_bytes())?;
/// let tls = Tls::builder(identity).build()?;
/// // When there is a new one:
/// tls.reload(&Identity::from_pem(certificate.as_bytes(), key.as_bytes())?);
/// # Ok::<(), registry_http::TlsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tls {
    config: Arc<ServerConfig>,
    current: Arc<Current>,
    /// Whether a client's certificate, where there is one, is of an authority.
    verifies: bool,
}

impl Tls {
    /// Begins with the certificate that clients are shown.
    pub fn builder(identity: Identity) -> TlsBuilder {
        Self::begin(Some(identity), None)
    }

    /// Begins without a certificate: handshakes fail until [`reload`](Self::reload) brings one, but for those by which an
    /// authority finds out whose a name is (`tls-alpn-01`, RFC 8737). `challenges` has the answers to them; those
    /// connections end with the handshake.
    pub fn challenged(challenges: Arc<dyn ResolvesServerCert>) -> TlsBuilder {
        Self::begin(None, Some(challenges))
    }

    fn begin(identity: Option<Identity>, challenges: Option<Arc<dyn ResolvesServerCert>>) -> TlsBuilder {
        TlsBuilder {
            identity,
            challenges,
            minimum_version: TlsVersion::V1_2,
            cipher_suites: Vec::new(),
            client_auth: ClientAuth::None,
            http2: true,
        }
    }

    /// Shows this certificate from the next connection on. Connections that are there stay.
    pub fn reload(&self, identity: &Identity) {
        self.current.identity.store(Some(identity.key()));
    }

    /// What a handshake goes by.
    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// The certificate that was verified in a handshake.
    pub(crate) fn peer_certificate(&self, connection: &ServerConnection) -> Option<PeerCertificate> {
        let chain = connection.peer_certificates().filter(|_| self.verifies)?;
        client::subject(chain.first()?)
    }
}

/// Puts a [`Tls`] together.
#[derive(Debug)]
#[must_use]
pub struct TlsBuilder {
    identity: Option<Identity>,
    challenges: Option<Arc<dyn ResolvesServerCert>>,
    minimum_version: TlsVersion,
    cipher_suites: Vec<CipherSuite>,
    client_auth: ClientAuth,
    http2: bool,
}

impl TlsBuilder {
    /// The lowest version that is spoken; TLS 1.2 by default.
    pub fn minimum_version(mut self, version: TlsVersion) -> Self {
        self.minimum_version = version;
        self
    }

    /// The cipher suites that are offered; all that are good by default, and by an empty list. As in Go's servers a
    /// list of suites of TLS 1.2 leaves those of TLS 1.3 as they are.
    pub fn cipher_suites(mut self, suites: Vec<CipherSuite>) -> Self {
        self.cipher_suites = suites;
        self
    }

    /// Whether clients are asked for a certificate; they are not by default.
    pub fn client_auth(mut self, client_auth: ClientAuth) -> Self {
        self.client_auth = client_auth;
        self
    }

    /// Whether HTTP/2 is offered; it is by default.
    pub fn http2(mut self, http2: bool) -> Self {
        self.http2 = http2;
        self
    }

    /// The outcome.
    ///
    /// # Errors
    /// [`TlsError::NoCipherSuite`] if the suites leave none for the versions, [`TlsError::ClientRoots`] if no client's
    /// certificate could ever be verified.
    pub fn build(self) -> Result<Tls, TlsError> {
        let provider = Arc::new(ciphers::restrict(aws_lc_rs::default_provider(), &self.cipher_suites));
        let both = [&TLS13, &TLS12];
        let versions = if self.minimum_version == TlsVersion::V1_3 { &both[..1] } else { &both };
        let identity = ArcSwapOption::new(self.identity.as_ref().map(Identity::key));
        let current = Arc::new(Current { identity, challenges: self.challenges.clone() });
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|_| TlsError::NoCipherSuite)?;
        let builder = match self.client_auth.verifier(&provider)? {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(&current) as _);
        config.alpn_protocols = self.alpn();
        Ok(Tls { config: Arc::new(config), current, verifies: self.client_auth.verifies() })
    }

    fn alpn(&self) -> Vec<Vec<u8>> {
        let http2 = self.http2.then(|| H2.to_vec());
        let challenges = self.challenges.is_some().then(|| CHALLENGE.to_vec());
        http2.into_iter().chain([b"http/1.1".to_vec()]).chain(challenges).collect()
    }
}

/// HTTP/2 in the negotiation of protocols (RFC 9113 §3.1).
pub(crate) const H2: &[u8] = b"h2";

/// A handshake that only proves whose a name is (RFC 8737 §6.2).
pub(crate) const CHALLENGE: &[u8] = b"acme-tls/1";

/// The certificate that is shown now.
struct Current {
    identity: ArcSwapOption<CertifiedKey>,
    challenges: Option<Arc<dyn ResolvesServerCert>>,
}

impl ResolvesServerCert for Current {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_challenge = hello.alpn().is_some_and(|protocols| protocols.eq([CHALLENGE]));
        match &self.challenges {
            Some(challenges) if is_challenge => challenges.resolve(hello),
            _ => self.identity.load_full(),
        }
    }
}

impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Current(…)")
    }
}

/// What checks certificates and signatures here, without being made the process's own.
fn provider() -> CryptoProvider {
    aws_lc_rs::default_provider()
}
