//! A bit that flips on the disk is found, set aside, and healed by a push.

use std::path::PathBuf;

use registry_core::{Digest, layout};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::request;
use crate::program::{Program, Server};
use crate::push_pull::Repository;

const CONFIG: &str = "version: 0.1\nhttp: {addr: '127.0.0.1:0'}\nstorage: {filesystem: {rootdirectory: registry-data, durability: os}}\n";
const MEDIA_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &[u8] = b"some bytes";

fn push(server: &Server) -> Digest {
    let repository = Repository { server, name: "a" };
    let (config, layer) = (repository.push(b"{}"), repository.push(LAYER));
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"{MEDIA_TYPE}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[{{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"{layer}","size":10}}]}}"#
    );
    let headers = [("Content-Type", MEDIA_TYPE)];
    let answer = request(&server.address, "PUT /v2/a/manifests/v1", &headers, manifest.as_bytes());
    assert_eq!(answer.status, 201, "{answer:?}");
    layer
}

fn blob_file(folder: &TempDir, digest: &Digest) -> PathBuf {
    folder.path().join("registry-data").join(layout::blob(digest).as_str())
}

#[track_caller]
fn verify(folder: &TempDir, arguments: &[&str], code: i32) -> String {
    let output = Program::in_folder(folder).args(&["verify"]).args(arguments).config(CONFIG).output();
    let (told, log) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(code), "{told}{log}");
    told
}

/// Flips bits of a blob on the disk.
fn flip(folder: &TempDir, digest: &Digest) {
    let path = blob_file(folder, digest);
    let mut content = std::fs::read(&path).unwrap();
    content[3] ^= 1;
    // A new file, as what is shared with an upload or a copy must not change.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, content).unwrap();
}

#[test]
fn beside_a_server_what_is_corrupt_is_set_aside_and_healed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Program::in_folder(&folder).config(CONFIG).serve();
    let layer = push(&server);
    assert!(verify(&folder, &[], 0).contains("everything is whole: 0 findings"));
    flip(&folder, &layer);

    let told = verify(&folder, &["--rate", "1MB"], 1);
    assert!(told.contains(&format!("corrupt: {layer} has 10 bytes")), "{told}");
    assert!(told.contains("needed by a@sha256:") && told.contains("(v1)"), "{told}");
    let report: Value = serde_json::from_str(&verify(&folder, &["--json"], 1)).unwrap();
    assert_eq!((&report["counts"]["corrupt-content"], &report["broken_tags"]), (&1.into(), &1.into()), "{report}");
    assert_eq!(report["findings"][0]["breaks"][0]["tags"][0], "v1", "{report}");

    let told = verify(&folder, &["--repair"], 1);
    assert!(told.contains("set aside; the next push heals it") && told.contains("/_gc/corrupt/sha256/"), "{told}");
    let answer = request(&server.address, &format!("GET /v2/a/blobs/{layer}"), &[], b"");
    assert_eq!(answer.status, 404);
    assert!(verify(&folder, &[], 1).contains(&format!("missing: {layer}")));

    push(&server);
    verify(&folder, &[], 0);
    assert_eq!(Repository { server: &server, name: "a" }.pull(&layer), LAYER);
}

#[test]
fn without_a_server_torn_links_are_mended_and_what_cannot_be_opened_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let layer = push(&Program::in_folder(&folder).config(CONFIG).serve());
    let link = layout::layer_link(&"a".parse().unwrap(), &layer);
    let link = folder.path().join("registry-data").join(link.as_str());
    std::fs::write(&link, "").unwrap();
    assert!(verify(&folder, &[], 1).contains("torn: the link of a to"));
    assert!(verify(&folder, &["--repair"], 0).contains("written again"));
    assert_eq!(std::fs::read_to_string(&link).unwrap(), layer.to_string());

    let empty = tempfile::tempdir().unwrap();
    let told = Program::in_folder(&empty).args(&["verify"]).config(CONFIG).fails(1);
    assert!(told.contains("failed to verify: there is no folder"), "{told}");
}
