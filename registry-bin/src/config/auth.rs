//! `auth`: how people say who they are.

use std::path::PathBuf;

use super::section::Section;
use super::token::{self, TokenConfig};

/// How people say who they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthConfig {
    /// Not at all.
    None,
    /// By user and password, as a file has them.
    Htpasswd {
        /// What people are told that they log in to.
        realm: String,
        /// The file.
        path: PathBuf,
    },
    /// By the tokens of another server.
    Token(TokenConfig),
}

/// Reads `auth`. Without an answer to who gets in there is no configuration, and the reason stands in the report.
pub(super) fn read(root: &mut Section<'_>) -> Option<AuthConfig> {
    let mut auth = root.section("auth");
    let names = auth.keys();
    if names.len() > 1 {
        root.refuse("auth", format!("names more than one way to log in: {}", names.join(", ")));
        return None;
    }
    match names.first().map(String::as_str) {
        None => Some(AuthConfig::None),
        Some("none") => {
            auth.take("none");
            Some(AuthConfig::None)
        }
        Some("htpasswd") => htpasswd(&mut auth),
        Some("silly") => {
            auth.refuse("silly", "lets in whoever sends any header, and is not offered; use none, htpasswd or token");
            None
        }
        Some("token") => token::read(&mut auth).map(AuthConfig::Token),
        Some(other) if other.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) => {
            auth.refuse(other, "not a way to log in; there are htpasswd, token and none");
            None
        }
        // It may be anything, credentials as well.
        Some(_) => {
            root.refuse("auth", "names no way to log in; there are htpasswd, token and none");
            None
        }
    }
}

fn htpasswd(auth: &mut Section<'_>) -> Option<AuthConfig> {
    let mut section = auth.section("htpasswd");
    let (realm, path) = (section.text("realm"), section.text("path"));
    if realm.is_none() {
        section.refuse("realm", "missing: what people are told that they log in to");
    }
    if path.is_none() {
        section.refuse("path", "missing: the file with the users and their passwords");
    }
    section.finish();
    Some(AuthConfig::Htpasswd { realm: realm?, path: path?.into() })
}
