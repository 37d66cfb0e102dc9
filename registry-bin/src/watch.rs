//! Reading files again when they change, or when SIGHUP says so.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use registry_core::{Blocking, Clock as _, SystemClock, TokioBlocking};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::MissedTickBehavior;

use crate::certificates::Certificates;
use crate::configured::Configured;
use crate::logins::Logins;
use crate::tokens::Tokens;

/// How often files are looked at. A change counts when two looks agree on it, so that a file in the middle of being
/// written does not.
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
    files: Vec<Followed>,
    configured: Configured,
}

impl All {
    fn look(&mut self, told: bool) {
        for followed in &mut self.files {
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
            Followed::new([logins.path()], {
                let logins = Arc::clone(&logins);
                move || logins.reload()
            })
        });
        let tokens = self.tokens.clone().map(|tokens| {
            Followed::new(tokens.paths(), {
                let tokens = Arc::clone(&tokens);
                move || tokens.reload()
            })
        });
        let certificates = self.certificates.clone().map(|certificates| {
            let files = certificates.paths();
            Followed::new(files, {
                let certificates = Arc::clone(&certificates);
                move || certificates.reload()
            })
        });
        [logins, tokens, certificates].into_iter().flatten().collect()
    }
}

/// Files, and what happens when they change.
struct Followed {
    files: Files,
    reload: Box<dyn Fn() + Send>,
}

impl fmt::Debug for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Followed").field(&self.files).finish()
    }
}

impl Followed {
    fn new<'a>(paths: impl IntoIterator<Item = &'a Path>, reload: impl Fn() + Send + 'static) -> Self {
        Self { files: Files::new(paths), reload: Box::new(reload) }
    }

    /// Reads the files again if they have changed, or if told to.
    fn look(&mut self, told: bool) {
        if self.files.changed() || told {
            (self.reload)();
        }
    }
}

/// The identity of a file's content: its content, or that it cannot be read. Looking at the content and not at times
/// sees what a mounted secret does, which swaps a symbolic link far above the file.
type Content = Option<Vec<u8>>;

/// Files that are looked at together.
#[derive(Debug)]
struct Files {
    paths: Vec<PathBuf>,
    /// As it was taken over.
    current: Vec<Content>,
    /// As the last look found it.
    seen: Vec<Content>,
}

impl Files {
    fn new<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Self {
        let paths: Vec<_> = paths.into_iter().map(Path::to_owned).collect();
        let current = look(&paths);
        Self { seen: current.clone(), current, paths }
    }

    /// Whether there is something new, that has been so for two looks.
    fn changed(&mut self) -> bool {
        let now = look(&self.paths);
        let settled = now == self.seen && now != self.current;
        self.seen.clone_from(&now);
        if settled {
            self.current = now;
        }
        settled
    }
}

fn look(paths: &[PathBuf]) -> Vec<Content> {
    paths.iter().map(|path| std::fs::read(path).ok()).collect()
}

/// Looks at the files until it is dropped.
///
/// # Errors
/// If SIGHUP cannot be listened for.
pub fn watch(watched: Watched, configured: Configured) -> io::Result<impl Future<Output = ()> + Send> {
    let hangup = signal(SignalKind::hangup())?;
    Ok(run(watched, configured, hangup))
}

async fn run(watched: Watched, configured: Configured, mut hangup: Signal) {
    let mut all = All { files: watched.followed(), configured };
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
        // The runtime is ending.
        let Ok(looked) = looked.await else { return };
        all = looked;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_counts_when_it_has_settled() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "one").unwrap();
        let mut files = Files::new([path.as_path()]);
        assert!(!files.changed());
        std::fs::write(&path, "").unwrap();
        assert!(!files.changed());
        std::fs::write(&path, "two").unwrap();
        assert_eq!([files.changed(), files.changed(), files.changed()], [false, true, false]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!([files.changed(), files.changed()], [false, true]);
    }

    #[test]
    fn a_link_that_is_swapped_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["one", "two"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("secret"), name).unwrap();
        }
        let data = folder.path().join("data");
        std::os::unix::fs::symlink("one", &data).unwrap();
        let mut files = Files::new([data.join("secret").as_path()]);
        std::fs::remove_file(&data).unwrap();
        std::os::unix::fs::symlink("two", &data).unwrap();
        assert_eq!([files.changed(), files.changed()], [false, true]);
    }
}
