//! Who may do what to which repository of an OCI registry.
//!
//! Two questions, two traits: an [`Authenticator`] tells who sent a request, an [`Authorizer`] whether that
//! [`Principal`] has an [`Access`]. A server asks both for each request, in one place, and fails closed: an error is
//! a refusal.
//!
//! This crate knows nothing of HTTP beyond the text of two headers, and of registries only names.
//!
//! ```
//! use registry_auth::{Access, Action, Asked, Authenticator, Basic, Credentials, Shortfall};
//!
//! # futures::executor::block_on(async {
//! let logins = Basic::new("registry", |user: &str, password: &str| user == "ann" && password == "secret");
//! let credentials = Credentials::parse("Basic YW5uOnNlY3JldA==")?;
//! let principal = logins.authenticate(Some(&credentials)).await?;
//! assert_eq!(principal.name(), Some("ann"));
//!
//! let wanted = [Access::repository("library/app".parse().unwrap(), [Action::Pull, Action::Push])];
//! let asked = Asked { wanted: &wanted, shortfall: Shortfall::Missing, origin: None };
//! let challenge = logins.challenge(&asked).unwrap();
//! assert_eq!(challenge.to_string(), r#"Basic realm="registry""#);
//! # Ok::<(), registry_auth::AuthenticationError>(())
//! # }).unwrap();
//! ```

mod access;
mod action;
mod authenticator;
mod authorizer;
mod basic;
mod certificates;
mod challenge;
mod credentials;
mod error;
mod grants;
mod htpasswd;
mod pattern;
mod policy;
mod principal;
mod reloadable;
#[cfg(feature = "token")]
mod token;

pub use access::Access;
pub use action::{Action, Actions};
pub use authenticator::{Anonymous, Asked, Authenticator, OrAnonymous, Shortfall};
pub use authorizer::{AllOf, AllowAll, Authorizer, DecideBy, Decision};
pub use basic::Basic;
pub use certificates::ClientCertificates;
pub use challenge::Challenge;
pub use credentials::{Credentials, Password};
pub use error::{AuthenticationError, AuthorizationError, Source};
pub use grants::{Granted, GrantedOrAnonymous, Grants};
pub use htpasswd::{
    Htpasswd, HtpasswdBuilder, HtpasswdLineError, HtpasswdStats, HtpasswdUsers, SkipReason, SkippedLine, htpasswd_line,
};
pub use pattern::{ParsePatternError, RepositoryPattern};
pub use policy::{Policy, Rule, Subject};
pub use principal::Principal;
pub use reloadable::Reloadable;
#[cfg(feature = "token")]
pub use token::{
    SkippedKey, SkippedKeyReason, Token, TokenAlgorithm, TokenBuilder, TokenKeys, TokenKeysError, TokenRealm,
    UnknownTokenAlgorithm,
};
