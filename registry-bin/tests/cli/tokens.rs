//! Tokens of another server at the real program: the challenge, the rights, and keys that change.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rcgen::{KeyPair, PKCS_ED25519, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, request};
use crate::program::{Program, Server};

/// A server of tokens, as far as the registry knows it.
struct Issuer {
    kid: &'static str,
    key: KeyPair,
}

impl Issuer {
    fn new(kid: &'static str) -> Self {
        Self { kid, key: KeyPair::generate_for(&PKCS_ED25519).unwrap() }
    }

    fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(self.key.public_key_raw());
        json!({"kty": "OKP", "crv": "Ed25519", "kid": self.kid, "use": "sig", "x": x})
    }

    /// A token of ann with these rights: type, name and action of each.
    #[expect(clippy::disallowed_methods, reason = "the program has no other clock")]
    fn token(&self, rights: &[(&str, &str, &str)]) -> String {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let access = rights.iter().map(|(kind, name, action)| json!({"type": kind, "name": name, "actions": [action]}));
        let claims = json!({
            "iss": "issuer", "aud": "registry", "sub": "ann", "exp": now + 300, "nbf": now,
            "access": access.collect::<Vec<_>>(),
        });
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(&json!({"alg": "EdDSA", "kid": self.kid})), part(&claims));
        let signature = URL_SAFE_NO_PAD.encode(self.key.sign(message.as_bytes()).unwrap());
        format!("{message}.{signature}")
    }
}

fn write_keys(folder: &Path, keys: &Value) {
    std::fs::write(folder.join("keys.new"), json!({"keys": keys}).to_string()).unwrap();
    std::fs::rename(folder.join("keys.new"), folder.join("keys")).unwrap();
}

fn serve(folder: &TempDir, issuer: &Issuer, realm: &str, rest: &str) -> Server {
    write_keys(folder.path(), &json!([issuer.jwk(), {"kty": "EC", "crv": "P-521", "kid": "other"}]));
    let config = format!(
        "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0'}}\n\
         auth: {{token: {{{realm}, service: registry, issuer: issuer, jwks: keys}}}}\n{rest}"
    );
    Program::in_folder(folder).config(&config).serve()
}

fn send(server: &Server, line: &str, token: Option<&str>) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let headers: Vec<_> = bearer.iter().map(|bearer| ("Authorization", bearer.as_str())).collect();
    request(&server.address, line, &headers, b"")
}

fn status(server: &Server, line: &str, token: &str) -> u16 {
    send(server, line, Some(token)).status
}

const REALM: &str = "realm: 'https://auth.example/token'";
const DOOR: &str = r#"Bearer realm="https://auth.example/token",service="registry""#;

