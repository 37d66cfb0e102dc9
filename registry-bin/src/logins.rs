//! The password file: made where there is none, read, and read again when it changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_auth::{Htpasswd, HtpasswdUsers, htpasswd_line};

use crate::followed::{Content, Files};
use crate::reloads::Reloads;
use crate::telemetry;

/// The user of a file that was made here, as Distribution names it.
const DEFAULT_USER: &str = "docker";
const DEFAULT_COST: u32 = 10;
/// The largest file that is read, in bytes: some hundred thousand users.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The users of a password file, kept as the file is.
#[derive(Debug)]
pub struct Logins {
    path: PathBuf,
    opened: Files,
    htpasswd: Arc<Htpasswd>,
    skipped: AtomicUsize,
    reloads: Arc<Reloads>,
}

impl Logins {
    /// Reads the file; one that is not there is made, with one user whose password is told once, in the log.
    ///
    /// # Errors
    /// If the file can neither be read nor made.
    pub fn open(realm: &str, path: &Path) -> io::Result<Self> {
        let (mut opened, mut contents) = Files::open([path], MAX_BYTES);
        if matches!(&contents[..], [Err(error)] if error.kind() == io::ErrorKind::NotFound) {
            provision(path)?;
            contents = opened.take();
        }
        let content = contents.pop().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        let (users, skipped) = HtpasswdUsers::parse(content);
        tell_skipped(path, &skipped);
        if users.is_empty() {
            let path = path.display();
            telemetry::warn_in_any_case(&format!("the password file {path} has no users: nobody can log in"));
        }
        let concurrency = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let htpasswd = Arc::new(Htpasswd::builder(realm, users).concurrency(concurrency).build());
        let (skipped, reloads) = (AtomicUsize::new(skipped.len()), Arc::default());
        Ok(Self { path: path.to_owned(), opened, htpasswd, skipped, reloads })
    }

    /// Who checks passwords.
    #[must_use]
    pub fn authenticator(&self) -> Arc<Htpasswd> {
        Arc::clone(&self.htpasswd)
    }

    /// The file, as it was taken over at the start.
    #[must_use]
    pub fn files(&self) -> Files {
        self.opened.clone()
    }

    /// How many lines of the file cannot be used.
    #[must_use]
    pub fn skipped(&self) -> usize {
        self.skipped.load(Ordering::Relaxed)
    }

    /// What became of the file.
    #[must_use]
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// Takes over what the file says now. What cannot be read, or holds lines and not one of them good, leaves the
    /// users as they were.
    pub fn reload(&self, contents: Vec<Content>) {
        let is_good = contents.into_iter().all(|content| self.take_over(content));
        self.reloads.note(is_good);
    }

    fn take_over(&self, content: Content) -> bool {
        let path = self.path.display();
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                tracing::error!(%error, %path, "the password file cannot be read; the users stay as they were");
                return false;
            }
        };
        let (fresh, skipped) = HtpasswdUsers::parse(content);
        tell_skipped(&self.path, &skipped);
        self.skipped.store(skipped.len(), Ordering::Relaxed);
        if fresh.is_empty() && !skipped.is_empty() {
            tracing::error!(%path, "the password file has no line that can be used; the users stay as they were");
            return false;
        }
        let users = fresh.len();
        self.htpasswd.reload(fresh);
        if users == 0 {
            // It may be meant so, and nobody may stay in who was meant to be out.
            tracing::error!(%path, "the password file has become empty: nobody can log in any more");
        } else {
            tracing::info!(users, %path, "the password file was read again");
        }
        true
    }
}

fn tell_skipped(path: &Path, skipped: &[registry_auth::SkippedLine]) {
    for line in skipped {
        tracing::warn!(path = %path.display(), "password file: {line}; the line is skipped");
    }
}

/// Makes a file with one user, readable by its owner alone, as Distribution does.
fn provision(path: &Path) -> io::Result<()> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(io::Error::other)?;
    let password = URL_SAFE_NO_PAD.encode(secret);
    let line = htpasswd_line(DEFAULT_USER, &password, DEFAULT_COST).map_err(io::Error::other)?;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    let told = "htpasswd is missing, provisioning with default user";
    // Nobody could log in who did not see it.
    if tracing::enabled!(tracing::Level::WARN) {
        tracing::warn!(user = DEFAULT_USER, password, "{told}");
    } else {
        tracing::error!(user = DEFAULT_USER, password, "{told}");
    }
    Ok(())
}
