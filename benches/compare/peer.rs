//! The servers, and how each of them is told what to do.

use std::io;
use std::path::{Path, PathBuf};

use crate::Arguments;
use crate::row::{Place, Row, Work};

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Ours,
    Distribution,
    Distribution2,
    /// nginx with TLS in front of [`Distribution2`](Self::Distribution2).
    Fronted,
    /// The blob, or the manifest, as a plain file.
    Nginx,
}

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Programs {
    ours: PathBuf,
    distribution: Option<PathBuf>,
    distribution2: Option<PathBuf>,
    nginx: Option<PathBuf>,
}

/// A program with its arguments and environment.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// What a server is told.
#[derive(Debug)]
pub(crate) struct Setting<'a> {
    pub(crate) row: &'a Row,
    /// Has the configuration, and what else the server needs.
    pub(crate) folder: &'a Path,
    pub(crate) volume: &'a Path,
    pub(crate) port: u16,
    /// Of the registry behind nginx.
    pub(crate) inner_port: u16,
}

impl Peer {
    pub(crate) const ALL: [Self; 5] = [Self::Ours, Self::Distribution, Self::Distribution2, Self::Fronted, Self::Nginx];

    /// A word for files.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Distribution => "distribution3",
            Self::Distribution2 => "distribution2",
            Self::Fronted => "nginx_distribution2",
            Self::Nginx => "nginx",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "registry",
            Self::Distribution => "Distribution 3",
            Self::Distribution2 => "Distribution 2.8",
            Self::Fronted => "nginx + Distribution 2.8",
            Self::Nginx => "nginx, a plain file",
        }
    }

    /// Whether a row tells something of it.
    pub(crate) fn does(self, row: &Row) -> bool {
        match self {
            Self::Ours | Self::Distribution => true,
            // It gives all tags at once.
            Self::Distribution2 => !row.tls && !matches!(row.work, Work::Request { path: Place::Tags(_), .. }),
            Self::Fronted => row.tls,
            Self::Nginx => match row.work {
                Work::Pull { .. } | Work::Request { path: Place::Blob { among: 0, .. }, .. } => true,
                // It knows no names and no passwords, which is what makes it a limit.
                Work::Request { path: Place::ManifestByTag | Place::ManifestByDigest, .. } => !row.login,
                _ => false,
            },
        }
    }

    /// Writes what it needs, and tells how it is started.
    pub(crate) fn configure(self, programs: &Programs, setting: &Setting<'_>) -> io::Result<Vec<Command>> {
        match self {
            Self::Ours => Ok(vec![registry(&programs.ours, self, setting, setting.port)?]),
            Self::Distribution => {
                Ok(vec![registry(needed(programs.distribution.as_ref())?, self, setting, setting.port)?])
            }
            Self::Distribution2 => {
                Ok(vec![registry(needed(programs.distribution2.as_ref())?, self, setting, setting.port)?])
            }
            Self::Nginx => {
                Ok(vec![nginx(needed(programs.nginx.as_ref())?, setting, &static_location(setting.folder))?])
            }
            Self::Fronted => Ok(vec![
                registry(needed(programs.distribution2.as_ref())?, self, setting, setting.inner_port)?,
                nginx(needed(programs.nginx.as_ref())?, setting, &proxy_location(setting.inner_port))?,
            ]),
        }
    }
}

impl Programs {
    /// Looks for them, and says what is missing.
    ///
    /// # Errors
    /// If this registry is not there.
    pub(crate) fn find(arguments: &Arguments) -> io::Result<Self> {
        let ours = match &arguments.ours {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("registry"),
        };
        if !ours.is_file() {
            return Err(io::Error::other(format!("{} is not there: cargo build --release", ours.display())));
        }
        let found = |path: &Path| {
            let found = on_path(path);
            if found.is_none() {
                println!("LEFT OUT: {} is not there", path.display());
            }
            found
        };
        let (distribution, distribution2) = (found(&arguments.distribution), found(&arguments.distribution2));
        Ok(Self { ours, distribution, distribution2, nginx: found(&arguments.nginx) })
    }

    pub(crate) fn has(&self, peer: Peer) -> bool {
        match peer {
            Peer::Ours => true,
            Peer::Distribution => self.distribution.is_some(),
            Peer::Distribution2 => self.distribution2.is_some(),
            Peer::Fronted => self.distribution2.is_some() && self.nginx.is_some(),
            Peer::Nginx => self.nginx.is_some(),
        }
    }
}

fn needed(program: Option<&PathBuf>) -> io::Result<&Path> {
    program.map(PathBuf::as_path).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// The program at this path, or of this name in a folder of `PATH`.
fn on_path(program: &Path) -> Option<PathBuf> {
    if program.components().count() > 1 {
        return program.is_file().then(|| program.to_owned());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// A registry with the configuration that all of them understand.
fn registry(program: &Path, peer: Peer, setting: &Setting<'_>, port: u16) -> io::Result<Command> {
    let Setting { row, folder, volume, .. } = setting;
    let (shown, volume) = (folder.display(), volume.display());
    let durability = if peer == Peer::Ours { format!(", durability: {}", row.durability) } else { String::new() };
    let tls = if row.tls && peer != Peer::Fronted {
        format!("\n  tls: {{certificate: \"{shown}/certificate.pem\", key: \"{shown}/key.pem\"}}")
    } else {
        String::new()
    };
    let auth = if row.login {
        format!("auth: {{htpasswd: {{realm: compare, path: \"{shown}/htpasswd\"}}}}\n")
    } else {
        String::new()
    };
    let config = folder.join("config.yml");
    std::fs::write(
        &config,
        format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: \"{volume}\", maxthreads: 100{durability}}}}}\n{auth}\
             http:\n  addr: \"127.0.0.1:{port}\"\n  secret: compare{tls}\n"
        ),
    )?;
    Ok(Command { program: program.to_owned(), arguments: vec!["serve".into(), config.display().to_string()] })
}

fn nginx(program: &Path, setting: &Setting<'_>, location: &str) -> io::Result<Command> {
    let (folder, port) = (setting.folder.display(), setting.port);
    let (ssl, tls) = if setting.row.tls {
        let lines = format!(
            "ssl_certificate {folder}/certificate.pem; ssl_certificate_key {folder}/key.pem; ssl_protocols TLSv1.3;"
        );
        (" ssl", lines)
    } else {
        ("", String::new())
    };
    // As root it would look for the blob as somebody else, who may not.
    let user = if rustix::process::getuid().is_root() { "user root; " } else { "" };
    let config = setting.folder.join("nginx.conf");
    std::fs::write(
        &config,
        format!(
            "{user}daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log {folder}/nginx.log error;\n\
             events {{ worker_connections 1024; }}\n\
             http {{\n  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 0;\n  \
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;\n  \
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n  \
             server {{\n    listen 127.0.0.1:{port}{ssl};\n    {tls}\n    {location}\n  }}\n}}\n"
        ),
    )?;
    let arguments = ["-c", &config.display().to_string(), "-p", &folder.to_string()].map(str::to_owned);
    Ok(Command { program: program.to_owned(), arguments: arguments.into() })
}

fn static_location(folder: &Path) -> String {
    format!("root {}; location / {{ try_files /file =404; }}", folder.display())
}

/// As the documentation of Distribution has it.
fn proxy_location(port: u16) -> String {
    format!(
        "chunked_transfer_encoding on; location / {{ proxy_pass http://127.0.0.1:{port}; proxy_http_version 1.1; \
         proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 900; \
         proxy_request_buffering off; }}"
    )
}
