//! Signals, restarts and crashes.

use std::io::Write as _;
use std::net::TcpStream;

use registry_core::{Algorithm, Digest};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::{read_answer, request, send_head};
use crate::program::{Program, Server};
use crate::push_pull::{Repository, path_of, with_digest};

fn serve(folder: &TempDir, drain_timeout: &str) -> Server {
    Program::in_folder(folder)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_HTTP_DRAINTIMEOUT", drain_timeout)
        .serve()
}

/// Begins an upload and sends a part of its content, of which the server expects `length` bytes.
fn begin(server: &Server, upload: &str, range: &str, content: &[u8], length: usize) -> TcpStream {
    let mut stream = TcpStream::connect(&server.address).unwrap();
    let headers = [("Content-Range", range), ("Expect", "100-continue")];
    send_head(&mut stream, &server.address, &format!("PATCH {upload}"), &headers, length);
    // The server asks for the content, so it is in the middle of the request from here on.
    let mut asked = [0; 25];
    std::io::Read::read_exact(&mut stream, &mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(content).unwrap();
    stream
}

#[test]
fn either_signal_ends_it_in_good_order() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = serve(&folder, "10s");
        server.signal(signal);
        assert_eq!(server.end().code(), Some(0), "{:?}", server.told);
    }
}

/// So that another program may take the folder.
#[test]
fn what_is_in_the_journal_is_in_its_place_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Program::in_folder(&folder)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_STORAGE_FILESYSTEM_DURABILITY", "group")
        .serve();
    Repository { server: &server, name: "lib/app" }.push(b"some bytes");
    // Nothing else is put on record before it ends.
    let segments = ["0", "1"].map(|name| folder.path().join("registry-data/docker/registry/v2/_journal").join(name));
    let journal = || segments.each_ref().map(|segment| std::fs::read(segment).unwrap());
    let before = journal();
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0), "{:?}", server.told);
    assert!(before != journal(), "nothing tells that all of it is done");
}

#[test]
fn a_request_that_is_on_its_way_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "1h");
    let upload = Repository { server: &server, name: "lib/app" }.start();
    let mut stream = begin(&server, &upload, "0-9", b"some ", 10);
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    stream.write_all(b"bytes").unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.header("range")), (202, "0-9"));
    assert_eq!(server.end().code(), Some(0));
    assert!(server.rest_of_access_log().last().unwrap().contains("\" 202 "));
}

#[test]
fn a_request_that_does_not_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "10ms");
    let upload = Repository { server: &server, name: "lib/app" }.start();
    let _stream = begin(&server, &upload, "0-9", b"some ", 10);
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "1h");
    let upload = Repository { server: &server, name: "lib/app" }.start();
    let _stream = begin(&server, &upload, "0-9", b"some ", 10);
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    server.signal(Signal::INT);
    assert_eq!(server.end().code(), Some(0));
}

#[test]
fn what_was_pushed_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "10s");
    let digest = Repository { server: &server, name: "lib/app" }.push(b"some bytes");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    let server = serve(&folder, "10s");
    assert_eq!(Repository { server: &server, name: "lib/app" }.pull(&digest), b"some bytes");
}

#[test]
fn an_upload_goes_on_after_a_kill() {
    let content: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = Digest::of(Algorithm::Sha256, &content);
    let folder = tempfile::tempdir().unwrap();

    let server = serve(&folder, "10s");
    let upload = Repository { server: &server, name: "lib/app" }.start();
    let acknowledged = 100_000;
    let headers = [("Content-Range", "0-99999")];
    let answer = request(&server.address, &format!("PATCH {upload}"), &headers, &content[..acknowledged]);
    assert_eq!((answer.status, answer.header("range")), (202, "0-99999"));
    let upload = path_of(answer.header("location"));
    let rest = content.len() - acknowledged;
    let range = format!("{acknowledged}-{}", content.len() - 1);
    let stream = begin(&server, &upload, &range, &content[acknowledged..acknowledged + rest / 2], rest);
    server.signal(Signal::KILL);
    drop(server);
    drop(stream);

    let server = serve(&folder, "10s");
    let answer = request(&server.address, &format!("GET {upload}"), &[], b"");
    assert_eq!(answer.status, 204, "{answer:?}");
    let last: usize = answer.header("range").strip_prefix("0-").unwrap().parse().unwrap();
    let offset = last + 1;
    assert!((acknowledged..=acknowledged + rest / 2).contains(&offset), "{offset}");
    let upload = path_of(answer.header("location"));
    let range = format!("{offset}-{}", content.len() - 1);
    let line = format!("PUT {}", with_digest(&upload, &digest));
    let answer = request(&server.address, &line, &[("Content-Range", &range)], &content[offset..]);
    assert_eq!(answer.status, 201, "{answer:?}");
    assert!(Repository { server: &server, name: "lib/app" }.pull(&digest) == content);
}
