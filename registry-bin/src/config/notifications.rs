//! `notifications`: who is told what happens.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use reqwest::Url;

use super::node::Node;
use super::section::Section;
use super::storage::Driver;

/// Who is told what happens, and what is kept for those who cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotificationsConfig {
    /// Whether events of manifests tell what the manifest refers to.
    pub include_references: bool,
    /// Who is told. Those that are disabled are not here.
    pub endpoints: Vec<EndpointConfig>,
    /// What is kept for them.
    pub spool: SpoolConfig,
}

/// Somebody who is told.
#[derive(Clone, PartialEq, Eq)]
pub struct EndpointConfig {
    /// The name in logs and metrics, which no other endpoint has.
    pub name: String,
    /// Where events are sent. May hold a password or a token, so it is not for logs.
    pub url: Url,
    /// Headers of each request. Their values are secrets.
    pub headers: HeaderMap,
    /// How long one request may take; never zero.
    pub timeout: Duration,
    /// How many attempts may fail in a row before the next one waits for all of `backoff`; never zero.
    pub threshold: u32,
    /// The longest pause between two attempts; never zero.
    pub backoff: Duration,
    /// Content of these media types is not told of.
    pub ignored_media_types: HashSet<String>,
    /// These actions are not told of.
    pub ignored_actions: HashSet<String>,
}

/// What is kept for each endpoint until it has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolConfig {
    /// The folder; `None` keeps events in memory.
    pub path: Option<PathBuf>,
    /// How many events are kept at most; never zero.
    pub max_events: u64,
    /// How many bytes they may have together; never zero.
    pub max_bytes: u64,
}

const SECOND: Duration = Duration::from_secs(1);
const DEFAULT_THRESHOLD: u32 = 10;
const DEFAULT_MAX_EVENTS: u64 = 100_000;
const DEFAULT_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// A name becomes the name of a folder, in which a byte may take three.
const MAX_NAME_BYTES: usize = 80;

/// What Distribution calls the actions.
const ACTIONS: [&str; 4] = ["pull", "push", "mount", "delete"];

impl EndpointConfig {
    /// Scheme, host and port: as much of the address as may be told.
    #[must_use]
    pub fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Debug for EndpointConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointConfig")
            .field("name", &self.name)
            .field("place", &self.place())
            .field("headers", &self.headers.keys())
            .field("timeout", &self.timeout)
            .field("threshold", &self.threshold)
            .field("backoff", &self.backoff)
            .field("ignored_media_types", &self.ignored_media_types)
            .field("ignored_actions", &self.ignored_actions)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for NotificationsConfig {
    /// One setting in a line, each with its end, without secrets; nothing if nobody is told anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            writeln!(f, "notifications.endpoints: {}, at {}", endpoint.name, endpoint.place())?;
        }
        match &self.spool.path {
            _ if self.endpoints.is_empty() => Ok(()),
            Some(path) => writeln!(f, "notifications.spool: {}", path.display()),
            None => writeln!(f, "notifications.spool: in memory, gone when the server ends"),
        }
    }
}

/// Reads `notifications`. Without a folder of its own, the spool lies in the folder of `driver`, if it has one.
pub(super) fn read(root: &mut Section<'_>, driver: Option<&Driver>) -> NotificationsConfig {
    let mut section = root.section("notifications");
    let mut events = section.section("events");
    let include_references = events.boolean("includereferences").unwrap_or(false);
    events.finish();
    let endpoints = endpoints(&mut section);
    let spool = spool(&mut section, driver);
    section.finish();
    NotificationsConfig { include_references, endpoints, spool }
}

fn endpoints(notifications: &mut Section<'_>) -> Vec<EndpointConfig> {
    let mut endpoints: Vec<EndpointConfig> = Vec::new();
    for mut section in notifications.sections("endpoints") {
        let is_disabled = section.boolean("disabled").unwrap_or(false);
        if is_disabled {
            // It need not even be complete.
            continue;
        }
        if let Some(endpoint) = endpoint(&mut section) {
            if endpoints.iter().any(|other| other.name == endpoint.name) {
                section.refuse("name", "another endpoint has the same name");
            }
            endpoints.push(endpoint);
        }
        section.finish();
    }
    endpoints
}

