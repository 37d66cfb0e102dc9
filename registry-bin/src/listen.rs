//! Listening where the configuration says.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use registry_http::Listener;
use tokio::net::{TcpListener, UnixListener};
use uuid::Uuid;

use crate::config::Listen;
use crate::notifications::Source;

/// A listener, and where it listens.
#[derive(Debug)]
pub struct Listening {
    /// Where connections come from.
    pub listener: Listener,
    /// Where that is.
    pub place: Place,
}

/// Where a listener listens. A socket in the file system goes when this is dropped.
#[derive(Debug)]
pub enum Place {
    /// At a port.
    Tcp(SocketAddr),
    /// At a socket in the file system.
    Unix(SocketPath),
}

/// A socket in the file system, removed when this is dropped.
#[derive(Debug)]
pub struct SocketPath(PathBuf);

impl Drop for SocketPath {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::warn!(%error, path = %self.0.display(), "the socket is left behind");
        }
    }
}

impl Place {
    /// Whether others than the users of this machine may reach it.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        match self {
            Self::Tcp(address) => !address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => false,
        }
    }

    /// What stands before `/NAME:TAG` to push there; `None` if docker cannot reach it.
    #[must_use]
    pub fn push_host(&self) -> Option<String> {
        match self {
            Self::Tcp(address) if address.ip().is_unspecified() => Some(format!("localhost:{}", address.port())),
            Self::Tcp(address) => Some(address.to_string()),
            Self::Unix(_) => None,
        }
    }
}

impl Place {
    /// As events name the server: the name of the machine and the port, and an identity that no other run has.
    #[must_use]
    pub fn event_source(&self) -> Source {
        let machine = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let addr = match self {
            Self::Tcp(address) => format!("{machine}:{}", address.port()),
            Self::Unix(_) => machine,
        };
        Source { addr, instance_id: Uuid::new_v4().to_string() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.0.display()),
        }
    }
}

/// Begins to listen.
///
/// # Errors
/// If the name cannot be resolved, or something else listens there.
pub async fn bind(listen: &Listen) -> io::Result<Listening> {
    match listen {
        Listen::Tcp { host, port } => {
            let listener = bind_tcp(host, *port).await?;
            let place = Place::Tcp(listener.local_addr()?);
            Ok(Listening { listener: listener.into(), place })
        }
        Listen::Unix(path) => {
            let listener = bind_unix(path)?;
            Ok(Listening { listener: listener.into(), place: Place::Unix(SocketPath(path.clone())) })
        }
    }
}

async fn bind_tcp(host: &str, port: u16) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host, port)).await;
    }
    // The address of all addresses takes those of version 4 as well, where there is version 6 at all.
    match TcpListener::bind((IpAddr::from(Ipv6Addr::UNSPECIFIED), port)).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await
        }
        bound => bound,
    }
}

/// A server that was killed leaves its socket behind; one that nobody answers at is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_left_behind(path) => {
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

fn is_left_behind(path: &Path) -> bool {
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    is_socket && UnixStream::connect(path).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(address: &str) -> Place {
        Place::Tcp(address.parse().unwrap())
    }

    #[test]
    fn only_the_loopback_is_not_exposed() {
        for (address, exposed) in [
            ("127.0.0.1:1", false),
            ("127.9.9.9:1", false),
            ("[::1]:1", false),
            ("[::ffff:127.0.0.1]:1", false),
            ("0.0.0.0:1", true),
            ("[::]:1", true),
            ("192.0.2.1:1", true),
        ] {
            assert_eq!(tcp(address).is_exposed(), exposed, "{address}");
        }
    }

    #[test]
    fn where_to_push() {
        assert_eq!(tcp("127.0.0.1:5000").push_host().unwrap(), "127.0.0.1:5000");
        assert_eq!(tcp("[::]:5000").push_host().unwrap(), "localhost:5000");
    }

    #[tokio::test]
    async fn a_file_that_is_no_socket_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(bind(&Listen::Unix(path.clone())).await.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&path).unwrap(), b"mine");
    }

    #[tokio::test]
    async fn a_port_of_the_loopback() {
        let listening = bind(&Listen::Tcp { host: "localhost".into(), port: 0 }).await.unwrap();
        assert!(!listening.place.is_exposed());
        assert!(!listening.place.to_string().ends_with(":0"));
    }
}
