//! Health checks of the real program, and what clients are told while one fails.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::{Answer, request};
use crate::debug;
use crate::program::{PATIENCE, Program, Server};

fn serve(folder: &TempDir, health: &str) -> Server {
    let config = format!(
        "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0', prefix: /a/, debug: {{addr: '127.0.0.1:0'}}}}\n\
         health: {health}\n"
    );
    Program::in_folder(folder).config(&config).serve()
}

fn get(server: &Server, path: &str) -> Answer {
    request(&server.address, &format!("GET {path}"), &[], b"")
}

/// What `registry health` says of a server.
fn asked(server: &Server) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("http://{}", server.address);
    let output = Program::in_folder(&folder).args(&["health", "--timeout", "20s", &url]).output();
    let told = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    (output.status.code().unwrap(), told)
}

/// Asks until the status is this one.
#[track_caller]
fn until(status: u16, ask: impl Fn() -> Answer) -> Answer {
    #[expect(clippy::disallowed_methods, reason = "the program under test lives by the clock of the machine")]
    let now = Instant::now;
    let begun = now();
    loop {
        let answer = ask();
        if answer.status == status {
            return answer;
        }
        assert!(now() - begun < PATIENCE, "{answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_file_takes_the_server_out_of_service_and_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "{file: [{file: down, interval: 50ms}], storagedriver: {enabled: true}}");
    let debug = debug::address(&server);
    let health = || request(&debug, "GET /debug/health", &[], b"");
    assert_eq!((get(&server, "/a/v2/").status, get(&server, "/healthz").status), (200, 200));
    assert_eq!((health().status, health().body), (200, b"{}".to_vec()));
    assert_eq!(asked(&server).0, 0);

    std::fs::write(folder.path().join("down"), "").unwrap();
    let refused = until(503, || get(&server, "/a/v2/"));
    let body: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(body["errors"][0]["code"], "UNAVAILABLE", "{refused:?}");
    let told = get(&server, "/healthz");
    assert_eq!((told.status, told.header("cache-control")), (503, "no-store"));
    let failing = health();
    assert_eq!((failing.status, failing.header("content-type")), (503, "application/json"));
    assert_eq!(failing.body, br#"{"down":"file exists"}"#);
    let (code, told) = asked(&server);
    assert!(code == 1 && told.contains("answers 503"), "{told}");
    server.wait_for("unhealthy");

    std::fs::remove_file(folder.path().join("down")).unwrap();
    until(200, || get(&server, "/a/v2/"));
    assert_eq!((get(&server, "/healthz").status, health().status), (200, 200));
    server.wait_for("healthy again");
    let lines = std::iter::from_fn(|| Some(server.access_line()));
    assert!(lines.take(1000).any(|line| line.contains("\"GET /a/v2/ HTTP/1.1\" 503 ")), "the access log tells it");
}

#[test]
fn a_service_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    let server = serve(&folder, &format!("{{tcp: [{{addr: '{addr}', interval: 50ms, threshold: 2}}]}}"));
    assert_eq!(get(&server, "/a/v2/").status, 200);
    drop(listener);
    until(503, || get(&server, "/a/v2/"));
    let failing = request(&debug::address(&server), "GET /debug/health", &[], b"");
    assert!(String::from_utf8_lossy(&failing.body).contains(&format!("\"{addr}\":\"connection failed")), "{failing:?}");
}

#[test]
fn the_check_of_a_container_finds_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let config = "version: 0.1\nstorage: inmemory\nhttp: {net: unix, addr: r.sock}\n";
    let health = || Program::in_folder(&folder).args(&["health", "--config"]).config(config).output();
    let output = health();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
    assert!(output.stderr.starts_with(b"unhealthy: "), "{output:?}");
    let server = Program::in_folder(&folder).config(config).serve();
    let output = health();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    drop(server);

    let server = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").serve();
    let output = Program::in_folder(&folder).args(&["health"]).env("REGISTRY_HTTP_ADDR", &server.address).output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = Program::in_folder(&folder).args(&["health"]).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").fails(1);
    assert!(told.contains("any free port"), "{told}");
    Program::in_folder(&folder).args(&["health", "--timeout", "soon"]).fails(2);
}

/// An image may have nothing but the program.
#[test]
fn no_certificates_are_needed_where_there_is_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    let bare = || {
        let program = Program::in_folder(&folder).env("SSL_CERT_FILE", "/nowhere").env("SSL_CERT_DIR", "/nowhere");
        program.env("REGISTRY_STORAGE", "inmemory")
    };
    let other = bare().env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").serve();
    let health = format!(
        "version: 0.1\nhttp: {{addr: '127.0.0.1:0'}}\nhealth: {{http: [{{uri: 'http://{}/'}}]}}\n",
        other.address
    );
    let server = bare().config(&health).serve();
    let url = format!("http://{}", server.address);
    let output = bare().args(&["health", "--timeout", "20s", &url]).output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = bare().config(&health.replace("http://", "https://")).fails(1);
    assert!(told.contains("the health check of 127.0.0.1 cannot be made"), "{told}");
}
