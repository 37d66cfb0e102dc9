//! Logins by the password file: how much work they are, and whether the file could be read.

use std::sync::Arc;

use prometheus::Opts;
use registry_auth::HtpasswdStats;

use super::read::{Read, as_float};
use crate::logins::Logins;

/// The numbers of a password file.
pub(super) fn numbers(logins: &Arc<Logins>) -> prometheus::Result<Read> {
    let file = |name, help| Opts::new(name, help).const_label("file", "htpasswd");
    let (failed, last) = (Arc::clone(logins), Arc::clone(logins));
    let read = move |of: fn(HtpasswdStats) -> u64| {
        let logins = Arc::clone(logins);
        move || Some(as_float(of(logins.authenticator().stats())))
    };
    Read::default()
        .gauge(
            Opts::new("registry_htpasswd_running", "Passwords that are being checked."),
            read(|stats| stats.running as u64),
        )?
        .gauge(
            Opts::new("registry_htpasswd_waiting", "Requests that wait until their password can be checked."),
            read(|stats| stats.waiting as u64),
        )?
        .counter(
            Opts::new("registry_htpasswd_checks_total", "Passwords that were checked."),
            read(|stats| stats.checks),
        )?
        .counter(
            Opts::new("registry_htpasswd_cache_hits_total", "Requests whose credentials were remembered."),
            read(|stats| stats.cache_hits),
        )?
        .counter(
            Opts::new("registry_htpasswd_cache_misses_total", "Requests whose credentials were not remembered."),
            read(|stats| stats.cache_misses),
        )?
        .counter(
            Opts::new("registry_htpasswd_turned_away_total", "Requests turned away because too many waited."),
            read(|stats| stats.turned_away),
        )?
        .gauge(file("registry_config_reload_failed", "Whether a changed file could not be taken over."), move || {
            Some(if failed.reload_failed() { 1.0 } else { 0.0 })
        })?
        .gauge(file("registry_config_last_reload_timestamp_seconds", "When a file was last taken over."), move || {
            Some(as_float(last.loaded_at()))
        })
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn a_broken_edit_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, registry_auth::htpasswd_line("ann", "secret", 4).unwrap()).unwrap();
        let logins = Arc::new(Logins::open("r", &path).unwrap());
        let registry = Registry::new();
        registry.register(Box::new(numbers(&logins).unwrap())).unwrap();
        let text = || TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        assert!(text().contains("\nregistry_config_reload_failed{file=\"htpasswd\"} 0\n"), "{}", text());
        assert!(logins.loaded_at() > 1_000_000_000);
        std::fs::write(&path, "no password file").unwrap();
        logins.reload();
        assert!(text().contains("\nregistry_config_reload_failed{file=\"htpasswd\"} 1\n"), "{}", text());
        std::fs::write(&path, "").unwrap();
        logins.reload();
        assert!(text().contains("\nregistry_config_reload_failed{file=\"htpasswd\"} 0\n"), "{}", text());
        std::fs::remove_file(&path).unwrap();
        logins.reload();
        assert!(logins.reload_failed());
    }
}
