//! A connection that is given up when its client does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::ServeOptions;
use super::activity::Activity;
use super::lingering::Lingering;
use super::security::Protocol;

/// A connection that fails when it is idle for too long, when the head of a request takes too long, or when the client
/// takes nothing of an answer.
#[derive(Debug)]
pub(super) struct Watched<T> {
    socket: T,
    protocol: Protocol,
    activity: Arc<Activity>,
    options: ServeOptions,
    waiting: Waiting,
    /// Runs while there is nothing to read.
    read_timer: Option<(Waiting, Pin<Box<Sleep>>)>,
    /// How much of a head, or of a greeting, has come.
    head_bytes: usize,
    lingering: Option<Lingering>,
}

/// What a connection waits for when it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// How the client begins tells what it speaks.
    Greeting,
    /// The head of a request, behind so many requests.
    Head { begun: usize },
    /// The next request.
    Idle,
    /// Whatever comes while a request is answered.
    Running,
    /// Frames of HTTP/2 while no request is answered. They may come at any time and say nothing.
    Frames,
}

/// How a client begins that speaks HTTP/2.
const HTTP2: &[u8] = b"PRI ";
/// The longest head of a request, in bytes.
pub(super) const MAX_HEAD_BYTES: usize = 64 * 1024;

impl<T> Watched<T> {
    pub(super) fn new(socket: T, protocol: Protocol, activity: Arc<Activity>, options: ServeOptions) -> Self {
        let waiting = if protocol == Protocol::Http1 { Waiting::Head { begun: 0 } } else { Waiting::Greeting };
        Self { socket, protocol, activity, options, waiting, read_timer: None, head_bytes: 0, lingering: None }
    }

    fn is_http2(&self) -> bool {
        self.waiting == Waiting::Frames
    }

    /// Some bytes came, `first` those of them.
    fn has_read(&mut self, first: &[u8]) {
        if self.waiting == Waiting::Greeting {
            let expected = &HTTP2[self.head_bytes..];
            let is_http2 = self.protocol == Protocol::Http2 || first.starts_with(expected);
            // It may come in pieces.
            if !is_http2 && expected.starts_with(first) {
                self.head_bytes += first.len();
                return;
            }
            self.waiting = if is_http2 { Waiting::Frames } else { Waiting::Head { begun: 0 } };
            // The first head has its time from the beginning of the connection on.
            if let Some((what, _)) = &mut self.read_timer {
                *what = self.waiting;
            }
        }
        if self.is_http2() {
            return;
        }
        let begun = self.activity.begun();
        if self.waiting == (Waiting::Head { begun }) {
            // hyper tells the client, who may be sending on.
            if self.head_bytes > MAX_HEAD_BYTES {
                self.activity.leave_over();
            }
            self.head_bytes += first.len();
            return;
        }
        self.read_timer = None;
        self.head_bytes = first.len();
        self.waiting = if self.activity.is_running() { Waiting::Running } else { Waiting::Head { begun } };
    }

    /// There is nothing to read: tells whether to give up.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_running = self.activity.is_running();
        if !self.is_http2() {
            let begun = self.activity.begun();
            match self.waiting {
                _ if is_running => self.waiting = Waiting::Running,
                Waiting::Greeting => {}
                Waiting::Head { begun: behind } if behind == begun => {}
                _ => self.waiting = Waiting::Idle,
            }
        }
        loop {
            let what = if is_running { Waiting::Running } else { self.waiting };
            let timeout = match what {
                Waiting::Greeting | Waiting::Head { .. } => self.options.header_timeout,
                Waiting::Idle => self.options.idle_timeout,
                // The body of the request has a timer of its own; the answers are looked at now and then.
                Waiting::Running => self.options.write_timeout / 4,
                Waiting::Frames => self.options.idle_timeout.saturating_sub(self.activity.rest()),
            };
            let timer = match &mut self.read_timer {
                Some((since, timer)) if *since == what => timer,
                timer => &mut timer.insert((what, Box::pin(sleep(timeout)))).1,
            };
            ready!(timer.as_mut().poll(cx));
            let goes_on = match what {
                Waiting::Running => !self.activity.has_stalled(self.options.write_timeout),
                // Requests have come and gone meanwhile.
                Waiting::Frames => self.activity.rest() < self.options.idle_timeout,
                _ => false,
            };
            if !goes_on {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.read_timer = None;
        }
    }
}

