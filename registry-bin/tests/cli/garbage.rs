//! What nothing needs goes: without a server, beside one, and by the server itself.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Output;

use registry_core::{Algorithm, Digest, layout};
use registry_storage::filesystem::Filesystem;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::client::request;
use crate::program::{Program, Server};
use crate::push_pull::Repository;

pub(crate) const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

/// A configuration that stores in `registry-data`.
fn config(collection: &str) -> String {
    format!(
        "version: 0.1\nhttp: {{addr: '127.0.0.1:0'}}\nstorage:\n  filesystem: {{rootdirectory: registry-data, durability: os}}\n  \
         delete: {{enabled: true}}\n  maintenance: {{garbagecollection: {{{collection}}}}}\n"
    )
}

fn serve(folder: &TempDir, collection: &str) -> Server {
    Program::in_folder(folder).config(&config(collection)).serve()
}

/// Pushes an image with a layer, and gives the digest of the layer.
pub(crate) fn push_image(server: &Server, name: &str, reference: &str, layer: &[u8]) -> Digest {
    let repository = Repository { server, name };
    let (config, layer_digest) = (repository.push(b"{}"), repository.push(layer));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer_digest}","size":{}}}]}}"#,
        layer.len()
    );
    let reference = if reference.is_empty() { sha256(manifest.as_bytes()).to_string() } else { reference.to_owned() };
    let line = format!("PUT /v2/{name}/manifests/{reference}");
    let answer = request(&server.address, &line, &[("Content-Type", MEDIA_TYPE)], manifest.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    layer_digest
}

fn sha256(content: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, content)
}

pub(crate) fn end(mut server: Server) {
    server.signal(Signal::TERM);
    assert_eq!(server.end().code(), Some(0));
}

fn collect(folder: &TempDir, collection: &str, arguments: &[&str]) -> Output {
    Program::in_folder(folder).args(&["garbage-collect"]).args(arguments).config(&config(collection)).output()
}

#[track_caller]
fn collected(folder: &TempDir, collection: &str, arguments: &[&str]) -> (String, String) {
    let output = collect(folder, collection, arguments);
    let (told, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(0), "{told}{log}");
    (told, log)
}

fn blob_file(folder: &TempDir, digest: &Digest) -> PathBuf {
    folder.path().join("registry-data").join(layout::blob(digest).as_str())
}

/// All files but the locks, and their sizes.
fn files(folder: &TempDir) -> BTreeMap<PathBuf, u64> {
    fn walk(place: &Path, found: &mut BTreeMap<PathBuf, u64>) {
        for entry in std::fs::read_dir(place).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                walk(&entry.path(), found);
            } else {
                found.insert(entry.path(), entry.metadata().unwrap().len());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(&folder.path().join("registry-data"), &mut found);
    found.retain(|path, _| !path.ends_with("_gc/lock") && !path.ends_with("_serving.lock"));
    found
}

#[test]
fn without_a_server_everything_goes_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "");
    let kept = push_image(&server, "team/app", "1", b"kept layer");
    let untagged = push_image(&server, "team/app", "", b"untagged layer");
    let lone = Repository { server: &server, name: "team/app" }.push(b"nobody's layer");
    end(server);

    let before = files(&folder);
    let dry = collected(&folder, "", &["--dry-run", "-m"]);
    assert_eq!(files(&folder), before, "a dry run changes nothing");

    let (told, log) = collected(&folder, "", &[]);
    assert!(log.contains("no server has this folder") && log.contains("freed: 1 blobs, 14 bytes"), "{log}");
    for line in [
        "team/app".to_owned(),
        format!("team/app: marking blob {kept}"),
        format!("team/app: marking blob {untagged}"),
        "5 blobs marked, 1 blobs and 0 manifests eligible for deletion".to_owned(),
        format!("blob eligible for deletion: {lone}"),
        format!("team/app: layer link eligible for deletion: {lone}"),
    ] {
        assert!(told.lines().any(|known| known == line), "{line} in {told}");
    }
    assert!(!blob_file(&folder, &lone).exists() && blob_file(&folder, &untagged).exists());

    let (told, _) = collected(&folder, "", &["-m"]);
    for line in [
        "3 blobs marked, 2 blobs and 1 manifests eligible for deletion".to_owned(),
        format!("blob eligible for deletion: {untagged}"),
    ] {
        assert!(told.lines().any(|known| known == line), "{line} in {told}");
    }
    let manifest = told.lines().find_map(|line| line.strip_prefix("manifest eligible for deletion: {team/app "));
    assert!(manifest.unwrap().ends_with(" [1]}"), "{told}");
    assert!(dry.0.contains("3 blobs marked, 3 blobs and 1 manifests eligible"), "the same in one go: {}", dry.0);

    let left: Vec<_> = std::fs::read_dir(folder.path().join("registry-data/docker/registry/v2/_gc"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(left, ["lock"]);
    let server = serve(&folder, "");
    assert_eq!(Repository { server: &server, name: "team/app" }.pull(&kept), b"kept layer");
}

#[test]
fn quiet_is_quiet_and_json_is_json() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "");
    for content in [&b"one"[..], b"other"] {
        Repository { server: &server, name: "a" }.push(content);
    }
    end(server);
    let (told, log) = collected(&folder, "", &["--dry-run", "--quiet"]);
    assert_eq!((told.as_str(), log.as_str()), ("", ""));
    let (told, _) = collected(&folder, "", &["--json"]);
    let report: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&report["purged"]["count"], &report["purged"]["bytes"]), (&2.into(), &8.into()), "{report}");
    assert_eq!((&report["dry_run"], &report["braked"]), (&false.into(), &Value::Null), "{report}");
}

