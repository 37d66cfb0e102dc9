//! Reading files again when they change, or when SIGHUP says so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Blocking, Clock as _, SystemClock, TokioBlocking};
use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;

use crate::certificates::Certificates;
use crate::configured::Configured;
use crate::followed::{Content, Files};
use crate::logins::Logins;
use crate::tokens::Tokens;

/// How often files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How often the end of a certificate is thought of.
const DAY: Duration = Duration::from_hours(24);

/// What is read again.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// The password file.
    pub logins: Option<Arc<Logins>>,
    /// The keys of tokens.
    pub tokens: Option<Arc<Tokens>>,
    /// The certificate and its key.
    pub certificates: Option<Arc<Certificates>>,
}

/// Everything that is read again when the server is told to: the files, and the configuration that names them.
#[derive(Debug)]
struct All {
    followed: Vec<Followed>,
    configured: Configured,
}

impl All {
    fn look(&mut self, told: bool) {
        for followed in &mut self.followed {
            followed.look(told);
        }
        if told {
            self.configured.reload();
        }
    }
}

impl Watched {
    fn followed(&self) -> Vec<Followed> {
        let logins = self.logins.clone().map(|logins| {
            Followed::new(logins.files(), move |contents| {
                logins.reload(contents);
                Outcome::Done
            })
        });
        let tokens = self.tokens.clone().map(|tokens| {
            Followed::new(tokens.files(), move |contents| {
                tokens.reload(contents);
                Outcome::Done
            })
        });
        let certificates = self.certificates.clone().map(|certificates| {
            let is_early = certificates.is_early();
            let followed = Followed::new(certificates.files(), move |contents| certificates.reload(contents));
            Followed { is_early, ..followed }
        });
        [logins, tokens, certificates].into_iter().flatten().collect()
    }
}

/// Whether what files hold was dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is in force, or was refused.
    Done,
    /// It may be good later, though it does not change.
    NotYet,
}

/// Files, and what happens when they change.
struct Followed {
    files: Files,
    is_early: bool,
    reload: Box<dyn Fn(Vec<Content>) -> Outcome + Send>,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followed").field(&self.files).finish()
    }
}

impl Followed {
    fn new(files: Files, reload: impl Fn(Vec<Content>) -> Outcome + Send + 'static) -> Self {
        Self { files, is_early: false, reload: Box::new(reload) }
    }

    /// Reads the files again if they have changed, if they were too early, or if told to.
    fn look(&mut self, told: bool) {
        let contents = if told || self.is_early { Some(self.files.take()) } else { self.files.changed() };
        if let Some(contents) = contents {
            self.is_early = (self.reload)(contents) == Outcome::NotYet;
        }
    }
}

/// Looks at the files until it is dropped, and when `hangup` says so.
pub async fn watch(watched: Watched, configured: Configured, mut hangup: Signal) {
    let mut all = All { followed: watched.followed(), configured };
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut days = tokio::time::interval(DAY);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => false,
            Some(()) = hangup.recv() => true,
            _ = days.tick() => {
                watched.certificates.iter().for_each(|certificates| certificates.tell_end(SystemClock.now()));
                continue;
            }
        };
        if told {
            tracing::info!("SIGHUP: the files of logins, the certificate and the configuration are read again");
        }
        let blocking: &dyn Blocking = &TokioBlocking;
        let looked = blocking.run(move || {
            all.look(told);
            all
        });
        match looked.await {
            Ok(looked) => all = looked,
            Err(stopped) => {
                tracing::error!(%stopped, "files are not followed any more");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn what_comes_too_early_is_looked_at_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let outcomes = Arc::new(Mutex::new(vec![Outcome::Done, Outcome::NotYet, Outcome::NotYet]));
        let mut followed = Followed::new(Files::open([path.as_path()], 10).0, {
            let outcomes = Arc::clone(&outcomes);
            move |_| outcomes.lock().unwrap().pop().unwrap()
        });
        let mut left = |told| {
            followed.look(told);
            outcomes.lock().unwrap().len()
        };
        assert_eq!([left(false), left(true), left(false), left(false), left(false)], [3, 2, 1, 0, 0]);
    }
}
