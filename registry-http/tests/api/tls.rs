//! The server over TLS: what is spoken, who is known by a certificate, and certificates that change.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use registry_auth::{ClientCertificates, DecideBy, Decision};
use registry_core::Registry;
use registry_core::storage::Memory;
use registry_http::{ClientAuth, ClientRoots, Identity, ServeOptions, Tls, TlsBuilder, TlsVersion, serve, service};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `localhost` with this subject, and its key.
fn issued(authority: &Authority, subject: &str) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, subject);
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, authority).unwrap(), key)
}

fn identity(authority: &Authority, subject: &str) -> Identity {
    let (certificate, key) = issued(authority, subject);
    Identity::from_pem(certificate.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap()
}

fn roots(authority: &Authority) -> ClientRoots {
    ClientRoots::from_pem([authority.pem().as_bytes()]).unwrap()
}

/// Serves what is named after the client's certificate to it, and the rest to nobody.
async fn start(tls: TlsBuilder, options: ServeOptions) -> (SocketAddr, Tls) {
    let tls = tls.build().unwrap();
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    let by_name = DecideBy(|principal: &registry_auth::Principal, access: &registry_auth::Access| match access {
        registry_auth::Access::Repository { name, .. } if principal.name() != Some(name.as_str()) => Decision::Deny,
        _ => Decision::Allow,
    });
    let service = service(registry).authenticator(Arc::new(ClientCertificates)).authorizer(Arc::new(by_name)).build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = registry_http::Listener::from(listener).with_tls(tls.clone());
    tokio::spawn(async move { serve(listener, service, options, std::future::pending()).await });
    (address, tls)
}

/// How a client comes.
struct Client<'a> {
    authority: &'a Authority,
    versions: Vec<&'static SupportedProtocolVersion>,
    certificate: Option<(&'a Authority, &'a str)>,
    /// Another one than that.
    own: Option<Arc<CertifiedKey>>,
    alpn: &'static [&'static [u8]],
}

impl<'a> Client<'a> {
    fn of(authority: &'a Authority) -> Self {
        Self { authority, versions: vec![&TLS13, &TLS12], certificate: None, own: None, alpn: &[] }
    }

    async fn connect(&self, address: SocketAddr) -> std::io::Result<TlsStream<TcpStream>> {
        let mut trusted = RootCertStore::empty();
        trusted.add(self.authority.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&self.versions)
            .unwrap()
            .with_root_certificates(trusted);
        let mut config = match self.certificate {
            _ if self.own.is_some() => {
                let own = self.own.clone().unwrap();
                builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::unwrap_or_clone(own))))
            }
            None => builder.with_no_client_auth(),
            Some((authority, subject)) => {
                let (certificate, key) = issued(authority, subject);
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                builder.with_client_auth_cert(vec![certificate.der().clone()], key).unwrap()
            }
        };
        config.alpn_protocols = self.alpn.iter().map(|protocol| protocol.to_vec()).collect();
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
    }

    /// The answer to a request, as text; an error if there is none.
    async fn ask(&self, address: SocketAddr, line: &str) -> std::io::Result<String> {
        let mut stream = self.connect(address).await?;
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// The status of a request for the tags of `ann`: 404 for her, as there are none.
    async fn status(&self, address: SocketAddr) -> Option<u16> {
        let answer = self.ask(address, "GET /v2/ann/tags/list").await.ok()?;
        Some(answer.split(' ').nth(1).unwrap().parse().unwrap())
    }
}