#[test]
fn what_cannot_be_collected_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = |output: Output| {
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let line = told(collect(&folder, "", &[]));
    assert_eq!(line, "failed to garbage collect: there is no folder registry-data\n");
    let program = || Program::in_folder(&folder).args(&["garbage-collect"]);
    let line = told(program().config("version: 0.1\nstorage: inmemory\n").output());
    assert!(line.starts_with("failed to garbage collect: storage.inmemory is in the memory of the server"), "{line}");
    let line = told(program().config("version: 0.2\n").output());
    assert!(line.starts_with("configuration error: version: "), "{line}");

    let other = Filesystem::builder(folder.path().join("registry-data")).open().unwrap();
    let lock = other.lock_for_collecting().unwrap();
    let line = told(collect(&folder, "", &[]));
    assert!(line.contains(&format!("another registry (process {}) collects ", std::process::id())), "{line}");
    drop(lock);
    collected(&folder, "", &[]);
}

#[test]
fn what_is_not_understood_is_named_once() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "");
    push_image(&server, "team/app", "1", b"kept layer");
    Repository { server: &server, name: "team/app" }.push(b"nobody's layer");
    end(server);
    let stray = folder.path().join("registry-data/docker/registry/v2/blobs/sha256/aa/stray");
    std::fs::create_dir_all(&stray).unwrap();
    let (_, log) = collected(&folder, "", &[]);
    let named: Vec<_> = log.lines().filter(|line| line.contains("aa/stray")).collect();
    assert_eq!(named.len(), 1, "{log}");
    assert!(named[0].starts_with("left alone: docker/registry/v2/blobs/sha256/aa/stray: "), "{log}");
    assert!(stray.exists());
}

#[test]
fn abandoned_uploads_go_with_it_and_so_do_empty_repositories() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, "");
    Repository { server: &server, name: "team/app" }.start();
    end(server);
    let repository = folder.path().join("registry-data/docker/registry/v2/repositories/team/app");
    let (_, log) = collected(&folder, "", &[]);
    assert!(!log.contains("uploads") && repository.exists(), "a young one stays: {log}");
    let hasty = "}, uploadpurging: {age: 1ns";
    let (_, log) = collected(&folder, hasty, &["--dry-run"]);
    assert!(log.contains("would be taken away: 1 abandoned uploads") && repository.exists(), "{log}");
    let (_, log) = collected(&folder, hasty, &[]);
    assert!(log.contains("taken away: 1 abandoned uploads, 1 empty repositories"), "{log}");
    assert!(!repository.exists());
}

#[test]
fn a_server_does_not_start_while_everything_goes() {
    let folder = tempfile::tempdir().unwrap();
    let other = Filesystem::builder(folder.path().join("registry-data")).open().unwrap();
    let _serving = other.lock_for_serving().unwrap();
    // Somebody serves, so this is told as such, and nothing goes at once.
    let (_, log) = collected(&folder, "quarantine: 3h", &[]);
    assert!(log.contains("a server has this folder: what is taken away stays in quarantine for 3h"), "{log}");
}

#[test]
fn too_much_at_once_needs_force() {
    let folder = tempfile::tempdir().unwrap();
    end(serve(&folder, ""));
    let contents: Vec<String> = (0..120).map(|number| format!("content {number}")).collect();
    for content in &contents {
        let file = blob_file(&folder, &sha256(content.as_bytes()));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let before = files(&folder);
    let output = collect(&folder, "", &[]);
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("failed to garbage collect: 120 of 120 blobs would go, more than 30 %"), "{log}");
    assert!(log.contains("--force") && output.stdout.is_empty(), "{log}");
    assert_eq!(files(&folder), before);
    let (_, log) = collected(&folder, "", &["--dry-run"]);
    assert!(log.contains("would be freed: 120 blobs") && log.contains("refused without --force"), "{log}");
    collected(&folder, "", &["--force"]);
    assert!(files(&folder).keys().all(|path| !path.ends_with("data")), "{:?}", files(&folder));
}

