//! How sizes and times look to people.

use std::fmt;
use std::time::{Duration, SystemTime};

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Size(pub(super) u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
        if self.0 < 1000 {
            return write!(f, "{} B", self.0);
        }
        #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
        let mut value = self.0 as f64 / 1000.0;
        let mut unit = 0;
        // What would be shown as 1000 is one of the next.
        while value >= 999.5 && unit + 1 < UNITS.len() {
            value /= 1000.0;
            unit += 1;
        }
        let digits = if value < 9.95 { 2 } else { usize::from(value < 99.95) };
        write!(f, "{value:.digits$} {}", UNITS[unit])
    }
}

/// A time, as people say it and in full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    time: SystemTime,
    now: SystemTime,
}

impl Moment {
    pub(super) fn new(time: SystemTime, now: SystemTime) -> Self {
        Self { time, now }
    }

    /// In full, in UTC.
    pub(super) fn exact(&self) -> String {
        humantime::format_rfc3339_seconds(self.time).to_string()
    }
}

impl fmt::Display for Moment {
    /// How long ago that was.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(age) = self.now.duration_since(self.time) else { return f.write_str("just now") };
        let seconds = age.as_secs();
        let (number, unit) = match seconds {
            0..10 => return f.write_str("just now"),
            10..60 => (seconds, "second"),
            60..3_600 => (seconds / 60, "minute"),
            3_600..86_400 => (seconds / 3_600, "hour"),
            86_400..2_592_000 => (seconds / 86_400, "day"),
            2_592_000..31_536_000 => (seconds / 2_592_000, "month"),
            _ => (seconds / 31_536_000, "year"),
        };
        write!(f, "{number} {unit}{} ago", if number == 1 { "" } else { "s" })
    }
}

/// How long something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Took(pub(super) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        let (value, unit) = match self.0.as_secs() {
            0 => (seconds * 1_000.0, "ms"),
            1..120 => (seconds, "s"),
            120..7_200 => (seconds / 60.0, "min"),
            _ => (seconds / 3_600.0, "h"),
        };
        let digits = usize::from(value < 9.95);
        write!(f, "{value:.digits$} {unit}")
    }
}

/// A text as an address to follow, if it is one of the web and nothing else.
pub(super) fn web_link(text: &str) -> Option<&str> {
    let is_plain = text.len() <= 2_000 && text.bytes().all(|byte| byte.is_ascii_graphic());
    let uri: http::Uri = text.parse().ok().filter(|_| is_plain)?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty());
    is_web.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (9_949, "9.95 kB"),
            (9_950, "9.9 kB"),
            (12_345, "12.3 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (1_234_567_890, "1.23 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(Size(bytes).to_string(), text, "{bytes}");
        }
    }

    #[test]
    fn times_are_told_from_now() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(500_000);
        let ago = |seconds| Moment::new(now - Duration::from_secs(seconds), now).to_string();
        for (seconds, text) in [
            (0, "just now"),
            (10, "10 seconds ago"),
            (60, "1 minute ago"),
            (7_300, "2 hours ago"),
            (86_400, "1 day ago"),
            (2_592_000, "1 month ago"),
            (80_000_000, "2 years ago"),
        ] {
            assert_eq!(ago(seconds), text);
        }
        assert_eq!(Moment::new(now + Duration::from_mins(1), now).to_string(), "just now");
        assert_eq!(Moment::new(now, now).exact(), "2027-01-15T08:00:00Z");
    }

    #[test]
    fn what_took_long_is_told_roughly() {
        for (millis, text) in [
            (0, "0.0 ms"),
            (1, "1.0 ms"),
            (123, "123 ms"),
            (1_234, "1.2 s"),
            (59_000, "59 s"),
            (180_000, "3.0 min"),
            (7_200_000, "2.0 h"),
        ] {
            assert_eq!(Took(Duration::from_millis(millis)).to_string(), text, "{millis}");
        }
    }

    #[test]
    fn only_addresses_of_the_web_are_followed() {
        for good in ["https://example.com/a?b#c", "http://example.com"] {
            assert_eq!(web_link(good), Some(good));
        }
        for bad in [
            "javascript:alert(1)",
            "data:text/html,x",
            "//example.com",
            "example.com",
            "https://",
            "https://a b",
            "ftp://a",
            " https://a",
            "",
        ] {
            assert_eq!(web_link(bad), None, "{bad}");
        }
    }
}
