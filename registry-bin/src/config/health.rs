//! `health`: what is looked at to tell whether the server can do its work.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, StatusCode};
use registry_core::layout;
use registry_core::storage::Key;
use reqwest::Url;

use super::headers;
use super::section::Section;
use super::storage::Driver;

/// One thing that is looked at again and again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckConfig {
    /// What reports call it, as Distribution does: `storagedriver_filesystem`, or what is looked at.
    pub name: String,
    /// What is looked at.
    pub target: CheckTarget,
    /// How long from one look to the next.
    pub interval: Duration,
    /// How many looks in a row have to fail before it counts; 1 at least.
    pub threshold: u32,
}

/// What a check looks at.
#[derive(Clone, PartialEq, Eq)]
pub enum CheckTarget {
    /// Whether the storage answers, and has what was made at this place when the server began.
    Storage(Option<Key>),
    /// Whether a file is there, which then takes the server out of service.
    File(PathBuf),
    /// Whether another server answers as it should.
    Http {
        /// Its address.
        uri: Url,
        /// The status that it should answer with.
        status: StatusCode,
        /// What it is sent.
        headers: HeaderMap,
        /// How long its answer may take.
        timeout: Duration,
    },
    /// Whether somebody listens at a port.
    Tcp {
        /// `HOST:PORT`
        addr: String,
        /// How long connecting may take.
        timeout: Duration,
    },
}

impl fmt::Debug for CheckTarget {
    /// Without what is sent, and the password that an address may have.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Storage(_) => f.write_str("Storage"),
            Self::File(path) => write!(f, "File({})", path.display()),
            Self::Http { uri, .. } => write!(f, "Http({})", uri.host_str().unwrap_or_default()),
            Self::Tcp { addr, .. } => write!(f, "Tcp({addr})"),
        }
    }
}

const DEFAULT_INTERVAL: Duration = Duration::from_secs(10);
/// Distribution waits without an end.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);
/// As the usual image has it: a disk or a service that hesitates once stops nobody.
const STORAGE_THRESHOLD: u32 = 3;

/// Reads `health`. `driver` gives the check of the storage its name.
pub(super) fn read(root: &mut Section<'_>, driver: Option<&Driver>) -> Vec<CheckConfig> {
    let mut health = root.section("health");
    let mut names = BTreeSet::new();
    let mut checks = Vec::new();
    checks.extend(storage(&mut health, driver));
    for (key, read) in [("file", file as Reader), ("http", http), ("tcp", tcp)] {
        for mut section in health.sections(key) {
            let check = read(&mut section);
            match check {
                Some(check) if names.insert(check.name.clone()) => checks.push(check),
                // They may differ in what a name leaves out.
                Some(mut check) if matches!(check.target, CheckTarget::Http { .. }) => {
                    check.name = format!("{} #{}", check.name, checks.len());
                    names.insert(check.name.clone());
                    checks.push(check);
                }
                Some(check) => health.refuse(key, format!("names {} twice", check.name)),
                None => {}
            }
            section.finish();
        }
    }
    health.finish();
    checks
}

