//! HTTP/2 spoken by those who mean no good: frames as they are on the wire (RFC 9113).

use std::time::Duration;

use registry_core::Registry;
use registry_core::storage::Memory;
use registry_http::{ServeOptions, serve, service};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://x/v2/`, packed (RFC 7541): three fields of the static table, and `:path` written out.
const GET: &[u8] = b"\x82\x86\x04\x04/v2/\x01\x01x";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection to a server that takes HTTP/2 without TLS, after the greetings.
async fn connect() -> TcpStream {
    connect_to(ServeOptions::default(), &[]).await
}

/// The same with other timeouts, and a client with these settings.
async fn connect_to(options: ServeOptions, settings: &[u8]) -> TcpStream {
    let registry = Registry::builder(std::sync::Arc::new(Memory::new())).build();
    let service = service(registry).authenticator(std::sync::Arc::new(registry_auth::Anonymous)).build();
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut options = options;
    options.h2c = true;
    tokio::spawn(async move { serve(listener, service, options, std::future::pending()).await });
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
    stream
}

/// Sends one of these frames every tenth of a second, until the server ends the connection.
async fn drip(stream: TcpStream, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) {
    let (mut from, mut to) = stream.into_split();
    let sending = tokio::spawn(async move {
        for frame in frames {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
    });
    let _ = tokio::time::timeout(Duration::from_secs(30), from.read_to_end(&mut Vec::new())).await.expect("an end");
    sending.abort();
}

fn pings() -> impl Iterator<Item = Vec<u8>> {
    std::iter::repeat_with(|| frame(PING, 0, 0, &[0; 8])).take(1000)
}

/// `SETTINGS_INITIAL_WINDOW_SIZE`, of nothing.
const NO_WINDOW: [u8; 6] = [0, 4, 0, 0, 0, 0];

fn patient_for(milliseconds: u64) -> ServeOptions {
    let mut options = ServeOptions::default();
    options.write_timeout = Duration::from_millis(milliseconds);
    options.idle_timeout = Duration::from_millis(milliseconds);
    options
}

/// A client that takes nothing of its answers would keep the places of others for ever.
#[tokio::test]
async fn a_client_that_keeps_its_window_shut_is_cut() {
    let mut stream = connect_to(patient_for(400), &NO_WINDOW).await;
    for number in 0..100_u32 {
        stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, GET)).await.unwrap();
    }
    drip(stream, pings()).await;
}

#[tokio::test]
async fn frames_that_say_nothing_keep_no_connection() {
    drip(connect_to(patient_for(400), &[]).await, pings()).await;
    let mut stream = connect_to(patient_for(400), &[]).await;
    stream.write_all(&frame(HEADERS, END_STREAM, 1, GET)).await.unwrap();
    let crumbs = std::iter::repeat_with(|| frame(CONTINUATION, 0, 1, &[])).take(1000);
    drip(stream, crumbs).await;
    let unfinished = frame(PING, 0, 0, &[0; 8]).into_iter().cycle().take(8).map(|byte| vec![byte]);
    drip(connect_to(patient_for(400), &[]).await, unfinished).await;
}

/// Sends until the server takes no more, and gives the frames that it sent; the test fails if it lets itself be sent
/// everything and does not end the connection.
async fn flood(stream: TcpStream, frames: impl Iterator<Item = Vec<u8>> + Send + 'static) -> Vec<(u8, Vec<u8>)> {
    let (mut from, mut to) = stream.into_split();
    let sending = tokio::spawn(async move {
        for frame in frames {
            if to.write_all(&frame).await.is_err() {
                return;
            }
        }
        // The rest is for the server to do.
        std::future::pending::<()>().await;
    });
    let mut bytes = Vec::new();
    // A reset is as good an end as another.
    let _ = tokio::time::timeout(Duration::from_secs(30), from.read_to_end(&mut bytes)).await.expect("an end");
    sending.abort();
    let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Some((payload, behind)) = behind.split_at_checked(length) else { break };
        frames.push((head[3], payload.to_vec()));
        rest = behind;
    }
    frames
}

#[tokio::test]
async fn a_request_is_answered() {
    let mut stream = connect().await;
    stream.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, GET)).await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(2).any(|body| body == b"{}") {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{bytes:?}");
    }
}

/// CVE-2023-44487: requests that are taken back at once cost the client nothing and the server much.
#[tokio::test]
async fn cve_2023_44487_who_takes_requests_back_again_and_again_is_cut() {
    let requests = (0..100_000_u32).map(|number| {
        let stream = 2 * number + 1;
        let cancel = frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
        [frame(HEADERS, END_HEADERS | END_STREAM, stream, GET), cancel].concat()
    });
    let frames = flood(connect().await, requests).await;
    let told = frames.iter().find(|(kind, _)| *kind == GOAWAY);
    // ENHANCE_YOUR_CALM, if there was time to say so.
    assert!(told.is_none_or(|(_, payload)| payload[4..8] == 11_u32.to_be_bytes()), "{told:?}");
    let answers = frames.iter().filter(|(kind, _)| *kind == HEADERS).count();
    assert!(answers < 50_000, "{answers}");
}

/// CVE-2024-27316: a head that never ends was gathered without a limit.
#[tokio::test]
async fn cve_2024_27316_a_head_without_end_is_cut() {
    let field = [&b"\x00\x01a\x7f\x81\x7e"[..], &[b'x'; 16_382 - 16]].concat();
    let head = std::iter::once(frame(HEADERS, END_STREAM, 1, GET));
    let more = (0..10_000).map(move |_| frame(CONTINUATION, 0, 1, &field));
    let frames = flood(connect().await, head.chain(more)).await;
    assert!(!frames.iter().any(|(kind, _)| *kind == HEADERS), "it was never a request");
}
