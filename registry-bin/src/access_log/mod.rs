//! The access log: one line per request on standard output, in the combined format of web servers.

mod completed;
mod service;
mod shown;

use std::fmt::Write as _;
use std::time::SystemTime;

use crate::lines::Lines;

pub use service::{AccessLogged, CountedBody};
#[cfg(feature = "otel")]
pub(crate) use shown::query_alone as shown_query;

/// Takes lines in. Clones write to the same place.
#[derive(Debug, Clone)]
pub struct AccessLog(Lines);

impl AccessLog {
    /// Writes to these lines.
    #[must_use]
    pub fn new(lines: Lines) -> Self {
        Self(lines)
    }

    /// Adds a line.
    pub fn record(&self, entry: &Entry<'_>) {
        self.0.add(entry.line().into_bytes());
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

#[cfg(test)]
mod tests {
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
}
