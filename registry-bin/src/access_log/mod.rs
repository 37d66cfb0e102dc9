//! The access log: one line per request on standard output, in the combined format of web servers.

mod completed;
mod service;
mod shown;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;
use std::time::{Duration, SystemTime};

pub use service::{AccessLogged, CountedBody};
#[cfg(feature = "otel")]
pub(crate) use shown::query_alone as shown_query;

/// How many lines may wait for a slow reader.
const WAITING: usize = 4096;

/// Takes lines in, and writes them on a thread of its own, so that a reader who stops reading holds no request up:
/// its lines are left out. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct AccessLog(SyncSender<String>);

/// How long the end of the program waits for a slow reader.
const PATIENCE: Duration = Duration::from_secs(2);

/// Writes what is left when the last [`AccessLog`] is gone.
#[derive(Debug)]
pub struct Writing {
    /// Closed when everything is written.
    done: Receiver<()>,
}

impl AccessLog {
    /// Begins to write to `output`.
    ///
    /// # Errors
    /// If there can be no further thread.
    pub fn start(output: impl Write + Send + 'static) -> io::Result<(Self, Writing)> {
        let (sender, receiver) = mpsc::sync_channel(WAITING);
        let (closed_at_end, done) = mpsc::channel();
        thread::Builder::new().name("access-log".into()).spawn(move || {
            write_all(&receiver, output);
            drop(closed_at_end);
        })?;
        Ok((Self(sender), Writing { done }))
    }

    /// Adds a line.
    pub fn record(&self, entry: &Entry<'_>) {
        // A reader that does not keep up, or is gone, has no line to miss.
        let _ = self.0.try_send(entry.line());
    }
}

impl Writing {
    /// Waits until everything is written, but no longer than two seconds. Every [`AccessLog`] must be gone by then.
    pub fn finish(self) {
        if self.done.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("the end of the access log is lost, because nobody reads it");
        }
    }
}

/// What is told of a request.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// The address of the client; `None` if it has none, as at a Unix socket.
    pub client: Option<&'a str>,
    /// When it was there.
    pub time: SystemTime,
    /// The method.
    pub method: &'a str,
    /// The target.
    pub target: &'a str,
    /// The protocol, such as `HTTP/1.1`.
    pub protocol: &'a str,
    /// The status of the answer.
    pub status: u16,
    /// How many bytes of the body were handed to the connection.
    pub bytes: u64,
    /// Where the client says that it comes from.
    pub referer: &'a str,
    /// What the client calls itself.
    pub user_agent: &'a str,
}

impl Entry<'_> {
    fn line(&self) -> String {
        let Self { method, target, protocol, status, bytes, .. } = self;
        let client = self.client.unwrap_or("-");
        let mut line = format!("{client} - - [{}] \"", time(self.time));
        quote(&mut line, method);
        line.push(' ');
        quote(&mut line, target);
        // Writing to a text does not fail.
        let _ = write!(line, " {protocol}\" {status} {bytes} \"");
        quote(&mut line, self.referer);
        line.push_str("\" \"");
        quote(&mut line, self.user_agent);
        line.push_str("\"\n");
        line
    }
}

/// What a client sent must neither end the quotes nor the line.
fn quote(line: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '"' | '\\' => line.extend(['\\', letter]),
            letter if letter.is_control() => line.extend(letter.escape_default()),
            letter => line.push(letter),
        }
    }
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `10/Oct/2000:13:55:36 +0000`
fn time(time: SystemTime) -> String {
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let parts: Vec<_> = text.split(['-', 'T', 'Z']).collect();
    let [year, month, day, clock, ..] = parts[..] else { return text };
    let month = month.parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?)).unwrap_or(&month);
    format!("{day}/{month}/{year}:{clock} +0000")
}

fn write_all(lines: &Receiver<String>, mut output: impl Write) {
    for line in lines {
        if output.write_all(line.as_bytes()).and_then(|()| output.flush()).is_err() {
            tracing::warn!("the access log cannot be written any more");
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use super::*;

    fn entry(user_agent: &str) -> Entry<'_> {
        Entry {
            client: Some("127.0.0.1"),
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(971_186_136),
            method: "GET",
            target: "/v2/",
            protocol: "HTTP/1.1",
            status: 200,
            bytes: 2,
            referer: "",
            user_agent,
        }
    }

    #[test]
    fn the_combined_format() {
        assert_eq!(
            entry("curl/8").line(),
            "127.0.0.1 - - [10/Oct/2000:13:55:36 +0000] \"GET /v2/ HTTP/1.1\" 200 2 \"\" \"curl/8\"\n"
        );
        assert!(Entry { client: None, ..entry("x") }.line().starts_with("- - - ["));
    }

    #[test]
    fn clients_cannot_forge_lines() {
        let line = entry("x\" 200\n127.0.0.1\\").line();
        assert!(line.ends_with("\"x\\\" 200\\n127.0.0.1\\\\\"\n"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_is_written_before_the_end() {
        let sink = Sink::default();
        let (log, writing) = AccessLog::start(sink.clone()).unwrap();
        for _ in 0..100 {
            log.record(&entry("x"));
        }
        drop(log);
        writing.finish();
        let written = sink.0.lock().unwrap().clone();
        assert_eq!(String::from_utf8(written).unwrap().lines().count(), 100);
    }

    #[derive(Debug)]
    struct Broken;

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_is_gone_holds_nobody_up() {
        let (log, writing) = AccessLog::start(Broken).unwrap();
        for _ in 0..3 * WAITING {
            log.record(&entry("x"));
        }
        drop(log);
        writing.finish();
    }
}