impl<T: AsyncRead + Unpin> Watched<T> {
    /// Waits for a client to leave that is still sending what nobody wants: to close at once would take the answer away
    /// from it.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_http2() || !self.activity.has_left_over() {
            return Poll::Ready(());
        }
        let lingering = self.lingering.get_or_insert_with(Lingering::default);
        lingering.poll(&mut self.socket, cx)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match Pin::new(&mut self.socket).poll_read(cx, buffer) {
            Poll::Pending => self.poll_patience(cx),
            Poll::Ready(read) => {
                self.has_read(&buffer.filled()[before..]);
                Poll::Ready(read)
            }
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.socket).poll_shutdown(cx))?;
        }
        self.poll_leave(cx).map(Ok)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    /// A connection to a client, with what goes on on it.
    fn watched() -> (tokio::io::DuplexStream, Watched<tokio::io::DuplexStream>, Arc<Activity>) {
        let (client, server) = duplex(16);
        let activity = Arc::new(Activity::new());
        let connection = Watched::new(server, Protocol::AsItBegins, Arc::clone(&activity), ServeOptions::default());
        (client, connection, activity)
    }

    async fn seconds_until_cut(connection: &mut Watched<tokio::io::DuplexStream>) -> u64 {
        let start = Instant::now();
        let error = connection.read(&mut [0; 16]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_cut_as_for_a_head() {
        let (_client, mut connection, _) = watched();
        assert_eq!(seconds_until_cut(&mut connection).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_trickles_is_cut() {
        let (mut client, mut connection, _) = watched();
        let start = Instant::now();
        let trickle = async {
            for _ in 0..20 {
                tokio::time::sleep(Duration::from_secs(1)).await;
                client.write_all(b"x").await.unwrap();
            }
        };
        let read = async { while connection.read(&mut [0; 16]).await.is_ok() {} };
        futures::future::select(std::pin::pin!(trickle), std::pin::pin!(read)).await;
        assert_eq!(start.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_there_is_more_time() {
        let (mut client, mut connection, activity) = watched();
        client.write_all(b"GET").await.unwrap();
        connection.read_exact(&mut [0; 3]).await.unwrap();
        drop(activity.begin());
        assert_eq!(seconds_until_cut(&mut connection).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_takes_as_long_as_it_takes() {
        let (_client, mut connection, activity) = watched();
        let _running = activity.begin();
        let mut buffer = [0; 16];
        let read = tokio::time::timeout(Duration::from_secs(1000), connection.read(&mut buffer));
        assert!(read.await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_greeting_may_come_in_pieces() {
        let (mut client, mut connection, _) = watched();
        for piece in [&b"P"[..], b"RI", b" * HTTP/2.0"] {
            client.write_all(piece).await.unwrap();
            connection.read_exact(&mut vec![0; piece.len()]).await.unwrap();
        }
        assert_eq!(seconds_until_cut(&mut connection).await, 60);
        let (mut client, mut connection, _) = watched();
        for piece in [&b"P"[..], b"UT"] {
            client.write_all(piece).await.unwrap();
            connection.read_exact(&mut vec![0; piece.len()]).await.unwrap();
        }
        assert_eq!(seconds_until_cut(&mut connection).await, 10, "it is none");
    }

    #[tokio::test(start_paused = true)]
    async fn http2_may_send_frames_between_requests_for_as_long_as_any_other() {
        let (mut client, mut connection, _) = watched();
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        connection.read_exact(&mut [0; 14]).await.unwrap();
        let start = Instant::now();
        let pings = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(3)).await;
                client.write_all(b"ping").await.unwrap();
            }
        };
        let read = async { while connection.read(&mut [0; 16]).await.is_ok() {} };
        futures::future::select(std::pin::pin!(pings), std::pin::pin!(read)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }

    /// Frames that say nothing keep no connection whose client takes nothing.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_nobody_takes_ends_the_connection() {
        let (mut client, mut connection, activity) = watched();
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        connection.read_exact(&mut [0; 14]).await.unwrap();
        let _answer = activity.begin().with(http_body_util::Full::new(bytes::Bytes::from_static(b"answer")));
        let start = Instant::now();
        let pings = async {
            for _ in 0..100 {
                tokio::time::sleep(Duration::from_secs(3)).await;
                client.write_all(b"ping").await.unwrap();
            }
        };
        let read = async { while connection.read(&mut [0; 16]).await.is_ok() {} };
        futures::future::select(std::pin::pin!(pings), std::pin::pin!(read)).await;
        assert_eq!(start.elapsed().as_secs(), 60);
    }
}
