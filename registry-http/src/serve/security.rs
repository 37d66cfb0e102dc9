//! What happens on a connection before the first request.

use std::io;

use super::ServeOptions;
use super::listener::Socket;
use super::taking::Taking;
use crate::PeerCertificate;

/// Whether connections are encrypted, and how.
#[derive(Debug, Clone, Default)]
pub(super) struct Security {
    #[cfg(feature = "tls")]
    tls: Option<crate::Tls>,
}

/// A connection on which requests may come.
#[derive(Debug)]
pub(super) struct Secured {
    pub(super) socket: Taking<Socket>,
    pub(super) protocol: Protocol,
    pub(super) is_encrypted: bool,
    pub(super) certificate: Option<PeerCertificate>,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// HTTP/1.1 or HTTP/2, as the client begins.
    AsItBegins,
    Http1,
    Http2,
}

impl Security {
    /// Whether connections begin with a handshake.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_self, reason = "there is nothing to look at"))]
    pub(super) fn is_encrypted(&self) -> bool {
        #[cfg(feature = "tls")]
        return self.tls.is_some();
        #[cfg(not(feature = "tls"))]
        false
    }

    /// Makes a connection one that requests may come on.
    #[cfg_attr(not(feature = "tls"), expect(clippy::unused_async, reason = "a handshake takes time"))]
    pub(super) async fn secure(self, socket: Socket, options: &ServeOptions) -> io::Result<Secured> {
        #[cfg(feature = "tls")]
        if let Some(tls) = self.tls {
            // Apart, as it is large and soon over, and the rest of the connection may last long.
            let handshake = handshake(tls, socket, options);
            return Box::pin(tokio::time::timeout(options.handshake_timeout, handshake)).await?;
        }
        let socket = Taking::new(socket, options.write_timeout);
        let protocol = if options.h2c { Protocol::AsItBegins } else { Protocol::Http1 };
        Ok(Secured { socket, protocol, is_encrypted: false, certificate: None })
    }
}

#[cfg(feature = "tls")]
impl From<crate::Tls> for Security {
    fn from(tls: crate::Tls) -> Self {
        Self { tls: Some(tls) }
    }
}

/// What a client is told that speaks HTTP without TLS, in the words of Go's servers.
#[cfg(feature = "tls")]
const NOT_ENCRYPTED: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

#[cfg(feature = "tls")]
async fn handshake(tls: crate::Tls, mut socket: Socket, options: &ServeOptions) -> io::Result<Secured> {
    if begins_with_method(&socket).await? {
        tell(&mut socket, NOT_ENCRYPTED).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a request without TLS"));
    }
    let socket = Taking::new(socket, options.write_timeout);
    let stream = tokio_rustls::TlsAcceptor::from(tls.config()).accept(socket).await?;
    let connection = stream.get_ref().1;
    let protocol = if connection.alpn_protocol() == Some(crate::tls::H2) { Protocol::Http2 } else { Protocol::Http1 };
    if connection.alpn_protocol() == Some(crate::tls::CHALLENGE) {
        return Err(io::Error::other("it was an authority's, which has what it came for"));
    }
    let certificate = tls.peer_certificate(connection);
    let socket = Taking::new(Socket::Tls(Box::new(stream)), options.write_timeout);
    Ok(Secured { socket, protocol, is_encrypted: true, certificate })
}

/// Whether the first byte is one of a method. One of a handshake is none.
#[cfg(feature = "tls")]
async fn begins_with_method(socket: &Socket) -> io::Result<bool> {
    let mut first = [0];
    match socket {
        Socket::Tcp(socket) => Ok(socket.peek(&mut first).await? == 1 && first[0].is_ascii_uppercase()),
        // There is no looking at what is not read yet.
        Socket::Unix(_) | Socket::Tls(_) => Ok(false),
    }
}

/// Sends an answer and waits for the client to leave: closing with bytes unread would take the answer away.
#[cfg(feature = "tls")]
async fn tell(socket: &mut Socket, answer: &[u8]) -> io::Result<()> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    socket.write_all(answer).await?;
    socket.shutdown().await?;
    let mut rest = socket.take(64 * 1024);
    let mut buffer = [0; 1024];
    while rest.read(&mut buffer).await? > 0 {}
    Ok(())
}
