//! A connection that is given up when its client does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::ServeOptions;
use super::activity::Activity;

/// A connection that fails when it is idle for too long, when the head of a request takes too long, or when the client
/// takes no bytes.
#[derive(Debug)]
pub(super) struct Watched<T> {
    socket: T,
    activity: Arc<Activity>,
    options: ServeOptions,
    waiting: Waiting,
    /// Runs while there is nothing to read and no request is answered.
    read_timer: Option<Pin<Box<Sleep>>>,
    /// Runs while nothing can be written.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Frames may come at any time.
    is_http2: bool,
}

/// What a connection waits for when it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// The head of a request, behind so many requests.
    Head { begun: usize },
    /// Anything.
    Idle,
}

/// How a client begins that speaks HTTP/2.
const HTTP2: &[u8] = b"PRI ";

impl<T> Watched<T> {
    pub(super) fn new(socket: T, activity: Arc<Activity>, options: ServeOptions) -> Self {
        let waiting = Waiting::Head { begun: 0 };
        Self { socket, activity, options, waiting, read_timer: None, write_timer: None, is_http2: false }
    }

    /// Some bytes came, `first` those of them.
    fn has_read(&mut self, first: &[u8]) {
        let begun = self.activity.begun();
        self.is_http2 |= begun == 0 && first.starts_with(HTTP2);
        if self.is_http2 {
            self.waiting = Waiting::Idle;
            self.read_timer = None;
        } else if !self.activity.is_running() && !self.waits_for_head(begun) {
            self.waiting = Waiting::Head { begun };
            self.read_timer = None;
        }
    }

    /// Whether the head that is being read belongs to the next request.
    fn waits_for_head(&self, begun: usize) -> bool {
        self.waiting == Waiting::Head { begun }
    }

    /// There is nothing to read: tells whether to give up.
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.activity.is_running() {
            // The body of the request has a timer of its own.
            self.read_timer = None;
            return Poll::Pending;
        }
        if self.waiting != Waiting::Idle && !self.waits_for_head(self.activity.begun()) {
            self.waiting = Waiting::Idle;
            self.read_timer = None;
        }
        let timeout = match self.waiting {
            Waiting::Head { .. } => self.options.header_timeout,
            Waiting::Idle => self.options.idle_timeout,
        };
        poll_timer(&mut self.read_timer, timeout, cx).map(Err)
    }

    /// The outcome of a write; one that cannot go on has its time.
    fn paced<R>(&mut self, written: Poll<io::Result<R>>, cx: &mut Context<'_>) -> Poll<io::Result<R>> {
        match written {
            Poll::Ready(written) => {
                self.write_timer = None;
                Poll::Ready(written)
            }
            Poll::Pending => poll_timer(&mut self.write_timer, self.options.write_timeout, cx).map(Err),
        }
    }
}

fn poll_timer(timer: &mut Option<Pin<Box<Sleep>>>, timeout: Duration, cx: &mut Context<'_>) -> Poll<io::Error> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep(timeout)));
    timer.as_mut().poll(cx).map(|()| io::ErrorKind::TimedOut.into())
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

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.paced(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.socket).poll_flush(cx);
        self.paced(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.socket).poll_shutdown(cx);
        self.paced(shut_down, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.paced(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    /// A connection to a client, with what goes on on it.
    fn watched() -> (tokio::io::DuplexStream, Watched<tokio::io::DuplexStream>, Arc<Activity>) {
        let (client, server) = duplex(16);
        let activity = Arc::new(Activity::default());
        (client, Watched::new(server, Arc::clone(&activity), ServeOptions::default()), activity)
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
    async fn http2_may_send_frames_between_requests() {
        let (mut client, mut connection, _) = watched();
        client.write_all(b"PRI * HTTP/2.0").await.unwrap();
        connection.read_exact(&mut [0; 14]).await.unwrap();
        assert_eq!(seconds_until_cut(&mut connection).await, 60);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut() {
        let (_client, mut connection, _) = watched();
        let start = Instant::now();
        let error = connection.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!((error.kind(), start.elapsed().as_secs()), (io::ErrorKind::TimedOut, 60));
    }
}
