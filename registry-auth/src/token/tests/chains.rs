//! Certificates that tokens bring along.

use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyUsagePurpose, date_time_ymd};

use super::*;

/// A certificate and its key.
struct Link {
    params: CertificateParams,
    signer: Signer,
    certificate: Certificate,
}

fn params(name: &str, is_ca: bool) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2040, 1, 1);
    if is_ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn authority(name: &str) -> CertificateParams {
    params(name, true)
}

fn leaf() -> CertificateParams {
    params("leaf", false)
}

/// A certificate that signed itself.
fn root(params: CertificateParams) -> Link {
    let signer = Signer::new(Algorithm::ES256);
    let certificate = params.self_signed(&signer.pair).unwrap();
    Link { params, signer, certificate }
}

impl Link {
    fn signs(&self, params: CertificateParams) -> Self {
        let signer = Signer::new(Algorithm::ES256);
        let issuer = Issuer::from_params(&self.params, &self.signer.pair);
        let certificate = params.signed_by(&signer.pair, &issuer).unwrap();
        Self { params, signer, certificate }
    }

    fn token(&self, chain: &[&Self]) -> String {
        let x5c: Vec<_> = chain.iter().map(|link| STANDARD.encode(link.certificate.der())).collect();
        self.signer.token(&json!({"alg": "ES256", "x5c": x5c}), &claims())
    }
}

fn trusting(bundle: &[&Link]) -> Token {
    let mut keys = TokenKeys::default();
    let pem: String = bundle.iter().map(|link| link.certificate.pem()).collect();
    assert_eq!(keys.add_certificates(pem.as_bytes()), Ok(vec![]));
    builder(keys).build()
}

#[test]
fn chains_that_lead_to_the_bundle() {
    let root = root(authority("root"));
    let middle = root.signs(authority("middle"));
    let leaf = middle.signs(leaf());
    let logins = trusting(&[&root]);
    assert_eq!(flaw(&logins, &leaf.token(&[&leaf, &middle])), None);
    assert_eq!(flaw(&logins, &leaf.token(&[&leaf, &middle, &root])), None);
    assert_eq!(flaw(&logins, &root.token(&[&root])), None);
    assert_eq!(flaw(&trusting(&[&leaf]), &leaf.token(&[&leaf])), None);
    assert_eq!(flaw(&trusting(&[&middle]), &leaf.token(&[&leaf])), None);
    // The chain of an embedded key leads as far.
    let x5c: Vec<_> = [&leaf, &middle].iter().map(|link| STANDARD.encode(link.certificate.der())).collect();
    let token = leaf.signer.token(&json!({"alg": "ES256", "jwk": {"kty": "EC", "x5c": x5c}}), &claims());
    assert_eq!(flaw(&logins, &token), None);
}

#[test]
fn chains_that_do_not() {
    let trusted = root(authority("root"));
    let middle = trusted.signs(authority("middle"));
    let good = middle.signs(leaf());
    let own = root(leaf());
    // Another root of the same name.
    let false_root = root(authority("root"));
    let false_leaf = false_root.signs(leaf());
    let logins = trusting(&[&trusted]);
    for (what, token) in [
        ("self-signed", own.token(&[&own])),
        ("another root", false_leaf.token(&[&false_leaf, &false_root])),
        ("the true root behind", false_leaf.token(&[&false_leaf, &trusted])),
        ("a true chain behind", own.token(&[&own, &good, &middle])),
        ("the middle left out", good.token(&[&good])),
        ("the wrong order", good.token(&[&middle, &good][..1])),
        ("nothing", good.token(&[])),
        ("too long", good.token(&[&good; 11])),
    ] {
        let wanted = if what == "the wrong order" { Flaw::Signature } else { Flaw::Chain };
        assert_eq!(flaw(&logins, &token), Some(wanted), "{what}");
    }
    // A true chain, and another key.
    let x5c = [&good, &middle].map(|link| STANDARD.encode(link.certificate.der()));
    let forged = own.signer.token(&json!({"alg": "ES256", "x5c": x5c}), &claims());
    assert_eq!(flaw(&logins, &forged), Some(Flaw::Signature));
    for text in ["", "!", "AAAA"] {
        let token = good.signer.token(&json!({"alg": "ES256", "kid": "one", "x5c": [text]}), &claims());
        assert_eq!(flaw(&logins, &token), Some(Flaw::Chain));
    }
}

