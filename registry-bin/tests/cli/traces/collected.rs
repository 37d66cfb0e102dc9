//! What a collector gets.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use tempfile::TempDir;

use crate::client::request;
use crate::program::{PATIENCE, Program, Server};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Takes requests in, and gives each one's first line and body.
fn collector() -> (String, Receiver<(String, Vec<u8>)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.unwrap());
            let (mut first, mut length) = (String::new(), 0);
            connection.read_line(&mut first).unwrap();
            loop {
                let mut line = String::new();
                connection.read_line(&mut line).unwrap();
                let line = line.trim().to_ascii_lowercase();
                if line.is_empty() {
                    break;
                }
                if let Some(value) = line.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            connection.read_exact(&mut body).unwrap();
            connection
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
                .unwrap();
            // The test may have seen enough.
            let _ = sender.send((first.trim().to_owned(), body));
        }
    });
    (format!("http://{address}"), received)
}

fn serve(folder: &TempDir, endpoint: &str) -> Server {
    Program::in_folder(folder)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
        .config("version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n")
        .serve()
}

fn bytes(hexadecimal: &str) -> Vec<u8> {
    (0..hexadecimal.len() / 2).map(|at| u8::from_str_radix(&hexadecimal[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn has(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_request_is_part_of_its_clients_trace_and_sent_before_the_end() {
    let (endpoint, collected) = collector();
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, &endpoint);
    let parent = format!("00-{TRACE}-{PARENT}-01");
    let answer = request(
        &server.address,
        "GET /v2/team/app/manifests/v1?secret=hush",
        &[("traceparent", &parent), ("User-Agent", "crane/1"), ("X-Request-Id", "my-request")],
        b"",
    );
    assert_eq!(answer.status, 404);
    server.signal(rustix::process::Signal::TERM);
    assert!(server.end().success(), "{:?}", server.told);
    let (first, body) = collected.recv_timeout(PATIENCE).unwrap();
    assert_eq!(first, "POST /v1/traces HTTP/1.1");
    assert!(has(&body, &bytes(TRACE)) && has(&body, &bytes(PARENT)), "not in its trace");
    for part in [
        "service.name",
        "registry",
        "GET /v2/{name}/manifests/{reference}",
        "/v2/team/app/manifests/v1",
        "secret=…",
        "crane/1",
        "my-request",
        "team/app",
        "MANIFEST_UNKNOWN",
        "storage Read",
    ] {
        assert!(has(&body, part.as_bytes()), "no {part:?} in {}", String::from_utf8_lossy(&body));
    }
    assert!(!has(&body, b"hush"), "a secret is told");
}

#[test]
fn what_the_client_does_not_want_traced_is_not() {
    let (endpoint, collected) = collector();
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, &endpoint);
    let unsampled = format!("00-{TRACE}-{PARENT}-00");
    request(&server.address, "GET /v2/", &[("traceparent", &unsampled)], b"");
    request(&server.address, "GET /v2/_catalog", &[], b"");
    server.signal(rustix::process::Signal::TERM);
    assert!(server.end().success(), "{:?}", server.told);
    let (_, body) = collected.recv_timeout(PATIENCE).unwrap();
    assert!(has(&body, b"GET /v2/_catalog"));
    assert!(!has(&body, &bytes(TRACE)));
}

#[test]
fn a_collector_that_is_gone_stops_nothing_and_is_told_once() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Program::in_folder(&folder)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{gone}"))
        // Each trace is sent alone.
        .env("OTEL_BSP_SCHEDULE_DELAY", "1")
        .env("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
        .config("version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n")
        .serve();
    for _ in 0..5 {
        assert_eq!(request(&server.address, "GET /v2/", &[], b"").status, 200);
    }
    server.signal(rustix::process::Signal::TERM);
    assert!(server.end().success(), "{:?}", server.told);
    let told = server.told.join("\n");
    assert!(told.contains("requests are traced") && told.contains("server stopped"), "{told}");
    assert_eq!(told.matches("traces are lost, until the collector takes them again").count(), 1, "{told}");
    assert!(!told.contains("ExportError") && !told.contains("Exhausted"), "{told}");
}
