//! The server over real sockets: what the protocol forbids, who is slow, and how it ends.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use registry_core::Registry;
use registry_core::storage::Memory;
use registry_http::{Drained, RegistryService, ServeOptions, TestRegistry, serve, service};
use registry_storage::filesystem::Filesystem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Api, OCI_MANIFEST, image, sha256};

struct Server {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
}

async fn start(options: ServeOptions) -> Server {
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    start_with(service(registry).authenticator(Arc::new(registry_auth::Anonymous)).build(), options).await
}

async fn start_with(service: RegistryService, options: ServeOptions) -> Server {
    start_on(TcpListener::bind(("127.0.0.1", 0)).await.unwrap(), service, options)
}

/// A server that sends little ahead: the kernel gives its connections a buffer as large as an answer otherwise, if they
/// were quick before.
fn start_narrow(service: RegistryService) -> Server {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(64 * 1024).unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    start_on(socket.listen(128).unwrap(), service, ServeOptions::default())
}

fn start_on(listener: TcpListener, service: RegistryService, options: ServeOptions) -> Server {
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let shutdown = async {
        stopped.await.unwrap();
    };
    let serving = tokio::spawn(serve(listener, service, options, shutdown));
    Server { address, stop, serving }
}

/// Sends bytes as they are, and reads until the server closes.
async fn raw(server: &Server, request: &str) -> String {
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good an end as another.
    let _ = socket.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("{answer:?}")).parse().unwrap()
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_refused() {
    let server = start(ServeOptions::default()).await;
    let smuggled = "POST /v2/evil/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n\r\n";
    for head in [
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: x\r\n",
        "X: a\r\n folded\r\nContent-Length : 5\r\n",
        "Bad Name: x\r\n",
    ] {
        let request = format!("POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n{head}\r\n0\r\n\r\n{smuggled}");
        let answer = raw(&server, &request).await;
        assert_eq!(status(&answer), 400, "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
}

/// A client that is still sending when it is refused has to be able to read why: a push goes on with a new login.
#[tokio::test]
async fn a_client_that_is_refused_early_gets_its_answer() {
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    let logins = registry_auth::Basic::new("test", |_: &str, _: &str| false);
    let service = service(registry).authenticator(Arc::new(logins)).build();
    let server = start_with(service, ServeOptions::default()).await;
    for attempt in 0..5 {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head = "PATCH /v2/a/blobs/uploads/0190a0b0-0000-7000-8000-000000000000 HTTP/1.1\r\n\
            Host: x\r\nContent-Length: 50000000\r\n\r\n";
        socket.write_all(head.as_bytes()).await.unwrap();
        // Go gives up a request at the first write that fails, whatever there is to read.
        for chunk in 0..20 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            socket.write_all(&[0; 8192]).await.unwrap_or_else(|error| panic!("{attempt}, {chunk}: {error}"));
        }
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("UNAUTHORIZED"), "{answer}");
        // The connection ends with it, and a client that is told so sends no further request into it.
        assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    }
}

