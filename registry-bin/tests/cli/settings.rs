//! What the settings do.

use tempfile::TempDir;

use crate::client::request;
use crate::program::Program;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn version_and_help() {
    let folder = folder();
    for flag in ["--version", "-v"] {
        let output = Program::in_folder(&folder).args(&[flag]).output();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), concat!("registry ", env!("CARGO_PKG_VERSION"), "\n"));
    }
    let output = Program::in_folder(&folder).args(&["--help"]).output();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    for command in ["serve", "check", "garbage-collect", "quarantine"] {
        assert!(told.contains(command), "{told}");
    }
}

#[test]
fn check_tells_what_holds_without_secrets() {
    let folder = folder();
    let config =
        "version: 0.1\nstorage: {filesystem: {rootdirectory: /nowhere/data}}\nhttp: {secret: hush}\nredis: {a: b}\n";
    let program = Program::in_folder(&folder).args(&["check"]).config(config);
    let program = program.env("REGISTRY_HTTP_TRUSTFORWARDED", "no");
    let output = program.env("REGISTRY_STORAGE_DELETE_ENABLED", "yes").output();
    assert!(output.status.success());
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.starts_with("configuration ok\n"), "{told}");
    for line in [
        "http.trustforwarded: false",
        "storage: filesystem, /nowhere/data, durability strict",
        "storage.delete.enabled: true",
    ] {
        assert!(told.lines().any(|known| known == line), "{told}");
    }
    assert!(!told.contains("hush"), "{told}");
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "configuration warning: redis: has no effect: nothing is kept outside of the storage, so no cache is shared\n"
    );
}

#[test]
fn the_start_up_line_tells_where_and_how() {
    let folder = folder();
    let server = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").serve();
    let line = server.told.last().unwrap();
    let root = folder.path().join("registry-data");
    assert!(line.contains(root.to_str().unwrap()), "{line}");
    assert!(line.contains(&format!("docker push {}/NAME:TAG", server.address)), "{line}");
    assert!(!server.told.iter().any(|line| line.contains("level=warning")), "{:?}", server.told);
    assert!(root.is_dir());
}

#[test]
fn a_server_open_to_the_network_says_so() {
    let folder = folder();
    let config = "version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\nauth: none\nredis: {a: b}\n";
    let mut server = Program::in_folder(&folder).config(config).serve();
    assert!(server.told.iter().any(|line| line.contains("redis: has no effect:")), "{:?}", server.told);
    server.signal(rustix::process::Signal::TERM);
    server.end();
    assert!(!server.told.iter().any(|line| line.contains("ANYBODY")), "{:?}", server.told);
    let config = "version: 0.1\nstorage: inmemory\nhttp: {addr: ':0', debug: {addr: '127.0.0.1:0', prometheus: {enabled: true}}}\n";
    let mut server = Program::in_folder(&folder).config(config).serve();
    server.wait_for("ANYBODY who reaches");
    let numbers = request(&crate::debug::address(&server), "GET /metrics", &[], b"");
    let numbers = String::from_utf8(numbers.body).unwrap();
    assert!(numbers.contains("\nregistry_open_without_login 1\n"), "{numbers}");
}

#[test]
fn rules_that_open_a_server_to_the_network_are_told_when_they_begin_to_hold() {
    let folder = folder();
    let config = |actions: &str| {
        format!(
            "version: 0.1\nstorage: inmemory\n\
             http: {{addr: ':0', debug: {{addr: '127.0.0.1:0', prometheus: {{enabled: true}}}}}}\n\
             access: {{rules: [{{who: [anyone], repositories: ['**'], actions: {actions}}}]}}\n"
        )
    };
    let mut server = Program::in_folder(&folder).args(&["serve"]).config(&config("[pull]")).serve();
    let debug = crate::debug::address(&server);
    let is_open = || {
        let numbers = String::from_utf8(request(&debug, "GET /metrics", &[], b"").body).unwrap();
        numbers.contains("\nregistry_open_without_login 1\n")
    };
    let mut change = |actions: &str| {
        std::fs::write(folder.path().join("config.yml"), config(actions)).unwrap();
        server.signal(rustix::process::Signal::HUP);
        server.wait_for("the rules of access were read again");
        server.told.iter().filter(|line| line.contains("ANYBODY who reaches")).count()
    };
    assert!(!is_open());
    assert_eq!((change("[pull, push]"), is_open()), (1, true));
    assert_eq!((change("[pull]"), is_open()), (1, false));
}

