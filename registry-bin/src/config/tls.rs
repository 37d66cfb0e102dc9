//! `http.tls`: the encryption of connections.

use std::path::PathBuf;

use registry_http::{CipherSuite, CipherSuiteError, TlsVersion};

use super::section::Section;

/// The encryption of connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// The file with the certificate and what leads to its authority.
    pub certificate: PathBuf,
    /// The file with its private key.
    pub key: PathBuf,
    /// The lowest version that is spoken.
    pub minimum_version: TlsVersion,
    /// The cipher suites that are offered; empty for all good ones.
    pub cipher_suites: Vec<CipherSuite>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// From whom the certificate is; `None` where somebody else writes the files.
    pub letsencrypt: Option<LetsEncryptConfig>,
}

/// How certificates are had by ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetsEncryptConfig {
    /// The folder that account and certificate are kept in.
    pub folder: PathBuf,
    /// Who is told of what happens to them.
    pub email: Option<String>,
    /// The names that the certificate is for.
    pub hosts: Vec<String>,
    /// Where the authority is asked.
    pub directory_url: String,
}

impl LetsEncryptConfig {
    /// The file in the folder that has the certificate and its key.
    pub const CERTIFICATE: &str = "certificate.pem";

    /// Where the certificate lies, together with its key.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(Self::CERTIFICATE)
    }
}

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientCertificates {
    /// They are not.
    No,
    /// They may have any.
    Request,
    /// They must have one, and it may be any.
    RequireAny,
    /// One that they have must be of an authority in these files.
    VerifyIfGiven(Vec<PathBuf>),
    /// They must have one of an authority in these files.
    RequireAndVerify(Vec<PathBuf>),
}

impl ClientCertificates {
    /// The word for it in a configuration.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::No => "none",
            Self::Request => "request-client-cert",
            Self::RequireAny => "require-any-client-cert",
            Self::VerifyIfGiven(_) => "verify-client-cert-if-given",
            Self::RequireAndVerify(_) => "require-and-verify-client-cert",
        }
    }

    /// The files with the authorities.
    #[must_use]
    pub fn authorities(&self) -> &[PathBuf] {
        match self {
            Self::No | Self::Request | Self::RequireAny => &[],
            Self::VerifyIfGiven(files) | Self::RequireAndVerify(files) => files,
        }
    }
}

/// How a mode is made of the files with the authorities.
type Mode = fn(Vec<PathBuf>) -> ClientCertificates;

const MODES: [(&str, Mode); 4] = [
    ("request-client-cert", |_| ClientCertificates::Request),
    ("require-any-client-cert", |_| ClientCertificates::RequireAny),
    ("verify-client-cert-if-given", ClientCertificates::VerifyIfGiven),
    ("require-and-verify-client-cert", ClientCertificates::RequireAndVerify),
];

/// What was asked for cannot be had, for a reason that stands in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused;

/// Reads `http.tls` and `http.http2`; `None` without TLS.
///
/// # Errors
/// [`Refused`]: a server that was told to encrypt never starts without.
pub(super) fn read(http: &mut Section<'_>) -> Result<Option<TlsConfig>, Refused> {
    let http2 = http2(http);
    let mut tls = http.section("tls");
    if tls.is_blank() {
        return Ok(None);
    }
    let letsencrypt = letsencrypt(&mut tls)?;
    let (certificate, key) = (tls.text("certificate").map(PathBuf::from), tls.text("key").map(PathBuf::from));
    let (certificate, key) = match &letsencrypt {
        None => (certificate, key),
        Some(config) => {
            if certificate.is_some() || key.is_some() {
                tls.refuse("letsencrypt", "stands beside certificate and key; write one or the other");
            }
            (Some(config.certificate()), Some(config.certificate()))
        }
    };
    for (name, value) in [("certificate", &certificate), ("key", &key)] {
        if value.is_none() {
            tls.refuse(name, "missing: TLS takes a certificate and its key");
        }
    }
    let minimum_version = minimum_version(&mut tls);
    let cipher_suites = cipher_suites(&mut tls);
    let client_certificates = client_certificates(&mut tls);
    for key in tls.keys() {
        // A misspelt `clientcas` would let everybody in.
        tls.take(&key);
        tls.refuse(&key, "not a setting of TLS");
    }
    Ok(Some(TlsConfig {
        certificate: certificate.ok_or(Refused)?,
        key: key.ok_or(Refused)?,
        minimum_version,
        cipher_suites: cipher_suites.ok_or(Refused)?,
        client_certificates: client_certificates.ok_or(Refused)?,
        http2,
        letsencrypt,
    }))
}

fn http2(http: &mut Section<'_>) -> bool {
    let mut section = http.section("http2");
    let disabled = section.boolean("disabled").unwrap_or(false);
    section.finish();
    !disabled
}