fn endpoint(section: &mut Section<'_>) -> Option<EndpointConfig> {
    let (name, url) = (name(section), url(section));
    let headers = headers(section);
    let timeout = positive(section, "timeout");
    let threshold = section.read("threshold", "a whole number", |text| text.parse::<i64>().ok()).unwrap_or(0);
    let threshold = u32::try_from(threshold).ok().filter(|threshold| *threshold > 0).unwrap_or(DEFAULT_THRESHOLD);
    let backoff = positive(section, "backoff");
    let mut ignored_media_types: HashSet<_> = section.texts("ignoredmediatypes").into_iter().collect();
    let mut ignore = section.section("ignore");
    ignored_media_types.extend(ignore.texts("mediatypes"));
    let ignored_actions: HashSet<_> = ignore.texts("actions").into_iter().collect();
    if !ignored_actions.iter().all(|action| ACTIONS.contains(&action.as_str())) {
        ignore.warn("actions", "names an action that there is not; there are pull, push, mount and delete");
    }
    ignore.finish();
    let (name, url) = (name?, url?);
    Some(EndpointConfig { name, url, headers, timeout, threshold, backoff, ignored_media_types, ignored_actions })
}

fn name(section: &mut Section<'_>) -> Option<String> {
    let is_set = section.says("name");
    let name = section.text("name");
    match &name {
        Some(name) if name.len() > MAX_NAME_BYTES => {
            section.refuse("name", format!("longer than {MAX_NAME_BYTES} bytes"));
        }
        None if !is_set => section.refuse("name", "missing: what the endpoint is called in logs and metrics"),
        _ => {}
    }
    name
}