#[tokio::test]
async fn after_a_refusal_with_nothing_left_to_read_the_connection_goes_on() {
    let server = start(ServeOptions::default()).await;
    let refused = "POST /v2/a/blobs/uploads/?digest=x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    let last = "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let answer = raw(&server, &format!("{refused}{last}")).await;
    assert_eq!((status(&answer), answer.matches("HTTP/1.1 ").count()), (400, 2), "{answer}");
    assert!(answer.contains("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_body_is_chunked_or_measured_but_not_both() {
    let server = start(ServeOptions::default()).await;
    let (length, chunked) = ("Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for head in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let request = format!(
            "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\n{head}\r\n0\r\n\r\n\
             GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n"
        );
        let answer = raw(&server, &request).await;
        // hyper hides the length from the service, lets the chunks win (RFC 9112 §6.3), and closes the connection, so
        // that nothing behind the last chunk is a request.
        assert_eq!(status(&answer), 202, "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn who_says_no_host_or_two_or_codes_the_chunks_is_refused() {
    let server = start(ServeOptions::default()).await;
    for (head, wanted) in [
        ("", 400),
        ("Host: x\r\nHost: x\r\n", 400),
        ("Host: x\r\nTransfer-Encoding: gzip, chunked\r\n", 501),
        ("Host: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
    ] {
        let request =
            format!("POST /v2/a/blobs/uploads/ HTTP/1.1\r\n{head}\r\n0\r\n\r\nGET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n");
        let answer = raw(&server, &request).await;
        assert_eq!(status(&answer), wanted, "{head:?}: {answer}");
        assert!(answer.contains(r#"{"errors":[{"code":"UNSUPPORTED""#), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
    let answer = raw(&server, "GET /v2/ HTTP/1.0\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "there was no Host yet: {answer}");
}

#[tokio::test]
async fn heads_have_an_end() {
    let server = start(ServeOptions::default()).await;
    let many = "X: y\r\n".repeat(10_000);
    let answer = raw(&server, &format!("GET /v2/ HTTP/1.1\r\nHost: x\r\n{many}\r\n")).await;
    assert_eq!(status(&answer), 431, "{answer}");
    // Whoever goes on sending gets the answer as well.
    for length in [80_000, 500_000] {
        let answer = raw(&server, &format!("GET /v2/ HTTP/1.1\r\nHost: x\r\nX: {}", "y".repeat(length))).await;
        assert_eq!(status(&answer), 431, "{answer}");
    }
    let answer = raw(&server, &format!("GET /v2/{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(70_000))).await;
    assert_eq!(status(&answer), 414, "{answer}");
}

#[tokio::test]
async fn several_requests_on_one_connection_and_a_client_that_waits_to_send() {
    let server = start(ServeOptions::default()).await;
    let digest = sha256(b"hello");
    let request = format!(
        "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n\
         POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello\
         GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nRange: bytes=1-2\r\nConnection: close\r\n\r\n"
    );
    let answer = raw(&server, &request).await;
    for wanted in ["200 OK", "201 Created", "206 Partial Content", "\r\n\r\nel"] {
        assert!(answer.contains(wanted), "{wanted}: {answer}");
    }
}

#[tokio::test]
async fn a_put_that_ends_early_makes_no_blob() {
    let server = start(ServeOptions::default()).await;
    let digest = sha256(b"hello");
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head =
        format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\nhello");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.shutdown().await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    assert!(!answer.contains("201"), "{answer}");
    let answer =
        raw(&server, &format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    assert_eq!(status(&answer), 404);
}

/// Short enough for a test, long enough for a busy machine not to reach it where it should not.
const SOON: Duration = Duration::from_millis(50);

#[tokio::test]
async fn who_is_slow_is_let_go() {
    let mut options = ServeOptions::default();
    options.header_timeout = SOON;
    options.idle_timeout = SOON;
    options.body_timeout = SOON;
    let server = start(options).await;
    assert_eq!(raw(&server, "GET /v2/ HT").await.matches("200").count(), 0, "a head that does not end");
    assert_eq!(raw(&server, "").await, "", "a connection without a request");
    let answer = raw(&server, "GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(status(&answer), 200, "an answer, and then nothing more");
    let answer = raw(&server, "PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{").await;
    assert_eq!(status(&answer), 408, "{answer}");
}

#[tokio::test]
async fn who_trickles_is_let_go() {
    let mut options = ServeOptions::default();
    options.body_timeout = Duration::from_millis(500);
    options.body_rate_bytes_per_second = 1024;
    let server = start(options).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    let head = "POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let head = head.replace("uploads/", &format!("uploads/?digest={}", sha256(b"hello")));
    socket.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    let trickle = tokio::spawn(async move {
        let mut beat = tokio::time::interval(SOON);
        // It ends when the server closes the connection.
        while writing.write_all(b"1\r\nx\r\n").await.is_ok() {
            beat.tick().await;
        }
    });
    let mut first = [0; 12];
    reading.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 408");
    drop(reading);
    trickle.await.unwrap();
}

#[tokio::test]
async fn a_blob_that_became_shorter_is_cut_and_not_filled_up() {
    const SIZE: usize = 32 * 1024 * 1024;
    const SHORTER: usize = 24 * 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(Filesystem::builder(directory.path()).open().unwrap());
    let registry = TestRegistry::builder().storage(storage).start().await.unwrap();
    // No byte is zero.
    let content: Vec<u8> = (1..=251).cycle().take(SIZE).collect();
    let digest = sha256(&content);
    let mut socket = connect_narrow(registry.addr()).await;
    let head =
        format!("POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: {SIZE}\r\n\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    socket.write_all(&content).await.unwrap();
    assert_eq!(read_head(&mut socket).await.split(' ').nth(1), Some("201"));

    socket.write_all(format!("GET /v2/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let head = read_head(&mut socket).await.to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains(&format!("content-length: {SIZE}\r\n")), "{head}");
    let file = largest_file(directory.path());
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(SHORTER as u64).unwrap();
    let mut came = Vec::new();
    // It may end with a reset as well.
    let _ = socket.read_to_end(&mut came).await;
    assert!(came.len() <= SHORTER, "{}", came.len());
    assert!(came == content[..came.len()], "what came is what was there");
}

/// A connection that takes little unless it is read: what lies in the buffers of the sockets is far less than an answer.
async fn connect_narrow(address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    socket.connect(address).await.unwrap()
}

#[tokio::test]
async fn manifests_that_stalled_clients_do_not_take_have_their_bounds() {
    const SIZE: usize = 4 * 1024 * 1024;
    let api = Api::open();
    api.push_blob("a", b"{}").await;
    let content = image("") + &" ".repeat(SIZE - image("").len());
    api.request(Method::PUT, "/v2/a/manifests/x", &[("content-type", OCI_MANIFEST)], content).await.assert(201);
    let api = api.again(|service| service.manifest_memory(2 * SIZE as u64));
    let server = start_narrow(api.service);
    let get = "GET /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let mut stalled = Vec::new();
    for _ in 0..2 {
        let mut socket = connect_narrow(server.address).await;
        socket.write_all(get.as_bytes()).await.unwrap();
        assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 200"));
        stalled.push(socket);
    }
    assert_eq!(status(&raw(&server, get).await), 429);
    // Who takes it after all gets it whole, and then there is room again.
    let mut rest = Vec::new();
    stalled.pop().unwrap().read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), SIZE);
    assert_eq!(status(&raw(&server, get).await), 200);
}

/// Reads byte by byte, so that nothing behind the head is taken.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn largest_file(directory: &Path) -> PathBuf {
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.map(|path| if path.is_dir() { largest_file(&path) } else { path });
    files
        .max_by_key(|path| path.metadata().map_or(0, |found| if found.is_file() { found.len() } else { 0 }))
        .unwrap_or_default()
}

#[tokio::test]
async fn no_more_connections_than_allowed() {
    let mut options = ServeOptions::default();
    options.max_connections = 1;
    let server = start(options).await;
    let mut first = TcpStream::connect(server.address).await.unwrap();
    first.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    first.read_exact(&mut [0; 12]).await.unwrap();
    let second = raw(&server, "GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let mut second = std::pin::pin!(second);
    assert!(tokio::time::timeout(SOON, second.as_mut()).await.is_err(), "it waits");
    drop(first);
    assert_eq!(status(&second.await), 200);
}

#[tokio::test]
async fn the_end_waits_for_requests_and_not_for_idle_connections() {
    let server = start(ServeOptions::default()).await;
    let mut idle = TcpStream::connect(server.address).await.unwrap();
    idle.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    idle.read_exact(&mut [0; 12]).await.unwrap();
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    let digest = sha256(b"hello");
    let head = format!(
        "POST /v2/a/blobs/uploads/?digest={digest} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    );
    busy.write_all(head.as_bytes()).await.unwrap();
    let mut continued = [0; 25];
    busy.read_exact(&mut continued).await.unwrap();
    assert!(continued.starts_with(b"HTTP/1.1 100"));
    server.stop.send(()).unwrap();
    idle.read_to_end(&mut Vec::new()).await.unwrap();
    busy.write_all(b"hello").await.unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 201);
    assert_eq!(server.serving.await.unwrap(), Drained { cut: 0 });
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn the_end_comes_also_if_a_request_does_not() {
    let mut options = ServeOptions::default();
    options.drain_timeout = SOON;
    let server = start(options).await;
    let mut busy = TcpStream::connect(server.address).await.unwrap();
    let head = b"PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    busy.write_all(head).await.unwrap();
    busy.read_exact(&mut [0; 12]).await.unwrap();
    server.stop.send(()).unwrap();
    assert_eq!(server.serving.await.unwrap(), Drained { cut: 1 });
}

#[tokio::test]
async fn a_unix_socket_serves_as_well() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("registry.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let registry = Registry::builder(Arc::new(Memory::new())).build();
    let service = service(registry).authenticator(Arc::new(registry_auth::Anonymous)).build();
    let serving = tokio::spawn(serve(listener, service, ServeOptions::default(), std::future::pending()));
    let mut socket = UnixStream::connect(&path).await.unwrap();
    socket.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert_eq!(status(&answer), 200);
    serving.abort();
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_allowed() {
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0";
    let mut options = ServeOptions::default();
    options.h2c = true;
    let server = start(options).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(preface.as_bytes()).await.unwrap();
    let mut frame = [0; 9];
    socket.read_exact(&mut frame).await.unwrap();
    assert_eq!(frame[3], 4, "the server's settings");
    let server = start(ServeOptions::default()).await;
    assert!(!raw(&server, preface).await.starts_with("\0\0"), "not where it is not");
}

#[tokio::test]
async fn who_sends_too_much_is_told_so() {
    let server = start(ServeOptions::default()).await;
    for size in [4 * 1024 * 1024 + 1, 20_000_000] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        let head =
            format!("PUT /v2/a/manifests/x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {size}\r\n\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        let (mut reading, mut writing) = socket.split();
        let content = vec![b' '; size];
        let send = async {
            // The server may have heard enough before the end.
            let _ = writing.write_all(&content).await;
        };
        send.await;
        let mut answer = Vec::new();
        let _ = reading.read_to_end(&mut answer).await;
        assert_eq!(status(&String::from_utf8_lossy(&answer)), 413);
    }
}