#[test]
fn what_a_start_has_to_say_is_said_where_the_log_has_errors_alone() {
    let folder = folder();
    let config = "version: 0.1\nlog: {level: error}\nstorage: inmemory\nhttp: {addr: ':0'}\nredis: {a: b}\n\
                  access: {rules: [{who: [anyone], repositories: ['**'], actions: [pull, push]}]}\n";
    let program = Program::in_folder(&folder).config(config);
    // Nobody says where it listens.
    let child = program.spawn();
    let told = child.wait_for_lines(2).join("\n");
    assert!(told.contains("redis: has no effect") && told.contains("ANYBODY who reaches"), "{told}");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let folder = folder();
    let config = "version: 0.1\nlog: {level: debug}\nstorage: inmemory\nhttp: {net: unix, addr: r.sock}\n";
    for outputs in ["exec >/dev/full 2>/dev/full", "exec >&- 2>&-"] {
        let mut child = Program::limited(&folder, outputs).config(config).spawn();
        let path = folder.path().join("r.sock");
        for _ in 0..5 {
            let mut stream = child.connect(&path);
            crate::client::send_head(&mut stream, "localhost", "GET /v2/", &[], 0);
            assert_eq!(crate::client::read_answer(&mut stream).status, 200, "{outputs}");
        }
        assert_eq!(child.end(), Some(0), "{outputs}");
    }
}

#[test]
fn the_environment_decides() {
    let folder = folder();
    let config = "version: 0.1\nstorage: {filesystem: {rootdirectory: /nowhere/data}}\nhttp: {addr: '192.0.2.1:1'}\n";
    let server = Program::in_folder(&folder)
        .env("REGISTRY_CONFIGURATION_PATH", write(&folder, config))
        .env("REGISTRY_STORAGE", "inmemory")
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_HTTP_HEADERS_X-Content-Type-Options", "[nosniff]")
        .env("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{\"enabled\":true}")
        .env("REGISTRY_LOG_FORMATTER", "text")
        .env("REGISTRY_PORT", "tcp://10.0.0.1:5000")
        .serve();
    let answer = request(&server.address, "GET /v2/", &[], b"");
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"{}".as_slice()));
    assert_eq!(answer.header("docker-distribution-api-version"), "registry/2.0");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(request(&server.address, "POST /v2/a/b/blobs/uploads/", &[], b"").status, 405);
    assert!(server.told.iter().any(|line| line.contains("REGISTRY_PORT: not a known setting")), "{:?}", server.told);
}

fn write(folder: &TempDir, config: &str) -> std::path::PathBuf {
    let path = folder.path().join("distribution.yml");
    std::fs::write(&path, config).unwrap();
    path
}

#[test]
fn a_setting_can_come_from_a_file() {
    let folder = folder();
    std::fs::write(folder.path().join("addr"), "127.0.0.1:0\n").unwrap();
    let server =
        Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR_FILE", "addr").env("REGISTRY_STORAGE", "inmemory").serve();
    assert_eq!(request(&server.address, "GET /v2/", &[], b"").status, 200);
    assert!(!folder.path().join("registry-data").exists());
}

#[test]
fn json_lines_with_fields() {
    let folder = folder();
    let config =
        "version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\nlog: {formatter: json, fields: {a: b}}\n";
    let server = Program::in_folder(&folder).config(config).serve();
    let line: serde_json::Value = serde_json::from_str(server.told.last().unwrap()).unwrap();
    assert_eq!((&line["level"], &line["a"]), (&"info".into(), &"b".into()));
}

#[test]
fn each_request_has_a_line_in_the_access_log() {
    let folder = folder();
    let server = Program::in_folder(&folder)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_STORAGE", "inmemory")
        .serve();
    request(&server.address, "GET /v2/", &[("User-Agent", "a \"test\""), ("Referer", "http://here/")], b"");
    let line = server.access_line();
    assert!(line.starts_with("127.0.0.1 - - ["), "{line}");
    assert!(line.ends_with("] \"GET /v2/ HTTP/1.1\" 200 2 \"http://here/\" \"a \\\"test\\\"\""), "{line}");
    request(&server.address, "GET /v2/missing/tags/list?n=1", &[], b"");
    assert!(server.access_line().contains("\"GET /v2/missing/tags/list?n=1 HTTP/1.1\" 404 "));
}

#[test]
fn the_access_log_can_be_switched_off() {
    let folder = folder();
    let mut server = Program::in_folder(&folder)
        .env("REGISTRY_HTTP_ADDR", "127.0.0.1:0")
        .env("REGISTRY_STORAGE", "inmemory")
        .env("REGISTRY_LOG_ACCESSLOG_DISABLED", "true")
        .serve();
    request(&server.address, "GET /v2/", &[], b"");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert_eq!(server.rest_of_access_log(), Vec::<String>::new());
}

