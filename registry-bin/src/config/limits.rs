//! `limits`, and `http.maxbody`: how much clients may ask for. Distribution has neither, and ignores them.

use std::num::NonZeroU32;
use std::time::Duration;

use registry_http::{RequestRate, ServeOptions};

use super::section::Section;

/// How much clients may ask for. What is `None` is left to the parts that it is about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitsConfig {
    /// How many connections there may be at once.
    pub connections: Option<usize>,
    /// How many of them one address may have.
    pub connections_per_address: Option<usize>,
    /// How many requests may be under way at once.
    pub requests: Option<usize>,
    /// How many of them one address may have.
    pub requests_per_address: Option<usize>,
    /// How fast one user, or one address without a login, may send requests.
    pub rate: Option<RequestRate>,
    /// How many wrong passwords may come from one address.
    pub wrong_passwords: Limit<RequestRate>,
    /// How many TLS handshakes one address may begin.
    pub handshakes: Limit<RequestRate>,
    /// How many uploads one user, or one address without a login, may have under way.
    pub uploads: Option<usize>,
    /// How much memory manifests may take together, in bytes.
    pub manifest_memory: Option<u64>,
    /// How fast the body of a request has to come, in bytes per second.
    pub body_rate: Option<u64>,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Option<Duration>,
    /// How long the head of a request may take.
    pub header_timeout: Option<Duration>,
    /// How long the body of a request may stand still.
    pub body_timeout: Option<Duration>,
    /// How long a connection may do nothing.
    pub idle_timeout: Option<Duration>,
    /// How long a client may take no byte of an answer.
    pub write_timeout: Option<Duration>,
}

/// A limit that has a default, and may be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Limit<T> {
    /// As it is by default.
    #[default]
    Default,
    /// There is none.
    Off,
    /// This one.
    At(T),
}

impl<T> Limit<T> {
    /// The limit, where it is `default` by default; `None` if there is none.
    pub fn or(self, default: T) -> Option<T> {
        match self {
            Self::Default => Some(default),
            Self::Off => None,
            Self::At(limit) => Some(limit),
        }
    }
}

impl LimitsConfig {
    /// What of it is about connections.
    #[must_use]
    pub fn serve_options(&self) -> ServeOptions {
        let mut options = ServeOptions::default();
        options.max_connections = self.connections.unwrap_or(options.max_connections);
        options.max_connections_per_address = self.connections_per_address;
        options.body_rate_bytes_per_second = self.body_rate.unwrap_or(options.body_rate_bytes_per_second);
        options.handshake_rate = self.handshakes.or(RequestRate::HANDSHAKES);
        options.handshake_timeout = self.handshake_timeout.unwrap_or(options.handshake_timeout);
        options.header_timeout = self.header_timeout.unwrap_or(options.header_timeout);
        options.body_timeout = self.body_timeout.unwrap_or(options.body_timeout);
        options.idle_timeout = self.idle_timeout.unwrap_or(options.idle_timeout);
        options.write_timeout = self.write_timeout.unwrap_or(options.write_timeout);
        options
    }
}

/// Reads `limits`.
pub(super) fn read(root: &mut Section<'_>) -> LimitsConfig {
    let mut section = root.section("limits");
    let limits = LimitsConfig {
        connections: count(&mut section, "connections"),
        connections_per_address: count(&mut section, "connectionsperaddress"),
        requests: count(&mut section, "requests"),
        requests_per_address: count(&mut section, "requestsperaddress"),
        rate: match rate(&mut section, "rate") {
            Limit::At(rate) => Some(rate),
            Limit::Default | Limit::Off => None,
        },
        wrong_passwords: rate(&mut section, "wrongpasswords"),
        handshakes: rate(&mut section, "handshakes"),
        uploads: count(&mut section, "uploads"),
        manifest_memory: section.bytes("manifestmemory").filter(|bytes| *bytes > 0),
        body_rate: section.bytes("bodyrate"),
        handshake_timeout: timeout(&mut section, "handshaketimeout"),
        header_timeout: timeout(&mut section, "headertimeout"),
        body_timeout: timeout(&mut section, "bodytimeout"),
        idle_timeout: timeout(&mut section, "idletimeout"),
        write_timeout: timeout(&mut section, "writetimeout"),
    };
    section.finish();
    limits
}

