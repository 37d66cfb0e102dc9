//! The registry for other people's tests.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use registry_http::TestRegistry;

fn get(address: std::net::SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn starts_where_there_is_no_runtime_and_stops_on_drop() {
    let registry = TestRegistry::start_blocking().unwrap();
    let address = registry.addr();
    assert_eq!(registry.url(), format!("http://{address}"));
    assert_eq!(registry.reference("lib/a", "1"), format!("{address}/lib/a:1"));
    let answer = get(address, "/v2/");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    // Scripts look for the names as Go writes them.
    assert!(answer.contains("\r\nDocker-Distribution-Api-Version: registry/2.0\r\n"), "{answer}");
    drop(registry);
    assert!(TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn starts_in_a_runtime_of_one_thread() {
    let registry = TestRegistry::builder().deletes(false).start().await.unwrap();
    let other = TestRegistry::start().await.unwrap();
    assert_ne!(registry.addr(), other.addr());
    let address = registry.addr();
    assert!(get(address, "/v2/_catalog").contains("{\"repositories\":[]}"));
}