#[tokio::test]
async fn both_versions_are_spoken_unless_one_is_too_low() {
    let authority = authority();
    let (both, _) = start(Tls::builder(identity(&authority, "x")), ServeOptions::default()).await;
    let high = Tls::builder(identity(&authority, "x")).minimum_version(TlsVersion::V1_3);
    let (high, _) = start(high, ServeOptions::default()).await;
    let old = Client { versions: vec![&TLS12], ..Client::of(&authority) };
    let new = Client { versions: vec![&TLS13], ..Client::of(&authority) };
    assert!(new.ask(both, "GET /v2/").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(old.ask(both, "GET /v2/").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(new.ask(high, "GET /v2/").await.unwrap().starts_with("HTTP/1.1 200"));
    assert!(old.ask(high, "GET /v2/").await.is_err());
}

#[tokio::test]
async fn clients_are_told_addresses_that_are_encrypted() {
    let authority = authority();
    let auth = ClientAuth::RequireAndVerify(roots(&authority));
    let (address, _) = start(Tls::builder(identity(&authority, "x")).client_auth(auth), ServeOptions::default()).await;
    let client = Client { certificate: Some((&authority, "ann")), ..Client::of(&authority) };
    let answer = client.ask(address, "POST /v2/ann/blobs/uploads/").await.unwrap();
    assert!(answer.contains("Location: https://localhost/v2/ann/blobs/uploads/"), "{answer}");
}

#[tokio::test]
async fn http2_is_offered_unless_it_is_off() {
    let authority = authority();
    let (on, _) = start(Tls::builder(identity(&authority, "x")), ServeOptions::default()).await;
    let (off, _) = start(Tls::builder(identity(&authority, "x")).http2(false), ServeOptions::default()).await;
    let client = Client { alpn: &[b"h2", b"http/1.1"], ..Client::of(&authority) };
    let agreed = async |address| {
        let stream = client.connect(address).await.unwrap();
        stream.get_ref().1.alpn_protocol().unwrap().to_vec()
    };
    assert_eq!((agreed(on).await, agreed(off).await), (b"h2".to_vec(), b"http/1.1".to_vec()));
    // HTTP/2 begins with the settings of the server.
    let mut stream = client.connect(on).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    let mut frame = [0; 9];
    stream.read_exact(&mut frame).await.unwrap();
    assert_eq!((frame[3], &frame[5..]), (4, &[0; 4][..]), "a SETTINGS frame");
}

#[tokio::test]
async fn certificates_of_clients_by_the_four_modes() {
    let (authority, stranger) = (authority(), authority());
    let ask = async |auth: ClientAuth, certificate: Option<&Authority>| {
        let tls = Tls::builder(identity(&authority, "x")).client_auth(auth);
        let (address, _) = start(tls, ServeOptions::default()).await;
        let certificate = certificate.map(|authority| (authority, "ann"));
        Client { certificate, ..Client::of(&authority) }.status(address).await
    };
    let (known, unknown) = (Some(&authority), Some(&stranger));
    // Who is nobody is denied (401 without a challenge is a 403), ann finds nothing, and others do not get through.
    let nobody = Some(403);
    let (ann, cut) = (Some(404), None);
    assert_eq!(ask(ClientAuth::None, known).await, nobody);
    for (certificate, request, any) in [(None, nobody, cut), (known, nobody, nobody), (unknown, nobody, nobody)] {
        assert_eq!(ask(ClientAuth::Request, certificate).await, request);
        assert_eq!(ask(ClientAuth::RequireAny, certificate).await, any);
    }
    for (certificate, given, required) in [(None, nobody, cut), (known, ann, ann), (unknown, cut, cut)] {
        assert_eq!(ask(ClientAuth::VerifyIfGiven(roots(&authority)), certificate).await, given);
        assert_eq!(ask(ClientAuth::RequireAndVerify(roots(&authority)), certificate).await, required);
    }
}

/// Certificates as people make them, by which nobody is known.
#[tokio::test]
async fn any_certificate_is_any() {
    let authority = authority();
    let load = |certificate: CertificateDer<'static>, key: PrivateKeyDer<'static>| {
        let key = rustls::crypto::aws_lc_rs::default_provider().key_provider.load_private_key(key).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate], key))
    };
    let old = load(
        CertificateDer::from_pem_slice(include_bytes!("tls/version1.pem")).unwrap(),
        PrivateKeyDer::from_pem_slice(include_bytes!("tls/version1.key")).unwrap(),
    );
    let (own, key) = issued(&authority, "x");
    let known = load(own.der().clone(), PrivateKeyDer::try_from(key.serialize_der()).unwrap());
    // A certificate with the key of another.
    let stolen = Arc::new(CertifiedKey::new(old.cert.clone(), Arc::clone(&known.key)));
    for versions in [vec![&TLS12], vec![&TLS13]] {
        for auth in [ClientAuth::Request, ClientAuth::RequireAny] {
            let tls = Tls::builder(identity(&authority, "x")).client_auth(auth);
            let (address, _) = start(tls, ServeOptions::default()).await;
            for (certificate, expected) in [(&old, Some(403)), (&known, Some(403)), (&stolen, None)] {
                let own = Some(Arc::clone(certificate));
                let client = Client { own, versions: versions.clone(), ..Client::of(&authority) };
                assert_eq!(client.status(address).await, expected);
            }
        }
    }
}

