//! Webhooks: what happens is told, also when nobody listened at the time and the program died since.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use registry_core::{Algorithm, Digest};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::client::request;
use crate::program::{PATIENCE, Program, Server};
use crate::push_pull::Repository;

/// An event as it came.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Told {
    id: String,
    action: String,
    digest: String,
    url: String,
}

/// Answers every request with 200, one after the other, while it is up; else it hangs up.
#[derive(Debug)]
struct Hook {
    address: String,
    is_up: Arc<AtomicBool>,
    told: Receiver<(String, Told)>,
}

impl Hook {
    fn new(is_up: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let is_up = Arc::new(AtomicBool::new(is_up));
        let (sender, told) = mpsc::channel();
        let up = Arc::clone(&is_up);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if up.load(Ordering::SeqCst)
                    && let Some(told) = answer(&mut stream.unwrap())
                    && sender.send(told).is_err()
                {
                    return;
                }
            }
        });
        Self { address, is_up, told }
    }

    fn come_up(&self) {
        self.is_up.store(true, Ordering::SeqCst);
    }

    /// The next event, with the head of its request.
    #[track_caller]
    fn next(&self) -> (String, Told) {
        self.told.recv_timeout(PATIENCE).expect("an event")
    }
}

fn answer(stream: &mut TcpStream) -> Option<(String, Told)> {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut bytes = [0; 4096];
        let read = stream.read(&mut bytes).ok().filter(|read| *read > 0)?;
        request.extend_from_slice(&bytes[..read]);
        let text = std::str::from_utf8(&request).unwrap();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && head.to_ascii_lowercase().contains(&format!("\r\ncontent-length: {}", body.len()))
            && body.ends_with('}')
        {
            break (head.to_owned(), body.to_owned());
        }
    };
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok()?;
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    let event = &value["events"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let target = &event["target"];
    let (digest, url) = (text(&target["digest"]), text(&target["url"]));
    Some((head, Told { id: text(&event["id"]), action: text(&event["action"]), digest, url }))
}

fn serve(folder: &TempDir, hook: &Hook) -> Server {
    let hook = &hook.address;
    let config = format!(
        "
version: 0.1
storage: {{filesystem: {{rootdirectory: data}}}}
http: {{addr: '127.0.0.1:0'}}
notifications:
  endpoints:
    - name: hook
      url: http://ann:url-secret@{hook}/events
      headers: {{X-Token: [header-secret]}}
      backoff: 50ms
      ignore: {{actions: [pull]}}
"
    );
    Program::in_folder(folder).config(&config).serve()
}

/// Waits until as much is spooled, so that a kill loses none of it.
fn wait_for_spool(folder: &TempDir, events: usize) {
    let spool = folder.path().join("data/notifications/hook");
    let spooled = || {
        let files = std::fs::read_dir(&spool).unwrap().map(|entry| entry.unwrap().path());
        let texts = files.filter_map(|path| std::fs::read_to_string(path).ok());
        texts.map(|text| text.matches("\"events\"").count()).sum::<usize>()
    };
    let deadline = std::time::Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / deadline.as_millis() {
        if spooled() >= events {
            return;
        }
        thread::park_timeout(deadline);
    }
    panic!("{} events are spooled", spooled());
}

#[test]
fn events_survive_a_kill_while_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::new(false);

    let mut pushed = Vec::new();
    for round in 0..3 {
        let mut server = serve(&folder, &hook);
        let repository = Repository { server: &server, name: "lib/app" };
        for number in 0..5 {
            let digest = repository.push(format!("{round} {number}").as_bytes());
            repository.pull(&digest);
            pushed.push(digest.to_string());
        }
        wait_for_spool(&folder, pushed.len());
        server.signal(Signal::KILL);
        server.end();
        let log = server.told.join("\n");
        assert!(!log.contains("secret"), "{log}");
    }

    let mut server = serve(&folder, &hook);
    hook.come_up();
    let mut ids = HashSet::new();
    for digest in &pushed {
        let (head, told) = hook.next();
        assert_eq!((told.action.as_str(), &told.digest), ("push", digest));
        assert!(ids.insert(told.id), "an event came twice");
        assert!(head.starts_with("POST /events HTTP/1.1\r\n") && head.contains("\r\nx-token: header-secret"), "{head}");
    }

    // The next one is delivered at once, and a restart brings none of them again.
    let last = Repository { server: &server, name: "lib/app" }.push(b"last");
    assert_eq!(hook.next().1.digest, last.to_string());
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    let server = serve(&folder, &hook);
    let behind = Repository { server: &server, name: "lib/app" }.push(b"behind");
    assert_eq!(hook.next().1.digest, behind.to_string());
}

#[test]
fn what_happens_just_before_the_end_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let hook = Hook::new(false);
    let mut server = serve(&folder, &hook);
    let digest = Repository { server: &server, name: "a" }.push(b"x");
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));

    hook.come_up();
    let server = serve(&folder, &hook);
    assert_eq!(hook.next().1.digest, digest.to_string());
    // The endpoint does not see what it ignores.
    request(&server.address, &format!("GET /v2/a/blobs/{digest}"), &[], b"");
    let other = Repository { server: &server, name: "a" }.push(b"y");
    assert_eq!(hook.next().1.digest, other.to_string());
}

#[test]
fn addresses_are_those_that_clients_are_told() {
    let hook = Hook::new(true);
    for (http, root) in [
        ("prefix: /p", None),
        ("relativeurls: true", Some("")),
        ("host: 'https://registry.example.com/x'", Some("https://registry.example.com/x")),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "{{version: 0.1, storage: inmemory, http: {{addr: '127.0.0.1:0', {http}}}, \
             notifications: {{endpoints: [{{name: a, url: 'http://{}'}}]}}}}",
            hook.address
        );
        let server = Program::in_folder(&folder).config(&config).serve();
        let digest = Digest::of(Algorithm::Sha256, b"x");
        let (prefix, root) = match root {
            Some(root) => ("", root.to_owned()),
            None => ("/p", format!("http://{}/p", server.address)),
        };
        let line = format!("POST {prefix}/v2/a/blobs/uploads/?digest={digest}");
        assert_eq!(request(&server.address, &line, &[], b"x").status, 201);
        assert_eq!(hook.next().1.url, format!("{root}/v2/a/blobs/{digest}"));
    }
}

#[test]
fn a_configuration_without_an_address_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let config = "version: 0.1\nstorage: inmemory\nnotifications: {endpoints: [{name: a, url: 'ftp://secret'}]}\n";
    let told = Program::in_folder(&folder).args(&["check"]).config(config).fails(1);
    assert!(told.contains("notifications.endpoints.0.url: ") && !told.contains("secret"), "{told}");
}