/// Nothing of it is told, for it may hold a token.
fn url(section: &mut Section<'_>) -> Option<Url> {
    let Some(text) = section.secret("url") else {
        section.refuse("url", "missing: where events are sent, such as https://hooks.example.com/registry");
        return None;
    };
    let url = Url::parse(&text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if url.is_none() {
        section.refuse("url", "not an address that begins with http:// or https://");
    }
    url
}

/// As Distribution has it, zero stands for what holds where nothing is written.
fn positive(section: &mut Section<'_>, key: &str) -> Duration {
    section.duration(key).filter(|duration| !duration.is_zero()).unwrap_or(SECOND)
}

/// Read by hand: no report may show what stands here.
fn headers(section: &mut Section<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let fields = match section.take("headers").unwrap_or_default() {
        Node::Null => return headers,
        Node::Map(fields) => fields,
        Node::Scalar(_) | Node::List(_) => {
            section.refuse("headers", "expected a section of names and values");
            return headers;
        }
    };
    for (name, node) in fields {
        let Ok(name) = name.parse::<HeaderName>() else {
            section.refuse("headers", "a name that no header can have");
            continue;
        };
        let values = if let Node::List(values) = node { values } else { vec![node] };
        for value in values {
            let value = if let Node::Scalar(text) = value { HeaderValue::try_from(text).ok() } else { None };
            match value {
                Some(mut value) => {
                    value.set_sensitive(true);
                    headers.append(&name, value);
                }
                None => section.refuse("headers", format!("{name}: a value that no header can have")),
            }
        }
    }
    headers
}

/// Ours: Distribution keeps events in memory.
fn spool(notifications: &mut Section<'_>, driver: Option<&Driver>) -> SpoolConfig {
    let mut section = notifications.section("spool");
    let beside = match driver {
        // Beside `docker`, where Distribution never looks.
        Some(Driver::Filesystem { root, .. }) => Some(root.join("notifications")),
        _ => None,
    };
    let path = section.text("path").map(PathBuf::from).or(beside);
    let max_events = bound(&mut section, "maxevents", DEFAULT_MAX_EVENTS);
    let max_bytes = bound(&mut section, "maxbytes", DEFAULT_MAX_BYTES);
    section.finish();
    SpoolConfig { path, max_events, max_bytes }
}

fn bound(section: &mut Section<'_>, key: &str, default: u64) -> u64 {
    let expected = "a whole number greater than zero";
    section.read(key, expected, |text| text.parse().ok().filter(|bound| *bound > 0)).unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use std::io;

    use crate::config::{Parsed, Rejected, parse};

    use super::*;

    fn read(storage: &str, text: &str) -> Result<Parsed, Rejected> {
        let document = format!("version: 0.1\nstorage: {storage}\nnotifications: {text}\n");
        parse(Some(&document), [], &mut |_| Err(io::ErrorKind::NotFound.into()))
    }

    fn problems(text: &str) -> Vec<String> {
        read("inmemory", text).unwrap_err().problems.iter().map(ToString::to_string).collect()
    }

    const EVERYTHING: &str = "
  events: {includereferences: yes}
  endpoints:
    - name: hook
      disabled: false
      url: https://ann:pass-secret@hooks.example.com:8443/x?token=url-secret
      headers: {Authorization: [Bearer header-secret], X-One: [a, b]}
      timeout: 5s
      threshold: 3
      backoff: 1m
      ignoredmediatypes: [application/octet-stream]
      ignore: {mediatypes: [text/plain], actions: [pull]}
    - {name: '', disabled: true}
  spool: {path: /var/spool/x, maxevents: 5, maxbytes: 1000}";

    #[test]
    fn everything_is_read() {
        let Parsed { config, warnings, .. } = read("inmemory", EVERYTHING).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        let NotificationsConfig { include_references, endpoints, spool } = config.notifications;
        assert!(include_references);
        assert_eq!(spool, SpoolConfig { path: Some("/var/spool/x".into()), max_events: 5, max_bytes: 1000 });
        let [endpoint] = endpoints.as_slice() else { panic!("{endpoints:?}") };
        assert_eq!((endpoint.name.as_str(), endpoint.threshold), ("hook", 3));
        assert_eq!((endpoint.timeout, endpoint.backoff), (Duration::from_secs(5), Duration::from_mins(1)));
        assert_eq!(endpoint.headers.get_all("x-one").iter().count(), 2);
        assert_eq!(endpoint.headers["authorization"], "Bearer header-secret");
        let media_types = ["application/octet-stream", "text/plain"].map(str::to_owned);
        assert_eq!(endpoint.ignored_media_types, HashSet::from(media_types));
        assert_eq!(endpoint.ignored_actions, HashSet::from(["pull".to_owned()]));
    }

    #[test]
    fn secrets_do_not_show() {
        let config = read("inmemory", EVERYTHING).unwrap().config;
        let told = format!("{config:?}{config}");
        assert!(!told.contains("secret"), "{told}");
        assert!(told.contains("notifications.endpoints: hook, at https://hooks.example.com:8443\n"), "{told}");
        for text in [
            "{endpoints: [{name: a, url: 'secret://x'}]}",
            "{endpoints: [{name: a, url: [secret]}]}",
            "{endpoints: [{name: a, url: 'http://x', headers: secret}]}",
            "{endpoints: [{name: a, url: 'http://x', headers: {a: \"secret\\n\"}}]}",
            "{endpoints: [{name: a, url: 'http://x', headers: {a: {secret: secret}}}]}",
        ] {
            let told = problems(text).join("\n");
            assert!(told.starts_with("notifications.endpoints.0.") && !told.contains("secret"), "{told}");
        }
    }

    #[test]
    fn what_is_missing_or_twice_is_refused() {
        assert_eq!(
            problems("{endpoints: [{timeout: x}]}"),
            [
                "notifications.endpoints.0.name: missing: what the endpoint is called in logs and metrics",
                "notifications.endpoints.0.url: missing: where events are sent, such as \
                 https://hooks.example.com/registry",
                "notifications.endpoints.0.timeout: expected a duration such as 168h, 1h30m or 1.5s, found \"x\"",
            ]
        );
        assert_eq!(
            problems("{endpoints: [{name: a, url: 'http://x'}, {name: a, url: 'http://y'}], spool: {maxevents: 0}}"),
            [
                "notifications.endpoints.1.name: another endpoint has the same name",
                "notifications.spool.maxevents: expected a whole number greater than zero, found \"0\"",
            ]
        );
    }

    #[test]
    fn what_holds_where_nothing_is_written() {
        let text = "{endpoints: [{name: a, url: 'http://x', timeout: 0, threshold: 0, backoff: 0s}]}";
        let config = read("{filesystem: {rootdirectory: /data}}", text).unwrap().config.notifications;
        let endpoint = &config.endpoints[0];
        assert_eq!((endpoint.timeout, endpoint.threshold, endpoint.backoff), (SECOND, 10, SECOND));
        let path = Some(PathBuf::from("/data/notifications"));
        assert_eq!(config.spool, SpoolConfig { path, max_events: 100_000, max_bytes: 256 << 20 });
        let config = read("inmemory", "{}").unwrap().config;
        assert_eq!((config.notifications.spool.path.as_deref(), config.notifications.endpoints.len()), (None, 0));
        assert!(!config.to_string().contains("notifications"));
    }
}
