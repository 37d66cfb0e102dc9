//! Logins by the signed tokens of another server.

mod algorithm;
mod certificate;
mod claims;
mod jwks;
mod jwt;
mod key;
mod keys;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use async_trait::async_trait;
use registry_core::{Clock, SystemClock};

pub use self::algorithm::{TokenAlgorithm, UnknownTokenAlgorithm};
use self::claims::Claims;
use self::jwt::Flaw;
pub use self::keys::{SkippedKey, SkippedKeyReason, TokenKeys, TokenKeysError};
use crate::{Access, Actions, Asked, AuthenticationError, Authenticator, Challenge, Credentials, Principal, Shortfall};

/// Logins by the signed tokens of another server: the token authentication of Distribution.
///
/// A client without a token, or with one that does not reach, is told where to get one that does. That server knows
/// who may do what, and says it in the token; the registry knows nothing but its keys. So this belongs together with
/// [`Granted`](crate::Granted), which allows what the token says.
///
/// A token is good if one of the [`TokenKeys`] signed it, by an algorithm that is allowed and goes with that key; if
/// it is from the issuer, for the service, and its time has come and is not over, give or take a minute. What it says
/// of its own key (`jwk`, `jku`, `x5u`) does not count.
///
/// ```
/// use registry_auth::{Access, Action, Authenticator, Authorizer, Credentials, Decision, Granted};
/// use registry_auth::{Token, TokenKeys, TokenRealm};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut keys = TokenKeys::default();
/// let skipped = keys.add_jwks(
///     r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg"}]}"#,
/// )?;
/// assert!(skipped.is_empty());
/// let realm = TokenRealm::Fixed("https://auth.example/token".into());
/// let logins = Token::builder(realm, "registry.example", "auth.example", keys).build();
///
/// // What auth.example made for ann, who may pull library/app until 2100.
/// let header = concat!(
///     "Bearer eyJhbGciOiJFZERTQSIsImtpZCI6Im9uZSJ9",
///     ".eyJpc3MiOiJhdXRoLmV4YW1wbGUiLCJhdWQiOiJyZWdpc3RyeS5leGFtcGxlIiwic3ViIjoiYW5uIiwiZXhwIjo0MTAyNDQ0ODA",
///     "wLCJhY2Nlc3MiOlt7InR5cGUiOiJyZXBvc2l0b3J5IiwibmFtZSI6ImxpYnJhcnkvYXBwIiwiYWN0aW9ucyI6WyJwdWxsIl19XX0",
///     ".ybBDxAHRbuLEHoiGnN5IXOYoq8gcziIzXI2yLkWTPk-FCiisAFLTqIsBIfPuq6SS9kHl8YOSObHUP7Q2bqNaBQ",
/// );
/// let ann = logins.authenticate(Some(&Credentials::parse(header)?)).await?;
/// assert_eq!(ann.name(), Some("ann"));
/// let pull = Access::repository("library/app".parse()?, [Action::Pull]);
/// assert_eq!(Granted.authorize(&ann, &pull).await?, Decision::Allow);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Token {
    realm: TokenRealm,
    service: String,
    issuer: String,
    algorithms: Vec<TokenAlgorithm>,
    clock: Arc<dyn Clock>,
    keys: RwLock<Arc<TokenKeys>>,
}

/// Where clients get tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum TokenRealm {
    /// At this URL.
    Fixed(String),
    /// At this path of the address that they asked: a proxy in front sends it elsewhere.
    SameOrigin(String),
}

/// Puts a [`Token`] together.
#[derive(Debug)]
#[must_use]
pub struct TokenBuilder(Token);