#[test]
fn a_unix_socket() {
    use std::os::unix::net::UnixStream;

    let folder = folder();
    let config = "version: 0.1\nstorage: inmemory\nhttp: {net: unix, addr: r.sock}\n";
    let path = folder.path().join("r.sock");
    let server = Program::in_folder(&folder).config(config).serve();
    let mut stream = UnixStream::connect(&path).unwrap();
    crate::client::send_head(&mut stream, "localhost", "GET /v2/", &[], 0);
    assert_eq!(crate::client::read_answer(&mut stream).status, 200);
    let told = Program::in_folder(&folder).config(config).fails(1);
    assert!(told.contains("r.sock"), "{told}");

    // A server that is killed leaves its socket behind; the next one takes its place.
    server.signal(rustix::process::Signal::KILL);
    drop(server);
    assert!(path.exists());
    let mut server = Program::in_folder(&folder).config(config).serve();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn what_a_proxy_says_is_believed_unless_that_is_switched_off() {
    for (trusted, told) in [("true", "http://evil.example/v2/"), ("false", "http://127.0.0.1:")] {
        let folder = folder();
        let program = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
        let server = program.env("REGISTRY_HTTP_TRUSTFORWARDED", trusted).serve();
        let forwarded = [("Forwarded", "host=evil.example")];
        let answer = request(&server.address, "POST /v2/a/blobs/uploads/", &forwarded, b"");
        assert!(answer.header("location").starts_with(told), "{}", answer.header("location"));
    }
}

#[test]
fn the_services_of_a_cluster_do_not_stop_it() {
    let folder = folder();
    let mut program = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
    let links = [
        ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
        ("REGISTRY_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_HTTP_PORT", "tcp://10.0.0.1:5000"),
        ("REGISTRY_HTTP_PORT_5000_TCP", "tcp://10.0.0.1:5000"),
        ("REGISTRY_HTTP_PORT_5000_TCP_ADDR", "10.0.0.1"),
        ("REGISTRY_HTTP_SERVICE_HOST", "10.0.0.1"),
        ("REGISTRY_STORAGE_PORT", "tcp://10.0.0.1:9000"),
    ];
    for (name, value) in links {
        program = program.env(name, value);
    }
    let server = program.serve();
    assert_eq!(request(&server.address, "GET /v2/", &[], b"").status, 200);
    for (name, _) in links {
        let warns = |line: &String| line.contains("level=warning") && line.contains(&format!("{name}: "));
        assert!(server.told.iter().any(warns), "{name}: {:?}", server.told);
    }
}

#[test]
fn few_open_files_are_told_and_a_low_soft_limit_is_raised() {
    for (limits, few) in [("ulimit -n 256", true), ("ulimit -Sn 256 && ulimit -Hn 4096", false)] {
        let folder = folder();
        let program = Program::limited(&folder, limits).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0");
        let mut server = program.env("REGISTRY_STORAGE", "inmemory").serve();
        assert_eq!(request(&server.address, "GET /v2/", &[], b"").status, 200);
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.end().code(), Some(0));
        let told: Vec<_> = server.told.iter().filter(|line| line.contains("open files")).collect();
        assert_eq!(!told.is_empty(), few, "{limits}: {told:?}");
        assert!(told.iter().all(|line| line.contains("level=warning") && line.contains("connections=96")), "{told:?}");
    }
}

#[test]
fn a_hangup_applies_rules_and_tells_what_needs_a_restart() {
    let folder = folder();
    let config = |rest: &str, actions: &str| {
        format!(
            "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0'{rest}}}\n\
             access: {{rules: [{{who: [anyone], repositories: ['**'], actions: {actions}}}]}}\n"
        )
    };
    let write = |text: &str| std::fs::write(folder.path().join("config.yml"), text).unwrap();
    let mut server = Program::in_folder(&folder).args(&["serve"]).config(&config("", "[pull]")).serve();
    let push = |server: &crate::program::Server| request(&server.address, "POST /v2/a/blobs/uploads/", &[], b"").status;
    assert_eq!(push(&server), 403);
    write(&config(", relativeurls: true", "[pull, push]"));
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("the rules of access were read again");
    assert!(server.wait_for("needs a restart").contains("settings=http.relativeurls"));
    assert_eq!(push(&server), 202);
    write("version: 0.1\nstorage: s4\n");
    server.signal(rustix::process::Signal::HUP);
    assert!(server.wait_for("what is in force stays").contains("storage.s4"));
    assert_eq!(push(&server), 202);
}