#[tokio::test]
async fn a_new_certificate_is_shown_from_the_next_connection_on() {
    let (before, after) = (authority(), authority());
    let (address, tls) = start(Tls::builder(identity(&before, "x")), ServeOptions::default()).await;
    let mut kept = Client::of(&before).connect(address).await.unwrap();
    tls.reload(&identity(&after, "x"));
    assert!(Client::of(&before).connect(address).await.is_err());
    assert!(Client::of(&after).ask(address, "GET /v2/").await.unwrap().starts_with("HTTP/1.1 200"));
    kept.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn who_speaks_without_tls_is_told() {
    let (address, _) = start(Tls::builder(identity(&authority(), "x")), ServeOptions::default()).await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400 ") && answer.contains("HTTP request to an HTTPS server"), "{answer}");
}

#[tokio::test]
async fn a_handshake_that_takes_long_is_cut() {
    let mut options = ServeOptions::default();
    options.handshake_timeout = Duration::from_millis(20);
    let (address, _) = start(Tls::builder(identity(&authority(), "x")), options).await;
    for begun in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(begun).await.unwrap();
        let mut rest = Vec::new();
        // A reset is as good an end as another; what counts is that there is one.
        let _ = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(rest, b"");
    }
}

/// Who has not even begun is not waited for at the end.
#[tokio::test]
async fn a_handshake_that_is_on_its_way_holds_up_no_end() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let tls = Tls::builder(identity(&authority(), "x")).build().unwrap();
    let service = service(Registry::builder(Arc::new(Memory::new())).build());
    let service = service.authenticator(Arc::new(ClientCertificates)).build();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut options = ServeOptions::default();
    options.handshake_timeout = Duration::from_hours(1);
    options.drain_timeout = Duration::from_hours(1);
    let listener = registry_http::Listener::from(listener).with_tls(tls);
    let serving = tokio::spawn(serve(listener, service, options, async { drop(stopped.await) }));
    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"\x16").await.unwrap();
    // Whoever comes later is answered, so the silent one was accepted.
    let mut plain = TcpStream::connect(address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    plain.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
    drop((stop, plain));
    let drained = tokio::time::timeout(Duration::from_secs(30), serving).await.expect("an end").unwrap();
    assert_eq!(drained.cut, 0);
}

#[test]
fn certificates_are_of_an_authority_that_can_be_read() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    for bad in ["", "x", &key] {
        assert!(ClientRoots::from_pem([bad.as_bytes()]).is_err());
    }
    assert!(ClientRoots::from_pem([]).is_err());
    let authority = authority().pem();
    assert!(ClientRoots::from_pem([authority.as_bytes()]).is_ok());
    assert!(ClientRoots::from_pem([authority.as_bytes(), b""]).is_err());
}
