//! `http`: where and how the server answers.

use std::path::PathBuf;
use std::time::Duration;

use http::HeaderMap;
use registry_http::{ExternalUrl, Prefix, TrustedProxies};

use super::debug::{self, DebugConfig};
use super::headers;
use super::section::Section;
use super::tls::{self, TlsConfig};

/// Where and how the server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where it listens.
    pub listen: Listen,
    /// How connections are encrypted; `None` where they are not.
    pub tls: Option<TlsConfig>,
    /// The address that clients are told, such as `https://registry.example.com`.
    pub host: Option<ExternalUrl>,
    /// What stands before `/v2/`.
    pub prefix: Prefix,
    /// Whether clients are told paths and not whole addresses.
    pub relative_urls: bool,
    /// Whether what a proxy says of the client's request is believed.
    pub trust_forwarded: bool,
    /// Proxies on other hosts whose word counts.
    pub trusted_proxies: TrustedProxies,
    /// Headers that answers have beyond the usual ones.
    pub headers: HeaderMap,
    /// How long requests may take to end when the server is told to.
    pub drain_timeout: Duration,
    /// The longest body of one request with content of a blob, in bytes; `None` for any.
    pub max_body: Option<u64>,
    /// Whether HTTP/2 is spoken without TLS.
    pub h2c: bool,
    /// Where those who run the server are told how it does, if anywhere.
    pub debug: Option<DebugConfig>,
}

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// At a port.
    Tcp {
        /// A name or an address; empty for all addresses of the machine.
        host: String,
        /// The port; 0 for any free one.
        port: u16,
    },
    /// At a socket in the file system.
    Unix(PathBuf),
}

const DEFAULT_ADDR: &str = "127.0.0.1:5000";
const DEFAULT_DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads `http`. Without a place to listen at there is no configuration, and the reason stands in the report.
pub(super) fn read(root: &mut Section<'_>) -> Option<HttpConfig> {
    let mut http = root.section("http");
    let listen = listen(&mut http);
    let host = host(&mut http);
    let prefix = http.read("prefix", "a path such as /registry/", |text| text.parse().ok()).unwrap_or_default();
    let relative_urls = http.boolean("relativeurls").unwrap_or(false);
    // Ours: Distribution always believes them.
    let trust_forwarded = http.boolean("trustforwarded").unwrap_or(true);
    let trusted_proxies = trusted_proxies(&mut http);
    let headers = headers::read(&mut http);
    let drain_timeout = http.duration("draintimeout").unwrap_or(DEFAULT_DRAIN_TIMEOUT);
    let max_body = http.bytes("maxbody").filter(|bytes| *bytes > 0);
    // Signed the state in an upload's address; here the server keeps that state itself.
    http.secret("secret");
    let tls = tls::read(&mut http);
    let h2c = h2c(&mut http);
    let debug = debug::read(&mut http, listen.as_ref());
    http.finish();
    Some(HttpConfig {
        listen: listen?,
        tls: tls.ok()?,
        host,
        prefix,
        relative_urls,
        trust_forwarded,
        trusted_proxies,
        headers,
        drain_timeout,
        max_body,
        h2c,
        debug,
    })
}

fn trusted_proxies(http: &mut Section<'_>) -> TrustedProxies {
    let mut proxies = TrustedProxies::default();
    for text in http.texts("trustedproxies") {
        if let Err(error) = proxies.add(&text) {
            http.refuse("trustedproxies", format!("expected {error}, found {text:?}"));
        }
    }
    proxies
}

fn listen(http: &mut Section<'_>) -> Option<Listen> {
    let is_unix = http.choice("net", &[("tcp", false), ("unix", true)]).unwrap_or(false);
    let is_set = http.is_set("addr");
    let addr = if is_unix {
        http.read("addr", "the path of a socket", |text| (!text.is_empty()).then(|| Listen::Unix(text.into())))
    } else {
        http.read("addr", "HOST:PORT or :PORT", |text| read_addr(if text.is_empty() { DEFAULT_ADDR } else { text }))
    };
    match addr {
        None if is_unix && !is_set => {
            http.refuse("addr", "missing: the path of a socket");
            None
        }
        None if !is_set => read_addr(DEFAULT_ADDR),
        addr => addr,
    }
}

/// Reads `HOST:PORT` or `:PORT`.
pub(super) fn read_addr(text: &str) -> Option<Listen> {
    let (host, port) = text.rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']')?,
        None if host.contains(':') => return None,
        None => host,
    };
    if !port.bytes().all(|byte| byte.is_ascii_digit()) || host.contains(char::is_whitespace) {
        return None;
    }
    Some(Listen::Tcp { host: host.to_owned(), port: port.parse().ok()? })
}

/// What is no address was always left out, so it is told and stops nothing.
fn host(http: &mut Section<'_>) -> Option<ExternalUrl> {
    let host = http.text("host")?.parse();
    if host.is_err() {
        http.warn("host", "not an address such as https://registry.example.com, and ignored");
    }
    host.ok()
}

fn h2c(http: &mut Section<'_>) -> bool {
    let mut section = http.section("h2c");
    let enabled = section.boolean("enabled").unwrap_or(false);
    section.finish();
    enabled
}
