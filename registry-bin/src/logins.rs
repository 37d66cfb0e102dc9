//! The password file: made where there is none, read, and read again when it changed.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use registry_auth::{Htpasswd, HtpasswdUsers, htpasswd_line};

use crate::reloads::Reloads;

/// The user of a file that was made here, as Distribution names it.
const DEFAULT_USER: &str = "docker";
const DEFAULT_COST: u32 = 10;
/// The largest file that is read, in bytes: some hundred thousand users.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The users of a password file, kept as the file is.
#[derive(Debug)]
pub struct Logins {
    path: PathBuf,
    htpasswd: Arc<Htpasswd>,
    reloads: Arc<Reloads>,
}

impl Logins {
    /// Reads the file; one that is not there is made, with one user whose password is told once, in the log.
    ///
    /// # Errors
    /// If the file can neither be read nor made.
    pub fn open(realm: &str, path: &Path) -> io::Result<Self> {
        let text = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => provision(path)?,
            read => read?,
        };
        let users = users(path, &text);
        if users.is_empty() {
            tracing::warn!(path = %path.display(), "the password file has no users: nobody can log in");
        }
        let concurrency = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        let htpasswd = Htpasswd::builder(realm, users).concurrency(concurrency).build();
        Ok(Self { path: path.to_owned(), htpasswd: Arc::new(htpasswd), reloads: Arc::default() })
    }

    /// Who checks passwords.
    #[must_use]
    pub fn authenticator(&self) -> Arc<Htpasswd> {
        Arc::clone(&self.htpasswd)
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What became of the file.
    #[must_use]
    pub fn reloads(&self) -> Arc<Reloads> {
        Arc::clone(&self.reloads)
    }

    /// Takes over what the file says now. What cannot be read, or holds lines and not one of them good, leaves the
    /// users as they were.
    pub fn reload(&self) {
        let is_good = self.take_over();
        self.reloads.note(is_good);
    }

    fn take_over(&self) -> bool {
        let text = match read(&self.path) {
            Ok(text) => text,
            Err(error) => {
                let path = self.path.display();
                tracing::error!(%error, %path, "the password file cannot be read; the users stay as they were");
                return false;
            }
        };
        let (fresh, skipped) = HtpasswdUsers::parse(&text);
        tell_skipped(&self.path, &skipped);
        if fresh.is_empty() && !skipped.is_empty() {
            let path = self.path.display();
            tracing::error!(%path, "the password file has no line that can be used; the users stay as they were");
            return false;
        }
        let users = fresh.len();
        self.htpasswd.reload(fresh);
        tracing::info!(users, path = %self.path.display(), "the password file was read again");
        true
    }
}

/// In seconds since 1970.
fn users(path: &Path, text: &str) -> HtpasswdUsers {
    let (users, skipped) = HtpasswdUsers::parse(text);
    tell_skipped(path, &skipped);
    users
}

fn tell_skipped(path: &Path, skipped: &[registry_auth::SkippedLine]) {
    for line in skipped {
        tracing::warn!(path = %path.display(), "password file: {line}; the line is skipped");
    }
}

fn read(path: &Path) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    fs::File::open(path)?.take(MAX_BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("longer than {MAX_BYTES} bytes")));
    }
    Ok(text)
}

/// Makes a file with one user, readable by its owner alone, as Distribution does.
fn provision(path: &Path) -> io::Result<String> {
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
    tracing::warn!(user = DEFAULT_USER, password, "htpasswd is missing, provisioning with default user");
    Ok(line)
}