type Reader = fn(&mut Section<'_>) -> Option<CheckConfig>;

fn storage(health: &mut Section<'_>, driver: Option<&Driver>) -> Option<CheckConfig> {
    let mut section = health.section("storagedriver");
    let enabled = section.boolean("enabled").unwrap_or(false);
    let (interval, threshold) = pace(&mut section, STORAGE_THRESHOLD);
    section.finish();
    let driver = driver?;
    let name = format!("storagedriver_{}", driver.name());
    // A folder that is gone answers like one that is empty.
    let claim = matches!(driver, Driver::Filesystem { .. }).then(layout::serving_lock);
    enabled.then_some(CheckConfig { name, target: CheckTarget::Storage(claim), interval, threshold })
}

fn file(section: &mut Section<'_>) -> Option<CheckConfig> {
    let file = required(section, "file", "a path", |text| Some(text.to_owned()));
    let (interval, threshold) = pace(section, 1);
    let name = file?;
    Some(CheckConfig { target: CheckTarget::File(PathBuf::from(&name)), name, interval, threshold })
}

fn http(section: &mut Section<'_>) -> Option<CheckConfig> {
    let uri = required_secret(section, "uri", "an address such as https://example.com/", |text| {
        let uri: Url = text.parse().ok()?;
        (matches!(uri.scheme(), "http" | "https") && uri.has_host()).then(|| (without_secrets(&uri), uri))
    });
    let status = section.read("statuscode", "a status such as 200", |text| match text {
        "0" => Some(StatusCode::OK),
        text => text.parse().ok(),
    });
    let mut headers = headers::read(section);
    // They may be credentials.
    headers.values_mut().for_each(|value| value.set_sensitive(true));
    let timeout = timeout(section);
    let (interval, threshold) = pace(section, 1);
    let (name, uri) = uri?;
    let target = CheckTarget::Http { uri, status: status.unwrap_or(StatusCode::OK), headers, timeout };
    Some(CheckConfig { name, target, interval, threshold })
}

/// The name is told to whoever asks, so neither a login nor a token may be in it.
fn without_secrets(uri: &Url) -> String {
    let mut open = uri.clone();
    // An address with a host may have a login, so it can also be without one.
    let _ = (open.set_username(""), open.set_password(None));
    if open.query().is_some_and(|query| !query.is_empty()) {
        open.set_query(Some("…"));
    }
    open.set_fragment(None);
    String::from(open).replace("%E2%80%A6", "…")
}

fn tcp(section: &mut Section<'_>) -> Option<CheckConfig> {
    let addr = required(section, "addr", "HOST:PORT", |text| {
        let (host, port) = text.rsplit_once(':')?;
        (!host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)).then(|| text.to_owned())
    });
    let timeout = timeout(section);
    let (interval, threshold) = pace(section, 1);
    let name = addr?;
    Some(CheckConfig { target: CheckTarget::Tcp { addr: name.clone(), timeout }, name, interval, threshold })
}

fn required<T>(
    section: &mut Section<'_>,
    key: &str,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if is_missing(section, key, expected) {
        return None;
    }
    section.read(key, expected, |text| if text.is_empty() { None } else { read(text) })
}

/// The same for what no report may show.
fn required_secret<T>(
    section: &mut Section<'_>,
    key: &str,
    expected: &str,
    read: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    if is_missing(section, key, expected) {
        return None;
    }
    section.read_secret(key, expected, |text| if text.is_empty() { None } else { read(text) })
}

fn is_missing(section: &mut Section<'_>, key: &str, expected: &str) -> bool {
    let is_missing = !section.is_set(key);
    if is_missing {
        section.take(key);
        section.refuse(key, format!("missing: {expected}"));
    }
    is_missing
}

/// Zero is the default, as in Distribution.
fn timeout(section: &mut Section<'_>) -> Duration {
    section.duration("timeout").filter(|timeout| !timeout.is_zero()).unwrap_or(DEFAULT_TIMEOUT)
}