fn count(section: &mut Section<'_>, key: &str) -> Option<usize> {
    section.read(key, "a whole number, 1 or more", |text| text.parse().ok().filter(|count| *count > 0))
}

fn timeout(section: &mut Section<'_>, key: &str) -> Option<Duration> {
    let timeout = section.duration(key)?;
    if timeout.is_zero() {
        section.refuse(key, "nothing could be done in no time");
        return None;
    }
    Some(timeout)
}

/// So many in a second; 0 mean no limit. By default twice as many may come at once.
fn rate(limits: &mut Section<'_>, key: &str) -> Limit<RequestRate> {
    let mut section = limits.section(key);
    let whole = "a whole number";
    let requests = section.read("requests", whole, |text| text.parse::<u32>().ok());
    let burst = section.read("burst", "a whole number, 1 or more", |text| text.parse::<NonZeroU32>().ok());
    if burst.is_some() && requests.is_none() {
        section.refuse("requests", "missing: how many in a second");
    }
    section.finish();
    let Some(requests) = requests else { return Limit::Default };
    let Some(per_second) = NonZeroU32::new(requests) else { return Limit::Off };
    let twice = per_second.saturating_add(per_second.get());
    Limit::At(RequestRate { per_second, burst: burst.unwrap_or(twice) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    fn read(limits: &str) -> Result<Config, Vec<String>> {
        let document = format!("version: 0.1\nstorage: inmemory\nlimits: {limits}\n");
        let parsed = parse(Some(&document), [], &mut |_| Ok(String::new()));
        parsed
            .map(|parsed| parsed.config)
            .map_err(|rejected| rejected.problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn each_is_read() {
        let limits = "{connections: 1, connectionsperaddress: 2, requests: 3, uploads: 4, rate: {requests: 5, burst: 6}, \
            requestsperaddress: 2, wrongpasswords: {requests: 0}, handshakes: {requests: 7}, \
            manifestmemory: 7MB, bodyrate: 8, handshaketimeout: 9s, headertimeout: 10s, bodytimeout: 11s, \
            idletimeout: 12s, writetimeout: 13s}";
        let limits = read(limits).unwrap().limits;
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let number = |number| NonZeroU32::new(number).unwrap();
        assert_eq!(
            limits,
            LimitsConfig {
                connections: Some(1),
                connections_per_address: Some(2),
                requests: Some(3),
                requests_per_address: Some(2),
                wrong_passwords: Limit::Off,
                handshakes: Limit::At(RequestRate { per_second: number(7), burst: number(14) }),
                rate: Some(RequestRate { per_second: number(5), burst: number(6) }),
                uploads: Some(4),
                manifest_memory: Some(7 * 1024 * 1024),
                body_rate: Some(8),
                handshake_timeout: seconds(9),
                header_timeout: seconds(10),
                body_timeout: seconds(11),
                idle_timeout: seconds(12),
                write_timeout: seconds(13),
            }
        );
        let options = limits.serve_options();
        assert_eq!((options.max_connections, options.max_connections_per_address), (1, Some(2)));
        assert_eq!((options.body_rate_bytes_per_second, options.handshake_timeout), (8, Duration::from_secs(9)));
    }

    #[test]
    fn what_is_not_said_stays_as_it_is() {
        let limits = read("").unwrap().limits;
        assert_eq!(limits, LimitsConfig::default());
        assert_eq!(limits.serve_options(), ServeOptions::default());
        assert_eq!(read("{rate: {requests: 0}}").unwrap().limits.rate, None);
        assert_eq!(read("{rate: {requests: 5}}").unwrap().limits.rate.unwrap().burst.get(), 10);
    }

    #[test]
    fn what_would_stop_everything_is_refused() {
        for (limits, key) in [
            ("{connections: 0}", "limits.connections"),
            ("{requests: many}", "limits.requests"),
            ("{idletimeout: 0s}", "limits.idletimeout"),
            ("{rate: {burst: 5}}", "limits.rate.requests"),
            ("{rate: {requests: 1, burst: 0}}", "limits.rate.burst"),
            ("{manifestmemory: 5 apples}", "limits.manifestmemory"),
        ] {
            let problems = read(limits).unwrap_err();
            assert!(problems.len() == 1 && problems[0].starts_with(key), "{limits}: {problems:?}");
        }
    }
}
