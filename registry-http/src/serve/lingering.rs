//! The end of a connection on which the client is still sending.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client has to read its answer and leave. Servers of Go wait as long.
const PATIENCE: Duration = Duration::from_millis(500);
/// How much of what it sends is read meanwhile, in bytes; beyond that it has to wait.
const MAX_BYTES: usize = 256 * 1024;

/// Waits for a client to leave, and reads what it sends meanwhile.
#[derive(Debug)]
pub(super) struct Lingering {
    timer: Pin<Box<Sleep>>,
    left_bytes: usize,
}

impl Default for Lingering {
    fn default() -> Self {
        Self { timer: Box::pin(sleep(PATIENCE)), left_bytes: MAX_BYTES }
    }
}

impl Lingering {
    /// Ready when the client has left, or had its time.
    pub(super) fn poll<T: AsyncRead + Unpin>(&mut self, socket: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; 4096];
        while self.left_bytes > 0 {
            let mut buffer = ReadBuf::new(&mut bytes);
            match Pin::new(&mut *socket).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.left_bytes = self.left_bytes.saturating_sub(buffer.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => break,
            }
        }
        self.timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_ends_when_the_client_leaves() {
        let (mut client, mut server) = duplex(16);
        let start = Instant::now();
        let mut lingering = Lingering::default();
        let sending = async {
            client.write_all(&[0; 1000]).await.unwrap();
            drop(client);
        };
        tokio::join!(sending, poll_fn(|cx| lingering.poll(&mut server, cx)));
        assert_eq!(start.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_stays_is_not_waited_for() {
        let (mut client, mut server) = duplex(16);
        let start = Instant::now();
        let mut lingering = Lingering::default();
        let sending = async {
            // More than is read: the rest is never taken.
            let all = vec![0; 2 * MAX_BYTES];
            assert!(tokio::time::timeout(PATIENCE * 2, client.write_all(&all)).await.is_err());
        };
        let lingers = async {
            poll_fn(|cx| lingering.poll(&mut server, cx)).await;
            assert!(start.elapsed() >= PATIENCE && start.elapsed() < PATIENCE * 2);
        };
        tokio::join!(sending, lingers);
    }
}
