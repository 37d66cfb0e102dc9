//! Logins by the password file: how much work they are.

use std::sync::Arc;

use prometheus::Opts;
use registry_auth::HtpasswdStats;

use super::read::{Read, as_float};
use crate::logins::Logins;

/// The numbers of a password file.
pub(super) fn numbers(logins: &Arc<Logins>) -> prometheus::Result<Read> {
    let read = move |of: fn(HtpasswdStats) -> u64| {
        let logins = Arc::clone(logins);
        move || Some(as_float(of(logins.authenticator().stats())))
    };
    let (users, skipped) = (Arc::clone(logins), Arc::clone(logins));
    Read::default()
        .gauge(Opts::new("registry_htpasswd_users", "Users who can log in."), move || {
            Some(as_float(users.authenticator().users_len() as u64))
        })?
        .gauge(
            Opts::new("registry_htpasswd_skipped_lines", "Lines of the password file that cannot be used."),
            move || Some(as_float(skipped.skipped() as u64)),
        )?
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
        )
}
