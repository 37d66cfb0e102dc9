//! Telling those who run a server that it is open to anybody.

use std::fmt;
use std::sync::Arc;

use registry_auth::Action;

use crate::config::{AuthConfig, ClientCertificates, Config};
use crate::listen::Place;
use crate::metrics::Metrics;
use crate::telemetry;

/// Tells whether a server is open to anybody, in the log and in its numbers.
#[derive(Clone)]
pub struct Openness {
    /// Where others get at the server, if they do.
    place: Option<String>,
    metrics: Option<Arc<Metrics>>,
}

impl fmt::Debug for Openness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Openness").field(&self.place).finish()
    }
}

impl Openness {
    /// Of a server at `place`, with numbers if it has some.
    #[must_use]
    pub fn new(place: &Place, metrics: Option<Arc<Metrics>>) -> Self {
        Self { place: place.is_exposed().then(|| place.to_string()), metrics }
    }

    /// Tells it of a server with this configuration.
    pub fn tell(&self, config: &Config) {
        let warning = self.warning(config);
        if let Some(metrics) = &self.metrics {
            metrics.tell_open(warning.is_some());
        }
        if let Some(warning) = warning {
            telemetry::warn_in_any_case(&warning);
        }
    }

    fn warning(&self, config: &Config) -> Option<String> {
        let place = self.place.as_ref().filter(|_| is_open(config))?;
        let may = match (config.storage.read_only, config.storage.delete) {
            (true, _) => "pull everything",
            (false, false) => "pull and overwrite everything",
            (false, true) => "pull, overwrite and delete everything",
        };
        let (why, what) = match config.access {
            None => ("there is no login", ""),
            Some(_) => ("the rules of access ask for no login", "change them, "),
        };
        Some(format!(
            "ANYBODY who reaches {place} can {may}, for {why}: \
             {what}listen on 127.0.0.1, or let only a proxy that asks for a login reach this server"
        ))
    }
}

/// Whether anybody gets in who can reach the server.
fn is_open(config: &Config) -> bool {
    let client_certificates = config.http.tls.as_ref().map(|tls| &tls.client_certificates);
    let is_locked = matches!(client_certificates, Some(ClientCertificates::RequireAndVerify(_)));
    !is_locked
        && match &config.access {
            None => config.auth == AuthConfig::None,
            Some(rules) => rules.lets_anybody(Action::Push),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn warning(place: Option<&str>, rest: &str) -> Option<String> {
        let document = format!("version: 0.1\nstorage: inmemory\n{rest}\n");
        let config = config::parse(Some(&document), [], &mut |_| Ok(String::new())).unwrap().config;
        Openness { place: place.map(str::to_owned), metrics: None }.warning(&config)
    }

    #[test]
    fn whoever_is_reached_by_anybody_is_told_why() {
        let rules = |who: &str, actions: &str| {
            format!("access: {{rules: [{{who: [{who}], repositories: ['**'], actions: [{actions}]}}]}}")
        };
        assert_eq!(warning(None, ""), None);
        let told = warning(Some("0.0.0.0:1"), "").unwrap();
        assert!(
            told.starts_with("ANYBODY who reaches 0.0.0.0:1 can pull and overwrite everything, for there is no login")
        );
        let told = warning(Some("0.0.0.0:1"), &rules("anyone", "pull, push")).unwrap();
        assert!(told.contains("for the rules of access ask for no login: change them, "), "{told}");
        for closed in
            [rules("anyone", "pull"), rules("authenticated", "push"), "auth: {htpasswd: {realm: r, path: /a}}".into()]
        {
            assert_eq!(warning(Some("0.0.0.0:1"), &closed), None, "{closed}");
        }
    }
}
