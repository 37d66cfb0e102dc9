//! Logging in at the real program: the password file, its changes, and the rules.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use crate::client::{Answer, request};
use crate::program::{Program, Server};

/// Runs `registry htpasswd` with a password on standard input.
fn htpasswd(user: &str, password: &str) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_registry"));
    command.args(["htpasswd", "--cost", "4", user]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    child.wait_with_output().unwrap()
}

fn line(user: &str, password: &str) -> String {
    let output = htpasswd(user, password);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn serve(folder: &TempDir, users: &str, rest: &str) -> Server {
    std::fs::write(folder.path().join("users"), users).unwrap();
    let config = format!(
        "version: 0.1\nstorage: inmemory\nhttp: {{addr: '127.0.0.1:0'}}\n\
         auth: {{htpasswd: {{realm: Mine, path: users}}}}\n{rest}"
    );
    Program::in_folder(folder).config(&config).serve()
}

fn get(server: &Server, path: &str, login: Option<(&str, &str)>) -> Answer {
    let login = login.map(|(user, password)| format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))));
    let headers: Vec<_> = login.iter().map(|login| ("Authorization", login.as_str())).collect();
    request(&server.address, &format!("GET {path}"), &headers, b"")
}

fn status(server: &Server, user: &str) -> u16 {
    get(server, "/v2/", Some((user, "secret"))).status
}

fn replace(folder: &Path, text: &str) {
    std::fs::write(folder.join("users.new"), text).unwrap();
    std::fs::rename(folder.join("users.new"), folder.join("users")).unwrap();
}

#[test]
fn only_those_in_the_file_get_in() {
    let folder = tempfile::tempdir().unwrap();
    let users = format!("{}old:$apr1$x$y\n{}", line("ann", "secret"), line("bob", "other"));
    let mut server = serve(&folder, &users, "");
    let refused = get(&server, "/v2/", None);
    assert_eq!((refused.status, refused.header("www-authenticate")), (401, r#"Basic realm="Mine""#));
    for (login, status) in
        [(("ann", "secret"), 200), (("bob", "other"), 200), (("ann", "other"), 401), (("old", "y"), 401)]
    {
        assert_eq!(get(&server, "/v2/", Some(login)).status, status, "{login:?}");
    }
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
    assert!(server.told.iter().any(|told| told.contains("line 2: not a bcrypt hash")), "{:#?}", server.told);
    let told = server.told.join("\n");
    for secret in users.lines().map(|line| line.split_once(':').unwrap().1).chain(["secret"]) {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn the_file_is_followed_and_a_broken_edit_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (ann, bob) = (line("ann", "secret"), line("bob", "secret"));
    let mut server = serve(&folder, &format!("{ann}{bob}"), "");
    assert_eq!(status(&server, "bob"), 200);
    replace(folder.path(), &ann);
    server.wait_for("was read again");
    assert_eq!((status(&server, "ann"), status(&server, "bob")), (200, 401));
    replace(folder.path(), "this is no password file\n");
    server.wait_for("no line that can be used");
    assert_eq!(status(&server, "ann"), 200);
    std::fs::remove_file(folder.path().join("users")).unwrap();
    server.wait_for("cannot be read");
    assert_eq!(status(&server, "ann"), 200);
    replace(folder.path(), &bob);
    server.signal(rustix::process::Signal::HUP);
    server.wait_for("SIGHUP");
    server.wait_for("was read again");
    assert_eq!((status(&server, "ann"), status(&server, "bob")), (401, 200));
}

/// As the manual tells people to change a password.
#[test]
fn a_line_that_is_appended_changes_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let users = format!("# M\u{fc}ller\n{}{}", line("ann", "secret"), line("ann", "other"));
    let mut server = serve(&folder, &users, "");
    assert_eq!(get(&server, "/v2/", Some(("ann", "secret"))).status, 401);
    assert_eq!(get(&server, "/v2/", Some(("ann", "other"))).status, 200);
    assert!(server.told.iter().any(|told| told.contains("line 2: the user stands again below")), "{:#?}", server.told);
    let mut content = b"# M\xfcller in another encoding\n".to_vec();
    content.extend_from_slice(line("bob", "secret").as_bytes());
    std::fs::write(folder.path().join("users"), content).unwrap();
    server.wait_for("was read again");
    assert_eq!((status(&server, "ann"), status(&server, "bob")), (401, 200));
    replace(folder.path(), "");
    assert!(server.wait_for("has become empty").contains("level=error"));
    assert_eq!(status(&server, "bob"), 401);
}

#[test]
fn a_missing_file_is_made_and_its_password_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = "version: 0.1\nlog: {level: error}\nstorage: inmemory\nhttp: {net: unix, addr: r.sock}\n\
                  auth: {htpasswd: {realm: r, path: shown/users}}\n";
    let child = Program::in_folder(&folder).config(config).spawn();
    assert!(child.wait_for_lines(1)[0].contains("password="), "also where the log has errors alone");
    drop(child);
    let config = "version: 0.1\nstorage: inmemory\nhttp: {addr: '127.0.0.1:0'}\n\
                  auth: {htpasswd: {realm: r, path: made/here/users}}\n";
    let server = Program::in_folder(&folder).config(config).serve();
    let told = server.told.iter().find(|told| told.contains("provisioning with default user")).unwrap();
    let password = told.split("password=").nth(1).unwrap().split(' ').next().unwrap();
    assert_eq!(get(&server, "/v2/", Some(("docker", password))).status, 200);
    assert_eq!(get(&server, "/v2/", None).status, 401);
    let path = folder.path().join("made/here/users");
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&std::fs::metadata(path).unwrap()) & 0o777, 0o600);
}

#[test]
fn rules_decide_what_those_who_are_in_may_do() {
    let folder = tempfile::tempdir().unwrap();
    let access = "access:\n  groups: {web: [bob]}\n  rules:\n    \
                  - {who: [anyone], repositories: ['public/**'], actions: [pull]}\n    \
                  - {who: ['group:web'], repositories: ['web/*'], actions: [pull, push]}\n";
    let users = format!("{}{}", line("ann", "secret"), line("bob", "secret"));
    let server = serve(&folder, &users, access);
    let (ann, bob) = (Some(("ann", "secret")), Some(("bob", "secret")));
    for (path, login, status) in [
        ("/v2/", None, 401),
        ("/v2/public/app/manifests/1", None, 404),
        ("/v2/web/app/manifests/1", None, 401),
        ("/v2/web/app/manifests/1", ann, 403),
        ("/v2/web/app/manifests/1", bob, 404),
        ("/v2/web/app/deep/manifests/1", bob, 403),
    ] {
        assert_eq!(get(&server, path, login).status, status, "{path} {login:?}");
    }
    let login = format!("Basic {}", STANDARD.encode("bob:secret"));
    let push = |path: &str| request(&server.address, path, &[("Authorization", &login)], b"").status;
    assert_eq!(push("POST /v2/web/app/blobs/uploads/"), 202);
    assert_eq!(push("POST /v2/public/app/blobs/uploads/"), 403);
}

#[test]
fn lines_for_users_and_passwords_that_cannot_be() {
    for (user, password) in [("a:b", "x"), ("ann", ""), ("ann", "x".repeat(73).as_str())] {
        let output = htpasswd(user, password);
        assert_eq!(output.status.code(), Some(1), "{user}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}