/// Reads `http.tls.letsencrypt`.
#[cfg(feature = "letsencrypt")]
fn letsencrypt(tls: &mut Section<'_>) -> Result<Option<LetsEncryptConfig>, Refused> {
    const PRODUCTION: &str = "https://acme-v02.api.letsencrypt.org/directory";
    let mut section = tls.section("letsencrypt");
    if section.is_blank() {
        return Ok(None);
    }
    let (folder, email) = (section.text("cachefile"), section.text("email"));
    let hosts = section.texts("hosts");
    let directory_url = section.text("directoryurl").unwrap_or_else(|| PRODUCTION.to_owned());
    if folder.is_none() {
        section.refuse("cachefile", "missing: the folder that account and certificate are kept in");
    }
    if hosts.is_empty() {
        section.refuse("hosts", "missing: the names that the certificate is for");
    }
    if !directory_url.starts_with("https://") {
        section.refuse("directoryurl", "has to begin with https://");
    }
    section.finish();
    let folder = folder.ok_or(Refused)?.into();
    Ok(Some(LetsEncryptConfig { folder, email, hosts, directory_url }))
}

#[cfg(not(feature = "letsencrypt"))]
fn letsencrypt(tls: &mut Section<'_>) -> Result<Option<LetsEncryptConfig>, Refused> {
    if tls.take("letsencrypt").is_some_and(|node| !node.is_blank()) {
        let reason =
            "not built in: build it with the feature letsencrypt, or let an ACME client write certificate and key";
        tls.refuse("letsencrypt", reason);
        return Err(Refused);
    }
    Ok(None)
}

/// TLS 1.0 and 1.1, that older files ask for, are not spoken; what is spoken instead is safer.
fn minimum_version(tls: &mut Section<'_>) -> TlsVersion {
    let choices =
        [("tls1.0", None), ("tls1.1", None), ("tls1.2", Some(TlsVersion::V1_2)), ("tls1.3", Some(TlsVersion::V1_3))];
    match tls.choice("minimumtls", &choices) {
        Some(Some(version)) => version,
        Some(None) => {
            tls.warn("minimumtls", "nothing below TLS 1.2 is spoken");
            TlsVersion::V1_2
        }
        None => TlsVersion::V1_2,
    }
}

fn cipher_suites(tls: &mut Section<'_>) -> Option<Vec<CipherSuite>> {
    let names = tls.texts("ciphersuites");
    let mut suites = Vec::new();
    let mut all_are_known = true;
    for name in &names {
        match CipherSuite::from_go_name(name) {
            Ok(suite) => suites.push(suite),
            Err(CipherSuiteError::Unsupported) => {
                tls.warn("ciphersuites", &format!("{name} is weak, and left out"));
            }
            Err(_) => {
                tls.refuse("ciphersuites", format!("{name:?} is not a cipher suite"));
                all_are_known = false;
            }
        }
    }
    if all_are_known && suites.is_empty() && !names.is_empty() {
        tls.refuse("ciphersuites", "none of them can be spoken");
        return None;
    }
    all_are_known.then_some(suites)
}

