//! Which tags rules let go, by the server and by the command; and tags that nobody moves or deletes.

use std::process::Output;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::client::{Answer, request};
use crate::garbage::{end, push_image};
use crate::program::{Program, Server};
use crate::push_pull::Repository;

fn config(maintenance: &str, validation: &str) -> String {
    format!(
        "version: 0.1\nhttp: {{addr: '127.0.0.1:0'}}\nstorage:\n  filesystem: {{rootdirectory: registry-data, durability: os}}\n  \
         delete: {{enabled: true}}\n  maintenance: {{{maintenance}}}\nvalidation: {{tags: {{{validation}}}}}\n"
    )
}

fn serve(folder: &TempDir, maintenance: &str, validation: &str) -> Server {
    Program::in_folder(folder).config(&config(maintenance, validation)).serve()
}

fn collect(folder: &TempDir, maintenance: &str, arguments: &[&str]) -> Output {
    let program = Program::in_folder(folder).args(&["garbage-collect", "-m"]).args(arguments);
    let output = program.config(&config(maintenance, "protected: [{repositories: ['**'], tags: ['v*']}]")).output();
    assert!(output.status.success(), "{output:?}");
    output
}

fn lines(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

/// Pushes an image for each tag, one after the other.
fn push_all(server: &Server, name: &str, tags: &[&str]) {
    for tag in tags {
        push_image(server, name, tag, tag.as_bytes());
    }
}

fn tags(server: &Server, name: &str) -> Vec<String> {
    let answer = request(&server.address, &format!("GET /v2/{name}/tags/list"), &[], b"");
    serde_json::from_value(serde_json::from_slice::<Value>(&answer.body).unwrap()["tags"].take()).unwrap()
}

fn denied(answer: &Answer, tag: &str) -> bool {
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    let (code, message) = (&body["errors"][0]["code"], body["errors"][0]["message"].as_str().unwrap());
    answer.status == 403 && *code == json!("DENIED") && message.contains(&format!("tag {tag} "))
}

const NEWEST: &str = "retention: {rules: [{repositories: ['ci/**'], keep: {newest: 1}}]}";
const ENFORCED: &str = "retention: {dryrun: false, rules: [{repositories: ['ci/**'], keep: {newest: 1}}]}";

#[test]
fn without_a_server_the_command_lets_tags_go_and_what_they_needed() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "", "");
    push_all(&server, "ci/app", &["v1", "2", "3"]);
    push_all(&server, "app", &["x", "y"]);
    end(server);

    let output = collect(&folder, NEWEST, &[]);
    let (told, log) = (lines(output.stdout), lines(output.stderr));
    assert!(told.contains("ci/app: tag eligible for deletion: 2 sha256:"), "{told}");
    assert!(!told.contains("deletion: v1") && !told.contains("deletion: 3"), "{told}");
    assert!(log.contains("would be deleted by rules: 1 of 3 tags") && log.contains("dryrun is not false"), "{log}");
    assert!(log.contains("kept only because they are protected: 1 tags"), "{log}");

    // What would become free is known beforehand.
    let report: Value = serde_json::from_slice(&collect(&folder, ENFORCED, &["--dry-run", "--json"]).stdout).unwrap();
    assert_eq!((&report["dry_run"], &report["retention"]["dry_run"]), (&json!(true), &json!(true)));
    assert_eq!((&report["retention"]["expired"], &report["purged"]["count"]), (&json!(1), &json!(2)));
    let report: Value = serde_json::from_slice(&collect(&folder, ENFORCED, &["--json"]).stdout).unwrap();
    assert_eq!((&report["retention"]["expired"], &report["retention"]["dry_run"]), (&json!(1), &json!(false)));
    assert_eq!(report["purged"]["count"], json!(2), "the manifest and its layer: {report}");

    let server = serve(&folder, "", "");
    assert_eq!(
        (tags(&server, "ci/app"), tags(&server, "app")),
        (vec!["3".into(), "v1".into()], vec!["x".into(), "y".into()])
    );
    let log = lines(collect(&folder, ENFORCED, &[]).stderr);
    assert!(log.contains("rules of retention are left to the server") && !log.contains("by rules"), "{log}");
}

