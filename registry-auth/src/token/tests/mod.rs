mod chains;
mod claims;
mod forgeries;
mod keys;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey};
use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};
use registry_core::Clock;
use serde_json::{Value, json};

use super::*;
use crate::Action;

/// When all tests take place, in seconds since 1970: in November 2026.
const NOW: i64 = 1_795_000_000;

#[derive(Debug)]
struct Stopped(SystemTime);

impl Clock for Stopped {
    fn now(&self) -> SystemTime {
        self.0
    }
}

/// Makes tokens.
struct Signer {
    pair: KeyPair,
    algorithm: Algorithm,
    key: EncodingKey,
}

impl Signer {
    fn new(algorithm: Algorithm) -> Self {
        let scheme = match algorithm {
            Algorithm::ES256 => &PKCS_ECDSA_P256_SHA256,
            Algorithm::ES384 => &PKCS_ECDSA_P384_SHA384,
            Algorithm::EdDSA => &PKCS_ED25519,
            _ => &PKCS_RSA_SHA256,
        };
        let pair = KeyPair::generate_for(scheme).unwrap();
        let pem = pair.serialize_pem();
        let key = match algorithm {
            Algorithm::ES256 | Algorithm::ES384 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        Self { key: key.unwrap(), pair, algorithm }
    }

    /// A token with this header and these claims, whatever they say.
    fn token(&self, header: &Value, claims: &Value) -> String {
        signed(&self.key, self.algorithm, header, claims)
    }

    /// The set with the public key, by the name `one`.
    fn jwks(&self) -> String {
        let raw = self.pair.public_key_raw();
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let key = match self.algorithm {
            Algorithm::ES256 => {
                json!({"kty": "EC", "crv": "P-256", "kid": "one", "x": encode(&raw[1..33]), "y": encode(&raw[33..])})
            }
            Algorithm::ES384 => {
                json!({"kty": "EC", "crv": "P-384", "kid": "one", "x": encode(&raw[1..49]), "y": encode(&raw[49..])})
            }
            Algorithm::EdDSA => json!({"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": encode(raw), "use": "sig"}),
            _ => {
                // A key of 2048 bits: SEQUENCE (4), INTEGER (4 + 257), INTEGER (2 + 3).
                let (n, e) = (&raw[9..265], &raw[267..270]);
                json!({"kty": "RSA", "kid": "one", "n": encode(n), "e": encode(e)})
            }
        };
        json!({"keys": [key]}).to_string()
    }

    fn keys(&self) -> TokenKeys {
        let mut keys = TokenKeys::default();
        assert_eq!(keys.add_jwks(&self.jwks()), Ok(vec![]));
        keys
    }
}

/// The issuer whose key is trusted by most tests. Making a key of RSA takes its time.
fn issuer() -> &'static Signer {
    static ISSUER: OnceLock<Signer> = OnceLock::new();
    ISSUER.get_or_init(|| Signer::new(Algorithm::RS256))
}

/// Somebody whom nobody trusts.
fn attacker() -> &'static Signer {
    static ATTACKER: OnceLock<Signer> = OnceLock::new();
    ATTACKER.get_or_init(|| Signer::new(Algorithm::RS256))
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn signed(key: &EncodingKey, algorithm: Algorithm, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, algorithm).unwrap();
    format!("{message}.{signature}")
}

fn header() -> Value {
    json!({"typ": "JWT", "alg": "RS256", "kid": "one"})
}

fn claims() -> Value {
    json!({
        "iss": "issuer", "aud": "service", "sub": "ann", "exp": NOW + 300, "nbf": NOW - 300, "iat": NOW - 300,
        "jti": "x", "access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}],
    })
}

/// The document `base` with other members in place of its own; null takes one away.
fn with(mut base: Value, changes: Value) -> Value {
    let (Some(members), Value::Object(changes)) = (base.as_object_mut(), changes) else { panic!("objects") };
    for (name, value) in changes {
        if value.is_null() {
            members.remove(&name)
        } else {
            members.insert(name, value)
        };
    }
    base
}

fn builder(keys: TokenKeys) -> TokenBuilder {
    let clock = Stopped(SystemTime::UNIX_EPOCH + Duration::from_secs(NOW.try_into().unwrap()));
    let realm = TokenRealm::Fixed("https://auth.example/token".into());
    Token::builder(realm, "service", "issuer", keys).clock(Arc::new(clock))
}

fn logins() -> Token {
    builder(issuer().keys()).build()
}

/// Whether a token is let in, and why not.
fn flaw(logins: &Token, token: &str) -> Option<Flaw> {
    logins.check(token).err()
}

fn pull(name: &str) -> Access {
    Access::repository(name.parse().unwrap(), [Action::Pull])
}

