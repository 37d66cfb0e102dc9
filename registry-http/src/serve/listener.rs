//! Where connections come from.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::security::Security;
#[cfg(feature = "tls")]
use super::taking::Taking;
use crate::forwarded::TrustedProxies;

/// Where connections come from: a TCP port or a Unix socket.
#[derive(Debug)]
pub struct Listener {
    source: Source,
    security: Security,
    proxies: TrustedProxies,
}

#[derive(Debug)]
enum Source {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self { source: Source::Tcp(listener), security: Security::default(), proxies: TrustedProxies::default() }
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self { source: Source::Unix(listener), security: Security::default(), proxies: TrustedProxies::default() }
    }
}

impl Listener {
    /// Speaks TLS on every connection. Whoever begins without it gets no further.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn with_tls(self, tls: crate::Tls) -> Self {
        Self { security: Security::from(tls), ..self }
    }

    /// Proxies on other hosts. Each is one address with the connections of many clients, so limits of what one address may
    /// have are not for them.
    #[must_use]
    pub fn with_trusted_proxies(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// Whether a connection comes from one of them, or from this machine.
    pub(super) fn is_proxy(&self, peer: Option<SocketAddr>) -> bool {
        peer.is_none_or(|peer| self.proxies.has(peer.ip().to_canonical()))
    }

    pub(super) fn security(&self) -> &Security {
        &self.security
    }

    pub(super) async fn accept(&self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match &self.source {
            Source::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                // Answers are written whole, so there is nothing to gather.
                socket.set_nodelay(true)?;
                Ok((Socket::Tcp(socket), Some(peer)))
            }
            Source::Unix(listener) => Ok((Socket::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::server::TlsStream<Taking<Socket>>>),
}

macro_rules! either {
    ($socket:expr, $inner:ident => $do:expr) => {
        match $socket.get_mut() {
            Socket::Tcp(socket) => {
                let $inner = Pin::new(socket);
                $do
            }
            Socket::Unix(socket) => {
                let $inner = Pin::new(socket);
                $do
            }
            #[cfg(feature = "tls")]
            Socket::Tls(socket) => {
                let $inner = Pin::new(socket.as_mut());
                $do
            }
        }
    };
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, socket => socket.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, socket => socket.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
