//! Lines on their way to an output that may be slow, full or gone: no request waits for it, and none fails with it.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

use registry_core::{Clock, SystemClock};

/// How many lines may wait for a slow reader.
const WAITING: usize = 4096;
/// How many bytes they may have together: a client may see to it that one is very long.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// How long the end of the program waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks whether there is room.
const PAUSE_OF_END: Duration = Duration::from_millis(100);
/// How often at most lost lines are told of.
const PAUSE: Duration = Duration::from_mins(1);

/// Takes lines in, and writes them on a thread of its own. What finds no room, or cannot be written, is lost and counted.
/// Clones write to the same place.
#[derive(Debug, Clone)]
pub struct Lines {
    sender: SyncSender<Message>,
    /// How many bytes wait.
    waiting: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Everything before this is written.
    Written(Sender<()>),
}

impl Lines {
    /// Begins to write to `output`. `tell` is told how many lines are lost, now and then.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn start(
        name: &str,
        output: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        let (waiting, lost) = <(Arc<AtomicUsize>, Arc<AtomicU64>)>::default();
        let losses = Losses { lost: Arc::clone(&lost), told: 0, told_at: None, clock: Box::new(SystemClock), tell };
        let written = Arc::clone(&waiting);
        thread::Builder::new().name(name.into()).spawn(move || write_all(&receiver, &written, output, losses))?;
        Ok(Self { sender, waiting, lost })
    }

    /// Adds a line, with what ends it.
    pub fn add(&self, line: Vec<u8>) {
        let bytes = line.len();
        let has_room = self.waiting.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes) <= WAITING_BYTES;
        if !has_room || self.sender.try_send(Message::Line(line)).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines were lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits until everything is written, but no longer than two seconds; false if it was not.
    #[must_use]
    pub fn finish(&self) -> bool {
        let (written, done) = mpsc::channel();
        let mut message = Message::Written(written);
        let mut patience = PATIENCE;
        while !patience.is_zero() {
            match self.sender.try_send(message) {
                Ok(()) => return done.recv_timeout(patience).is_ok(),
                Err(mpsc::TrySendError::Full(back)) => message = back,
                Err(mpsc::TrySendError::Disconnected(_)) => return false,
            }
            thread::sleep(PAUSE_OF_END);
            patience = patience.saturating_sub(PAUSE_OF_END);
        }
        false
    }
}

/// Writes one event of the log at a time.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.add(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The lines that were lost, and of how many of them somebody was told.
struct Losses<T> {
    lost: Arc<AtomicU64>,
    told: u64,
    told_at: Option<SystemTime>,
    clock: Box<dyn Clock>,
    tell: T,
}

impl<T: Fn(u64)> Losses<T> {
    /// A line could not be written.
    fn add(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// A line was written, so others can be.
    fn tell(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost == self.told {
            return;
        }
        let now = self.clock.now();
        // A clock that was set back counts as a minute.
        if self.told_at.is_none_or(|told_at| now.duration_since(told_at).map_or(true, |passed| passed >= PAUSE)) {
            (self.tell)(lost - self.told);
            (self.told, self.told_at) = (lost, Some(now));
        }
    }
}

/// A disk that is full now may have room again, so nothing ends this but the end of the program.
fn write_all(
    messages: &Receiver<Message>,
    waiting: &AtomicUsize,
    mut output: impl Write,
    mut losses: Losses<impl Fn(u64)>,
) {
    for message in messages {
        match message {
            Message::Line(line) => {
                if output.write_all(&line).and_then(|()| output.flush()).is_ok() {
                    losses.tell();
                } else {
                    losses.add();
                }
                waiting.fetch_sub(line.len(), Ordering::Relaxed);
            }
            Message::Written(written) => {
                // Whoever waited may have gone.
                let _ = written.send(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Fails as long as it is told to, and holds on to what it got.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<(bool, Vec<u8>)>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut inner = self.0.lock().unwrap();
            if inner.0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            inner.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn line() -> Vec<u8> {
        b"x\n".to_vec()
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let sink = Sink::default();
        let lines = Lines::start("test", sink.clone(), |_| panic!("nothing is lost")).unwrap();
        for _ in 0..100 {
            lines.add(line());
        }
        assert!(lines.finish());
        assert_eq!(sink.0.lock().unwrap().1.len(), 200);
    }

    #[test]
    fn what_is_lost_is_told_when_it_can_be() {
        let sink = Sink::default();
        let (sender, told) = mpsc::channel();
        let lines = Lines::start("test", sink.clone(), move |lost| sender.send(lost).unwrap()).unwrap();
        sink.0.lock().unwrap().0 = true;
        for _ in 0..3 {
            lines.add(line());
        }
        assert!(lines.finish());
        assert_eq!((lines.lost(), told.try_recv().is_err()), (3, true));
        sink.0.lock().unwrap().0 = false;
        for _ in 0..3 {
            lines.add(line());
        }
        assert!(lines.finish());
        assert_eq!((told.try_recv(), told.try_recv().is_err()), (Ok(3), true));
        assert_eq!(sink.0.lock().unwrap().1, b"x\nx\nx\n");
    }

    /// A reader that does not read.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_does_not_read_holds_nobody_up() {
        let (read, held) = mpsc::channel();
        let lines = Lines::start("test", Stuck(held), |_| {}).unwrap();
        for _ in 0..3 * WAITING {
            lines.add(line());
        }
        assert!(lines.lost() >= (2 * WAITING - 1) as u64, "{}", lines.lost());
        drop(read);
    }

    #[test]
    fn what_waits_has_only_so_many_bytes() {
        let sink = Sink::default();
        let held = sink.0.lock().unwrap();
        let lines = Lines::start("test", sink.clone(), |_| {}).unwrap();
        for lost in [0, 0, 0, 0, 1, 2] {
            lines.add(vec![b'x'; WAITING_BYTES / 4]);
            assert_eq!(lines.lost(), lost);
        }
        drop(held);
        assert!(lines.finish());
        lines.add(vec![b'x'; WAITING_BYTES]);
        lines.add(vec![b'x'; WAITING_BYTES + 1]);
        assert!(lines.finish());
        assert_eq!((lines.lost(), sink.0.lock().unwrap().1.len()), (3, 2 * WAITING_BYTES));
    }
}