impl TokenBuilder {
    /// The algorithms that tokens may be signed with; [`TokenAlgorithm::DEFAULT`] by default, and if there are none.
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = TokenAlgorithm>) -> Self {
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        self.0.algorithms = if algorithms.is_empty() { TokenAlgorithm::DEFAULT.to_vec() } else { algorithms };
        self
    }

    /// Tells whether a token has expired; the clock of the machine by default.
    pub fn clock(self, clock: Arc<dyn Clock>) -> Self {
        Self(Token { clock, ..self.0 })
    }

    /// The logins.
    #[must_use]
    pub fn build(self) -> Token {
        self.0
    }
}

impl Token {
    /// Begins logins by tokens that `issuer` made for `service`, signed with one of `keys`.
    pub fn builder(realm: TokenRealm, service: &str, issuer: &str, keys: TokenKeys) -> TokenBuilder {
        TokenBuilder(Self {
            realm,
            service: service.to_owned(),
            issuer: issuer.to_owned(),
            algorithms: TokenAlgorithm::DEFAULT.to_vec(),
            clock: Arc::new(SystemClock),
            keys: RwLock::new(Arc::new(keys)),
        })
    }

    /// Takes other keys in the place of those there are. A token of a key that is gone is refused from now on.
    pub fn reload(&self, keys: TokenKeys) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    fn check(&self, token: &str) -> Result<Principal, Flaw> {
        let now = self.clock.now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| Flaw::Clock)?;
        let seconds = i64::try_from(now.as_secs()).map_err(|_| Flaw::Clock)?;
        let keys = Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner));
        let claims: Claims = jwt::verified(token, &keys, &self.algorithms, seconds)?;
        claims.check(&self.issuer, &self.service, now.as_secs_f64())?;
        claims.principal()
    }

    fn realm(&self, origin: Option<&str>) -> String {
        match &self.realm {
            TokenRealm::Fixed(url) => url.clone(),
            TokenRealm::SameOrigin(path) => {
                let origin = origin.unwrap_or_default().trim_end_matches('/');
                format!("{origin}/{}", path.trim_start_matches('/'))
            }
        }
    }
}

#[async_trait]
impl Authenticator for Token {
    async fn authenticate(&self, credentials: Option<&Credentials>) -> Result<Principal, AuthenticationError> {
        match credentials {
            None | Some(Credentials::Certificate { .. }) => Err(AuthenticationError::Missing),
            Some(Credentials::Bearer { token }) => self.check(token.expose()).map_err(|flaw| {
                tracing::debug!(reason = %flaw, "a token was refused");
                AuthenticationError::Rejected
            }),
            Some(Credentials::Basic { .. } | Credentials::Unreadable) => Err(AuthenticationError::Rejected),
        }
    }

    /// There is always one: with another token the client may get further.
    fn challenge(&self, asked: &Asked<'_>) -> Option<Challenge> {
        let challenge =
            Challenge::new("Bearer").with("realm", self.realm(asked.origin)).with("service", &*self.service);
        let scope = scope(asked.wanted);
        let challenge = if scope.is_empty() { challenge } else { challenge.with("scope", scope) };
        Some(match asked.shortfall {
            Shortfall::Missing => challenge,
            Shortfall::Invalid => challenge.with("error", "invalid_token"),
            Shortfall::Insufficient => challenge.with("error", "insufficient_scope"),
        })
    }
}

/// The scope of a token that would do: each repository once, in the order in which they are wanted.
fn scope(wanted: &[Access]) -> String {
    let mut merged: Vec<Access> = Vec::new();
    for access in wanted.iter().filter(|access| **access != Access::Base) {
        match (merged.iter_mut().find(|other| is_same_place(access, other)), access) {
            (Some(Access::Repository { actions: held, .. }), Access::Repository { actions, .. }) => {
                *held = held.iter().chain(actions.iter()).collect::<Actions>();
            }
            (Some(_), _) => {}
            (None, access) => merged.push(access.clone()),
        }
    }
    merged.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn is_same_place(one: &Access, other: &Access) -> bool {
    match (one, other) {
        (Access::Repository { name: one, .. }, Access::Repository { name: other, .. }) => one == other,
        _ => one == other,
    }
}

#[cfg(test)]
mod tests;
