//! The debug server of the real program.

use tempfile::TempDir;

use crate::client::request;
use crate::program::{Program, Server};

/// Where the debug server is, as the log tells.
pub(crate) fn address(server: &Server) -> String {
    let line = server.told.iter().find(|line| line.contains("the debug server is at ")).unwrap();
    line.split("the debug server is at ").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn serve(folder: &TempDir, debug: &str) -> Server {
    let config = format!("version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0', debug: {debug}}}\n");
    Program::in_folder(folder).config(&config).serve()
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "{addr: '127.0.0.1:0'}");
    let config = format!(
        "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0', debug: {{addr: '{}'}}}}\n",
        address(&server)
    );
    let told = Program::in_folder(&folder).config(&config).fails(1);
    assert!(told.contains("http.debug.addr") && told.contains("in use"), "{told}");
}

#[test]
fn what_is_for_operators_is_not_for_clients() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "{addr: '127.0.0.1:0', prometheus: {enabled: true}}");
    let (main, debug) = (&server.address, &address(&server));
    for (address, path, status) in [
        (main, "/debug/health", 404),
        (main, "/metrics", 404),
        (debug, "/debug/health", 200),
        (debug, "/metrics", 200),
        (debug, "/healthz", 404),
        (debug, "/v2/", 404),
        (debug, "/debug/pprof/", 404),
    ] {
        assert_eq!(request(address, &format!("GET {path}"), &[], b"").status, status, "{address} {path}");
    }
}

#[test]
fn the_numbers_of_what_was_done() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "{addr: '127.0.0.1:0', prometheus: {enabled: true, path: /m}}");
    request(&server.address, "GET /v2/", &[], b"");
    request(&server.address, "GET /v2/none/tags/list", &[], b"");
    // Its end is counted when the connection is done with it.
    let counted = "registry_http_requests_total{code=\"404\",handler=\"tags\",method=\"get\"} 1";
    let text = until(&server, counted);
    for line in [
        "registry_http_requests_total{code=\"200\",handler=\"base\",method=\"get\"} 1",
        "registry_auth_total{result=\"anonymous\"} 2",
        "registry_open_without_login 0",
        "registry_healthy 1",
    ] {
        assert!(text.lines().any(|known| known == line), "{line} in {text}");
    }
    assert!(text.contains("registry_storage_action_seconds_count{action=\"List\",driver=\"inmemory\"}"), "{text}");
    assert_eq!(request(&address(&server), "GET /metrics", &[], b"").status, 404);
}

/// Asks until this line is among the numbers.
fn until(server: &Server, line: &str) -> String {
    for _ in 0..1000 {
        let answer = request(&address(server), "GET /m", &[], b"");
        assert!(answer.header("content-type").starts_with("text/plain; version=0.0.4"), "{answer:?}");
        let text = String::from_utf8(answer.body).unwrap();
        if text.lines().any(|known| known == line) {
            return text;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no {line}");
}
