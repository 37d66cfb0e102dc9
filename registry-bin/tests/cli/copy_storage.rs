//! All that one folder has, into another.

use tempfile::TempDir;

use crate::client::request;
use crate::program::{Program, Server};
use crate::push_pull::Repository;

const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";

fn config(folder: &str) -> String {
    format!(
        "version: 0.1\nhttp: {{addr: '127.0.0.1:0'}}\nstorage: {{filesystem: {{rootdirectory: {folder}, durability: os}}}}\n"
    )
}

fn push(server: &Server, tag: &str) {
    let repository = Repository { server, name: "lib/app" };
    let (config, layer) = (repository.push(b"{}"), repository.push(tag.as_bytes()));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":{}}}]}}"#,
        tag.len()
    );
    let headers = [("Content-Type", MEDIA_TYPE)];
    let put = format!("PUT /v2/lib/app/manifests/{tag}");
    assert_eq!(request(&server.address, &put, &headers, manifest.as_bytes()).status, 201);
}

fn configs(folder: &TempDir) {
    for name in ["from", "to"] {
        std::fs::write(folder.path().join(format!("{name}.yml")), config(name)).unwrap();
    }
}

#[track_caller]
fn copy(folder: &TempDir, arguments: &[&str], code: i32) -> String {
    let output =
        Program::in_folder(folder).args(&["copy-storage"]).args(arguments).args(&["from.yml", "to.yml"]).output();
    let (told, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{told}{log}");
    format!("{told}{log}")
}

#[test]
fn beside_its_server_all_is_copied_and_later_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    configs(&folder);
    let server = Program::in_folder(&folder).config(&config("from")).serve();
    push(&server, "one");
    let look = copy(&folder, &["--dry-run"], 0);
    assert!(look.contains("would be done: 1 repositories: 3 contents"), "{look}");
    assert!(copy(&folder, &[], 0).contains("3 links made and 0 known, 1 tags set and 0 known; 0 left out"));
    push(&server, "two");
    let later = copy(&folder, &["--rate", "50MB"], 0);
    assert!(later.contains("2 contents of") && later.contains("1 tags set and 1 known"), "{later}");
    drop(server);

    let copied = Program::in_folder(&folder).config(&config("to")).serve();
    for tag in ["one", "two"] {
        let headers = [("Accept", MEDIA_TYPE)];
        assert_eq!(request(&copied.address, &format!("GET /v2/lib/app/manifests/{tag}"), &headers, b"").status, 200);
    }
    let told = copy(&folder, &[], 1);
    assert!(told.contains("failed to copy"), "{told}");
}

#[test]
fn the_same_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    configs(&folder);
    let both = Program::in_folder(&folder).args(&["copy-storage", "from.yml", "./from.yml"]).fails(1);
    assert!(both.contains("name the same"), "{both}");
    let overridden = Program::in_folder(&folder)
        .env("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "third")
        .args(&["copy-storage", "from.yml", "to.yml"])
        .fails(1);
    assert!(overridden.contains("name the same"), "{overridden}");
    assert!(!folder.path().join("third").exists());
}

#[test]
fn the_report_is_for_programs_too() {
    let folder = tempfile::tempdir().unwrap();
    configs(&folder);
    drop(Program::in_folder(&folder).config(&config("from")).serve());
    let told = copy(&folder, &["--json"], 0);
    let report: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!((report["repositories"].as_u64(), report["left_total"].as_u64()), (Some(0), Some(0)));
}
