//! `auth.token`: logins by the tokens of another server.

use std::fmt;
use std::path::PathBuf;

use registry_auth::{TokenAlgorithm, TokenRealm};
use reqwest::Url;

use super::section::Section;

/// Where tokens come from if only the address is said to be that of the registry, as in Distribution.
const DEFAULT_PATH: &str = "/auth/token";

/// Logins by the tokens of another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenConfig {
    /// Where clients get tokens.
    pub realm: TokenRealm,
    /// Whom the tokens are for: this registry.
    pub service: String,
    /// Who makes them.
    pub issuer: String,
    /// The file with the certificates of those who sign them.
    pub certificates: Option<PathBuf>,
    /// The file with their keys, as a JSON Web Key Set. There is one of the two files at least.
    pub jwks: Option<PathBuf>,
    /// How tokens may be signed; one way at least.
    pub algorithms: Vec<TokenAlgorithm>,
}

/// Reads `auth.token`; `None` if something is wrong with it, which then stands in the report.
pub(super) fn read(auth: &mut Section<'_>) -> Option<TokenConfig> {
    let mut section = auth.section("token");
    let realm = realm(&mut section);
    let service = required(&mut section, "service", "what the tokens call this registry");
    let issuer = required(&mut section, "issuer", "what the server that makes the tokens calls itself");
    let certificates = section.text("rootcertbundle").map(PathBuf::from);
    let jwks = section.text("jwks").map(PathBuf::from);
    let has_keys = certificates.is_some() || jwks.is_some();
    if !has_keys {
        section
            .refuse("rootcertbundle", "missing, and so is jwks: one of them has the keys that tokens are signed with");
    }
    let algorithms = algorithms(&mut section);
    section.finish();
    let (realm, service, issuer, algorithms) = (realm?, service?, issuer?, algorithms?);
    has_keys.then_some(TokenConfig { realm, service, issuer, certificates, jwks, algorithms })
}

fn required(section: &mut Section<'_>, key: &str, what: &str) -> Option<String> {
    let text = section.text(key);
    if text.is_none() {
        section.refuse(key, format!("missing: {what}"));
    }
    text
}

/// A fixed realm says nothing where the registry's own address is the realm, as in Distribution.
fn realm(section: &mut Section<'_>) -> Option<TokenRealm> {
    let (url, path) = (section.text("realm"), section.text("autoredirectpath"));
    if section.boolean("autoredirect").unwrap_or(false) {
        return Some(TokenRealm::SameOrigin(path.unwrap_or_else(|| DEFAULT_PATH.to_owned())));
    }
    if url.is_none() {
        section.refuse("realm", "missing: the URL where clients get tokens");
    }
    url.map(TokenRealm::Fixed)
}

fn algorithms(section: &mut Section<'_>) -> Option<Vec<TokenAlgorithm>> {
    let names = section.texts("signingalgorithms");
    if names.is_empty() {
        return Some(TokenAlgorithm::DEFAULT.to_vec());
    }
    let read: Result<Vec<_>, _> = names
        .iter()
        .map(|name| name.parse::<TokenAlgorithm>().map_err(|error| format!("{error}, found {name:?}")))
        .collect();
    read.map_err(|reason| section.refuse("signingalgorithms", reason)).ok()
}

fn without_login(url: &str) -> String {
    let Ok(mut open) = url.parse::<Url>() else { return url.to_owned() };
    if open.username().is_empty() && open.password().is_none() {
        return url.to_owned();
    }
    // What has a login can be without one.
    let _ = (open.set_username(""), open.set_password(None));
    open.into()
}

