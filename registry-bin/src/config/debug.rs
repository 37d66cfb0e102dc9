//! `http.debug`: a second place to listen at, for those who run the server.

use super::http::{Listen, read_addr};
use super::section::Section;

/// A second place to listen at, for those who run the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DebugConfig {
    /// Where it listens.
    pub listen: Listen,
    /// The path where Prometheus finds numbers, if it is to find any.
    pub metrics_path: Option<String>,
}

const DEFAULT_METRICS_PATH: &str = "/metrics";

/// Reads `debug`; `None` without an address, and then nothing listens. `main` is where clients connect.
pub(super) fn read(http: &mut Section<'_>, main: Option<&Listen>) -> Option<DebugConfig> {
    let mut debug = http.section("debug");
    let listen = debug.text("addr").and_then(|text| {
        let listen = read_addr(&text);
        if listen.is_none() {
            debug.refuse("addr", format!("expected HOST:PORT or :PORT, found {text:?}"));
        }
        listen
    });
    if listen.as_ref().is_some_and(|listen| Some(listen) == main && !is_any_port(listen)) {
        debug.refuse(
            "addr",
            "is http.addr as well; what is told here is not for clients, so it needs an address of its own",
        );
    }
    let mut prometheus = debug.section("prometheus");
    let enabled = prometheus.boolean("enabled").unwrap_or(false);
    let path = prometheus.read("path", "a path such as /metrics", read_path);
    prometheus.finish();
    if enabled && listen.is_none() {
        debug.warn("prometheus", "has no effect without http.debug.addr");
    }
    debug.finish();
    let metrics_path = enabled.then(|| path.unwrap_or_else(|| DEFAULT_METRICS_PATH.to_owned()));
    Some(DebugConfig { listen: listen?, metrics_path })
}

fn is_any_port(listen: &Listen) -> bool {
    matches!(listen, Listen::Tcp { port: 0, .. })
}

/// An empty one is the default.
fn read_path(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(DEFAULT_METRICS_PATH.to_owned());
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"?#".contains(&byte);
    (text.starts_with('/') && text != "/debug/health" && text.bytes().all(is_plain)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Parsed, Rejected, parse};

    fn read(http: &str) -> Result<Parsed, Rejected> {
        let document = format!("version: 0.1\nstorage: inmemory\nhttp: {http}\n");
        parse(Some(&document), [], &mut |_| Ok(String::new()))
    }

    #[track_caller]
    fn debug(http: &str) -> Option<DebugConfig> {
        let Parsed { config, warnings, .. } = read(http).unwrap();
        assert_eq!(warnings, Vec::<String>::new());
        config.http.debug
    }

    #[test]
    fn an_address_and_a_path() {
        let listen = Listen::Tcp { host: String::new(), port: 5001 };
        for (prometheus, path) in [
            ("", None),
            (", prometheus: {enabled: true}", Some("/metrics")),
            (", prometheus: {enabled: true, path: ''}", Some("/metrics")),
            (", prometheus: {enabled: true, path: /m/x}", Some("/m/x")),
            (", prometheus: {enabled: false, path: /m}", None),
        ] {
            let config = debug(&format!("{{debug: {{addr: ':5001'{prometheus}}}}}")).unwrap();
            assert_eq!(config, DebugConfig { listen: listen.clone(), metrics_path: path.map(str::to_owned) });
        }
        assert_eq!(debug("{debug: {addr: ''}}"), None);
        let any = debug("{addr: '127.0.0.1:0', debug: {addr: '127.0.0.1:0'}}");
        assert!(any.is_some(), "two free ports are two");
    }

    #[test]
    fn what_is_refused() {
        for (http, told) in [
            ("{debug: {addr: x}}", "http.debug.addr: expected HOST:PORT or :PORT, found \"x\""),
            ("{addr: ':5000', debug: {addr: ':5000'}}", "http.debug.addr: is http.addr as well"),
            ("{debug: {addr: '127.0.0.1:5000'}}", "http.debug.addr: is http.addr as well"),
            ("{debug: {prometheus: {path: m}}}", "http.debug.prometheus.path: expected a path"),
            ("{debug: {prometheus: {path: /debug/health}}}", "http.debug.prometheus.path: expected a path"),
        ] {
            let problems = read(http).unwrap_err().problems;
            assert!(problems.len() == 1 && problems[0].to_string().starts_with(told), "{http}: {problems:?}");
        }
    }

    #[test]
    fn metrics_that_nobody_can_reach_are_told() {
        let Parsed { config, warnings, .. } = read("{debug: {prometheus: {enabled: true}}}").unwrap();
        assert_eq!(config.http.debug, None);
        assert_eq!(warnings, ["http.debug.prometheus: has no effect without http.debug.addr"]);
    }
}