/// How often, and how many failures in a row count. Distribution's 0 is the first one.
fn pace(section: &mut Section<'_>, default_threshold: u32) -> (Duration, u32) {
    let interval = section.duration("interval").filter(|interval| !interval.is_zero()).unwrap_or(DEFAULT_INTERVAL);
    let threshold = section.read("threshold", "a whole number, 0 or more", |text| text.parse().ok());
    (interval, threshold.unwrap_or(default_threshold).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Parsed, Rejected, parse};

    fn read(rest: &str) -> Result<Parsed, Rejected> {
        let document = format!("version: 0.1\nstorage: inmemory\nhealth: {rest}\n");
        parse(Some(&document), [], &mut |_| Ok(String::new()))
    }

    #[track_caller]
    fn checks(rest: &str) -> Vec<CheckConfig> {
        let Parsed { config, warnings, .. } = read(rest).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        config.health
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_setting_is_read() {
        let checks = checks(
            "{storagedriver: {enabled: true, interval: 5s, threshold: 2}, file: [{file: /a, interval: 1s}], \
             http: [{uri: 'https://h.example/x', statuscode: 204, headers: {X-A: [b]}, timeout: 3s, threshold: 4}], \
             tcp: [{addr: 'db:5432', timeout: 0s, interval: 0s, threshold: 0}]}",
        );
        let names: Vec<_> = checks.iter().map(|check| (check.name.as_str(), check.interval, check.threshold)).collect();
        assert_eq!(
            names,
            [
                ("storagedriver_inmemory", seconds(5), 2),
                ("/a", seconds(1), 1),
                ("https://h.example/x", seconds(10), 4),
                ("db:5432", seconds(10), 1)
            ]
        );
        let CheckTarget::Http { status, headers, timeout, .. } = &checks[2].target else { panic!("{checks:?}") };
        assert_eq!((status.as_u16(), headers["x-a"].to_str().unwrap(), *timeout), (204, "b", seconds(3)));
        assert_eq!(checks[3].target, CheckTarget::Tcp { addr: "db:5432".into(), timeout: seconds(5) });
    }

    #[test]
    fn nothing_is_looked_at_unless_it_is_said() {
        for rest in ["", "{storagedriver: {interval: 5s}}", "{storagedriver: {enabled: false}, file: []}"] {
            assert_eq!(checks(rest), [], "{rest}");
        }
        let storage = &checks("{storagedriver: {enabled: true}}")[0];
        assert_eq!((storage.interval, storage.threshold), (seconds(10), 3));
    }

    #[test]
    fn secrets_are_not_told() {
        let checks = checks(
            "{http: [{uri: 'http://hush:hush@h/', headers: {Authorization: hush}}, {uri: 'http://h/a?token=hush'}, \
             {uri: 'http://h/a?token=hush2'}]}",
        );
        let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
        assert_eq!(names, ["http://h/", "http://h/a?…", "http://h/a?… #2"]);
        let CheckTarget::Http { headers, .. } = &checks[0].target else { panic!("{checks:?}") };
        assert!(!format!("{headers:?} {checks:?}").contains("hush"));
        for wrong in ["{uri: 'htp://ann:hush@h/?t=hush'}", "{uri: 'http://h/', headers: 'Authorization: hush'}"] {
            let told = read(&format!("{{http: [{wrong}]}}")).unwrap_err().problems;
            assert!(told.len() == 1 && !format!("{told:?}").contains("hush"), "{told:?}");
        }
    }

    #[test]
    fn wrong_forms_are_told() {
        let rejected = read(
            "{storagedriver: {enabled: maybe, threshold: -1}, file: [{interval: 1s}, {file: /a}, {file: /a}], \
             http: [{uri: nowhere, statuscode: 99}, {uri: ''}], tcp: [{addr: ':80'}, {addr: 'a:b', timeout: 5}]}",
        );
        let told: Vec<_> = rejected.unwrap_err().problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "health.storagedriver.enabled: expected true or false, found \"maybe\"",
                "health.storagedriver.threshold: expected a whole number, 0 or more, found \"-1\"",
                "health.file.0.file: missing: a path",
                "health.file: names /a twice",
                "health.http.0.uri: expected an address such as https://example.com/, found a value that is not shown",
                "health.http.0.statuscode: expected a status such as 200, found \"99\"",
                "health.http.1.uri: expected an address such as https://example.com/, found a value that is not shown",
                "health.tcp.0.addr: expected HOST:PORT, found \":80\"",
                "health.tcp.1.addr: expected HOST:PORT, found \"a:b\"",
                "health.tcp.1.timeout: expected a duration such as 168h, 1h30m or 1.5s, found \"5\"",
            ]
        );
    }
}