#[test]
fn the_challenge_says_where_to_get_which_token() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let mut server = serve(&folder, &issuer, REALM, "");
    let pull = issuer.token(&[("repository", "a/b", "pull")]);
    let forged = Issuer::new("one").token(&[("repository", "a/b", "*")]);
    let (get, post) = ("GET /v2/a/b/manifests/1", "POST /v2/a/b/blobs/uploads/?mount=sha256:x&from=c");
    for (line, token, rest) in [
        ("GET /v2/", None, ""),
        (get, None, r#",scope="repository:a/b:pull""#),
        (post, None, r#",scope="repository:a/b:pull,push repository:c:pull""#),
        ("DELETE /v2/a/b/manifests/1", None, r#",scope="repository:a/b:delete""#),
        ("GET /v2/_catalog", None, r#",scope="registry:catalog:*""#),
        ("GET /v2/", Some("x.y.z"), r#",error="invalid_token""#),
        (get, Some(&forged), r#",scope="repository:a/b:pull",error="invalid_token""#),
        (post, Some(&pull), r#",scope="repository:a/b:pull,push repository:c:pull",error="insufficient_scope""#),
        ("GET /v2/_catalog", Some(&pull), r#",scope="registry:catalog:*",error="insufficient_scope""#),
    ] {
        let answer = send(&server, line, token);
        let wanted = (401, format!("{DOOR}{rest}"));
        assert_eq!((answer.status, answer.header("www-authenticate").to_owned()), wanted, "{line}");
    }
    let basic = request(&server.address, "GET /v2/", &[("Authorization", "Basic YW5uOng=")], b"");
    assert_eq!(basic.header("www-authenticate"), format!(r#"{DOOR},error="invalid_token""#));
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    let told = server.told.join("\n");
    assert!(told.contains(r#"key 2 (\"other\"): a kind of key that is not supported"#), "{told}");
    for token in [&pull, &forged] {
        assert!(!told.contains(token.rsplit('.').next().unwrap()), "{told}");
    }
}

#[test]
fn a_token_opens_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let server = serve(&folder, &issuer, REALM, "");
    let pull = issuer.token(&[("repository", "a/b", "pull")]);
    let all = issuer.token(&[("repository", "a/b", "*"), ("registry", "catalog", "*")]);
    assert_eq!(status(&server, "GET /v2/", &issuer.token(&[])), 200);
    assert_eq!(status(&server, "GET /v2/a/b/manifests/1", &pull), 404);
    assert_eq!(status(&server, "GET /v2/a/manifests/1", &pull), 401);
    assert_eq!(status(&server, "POST /v2/a/b/blobs/uploads/", &all), 202);
    let index = "application/vnd.oci.image.index.v1+json";
    let bearer = format!("Bearer {all}");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", index)];
    let body = json!({"schemaVersion": 2, "mediaType": index, "manifests": []}).to_string();
    assert_eq!(request(&server.address, "PUT /v2/a/b/manifests/1", &headers, body.as_bytes()).status, 201);
    // Who may ask for the catalog sees all of it.
    let catalog = issuer.token(&[("registry", "catalog", "*")]);
    let listed = send(&server, "GET /v2/_catalog", Some(&catalog));
    assert_eq!(String::from_utf8(listed.body).unwrap().trim_end(), r#"{"repositories":["a/b"]}"#);
}

#[test]
fn keys_are_followed_and_a_broken_edit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (Issuer::new("one"), Issuer::new("two"));
    let mut server = serve(&folder, &old, REALM, "");
    let (with_old, with_new) = (old.token(&[]), new.token(&[]));
    let seen = |server: &Server| (status(server, "GET /v2/", &with_old), status(server, "GET /v2/", &with_new));
    assert_eq!(seen(&server), (200, 401));
    write_keys(folder.path(), &json!([old.jwk(), new.jwk()]));
    server.wait_for("were read again");
    assert_eq!(seen(&server), (200, 200));
    write_keys(folder.path(), &json!([new.jwk()]));
    server.wait_for("were read again");
    assert_eq!(seen(&server), (401, 200));
    write_keys(folder.path(), &json!([]));
    server.wait_for("stay as they were");
    std::fs::write(folder.path().join("keys"), "no keys").unwrap();
    server.wait_for("stay as they were");
    std::fs::remove_file(folder.path().join("keys")).unwrap();
    server.wait_for("stay as they were");
    assert_eq!(seen(&server), (401, 200));
    write_keys(folder.path(), &json!([old.jwk()]));
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("SIGHUP");
    server.wait_for("were read again");
    assert_eq!(seen(&server), (200, 401));
}

#[test]
fn rules_narrow_what_tokens_say_and_open_what_is_public() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = Issuer::new("one");
    let access = "access:\n  rules:\n    - {who: [anyone], repositories: ['public/**'], actions: [pull]}\n    \
                  - {who: ['user:ann'], repositories: ['ann/**'], actions: [pull, push]}\n";
    let server = serve(&folder, &issuer, "autoredirect: true", access);
    let realm = format!(r#"Bearer realm="http://{}/auth/token",service="registry""#, server.address);
    let base = send(&server, "GET /v2/", None);
    assert_eq!((base.status, base.header("www-authenticate")), (401, realm.as_str()));
    assert_eq!(send(&server, "GET /v2/public/app/manifests/1", None).status, 404);
    assert_eq!(send(&server, "GET /v2/ann/app/manifests/1", None).status, 401);
    let token = issuer.token(&[("repository", "ann/app", "*"), ("repository", "bob/app", "*")]);
    assert_eq!(status(&server, "POST /v2/ann/app/blobs/uploads/", &token), 202);
    // The token says no, the rules say no, and a token without a right to what is public has none.
    for line in ["GET /v2/ann/other/manifests/1", "GET /v2/bob/app/manifests/1", "GET /v2/public/app/manifests/1"] {
        assert_eq!(status(&server, line, &token), 401, "{line}");
    }
    assert_eq!(send(&server, "GET /v2/public/app/manifests/1", Some("x.y.z")).status, 401);
}

#[test]
fn without_keys_it_does_not_start() {
    for (text, why) in [("{}", "neither a JSON Web Key nor a set"), (r#"{"keys": []}"#, "no key that can be used")] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), text).unwrap();
        for (keys, why) in [("jwks: keys", why), ("rootcertbundle: keys", "no key that can"), ("jwks: gone", "No such")]
        {
            let config = format!(
                "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0'}}\n\
                 auth: {{token: {{realm: r, service: s, issuer: i, {keys}}}}}\n"
            );
            let told = Program::in_folder(&folder).config(&config).fails(1);
            assert!(told.contains("cannot use the keys of tokens in") && told.contains(why), "{told}");
        }
    }
}