#[test]
fn the_server_lets_tags_go_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let collection = "garbagecollection: {enabled: true, interval: 300ms, lease: 1ms, quarantine: 1ms, deleteuntagged: true, \
                      untaggedgrace: 1ms}";
    let mut server = serve(&folder, &format!("{collection}, {NEWEST}"), "");
    push_all(&server, "ci/app", &["1", "2", "3"]);
    let told = server.wait_for("expired=2");
    assert!(told.contains("rules looked at tags") && told.contains("dry_run=true"), "{told}");
    assert_eq!(tags(&server, "ci/app").len(), 3);
    end(server);

    let mut server = serve(&folder, &format!("{collection}, {ENFORCED}"), "");
    let told = server.wait_for("no rule keeps a tag; it is deleted");
    assert!(told.contains("repository=ci/app") && told.contains("digest=sha256:"), "{told}");
    server.wait_for("purged_blobs=");
    assert_eq!(tags(&server, "ci/app"), ["3"]);
    push_all(&server, "ci/app", &["4"]);
    server.wait_for("expired=1");
    assert_eq!(tags(&server, "ci/app"), ["4"]);
}

#[test]
fn what_was_pulled_is_noted_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let rules = "retention: {dryrun: false, rules: [{repositories: ['ci/**'], keep: {pulledwithin: 1h}}]}";
    let collection = "garbagecollection: {enabled: true, interval: 300ms}";
    let mut server = serve(&folder, &format!("{collection}, {rules}"), "");
    push_all(&server, "ci/app", &["1"]);
    assert_eq!(request(&server.address, "GET /v2/ci/app/manifests/1", &[], b"").status, 200);
    server.wait_for("rules looked at tags");
    assert_eq!(tags(&server, "ci/app"), ["1"]);
    end(server);
    // What was pulled last is written at the end.
    let notes = folder.path().join("registry-data/docker/registry/v2/_pulled");
    assert!(notes.join("since").exists() && notes.join("until").exists());
    let count = std::fs::read_dir(notes.join("ci/app/_manifests/sha256")).unwrap().count();
    assert_eq!(count, 1);
    // Where neither a rule nor a page asks for it, nothing is noted.
    for (pages, is_noted) in [("ui: {pulls: false}", false), ("ui: {enabled: false}", false), ("ui: {}", true)] {
        let folder = tempfile::tempdir().unwrap();
        let config = format!("{}\n{pages}\n", config(&format!("{collection}, {ENFORCED}"), ""));
        let server = Program::in_folder(&folder).config(&config).serve();
        push_all(&server, "ci/app", &["1"]);
        request(&server.address, "GET /v2/ci/app/manifests/1", &[], b"");
        end(server);
        let notes = folder.path().join("registry-data/docker/registry/v2/_pulled");
        assert_eq!(notes.join("ci/app/_manifests/sha256").exists(), is_noted, "{pages}");
        assert_eq!(notes.exists(), is_noted, "{pages}");
    }
}

#[test]
fn tags_that_are_made_once_and_tags_that_stay() {
    let folder = tempfile::tempdir().unwrap();
    let rules =
        "immutable: [{repositories: ['**'], tags: ['v*']}], protected: [{repositories: ['prod/*'], tags: ['*']}]";
    let server = serve(&folder, "", rules);
    let layer = push_image(&server, "prod/app", "v1", b"first");
    push_image(&server, "prod/app", "v1", b"first");
    push_image(&server, "prod/app", "latest", b"second");
    push_image(&server, "prod/app", "latest", b"third");
    let ask =
        |line: &str, body: &[u8]| request(&server.address, line, &[("Content-Type", crate::garbage::MEDIA_TYPE)], body);

    let other = ask("GET /v2/prod/app/manifests/latest", b"");
    let first = ask("HEAD /v2/prod/app/manifests/v1", b"").header("docker-content-digest").to_owned();
    assert!(denied(&ask("PUT /v2/prod/app/manifests/v1", &other.body), "v1"));
    assert_eq!(ask("HEAD /v2/prod/app/manifests/v1", b"").header("docker-content-digest"), first);
    for path in ["manifests/v1".to_owned(), format!("manifests/{first}"), format!("blobs/{layer}")] {
        assert!(denied(&ask(&format!("DELETE /v2/prod/app/{path}"), b""), "v1"), "{path}");
    }
    assert_eq!(Repository { server: &server, name: "prod/app" }.pull(&layer), b"first");
    // Elsewhere what cannot be moved can be deleted.
    push_image(&server, "app", "v1", b"first");
    assert_eq!(ask("DELETE /v2/app/manifests/v1", b"").status, 202);
    push_image(&server, "app", "v1", b"second");
}