/// Nothing is spared for its age.
const HASTY: &str = "lease: 1ns, quarantine: 1h";

#[test]
fn beside_a_server_things_go_through_the_quarantine_and_come_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(&folder, HASTY);
    let repository = Repository { server: &server, name: "team/app" };
    let lone = repository.push(b"nobody's layer");
    let (told, log) = collected(&folder, HASTY, &[]);
    assert!(log.contains("a server has this folder"), "{log}");
    assert!(told.contains(&format!("team/app: layer link eligible for deletion: {lone}")), "{told}");
    assert_eq!(repository.pull(&lone), b"nobody's layer", "it is found in quarantine");

    let quarantine = |arguments: &[&str]| Program::in_folder(&folder).args(&["quarantine"]).args(arguments).output();
    let list = || {
        let output = quarantine(&["list", "--json", "config.yml"]);
        assert!(output.status.success(), "{output:?}");
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>()
    };
    let found = list();
    assert_eq!((found.len(), &found[0]["kind"], &found[0]["repository"]), (1, &"layer".into(), &"team/app".into()));
    assert_eq!(found[0]["digest"], lone.to_string());
    let output = quarantine(&["restore", "config.yml", &lone.to_string()]);
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("restored: 0 blobs, 1 links"));
    let link =
        folder.path().join("registry-data").join(layout::layer_link(&"team/app".parse().unwrap(), &lone).as_str());
    assert!(link.exists());

    // Away with it, whatever its time in quarantine: the link, the copies of the link, and the content.
    for _ in 0..4 {
        collected(&folder, HASTY, &["--now"]);
    }
    assert!(!blob_file(&folder, &lone).exists() && !link.exists());
    for arguments in [["restore", "config.yml", &lone.to_string()], ["restore", "config.yml", "--run"]] {
        assert!(!quarantine(&arguments).status.success());
    }
}

#[test]
fn content_in_quarantine_is_listed_and_restored_by_its_run() {
    let folder = tempfile::tempdir().unwrap();
    end(serve(&folder, ""));
    let content = b"nobody's content";
    let file = blob_file(&folder, &sha256(content));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, content).unwrap();
    let _server = serve(&folder, HASTY);
    collected(&folder, &format!("{HASTY}, maxcondemned: 0"), &[]);
    assert!(!file.exists());

    let output = Program::in_folder(&folder).args(&["quarantine", "list", "config.yml"]).output();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains(&format!("blob {}, 16 bytes", sha256(content))), "{told}");
    let run = told.split(' ').nth(1).unwrap();
    let output = Program::in_folder(&folder).args(&["quarantine", "restore", "config.yml", "--run", run]).output();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && log.contains("is taken away again by the next run"), "{log}");
    assert_eq!(std::fs::read(&file).unwrap(), content);
}

#[test]
fn the_server_collects_by_the_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = serve(&folder, "enabled: true, interval: 300ms, lease: 1ms, quarantine: 1ms");
    let kept = push_image(&server, "team/app", "1", b"kept layer");
    let lone = Repository { server: &server, name: "team/app" }.push(b"nobody's layer");
    let told = server.wait_for("purged_blobs=1");
    assert!(told.contains("garbage was collected") && told.contains("purged_bytes=14"), "{told}");
    assert!(!blob_file(&folder, &lone).exists());
    assert_eq!(Repository { server: &server, name: "team/app" }.pull(&kept), b"kept layer");
    // It holds the claim, so nobody else collects.
    let output = collect(&folder, "", &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(" collects "));
    end(server);
    collected(&folder, "", &[]);
}

#[test]
fn a_registry_that_may_not_be_changed_is_not_collected_by_its_server() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "enabled: true, interval: 1ms, lease: 1ms, quarantine: 1ms}, readonly: {enabled: true";
    let mut server = serve(&folder, settings);
    for _ in 0..50 {
        request(&server.address, "GET /v2/", &[], b"");
    }
    // By hand it is.
    let (_, log) = collected(&folder, settings, &[]);
    assert!(log.contains("a server has this folder"), "{log}");
    server.signal(Signal::TERM);
    server.end();
    assert!(!server.told.iter().any(|line| line.contains("garbage")), "{:#?}", server.told);
}
