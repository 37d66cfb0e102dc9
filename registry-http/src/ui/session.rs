//! Logins of browsers: a cookie that names what is kept here.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use http::header::COOKIE;
use registry_auth::Credentials;
use registry_core::{Algorithm, Digest, Random};

use crate::call::Call;

/// Who is logged in. A login holds its credentials and not what they were good for, so that each request finds out anew
/// what they are good for now.
pub(super) struct Sessions {
    life: Duration,
    /// By the hash of what the cookie says, so that how long a look takes tells nothing of it.
    open: Mutex<HashMap<Digest, Session>>,
}

#[derive(Debug)]
struct Session {
    credentials: Credentials,
    until: SystemTime,
}

/// More logins push out those that end first.
const MOST: usize = 10_000;

const COOKIE_NAME: &str = "registry-session";

impl Sessions {
    pub(super) fn new(life: Duration) -> Self {
        Self { life, open: Mutex::default() }
    }

    /// Begins a session, and gives what the cookie says.
    fn begin(&self, credentials: Credentials, random: &dyn Random, now: SystemTime) -> String {
        // As nobody can guess the bytes, nobody can guess their hash; and that is plain text.
        let token = Digest::of(Algorithm::Sha256, &[random.bytes(), random.bytes(), random.bytes()].concat()).hex();
        let mut open = self.open();
        if open.len() >= MOST {
            open.retain(|_, session| session.until > now);
        }
        if open.len() >= MOST
            && let Some(first) = open.iter().min_by_key(|(_, session)| session.until).map(|(key, _)| *key)
        {
            open.remove(&first);
        }
        open.insert(key(&token), Session { credentials, until: now + self.life });
        token
    }

    fn find(&self, token: &str, now: SystemTime) -> Option<Credentials> {
        let mut open = self.open();
        let key = key(token);
        let credentials =
            open.get(&key).filter(|session| session.until > now).map(|session| session.credentials.clone());
        if credentials.is_none() {
            open.remove(&key);
        }
        credentials
    }

    fn end(&self, token: &str) {
        self.open().remove(&key(token));
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("life", &self.life).field("open", &self.open().len()).finish()
    }
}

fn key(token: &str) -> Digest {
    Digest::of(Algorithm::Sha256, token.as_bytes())
}

/// The credentials of the session that a request belongs to.
pub(super) fn of(call: &Call) -> Option<Credentials> {
    let ui = call.settings.ui.as_ref()?;
    ui.sessions.find(token(call)?, call.settings.registry.clock().now())
}

/// Begins a session, and gives the cookie.
pub(super) fn begin(call: &Call, credentials: Credentials) -> Option<String> {
    let (ui, registry) = (call.settings.ui.as_ref()?, &call.settings.registry);
    let token = ui.sessions.begin(credentials, registry.random(), registry.clock().now());
    Some(cookie(call, &token, ui.sessions.life))
}

/// Ends the session that a request belongs to, and gives the cookie that says so.
pub(super) fn end(call: &Call) -> String {
    if let (Some(ui), Some(token)) = (&call.settings.ui, token(call)) {
        ui.sessions.end(token);
    }
    cookie(call, "", Duration::ZERO)
}

fn cookie(call: &Call, token: &str, life: Duration) -> String {
    let (prefix, seconds) = (call.settings.prefix.as_str(), life.as_secs());
    let secure = if call.is_encrypted() { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={token}; Path={prefix}/ui/; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

fn token(call: &Call) -> Option<&str> {
    let values = call.headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = values.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE_NAME).then_some(value))
}

#[cfg(test)]
mod tests {
    use registry_core::SystemRandom;

    use super::*;

    fn ann() -> Credentials {
        Credentials::basic("ann", "secret").unwrap()
    }

    #[test]
    fn a_session_ends_with_its_life_or_at_once() {
        let (sessions, begun) = (Sessions::new(Duration::from_mins(1)), SystemTime::UNIX_EPOCH);
        let token = sessions.begin(ann(), &SystemRandom, begun);
        assert_eq!(token.len(), 64);
        assert_eq!(sessions.find(&token, begun + Duration::from_secs(59)), Some(ann()));
        assert_eq!(sessions.find("", begun), None);
        assert_eq!(sessions.find(&token, begun + Duration::from_mins(1)), None);
        assert_eq!(sessions.find(&token, begun), None, "what has ended does not come back");
        let token = sessions.begin(ann(), &SystemRandom, begun);
        sessions.end(&token);
        assert_eq!(sessions.find(&token, begun), None);
    }

    #[test]
    fn there_are_no_more_than_so_many() {
        let (sessions, begun) = (Sessions::new(Duration::from_mins(1)), SystemTime::UNIX_EPOCH);
        let first = sessions.begin(ann(), &SystemRandom, begun);
        let later = begun + Duration::from_secs(1);
        for _ in 0..MOST {
            sessions.begin(ann(), &SystemRandom, later);
        }
        assert_eq!(sessions.open().len(), MOST);
        assert_eq!(sessions.find(&first, later), None);
        assert!(!format!("{sessions:?}").contains("secret"));
    }
}
