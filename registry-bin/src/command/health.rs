//! `registry health`: asks a server whether it is well, for images that have no other client.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use tokio::runtime;

use super::configuration;
use crate::causes::with_causes;
use crate::config::{Config, Listen, duration};

/// What is asked, and how.
#[derive(Debug, clap::Args)]
pub(super) struct HealthArguments {
    /// The server's address; by default the one that the configuration has.
    url: Option<String>,
    /// The configuration file that has the address; by default the one that the environment names.
    #[arg(long, conflicts_with = "url")]
    config: Option<PathBuf>,
    /// How long the answer may take, such as 5s.
    #[arg(long, default_value = "5s", value_parser = duration::parse)]
    timeout: Duration,
    /// Take any certificate. The server's own address, out of the configuration, is always taken at its word.
    #[arg(long)]
    insecure: bool,
}

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    url: Url,
    /// The socket in the file system, if it is one.
    socket: Option<PathBuf>,
    /// Whether the certificate must be one for the address. Who asks the machine that they run on need not.
    verify: bool,
}

/// What is asked for where the address has no path.
const PATH: &str = "/healthz";

/// Prints what the server says; the exit code is 0 if it is well.
pub(super) fn run(arguments: HealthArguments) -> ExitCode {
    match ask(arguments) {
        Ok(told) => {
            println!("{told}");
            ExitCode::SUCCESS
        }
        Err(told) => {
            eprintln!("unhealthy: {told}");
            ExitCode::FAILURE
        }
    }
}

fn ask(arguments: HealthArguments) -> Result<String, String> {
    let target = if let Some(text) = &arguments.url {
        given(text, arguments.insecure)?
    } else {
        let parsed = configuration::load(arguments.config).map_err(|lines| lines.join("; "))?;
        own(&parsed.config)?
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let status = runtime.block_on(status(&target, arguments.timeout)).map_err(|error| with_causes(&error))?;
    let Target { url, .. } = target;
    if status == StatusCode::OK { Ok(format!("healthy: {url}")) } else { Err(format!("{url} answers {status}")) }
}

async fn status(target: &Target, timeout: Duration) -> reqwest::Result<StatusCode> {
    // Redirects are not followed, so that what is not verified is nobody else.
    let client = Client::builder().timeout(timeout).no_proxy().redirect(Policy::none());
    // Without TLS there is nothing to verify, and an image may have no certificates to verify by.
    let client = client.tls_danger_accept_invalid_certs(!target.verify || target.url.scheme() == "http");
    let client = match &target.socket {
        Some(path) => client.unix_socket(path.clone()),
        None => client,
    };
    Ok(client.build()?.get(target.url.clone()).send().await?.status())
}

fn given(text: &str, insecure: bool) -> Result<Target, String> {
    let mut url: Url = text.parse().map_err(|error| format!("{text:?} is no address: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is no address that begins with http: or https:"));
    }
    if url.path() == "/" {
        url.set_path(PATH);
    }
    Ok(Target { url, socket: None, verify: !insecure })
}

/// The address of the server that this configuration starts.
fn own(config: &Config) -> Result<Target, String> {
    let (host, socket) = match &config.http.listen {
        Listen::Tcp { port: 0, .. } => return Err("http.addr is any free port: name the address".to_owned()),
        Listen::Tcp { host, port } => (authority(host, *port), None),
        Listen::Unix(path) => ("localhost".to_owned(), Some(path.clone())),
    };
    let scheme = if config.http.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{host}{PATH}");
    let url = url.parse().map_err(|error| format!("{url:?} is no address: {error}"))?;
    Ok(Target { url, socket, verify: false })
}

/// Who listens at every address listens at the loopback.
fn authority(host: &str, port: u16) -> String {
    match host {
        "" | "0.0.0.0" => format!("127.0.0.1:{port}"),
        "::" => format!("[::1]:{port}"),
        host if host.contains(':') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn own_of(http: &str) -> Result<Target, String> {
        let document = format!("version: 0.1\nstorage: inmemory\nhttp: {http}\n");
        own(&config::parse(Some(&document), [], &mut |_| Ok(String::new())).unwrap().config)
    }

    #[test]
    fn the_address_of_the_configuration() {
        for (http, url) in [
            ("{}", "http://127.0.0.1:5000/healthz"),
            ("{addr: ':80'}", "http://127.0.0.1/healthz"),
            ("{addr: '0.0.0.0:5001'}", "http://127.0.0.1:5001/healthz"),
            ("{addr: '[::]:5001'}", "http://[::1]:5001/healthz"),
            ("{addr: '[fe80::1]:5001'}", "http://[fe80::1]:5001/healthz"),
            ("{addr: ':5001', tls: {certificate: c, key: k}}", "https://127.0.0.1:5001/healthz"),
            ("{addr: 'localhost:5001', prefix: /a/}", "http://localhost:5001/healthz"),
        ] {
            assert_eq!(own_of(http).unwrap().url.as_str(), url, "{http}");
        }
        assert!(own_of("{addr: ':0'}").is_err());
        let target = own_of("{net: unix, addr: /run/r.sock}").unwrap();
        assert_eq!(target.socket, Some("/run/r.sock".into()));
    }

    #[test]
    fn an_address_that_is_given() {
        for (text, url) in
            [("https://r.example", "https://r.example/healthz"), ("http://r.example:5000/x", "http://r.example:5000/x")]
        {
            let target = given(text, false).unwrap();
            assert_eq!((target.url.as_str(), target.verify), (url, true));
        }
        assert!(!given("https://r.example", true).unwrap().verify);
        assert!(given("r.example", false).is_err() && given("ftp://r.example", false).is_err());
    }
}
