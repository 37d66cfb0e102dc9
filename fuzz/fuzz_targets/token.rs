//! Tokens, and files with the keys that they are signed with.
#![no_main]

use std::sync::LazyLock;

use registry_auth::{Authenticator as _, Credentials, Token, TokenKeys, TokenRealm};

/// Knows one key, that nobody has the other half of.
static TOKEN: LazyLock<Token> = LazyLock::new(|| {
    let mut keys = TokenKeys::default();
    let jwks = r#"{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let skipped = keys.add_jwks(jwks).expect("a good key");
    assert!(skipped.is_empty());
    let realm = TokenRealm::Fixed("https://auth.example/token".into());
    Token::builder(realm, "registry", "issuer", keys).build()
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    let mut keys = TokenKeys::default();
    let _ = keys.add_jwks(text);
    let _ = keys.add_certificates(text.as_bytes());
    if let Ok(credentials) = Credentials::parse(&format!("Bearer {text}")) {
        let outcome = futures::executor::block_on(TOKEN.authenticate(Some(&credentials)));
        assert!(outcome.is_err(), "nobody can sign");
    }
});