impl fmt::Display for TokenConfig {
    /// In one line, for people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let realm = match &self.realm {
            TokenRealm::Fixed(url) => without_login(url),
            TokenRealm::SameOrigin(path) => path.clone(),
            _ => "elsewhere".to_owned(),
        };
        write!(f, "token from {realm}, service {}, issuer {}, keys", self.service, self.issuer)?;
        for path in self.certificates.iter().chain(&self.jwks) {
            write!(f, " {}", path.display())?;
        }
        let names: Vec<_> = self.algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
        write!(f, ", signed by {}", names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::config::{AuthConfig, Parsed, Rejected, parse};

    fn read(token: &str, variables: &[(&str, &str)]) -> Result<Parsed, Rejected> {
        let document = format!("version: 0.1\nstorage: inmemory\nauth: {{token: {token}}}\n");
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        parse(Some(&document), variables, &mut |_| Err(io::Error::from(io::ErrorKind::NotFound)))
    }

    #[track_caller]
    fn good(token: &str) -> TokenConfig {
        let Parsed { config, warnings, .. } = read(token, &[]).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        assert!(config.to_string().contains("auth: token from "), "{config}");
        let AuthConfig::Token(token) = config.auth else { panic!("{config}") };
        token
    }

    #[track_caller]
    fn refused(token: &str) -> Vec<String> {
        read(token, &[]).unwrap_err().problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn everything_that_can_be_said() {
        let said = "{realm: 'https://a.example/token', service: s, issuer: i, rootcertbundle: /certs, jwks: /keys,
                     signingalgorithms: [ES256, HS256], autoredirect: no, autoredirectpath: /x}";
        let wanted = TokenConfig {
            realm: TokenRealm::Fixed("https://a.example/token".into()),
            service: "s".into(),
            issuer: "i".into(),
            certificates: Some("/certs".into()),
            jwks: Some("/keys".into()),
            algorithms: vec![TokenAlgorithm::Es256, TokenAlgorithm::Hs256],
        };
        assert_eq!(good(said), wanted);
        let told = "token from https://a.example/token, service s, issuer i, keys /certs /keys, signed by ES256 HS256";
        assert_eq!(wanted.to_string(), told);
    }

    #[test]
    fn what_holds_where_nothing_is_said() {
        let least = good("{realm: r, service: s, issuer: i, jwks: k, signingalgorithms: []}");
        assert_eq!((least.algorithms.as_slice(), least.certificates), (&TokenAlgorithm::DEFAULT[..], None));
        let own = good("{service: s, issuer: i, rootcertbundle: c, autoredirect: true}");
        assert_eq!(own.realm, TokenRealm::SameOrigin("/auth/token".into()));
        let own = good("{realm: r, service: s, issuer: i, jwks: k, autoredirect: true, autoredirectpath: /t}");
        assert_eq!(own.realm, TokenRealm::SameOrigin("/t".into()));
    }

    #[test]
    fn what_is_missing_is_named() {
        assert_eq!(
            refused("{}"),
            [
                "auth.token.realm: missing: the URL where clients get tokens",
                "auth.token.service: missing: what the tokens call this registry",
                "auth.token.issuer: missing: what the server that makes the tokens calls itself",
                "auth.token.rootcertbundle: missing, and so is jwks: one of them has the keys that tokens are signed with",
            ]
        );
        assert_eq!(refused("{realm: r, service: s, issuer: i, autoredirect: true}").len(), 1);
    }

    #[test]
    fn algorithms_that_are_none() {
        for name in ["none", "None", "ES512", "hs256", "''"] {
            let problems =
                refused(&format!("{{realm: r, service: s, issuer: i, jwks: k, signingalgorithms: [{name}]}}"));
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("auth.token.signingalgorithms: expected one of EdDSA, "), "{problems:?}");
        }
    }

    #[test]
    fn variables_say_it_as_well() {
        let variables = [
            ("REGISTRY_AUTH_TOKEN_REALM", "https://a.example/token"),
            ("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
            ("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
            ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/certs"),
        ];
        let config = read("{}", &variables).unwrap().config;
        assert!(matches!(config.auth, AuthConfig::Token(token) if token.certificates == Some("/certs".into())));
    }
}
