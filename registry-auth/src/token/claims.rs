//! What a token says, once it is known who signed it.

use registry_core::RepositoryName;
use serde::Deserialize;

use super::jwt::Flaw;
use crate::{Access, Action, Actions, Grants, Principal};

/// How far the clocks of issuer and registry may be apart, in seconds.
const LEEWAY: f64 = 60.0;
/// The end of the year 9999. Times beyond are taken for mistakes.
const LAST_TIME: f64 = 253_402_300_799.0;

/// What a token says. A claim that stands there twice is none.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: String,
    #[serde(default)]
    sub: Option<String>,
    aud: Audience,
    exp: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    access: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// A right. Distribution has a `class` beside the type that nothing depends on.
#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    actions: Option<Vec<String>>,
}

impl Claims {
    /// Whether the token is for `service`, from `issuer`, and good `now`, in seconds since 1970.
    pub(super) fn check(&self, issuer: &str, service: &str, now: f64) -> Result<(), Flaw> {
        if self.iss != issuer {
            return Err(Flaw::Issuer);
        }
        let is_for_us = match &self.aud {
            Audience::One(audience) => audience == service,
            Audience::Many(audiences) => audiences.iter().any(|audience| audience == service),
        };
        if !is_for_us {
            return Err(Flaw::Audience);
        }
        let is_time = |time: f64| (0.0..=LAST_TIME).contains(&time);
        if !is_time(self.exp) || !self.nbf.is_none_or(is_time) {
            return Err(Flaw::Claims);
        }
        if now > self.exp + LEEWAY {
            return Err(Flaw::Expired);
        }
        if self.nbf.is_some_and(|begin| now < begin - LEEWAY) {
            return Err(Flaw::Early);
        }
        Ok(())
    }

    /// Who has the token, with its rights.
    pub(super) fn principal(self) -> Result<Principal, Flaw> {
        let name = self.sub.unwrap_or_default();
        if name.chars().any(char::is_control) {
            return Err(Flaw::Claims);
        }
        let mut grants = Grants::default();
        for access in self.access.into_iter().flatten().filter_map(Entry::access) {
            grants.add(access);
        }
        let principal = if name.is_empty() { Principal::anonymous() } else { Principal::named(&name) };
        Ok(principal.with_grants(grants))
    }
}

impl Entry {
    /// The right; `None` for one to something that is not here.
    fn access(self) -> Option<Access> {
        let actions = self.actions.unwrap_or_default();
        let is_granted = |word: &str| actions.iter().any(|action| action == "*" || action == word);
        match (self.kind.as_str(), self.name.as_str()) {
            ("repository", name) => {
                let name: RepositoryName = name.parse().ok()?;
                let actions: Actions = Action::ALL.into_iter().filter(|action| is_granted(action.as_str())).collect();
                Some(Access::Repository { name, actions })
            }
            ("registry", "catalog") if is_granted("*") => Some(Access::Catalog),
            ("registry", "maintenance") if is_granted("*") => Some(Access::Maintenance),
            _ => None,
        }
    }
}
