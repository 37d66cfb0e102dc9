//! What no log may hold, and what every request leaves there.

use rustix::process::Signal;

use crate::client::request;
use crate::program::Program;

/// Each is planted somewhere, and must be nowhere in the logs.
const SECRETS: [&str; 12] = [
    "hush-http-secret",
    "hush-password",
    "aHVzaC1wYXNzd29yZA",
    "hush-wrong",
    "hush-bearer",
    "hush-state",
    "hush-query",
    "hush-nameless",
    "hush-behind",
    "hush-referer",
    "hush-hook",
    "hush-userinfo",
];

fn config(formatter: &str, hash: &str, folder: &std::path::Path) -> String {
    let users = folder.join("users");
    std::fs::write(&users, hash).unwrap();
    format!(
        "version: 0.1\nlog: {{level: debug, formatter: {formatter}}}\nstorage: inmemory\n\
         http: {{addr: '127.0.0.1:0', secret: hush-http-secret}}\n\
         auth: {{htpasswd: {{realm: r, path: '{}'}}}}\n\
         notifications: {{endpoints: [{{name: hook, url: 'http://ann:hush-userinfo@127.0.0.1:1/', \
         headers: {{Authorization: [Bearer hush-hook]}}}}]}}\n",
        users.display()
    )
}

#[test]
fn secrets_are_in_no_log() {
    let hash = "ann:$2y$04$k64tENmXbrUnJEjBSKLjM.oQ9rXE7BwMeKbLVfHMdH0P6ujEQEm3K";
    for formatter in ["text", "json", "logstash"] {
        let folder = tempfile::tempdir().unwrap();
        let made =
            Program::in_folder(&folder).args(&["check"]).config(&config(formatter, hash, folder.path())).output();
        let mut server =
            Program::in_folder(&folder).args(&["serve"]).config(&config(formatter, hash, folder.path())).serve();
        let basic = |password: &str| {
            use base64::Engine as _;
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}")))
        };
        let (good, wrong) = (basic("hush-password"), basic("hush-wrong"));
        let referer = ("Referer", "https://ann:hush-referer@host/?code=hush-referer");
        for authorization in [good.as_str(), wrong.as_str(), "Bearer hush-bearer", "hush-bearer", "Basic hush-bearer"] {
            for target in [
                "/v2/",
                "/v2/?access_token=hush-query",
                "/v2/a/blobs/uploads/0190a0b0-0000-7000-8000-000000000000?_state=hush-state",
                "/elsewhere?token=hush-query",
                "/v2/?hush-nameless",
                "/v2/a/tags/list?last=a;token=hush-behind",
                "http://ann:hush-userinfo@host/v2/a/manifests/1",
            ] {
                let headers = [("Authorization", authorization), ("Cookie", "session=hush-query"), referer];
                request(&server.address, &format!("GET {target}"), &headers, b"");
            }
        }
        server.signal(Signal::TERM);
        server.end();
        let mut told = server.told.clone();
        told.extend(server.rest_of_access_log());
        told.push(String::from_utf8(made.stdout).unwrap());
        told.push(String::from_utf8(made.stderr).unwrap());
        assert!(told.iter().filter(|line| line.contains("response completed")).count() >= 35, "{told:#?}");
        for line in &told {
            for secret in SECRETS.iter().copied().chain([&*good, &*wrong, &hash[10..]]) {
                assert!(!line.contains(secret), "{formatter}: {secret} in {line}");
            }
        }
    }
}

/// Podman, Skopeo and Buildah keep their logins in the file that this variable names.
#[test]
fn the_logins_of_other_programs_are_not_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("auth.json");
    std::fs::write(&path, r#"{"auths":{"docker.io":{"auth":"hush"}}}"#).unwrap();
    for command in ["serve", "check", "health"] {
        let program = Program::in_folder(&folder).args(&[command]).env("REGISTRY_AUTH_FILE", &path);
        let told = program.fails(1);
        assert!(told.contains("REGISTRY_AUTH_FILE: ") && told.contains("unset it here"), "{told}");
        assert!(!told.contains("hush"), "{told}");
    }
}

#[test]
fn a_request_leaves_its_name_and_what_it_was_about() {
    let folder = tempfile::tempdir().unwrap();
    let config = "version: 0.1\nlog: {formatter: json}\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n";
    let mut server = Program::in_folder(&folder).args(&["serve"]).config(config).serve();
    let answer = request(
        &server.address,
        "GET /v2/lib/app/manifests/1",
        &[("X-Request-Id", "trace-7"), ("User-Agent", "forged\" 200")],
        b"",
    );
    assert_eq!(answer.header("x-request-id"), "trace-7");
    let line = server.wait_for("response completed with error");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    for (field, value) in [
        ("level", "info"),
        ("http.request.id", "trace-7"),
        ("http.request.method", "GET"),
        ("http.request.uri", "/v2/lib/app/manifests/1"),
        ("http.request.host", server.address.as_str()),
        ("http.request.useragent", "forged\" 200"),
        ("http.response.contenttype", "application/json"),
        ("vars.name", "lib/app"),
        ("vars.reference", "1"),
        ("err.code", "MANIFEST_UNKNOWN"),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert_eq!((&line["http.response.status"], line["http.response.written"].as_u64() > Some(0)), (&404.into(), true));
    let fresh = request(&server.address, "GET /v2/", &[("X-Request-Id", "two words")], b"");
    assert_eq!(fresh.header("x-request-id").len(), 36);
    assert!(server.wait_for("response completed").contains(fresh.header("x-request-id")));
}
