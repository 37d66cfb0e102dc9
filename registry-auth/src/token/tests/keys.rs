//! Reading keys.

use base64::engine::general_purpose::STANDARD;

use super::*;

/// The key of RFC 7638 §3.1, and its thumbprint.
const RFC_7638: &str = r#"{"kty": "RSA", "e": "AQAB", "alg": "RS256", "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"}"#;
const RFC_7638_THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// A key, and what `KeyID` of github.com/docker/libtrust says of it.
const LIBTRUST: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEFVm2kXd6BFU6dDBcJKH8L7EJpsYd
IxKIlqmN2Y+dn23y/AARTh4z37PDDJBP+QEwPx3qAbPbD1LYYwJNRdHW+A==
-----END PUBLIC KEY-----
";
const LIBTRUST_ID: &str = "BIK6:3L36:RAH3:KE53:LVUR:DHBB:6766:E7L4:VRUC:JMLL:K72T:PYAG";

fn skipped(jwks: &Value) -> Vec<String> {
    TokenKeys::default().add_jwks(&jwks.to_string()).unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn keys_have_names() {
    let mut keys = TokenKeys::default();
    assert_eq!(keys.add_jwks(RFC_7638), Ok(vec![]));
    assert_eq!(keys.add_certificates(LIBTRUST.as_bytes()), Ok(vec![]));
    assert_eq!((keys.len(), keys.roots().len()), (2, 0));
    for (name, count) in [(RFC_7638_THUMBPRINT, 1), (LIBTRUST_ID, 1), ("", 0), ("one", 0)] {
        assert_eq!(keys.named(name).len(), count, "{name}");
    }
    assert!(keys.named(RFC_7638_THUMBPRINT)[0].fits(TokenAlgorithm::Rs256));
    assert!(!keys.named(RFC_7638_THUMBPRINT)[0].fits(TokenAlgorithm::Ps256));
    assert!(keys.named(LIBTRUST_ID)[0].fits(TokenAlgorithm::Es256));
}

#[test]
fn a_public_key_is_known_by_both_names() {
    let mut keys = TokenKeys::default();
    keys.add_certificates(issuer().pair.public_key_pem().as_bytes()).unwrap();
    let der = rcgen::PublicKeyData::subject_public_key_info(&issuer().pair);
    let thumbprint = keys.by_thumbprint_of(issuer());
    let logins = builder(keys).build();
    for kid in [key::libtrust_id(&der), thumbprint] {
        assert_eq!(flaw(&logins, &issuer().token(&with(header(), json!({"kid": kid})), &claims())), None, "{kid}");
        assert_eq!(
            flaw(&logins, &attacker().token(&with(header(), json!({"kid": kid})), &claims())),
            Some(Flaw::Signature)
        );
    }
}

impl TokenKeys {
    /// What the key of a signer is called without a name, from the set that it writes itself.
    fn by_thumbprint_of(&self, signer: &Signer) -> String {
        let mut set = TokenKeys::default();
        let jwks: Value = serde_json::from_str(&signer.jwks()).unwrap();
        set.add_jwks(&jwks.to_string()).unwrap();
        let name = set.named("one")[0].thumbprint().unwrap().to_owned();
        assert_eq!(self.named(&name).len(), 1);
        name
    }
}

#[test]
fn keys_that_are_of_no_use_are_told() {
    let good: Value = serde_json::from_str::<Value>(&issuer().jwks()).unwrap()["keys"][0].clone();
    let bytes = |count: usize| URL_SAFE_NO_PAD.encode(vec![0xff; count]);
    for (key, told) in [
        (with(good.clone(), json!({"use": "enc"})), "not a key for checking signatures"),
        (with(good.clone(), json!({"key_ops": ["sign"]})), "not a key for checking signatures"),
        (with(good.clone(), json!({"n": bytes(255)})), "too short to be safe"),
        (with(good.clone(), json!({"n": bytes(1025)})), "a kind of key that is not supported"),
        (with(good.clone(), json!({"n": null})), "malformed"),
        (with(good.clone(), json!({"n": "!"})), "malformed"),
        (with(good.clone(), json!({"e": "AQ"})), "a kind of key that is not supported"),
        (with(good.clone(), json!({"e": "Ag"})), "a kind of key that is not supported"),
        (with(good.clone(), json!({"alg": "ES256"})), "malformed"),
        (with(good.clone(), json!({"alg": "RSA-OAEP"})), "a kind of key that is not supported"),
        (json!({"kid": "one", "kty": "oct", "k": bytes(31)}), "too short to be safe"),
        (json!({"kid": "one", "kty": "EC", "crv": "P-256", "x": bytes(31), "y": bytes(33)}), "malformed"),
        (json!({"kid": "one", "kty": "EC", "crv": "P-521"}), "a kind of key that is not supported"),
        (json!({"kid": "one", "kty": "OKP", "crv": "X25519", "x": bytes(32)}), "a kind of key that is not supported"),
        (json!({"kid": "one", "kty": "OKP", "crv": "Ed25519", "x": bytes(31)}), "malformed"),
        (json!({"kid": "one"}), "malformed"),
    ] {
        assert_eq!(skipped(&json!({"keys": [key]})), [format!("key 1 (\"one\"): {told}")], "{key}");
    }
    assert_eq!(skipped(&json!({"kty": "oct", "k": bytes(32)})), ["key 1: a secret without kid"]);
    assert_eq!(skipped(&json!({"keys": [["RSA"], 1, good]})), ["key 1: malformed", "key 2: malformed"]);
}

#[test]
fn texts_that_hold_no_keys() {
    for text in ["", "[]", "{}", "null", r#"{"keys": {}}"#, r#"{"keys": []"#, "-----BEGIN CERTIFICATE-----"] {
        assert_eq!(TokenKeys::default().add_jwks(text), Err(TokenKeysError::Jwks), "{text}");
    }
    assert_eq!(TokenKeys::default().add_jwks(r#"{"keys": []}"#), Ok(vec![]));
    for pem in ["-----BEGIN CERTIFICATE-----\nAAAA\n", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        assert_eq!(TokenKeys::default().add_certificates(pem.as_bytes()), Err(TokenKeysError::Pem), "{pem}");
    }
    let mut keys = TokenKeys::default();
    let block = |label: &str, bytes: &[u8]| {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(bytes))
    };
    let text = block("CERTIFICATE", b"x") + &block("PUBLIC KEY", b"x") + &block("RSA PRIVATE KEY", b"x");
    let reasons: Vec<_> = keys.add_certificates(text.as_bytes()).unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(reasons, ["key 1: malformed", "key 2: malformed", "key 3: not a key for checking signatures"]);
    assert!(keys.is_empty());
}

#[test]
fn there_is_an_end_to_keys() {
    let secret = URL_SAFE_NO_PAD.encode([1; 32]);
    let set = |count: usize| {
        let keys: Vec<_> = (0..count).map(|id| json!({"kty": "oct", "kid": id.to_string(), "k": secret})).collect();
        json!({"keys": keys}).to_string()
    };
    let mut keys = TokenKeys::default();
    assert_eq!(keys.add_jwks(&set(TokenKeys::MAX)), Ok(vec![]));
    assert_eq!(keys.add_certificates(LIBTRUST.as_bytes()), Err(TokenKeysError::TooMany));
    assert_eq!(TokenKeys::default().add_jwks(&set(TokenKeys::MAX + 1)), Err(TokenKeysError::TooMany));
}

#[test]
fn secrets_do_not_show() {
    let mut keys = TokenKeys::default();
    let secret = URL_SAFE_NO_PAD.encode(b"a-secret-that-nobody-should-see!");
    keys.add_jwks(&json!({"kty": "oct", "kid": "one", "k": secret}).to_string()).unwrap();
    let shown = format!("{:?} {:?}", keys.named("one"), builder(keys.clone()).build());
    assert!(!shown.contains("a-secret") && !shown.contains(&secret) && !shown.contains("97, 45"), "{shown}");
}

proptest! {
    #[test]
    fn no_text_of_keys_panics(text in "\\PC{0,80}", der in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = TokenKeys::default().add_jwks(&text);
        let _ = TokenKeys::default().add_certificates(text.as_bytes());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der));
        let _ = TokenKeys::default().add_certificates(pem.as_bytes());
    }
}