#[tokio::test]
async fn who_has_a_good_token_is_let_in_with_its_rights() {
    let token = issuer().token(&header(), &claims());
    let credentials = Credentials::parse(&format!("Bearer {token}")).unwrap();
    let ann = logins().authenticate(Some(&credentials)).await.unwrap();
    assert_eq!(ann.name(), Some("ann"));
    assert!(ann.grants().unwrap().cover(&pull("a/b")) && !ann.grants().unwrap().cover(&pull("a")));
    let basic = Credentials::parse("Basic YTpi").unwrap();
    assert!(matches!(logins().authenticate(Some(&basic)).await, Err(AuthenticationError::Rejected)));
    assert!(matches!(logins().authenticate(None).await, Err(AuthenticationError::Missing)));
}

#[test]
fn every_algorithm_verifies_with_its_key() {
    for (algorithm, name) in [(Algorithm::ES256, "ES256"), (Algorithm::ES384, "ES384"), (Algorithm::EdDSA, "EdDSA")] {
        let signer = Signer::new(algorithm);
        let token = signer.token(&with(header(), json!({"alg": name})), &claims());
        assert_eq!(flaw(&builder(signer.keys()).build(), &token), None, "{name}");
        assert_eq!(flaw(&logins(), &token), Some(Flaw::UnknownKey), "{name}");
    }
    for (algorithm, name) in [
        (Algorithm::RS256, "RS256"),
        (Algorithm::RS384, "RS384"),
        (Algorithm::RS512, "RS512"),
        (Algorithm::PS256, "PS256"),
        (Algorithm::PS384, "PS384"),
        (Algorithm::PS512, "PS512"),
    ] {
        let token = signed(&issuer().key, algorithm, &with(header(), json!({"alg": name})), &claims());
        assert_eq!(flaw(&logins(), &token), None, "{name}");
    }
}

#[test]
fn other_keys_take_the_place_of_those_there_were() {
    let logins = logins();
    let (old, new) = (issuer().token(&header(), &claims()), attacker().token(&header(), &claims()));
    assert_eq!((flaw(&logins, &old), flaw(&logins, &new)), (None, Some(Flaw::Signature)));
    logins.reload(attacker().keys());
    assert_eq!((flaw(&logins, &old), flaw(&logins, &new)), (Some(Flaw::Signature), None));
    logins.reload(TokenKeys::default());
    assert_eq!((flaw(&logins, &old), flaw(&logins, &new)), (Some(Flaw::UnknownKey), Some(Flaw::UnknownKey)));
}

#[test]
fn challenges() {
    let push = Access::repository("a/b".parse().unwrap(), [Action::Pull, Action::Push]);
    let door = r#"Bearer realm="https://auth.example/token",service="service""#;
    let told = |logins: &Token, wanted: &[Access], shortfall, origin| {
        logins.challenge(&Asked { wanted, shortfall, origin }).unwrap().to_string()
    };
    for (wanted, shortfall, rest) in [
        (vec![Access::Base], Shortfall::Missing, ""),
        (vec![], Shortfall::Invalid, r#",error="invalid_token""#),
        (vec![push.clone(), pull("c")], Shortfall::Missing, r#",scope="repository:a/b:pull,push repository:c:pull""#),
        (
            vec![pull("a/b"), push.clone(), pull("c"), pull("c")],
            Shortfall::Insufficient,
            r#",scope="repository:a/b:pull,push repository:c:pull",error="insufficient_scope""#,
        ),
        (vec![Access::Catalog], Shortfall::Invalid, r#",scope="registry:catalog:*",error="invalid_token""#),
    ] {
        assert_eq!(told(&logins(), &wanted, shortfall, None), format!("{door}{rest}"));
    }
    for path in ["/auth/token", "auth/token"] {
        let realm = TokenRealm::SameOrigin(path.into());
        let logins = Token::builder(realm, "s", "i", TokenKeys::default()).build();
        let origin = Some("https://registry.example:5000");
        let wanted = r#"Bearer realm="https://registry.example:5000/auth/token",service="s""#;
        assert_eq!(told(&logins, &[Access::Base], Shortfall::Missing, origin), wanted);
        let wanted = r#"Bearer realm="/auth/token",service="s""#;
        assert_eq!(told(&logins, &[Access::Base], Shortfall::Missing, None), wanted);
    }
}

proptest! {
    #[test]
    fn no_text_panics(
        token in "[ -~]{0,80}",
        head in "\\{\"alg\":\"RS256\",\"(kid|x5c|jwk)\":[\\[\\]{}\"a-z0-9:=]{0,20}\\}",
        claims in "\\PC{0,60}",
    ) {
        let logins = logins();
        let forged = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims), token);
        prop_assert!(logins.check(&token).is_err() && logins.check(&forged).is_err());
    }
}

proptest! {
    // Each case signs two dozen tokens.
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn no_claims_panic(text in "\\PC{0,40}", number in any::<f64>(), list in prop::collection::vec("\\PC{0,10}", 0..4)) {
        let logins = logins();
        for name in ["iss", "sub", "aud", "exp", "nbf", "access"] {
            for value in [json!(text), json!(number), json!(list), json!({text.clone(): number})] {
                let _ = logins.check(&issuer().token(&header(), &with(claims(), json!({name: value}))));
            }
        }
    }
}
