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
