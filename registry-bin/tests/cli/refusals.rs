//! What the program refuses, how, and with which exit code.

use tempfile::TempDir;

use crate::program::Program;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn all_errors_are_told_at_once() {
    let config = "version: 0.1\nstorage: {s4: {}, filesystem: {}}\nhttp: {addr: x, colour: red}\nauth: htpasswd\n";
    for command in [["serve"].as_slice(), &["check"], &[]] {
        let folder = folder();
        let program = Program::in_folder(&folder).args(command).config(config).env("REGISTRY_LOG_LEVEL", "loud");
        assert_eq!(
            program.fails(1).lines().collect::<Vec<_>>(),
            [
                "configuration error: log.level: expected one of error, warn, info, debug, found \"loud\" \
                 (set by REGISTRY_LOG_LEVEL)",
                "configuration error: storage: names more than one driver: filesystem, s4",
                "configuration error: http.addr: expected HOST:PORT or :PORT, found \"x\"",
                "configuration error: auth.htpasswd.realm: missing: what people are told that they log in to",
                "configuration error: auth.htpasswd.path: missing: the file with the users and their passwords",
                "configuration warning: http.colour: unknown, and ignored",
            ],
            "{command:?}"
        );
        assert!(!folder.path().join("registry-data").exists());
    }
}

#[test]
fn what_is_not_built_opens_no_door() {
    for (rest, path) in [
        ("auth: {token: {realm: r}}", "auth.token.service: "),
        ("http: {tls: {certificate: /c}}", "http.tls.key: "),
        ("proxy: {remoteurl: https://example.com}", "proxy: "),
        ("middleware: {storage: [{name: cloudfront}]}", "middleware: "),
    ] {
        let folder = folder();
        let told = Program::in_folder(&folder).config(&format!("version: 0.1\nstorage: inmemory\n{rest}\n")).fails(1);
        assert!(told.starts_with(&format!("configuration error: {path}")), "{rest}: {told}");
    }
    let drivers = [
        ("s3", cfg!(feature = "s3")),
        ("gcs", cfg!(feature = "gcs")),
        ("azure", cfg!(feature = "azure")),
        ("swift", false),
    ];
    for (driver, _) in drivers.into_iter().filter(|(_, is_built)| !is_built) {
        let folder = folder();
        let told = Program::in_folder(&folder).config(&format!("version: 0.1\nstorage: {driver}\n")).fails(1);
        assert!(told.starts_with(&format!("configuration error: storage.{driver}: not a driver")), "{told}");
    }
}

/// What the environment asks for is in force, however the file misspells its own key.
#[test]
fn a_key_in_other_letters_opens_no_door() {
    for (rest, variable, path) in [
        ("Auth: {}", ("REGISTRY_AUTH_HTPASSWD_PATH", "/p"), "auth.htpasswd.realm: "),
        ("http: {Tls: }", ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c"), "http.tls.key: "),
    ] {
        let folder = folder();
        let program = Program::in_folder(&folder).config(&format!("version: 0.1\nstorage: inmemory\n{rest}\n"));
        let told = program.env(variable.0, variable.1).fails(1);
        assert!(told.contains(&format!("configuration error: {path}")), "{rest}: {told}");
    }
}

/// A cluster names its services too, but a name below a login is not risked.
#[test]
fn a_service_that_is_called_like_a_login_opens_no_door() {
    for (name, path) in [("REGISTRY_AUTH_PORT", "auth.port: "), ("REGISTRY_PROXY_PORT", "proxy: a registry")] {
        let folder = folder();
        let told = Program::in_folder(&folder).env(name, "tcp://10.0.0.1:5001").fails(1);
        assert!(told.starts_with(&format!("configuration error: {path}")), "{told}");
    }
}

#[test]
fn files_that_cannot_be_read() {
    let folder = folder();
    let told = Program::in_folder(&folder).args(&["serve", "nowhere.yml"]).fails(1);
    assert!(told.starts_with("configuration error: nowhere.yml: "), "{told}");
    let told = Program::in_folder(&folder).env("REGISTRY_CONFIGURATION_PATH", "nowhere.yml").fails(1);
    assert!(told.starts_with("configuration error: nowhere.yml: "), "{told}");
    let told = Program::in_folder(&folder).config("version: 0.1\nversion: 0.1\n").fails(1);
    assert!(told.starts_with("configuration error: the file: line 2, column "), "{told}");
    let told = Program::in_folder(&folder).env("REGISTRY_HTTP_SECRET_FILE", "nowhere").fails(1);
    assert!(told.starts_with("configuration error: REGISTRY_HTTP_SECRET_FILE: \"nowhere\": "), "{told}");
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = folder();
    let address = taken.local_addr().unwrap().to_string();
    let told = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", &address).fails(1);
    assert!(told.contains(&format!("cannot listen on {address}")), "{told}");
}

#[test]
fn a_folder_that_cannot_be_used() {
    let folder = folder();
    std::fs::write(folder.path().join("registry-data"), "a file").unwrap();
    let told = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").fails(1);
    assert!(told.contains("registry-data") && told.contains("level=error"), "{told}");
}

#[test]
fn a_second_server_on_the_same_folder() {
    let folder = folder();
    let mut first = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").serve();
    let told = Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").fails(1);
    assert!(told.contains("another registry") && told.contains("registry-data"), "{told}");
    first.signal(rustix::process::Signal::TERM);
    assert_eq!(first.end().code(), Some(0));
    Program::in_folder(&folder).env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").serve();
}

#[test]
fn arguments_that_mean_nothing() {
    let folder = folder();
    let told = Program::in_folder(&folder).args(&["collect-garbage", "config.yml"]).fails(2);
    assert!(told.contains("collect-garbage"), "{told}");
}