fn client_certificates(tls: &mut Section<'_>) -> Option<ClientCertificates> {
    let files: Vec<PathBuf> = tls.texts("clientcas").into_iter().map(PathBuf::from).collect();
    let is_set = tls.says("clientauth");
    match tls.choice("clientauth", &MODES) {
        None if is_set => None,
        None if files.is_empty() => Some(ClientCertificates::No),
        None => Some(ClientCertificates::RequireAndVerify(files)),
        Some(mode) => {
            let mode = mode(files.clone());
            let verifies =
                matches!(mode, ClientCertificates::VerifyIfGiven(_) | ClientCertificates::RequireAndVerify(_));
            if verifies && files.is_empty() {
                tls.refuse("clientcas", "missing: the authorities that certificates of clients are verified by");
                return None;
            }
            if !verifies && !files.is_empty() {
                tls.warn("clientcas", "has no effect: clients may have any certificate");
            }
            Some(mode)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    /// The configuration with this `http`, or what is wrong; and the warnings.
    fn read(http: &str) -> (Result<Config, Vec<String>>, Vec<String>) {
        let document = format!("version: 0.1\nstorage: inmemory\nhttp: {http}\n");
        match parse(Some(&document), [], &mut |_| Ok(String::new())) {
            Ok(parsed) => (Ok(parsed.config), parsed.warnings),
            Err(rejected) => (Err(rejected.problems.iter().map(ToString::to_string).collect()), rejected.warnings),
        }
    }

    fn tls(settings: &str) -> TlsConfig {
        read(&format!("{{tls: {{certificate: c, key: k, {settings}}}}}")).0.unwrap().http.tls.unwrap()
    }

    fn problems(settings: &str) -> Vec<String> {
        read(&format!("{{tls: {{certificate: c, key: k, {settings}}}}}")).0.unwrap_err()
    }

    #[test]
    fn a_certificate_and_its_key() {
        let config = tls("");
        assert_eq!((config.certificate, config.key), ("c".into(), "k".into()));
        assert_eq!((config.minimum_version, config.http2), (TlsVersion::V1_2, true));
        assert_eq!((config.client_certificates, config.cipher_suites.len()), (ClientCertificates::No, 0));
        assert!(!read("{tls: {certificate: c, key: k}, http2: {disabled: true}}").0.unwrap().http.tls.unwrap().http2);
        for blank in ["{tls: }", "{tls: {}}", "{tls: {certificate: '', key: , letsencrypt: {hosts: []}}}"] {
            assert_eq!(read(blank).0.unwrap().http.tls, None, "{blank}");
        }
        for half in ["{tls: {certificate: c}}", "{tls: {key: c}}", "{tls: {clientcas: [c]}}"] {
            assert!(read(half).0.unwrap_err()[0].contains("missing: TLS takes a certificate and its key"), "{half}");
        }
    }

    #[test]
    fn a_misspelt_lock_does_not_open_the_door() {
        assert_eq!(problems("clientca: [a]"), ["http.tls.clientca: not a setting of TLS"]);
        assert!(problems("clientauth: no")[0].starts_with("http.tls.clientauth: expected one of "));
        assert!(problems("minimumtls: tls1.4")[0].starts_with("http.tls.minimumtls: expected one of "));
        assert!(problems("letsencrypt: {cachefile: /c, hosts: [a]}")[0].starts_with("http.tls.letsencrypt: "));
    }

    #[cfg(feature = "letsencrypt")]
    #[test]
    fn certificates_by_acme() {
        let config =
            read("{tls: {letsencrypt: {cachefile: /c, email: a@b, hosts: [x, y]}}}").0.unwrap().http.tls.unwrap();
        assert_eq!((config.certificate, config.key), ("/c/certificate.pem".into(), "/c/certificate.pem".into()));
        let acme = config.letsencrypt.unwrap();
        assert_eq!((acme.hosts, acme.email.as_deref()), (vec!["x".to_owned(), "y".to_owned()], Some("a@b")));
        assert_eq!(acme.directory_url, "https://acme-v02.api.letsencrypt.org/directory");
        let told = |settings: &str| read(&format!("{{tls: {{letsencrypt: {{{settings}}}}}}}")).0.unwrap_err();
        assert!(told("hosts: [x]")[0].starts_with("http.tls.letsencrypt.cachefile: missing"));
        assert!(told("cachefile: /c")[0].starts_with("http.tls.letsencrypt.hosts: missing"));
        assert!(told("cachefile: /c, hosts: [x], directoryurl: 'http://x'")[0].contains("https://"));
    }

    #[test]
    fn versions() {
        assert_eq!(tls("minimumtls: tls1.3").minimum_version, TlsVersion::V1_3);
        let (config, warnings) = read("{tls: {certificate: c, key: k, minimumtls: tls1.0}}");
        assert_eq!(config.unwrap().http.tls.unwrap().minimum_version, TlsVersion::V1_2);
        assert_eq!(warnings, ["http.tls.minimumtls: nothing below TLS 1.2 is spoken"]);
    }

    #[test]
    fn cipher_suites_by_their_names_in_go() {
        let good = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256";
        let weak = "TLS_RSA_WITH_AES_128_CBC_SHA";
        assert_eq!(tls(&format!("ciphersuites: [{good}]")).cipher_suites.len(), 1);
        let (config, warnings) = read(&format!("{{tls: {{certificate: c, key: k, ciphersuites: [{good}, {weak}]}}}}"));
        assert_eq!(config.unwrap().http.tls.unwrap().cipher_suites.len(), 1);
        assert_eq!(warnings, [format!("http.tls.ciphersuites: {weak} is weak, and left out")]);
        assert_eq!(problems(&format!("ciphersuites: [{weak}]")), ["http.tls.ciphersuites: none of them can be spoken"]);
        assert_eq!(problems("ciphersuites: [x]"), ["http.tls.ciphersuites: \"x\" is not a cipher suite"]);
    }

    #[test]
    fn certificates_of_clients() {
        let of = |settings: &str| tls(settings).client_certificates;
        let files = || vec![PathBuf::from("a"), PathBuf::from("b")];
        assert_eq!(of("clientcas: [a, b]"), ClientCertificates::RequireAndVerify(files()));
        assert_eq!(
            of("clientcas: [a, b], clientauth: verify-client-cert-if-given"),
            ClientCertificates::VerifyIfGiven(files())
        );
        assert_eq!(of("clientauth: request-client-cert"), ClientCertificates::Request);
        assert_eq!(of("clientauth: require-any-client-cert"), ClientCertificates::RequireAny);
        for mode in ["verify-client-cert-if-given", "require-and-verify-client-cert"] {
            assert!(problems(&format!("clientauth: {mode}"))[0].starts_with("http.tls.clientcas: missing"));
        }
    }
}