#[test]
fn certificates_that_have_no_say() {
    let root = root(authority("root"));
    let logins = trusting(&[&root]);
    let with_middle = |params: CertificateParams| {
        let middle = root.signs(params);
        let leaf = middle.signs(leaf());
        flaw(&logins, &leaf.token(&[&leaf, &middle]))
    };
    let mut expired = authority("expired");
    expired.not_after = date_time_ymd(2026, 1, 1);
    let mut early = authority("early");
    early.not_before = date_time_ymd(2030, 1, 1);
    let mut other_use = authority("other use");
    other_use.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let mut names = authority("names");
    names.name_constraints = Some(rcgen::NameConstraints {
        permitted_subtrees: vec![rcgen::GeneralSubtree::DnsName("example.com".into())],
        excluded_subtrees: vec![],
    });
    for params in [params("no authority", false), expired, early, other_use, names] {
        assert_eq!(with_middle(params), Some(Flaw::Chain));
    }
    assert_eq!(with_middle(authority("good")), None);
    let mut old = leaf();
    old.not_after = date_time_ymd(2026, 1, 1);
    let old = root.signs(old);
    assert_eq!(flaw(&logins, &old.token(&[&old])), Some(Flaw::Chain));
    assert_eq!(flaw(&trusting(&[&old]), &old.token(&[&old])), Some(Flaw::Chain));
}

#[test]
fn roots_that_have_no_say() {
    let mut expired = authority("root");
    expired.not_after = date_time_ymd(2026, 1, 1);
    let mut short = authority("root");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    for (params, direct) in [(expired, Some(Flaw::Chain)), (params("root", false), Some(Flaw::Chain)), (short, None)] {
        let root = root(params);
        let (leaf, middle) = (root.signs(leaf()), root.signs(authority("middle")));
        let deep = middle.signs(self::leaf());
        let logins = trusting(&[&root]);
        assert_eq!(flaw(&logins, &leaf.token(&[&leaf])), direct);
        assert_eq!(flaw(&logins, &deep.token(&[&deep, &middle])), Some(Flaw::Chain));
    }
}

#[test]
fn a_chain_has_an_end() {
    let root = root(authority("root"));
    let mut links = vec![root.signs(authority("1"))];
    for name in 2..=10 {
        links.push(links.last().unwrap().signs(authority(&name.to_string())));
    }
    let logins = trusting(&[&root]);
    for (authorities, wanted) in [(9, None), (10, Some(Flaw::Chain))] {
        let leaf = links[authorities - 1].signs(leaf());
        let chain: Vec<_> = [&leaf].into_iter().chain(links[..authorities].iter().rev()).collect();
        assert_eq!(flaw(&logins, &leaf.token(&chain)), wanted, "{authorities}");
    }
}

#[test]
fn the_name_of_who_signed_counts() {
    let root = root(authority("root"));
    let signer = Signer::new(Algorithm::ES256);
    for (name, wanted) in [("root", None), ("other", Some(Flaw::Chain))] {
        let certificate = leaf().signed_by(&signer.pair, &Issuer::from_params(&authority(name), &root.signer.pair));
        let x5c = [STANDARD.encode(certificate.unwrap().der())];
        let token = signer.token(&json!({"alg": "ES256", "x5c": x5c}), &claims());
        assert_eq!(flaw(&trusting(&[&root]), &token), wanted, "{name}");
    }
}
