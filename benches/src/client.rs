//! A client of HTTP/1.1 that does as little as it can.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use registry_core::Digest;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::Encoded;

/// How much is read from the socket at once.
const READ_BYTES: usize = 256 * 1024;

/// A connection that is kept for one request after another.
#[derive(Debug)]
pub struct Connection {
    socket: Box<dyn Stream>,
    host: SocketAddr,
    /// Further lines of the head.
    headers: String,
    buffer: Vec<u8>,
}

/// What requests go through.
trait Stream: Read + Write + fmt::Debug + Send {}

impl<S: Read + Write + fmt::Debug + Send> Stream for S {}

/// The body of a request.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// Bytes whose number the head tells.
    Whole(&'a [u8]),
    /// The same, of this media type.
    Typed(&'a str, &'a [u8]),
    /// In chunks.
    Chunked(&'a Encoded),
}

/// What came back. The body was read and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// Path and query of the `Location` header.
    pub location: Option<String>,
    /// How many bytes the body has.
    pub length: u64,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open(host: SocketAddr) -> io::Result<Self> {
        Ok(Self::over(Box::new(connect(host)?), host))
    }

    /// Connects over TLS, to a server whose certificate is of its address.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn open_tls(host: SocketAddr, config: Arc<ClientConfig>) -> io::Result<Self> {
        let client = ClientConnection::new(config, host.ip().into()).map_err(io::Error::other)?;
        Ok(Self::over(Box::new(StreamOwned::new(client, connect(host)?)), host))
    }

    fn over(socket: Box<dyn Stream>, host: SocketAddr) -> Self {
        Self { socket, host, headers: String::new(), buffer: vec![0; READ_BYTES] }
    }

    /// Sends this user and password with every request from now on.
    #[must_use]
    pub fn logged_in(self, user: &str, password: &str) -> Self {
        let encoded = STANDARD.encode(format!("{user}:{password}"));
        Self { headers: format!("{}Authorization: Basic {encoded}\r\n", self.headers), ..self }
    }

    /// Says with every request from now on that answers of this media type are taken.
    #[must_use]
    pub fn accepting(self, media_type: &str) -> Self {
        Self { headers: format!("{}Accept: {media_type}\r\n", self.headers), ..self }
    }

    /// Sends a request; gives the status of its answer, whatever it is.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn status(&mut self, method: &str, path: &str) -> io::Result<u16> {
        self.write(method, path, Content::None)?;
        Ok(self.answer(method == "HEAD")?.status)
    }

    /// Sends a request and waits for the end of its answer.
    ///
    /// # Errors
    /// If the connection breaks, or what comes back has another status than `expected`.
    pub fn send(&mut self, method: &str, path: &str, content: Content<'_>, expected: u16) -> io::Result<Answer> {
        self.write(method, path, content)?;
        let answer = self.answer(method == "HEAD")?;
        if answer.status == expected {
            Ok(answer)
        } else {
            Err(io::Error::other(format!("{method} {path}: {} instead of {expected}", answer.status)))
        }
    }

    fn write(&mut self, method: &str, path: &str, content: Content<'_>) -> io::Result<()> {
        let (framing, body) = match content {
            Content::None => ("Content-Length: 0".to_owned(), &[][..]),
            Content::Whole(body) => (format!("Content-Length: {}", body.len()), body),
            Content::Typed(kind, body) => (format!("Content-Type: {kind}\r\nContent-Length: {}", body.len()), body),
            Content::Chunked(_) => ("Transfer-Encoding: chunked".to_owned(), &[][..]),
        };
        let Self { host, headers, .. } = self;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}{framing}\r\n\r\n");
        self.socket.write_all(head.as_bytes())?;
        match content {
            Content::Chunked(encoded) => encoded.write_to(&mut *self.socket)?,
            _ => self.socket.write_all(body)?,
        }
        self.socket.flush()
    }

    /// Pushes a blob as docker does, in three requests.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn push(&mut self, repository: &str, digest: &Digest, encoded: &Encoded) -> io::Result<()> {
        let upload = self.upload(repository, encoded)?;
        let separator = if upload.contains('?') { '&' } else { '?' };
        self.send("PUT", &format!("{upload}{separator}digest={digest}"), Content::None, 201)?;
        Ok(())
    }

    /// The first two of the requests of a push; gives where the third one goes.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn upload(&mut self, repository: &str, encoded: &Encoded) -> io::Result<String> {
        let missing = || io::Error::other("no Location");
        let start = self.send("POST", &format!("/v2/{repository}/blobs/uploads/"), Content::None, 202)?;
        let upload = start.location.ok_or_else(missing)?;
        self.send("PATCH", &upload, Content::Chunked(encoded), 202)?.location.ok_or_else(missing)
    }

    fn answer(&mut self, is_head: bool) -> io::Result<Answer> {
        let mut filled = 0;
        let end = loop {
            if let Some(end) = self.buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match self.socket.read(&mut self.buffer[filled..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        };
        let answer = parse(&String::from_utf8_lossy(&self.buffer[..end]))?;
        if !is_head {
            let rest = answer.length.checked_sub((filled - end) as u64);
            drain(&mut self.socket, rest.ok_or(io::ErrorKind::InvalidData)?, &mut self.buffer)?;
        }
        Ok(answer)
    }
}

fn connect(host: SocketAddr) -> io::Result<TcpStream> {
    let socket = TcpStream::connect(host)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Lets each client work in a thread of its own; gives what they gave, in order.
///
/// # Errors
/// The first that one of them met with, or that it panicked.
pub fn together<C: Send, T: Send>(clients: Vec<C>, work: impl Fn(C) -> io::Result<T> + Sync) -> io::Result<Vec<T>> {
    let work = &work;
    thread::scope(|scope| {
        let threads: Vec<_> = clients.into_iter().map(|client| scope.spawn(move || work(client))).collect();
        threads.into_iter().map(|done| done.join().map_err(|_| io::Error::other("a client broke"))?).collect()
    })
}

/// Reads `bytes` bytes and drops them.
///
/// # Errors
/// What the reader says, or that it ended too early.
pub fn drain(reader: &mut impl Read, bytes: u64, buffer: &mut [u8]) -> io::Result<()> {
    let mut rest = bytes;
    while rest > 0 {
        let room = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        match reader.read(&mut buffer[..room])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => rest -= count as u64,
        }
    }
    Ok(())
}

fn parse(head: &str) -> io::Result<Answer> {
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
    let status = status.ok_or(io::ErrorKind::InvalidData)?;
    let mut answer = Answer { status, location: None, length: 0 };
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        if name.eq_ignore_ascii_case("content-length") {
            answer.length = value.parse().map_err(io::Error::other)?;
        } else if name.eq_ignore_ascii_case("location") {
            // `http://HOST/PATH`, or the path alone.
            let path = value.split_once("://").and_then(|(_, rest)| rest.find('/').map(|start| &rest[start..]));
            answer.location = Some(path.unwrap_or(value).to_owned());
        }
    }
    Ok(answer)
}
