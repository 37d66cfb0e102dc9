//! The order of the calls that one push makes: each step is durable before the next one begins.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::executor::block_on;
use registry_core::storage::{Key, Storage};
use registry_core::{Algorithm, Digest, InlineBlocking, Registry, Repository, Tag, layout};

use super::super::SyncMode;
use super::super::sys::Call;
use super::{Fixture, TMP, at};

type Calls = [(Call, String)];

fn repository(fixture: &Fixture) -> Repository {
    let storage = Arc::new(fixture.storage.clone()) as Arc<dyn Storage>;
    let registry = Registry::builder(storage).blocking(Arc::new(InlineBlocking)).build();
    registry.repository(&"a".parse().unwrap())
}

fn push(repository: &Repository, content: &'static [u8]) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, content);
    let frames = futures::stream::once(async { Ok(Bytes::from_static(content)) }).boxed();
    block_on(repository.uploads().push(&digest, frames)).unwrap();
    digest
}

fn directory(key: &Key) -> &str {
    key.as_str().rsplit_once('/').unwrap().0
}

/// A file is written aside and synced, takes its place, and its directory is synced: all of it after `from`. Gives
/// where that ends.
fn is_written_durably(calls: &Calls, from: Option<usize>, key: &Key) -> usize {
    let renamed = at(calls, Call::Rename, key.as_str());
    let aside = format!("{TMP}/*");
    let made = calls[..renamed].iter().rposition(|(call, path)| (*call, path) == (Call::Create, &aside)).unwrap();
    assert!(from.is_none_or(|from| made > from), "{key} is written before what it builds on is durable: {calls:#?}");
    let steps: Vec<_> = calls[made..renamed].iter().filter(|(_, path)| *path == aside).map(|(call, _)| *call).collect();
    assert_eq!(steps, [Call::Create, Call::Write, Call::SyncData], "{key}");
    let synced = calls[renamed..].iter().position(|(call, path)| *call == Call::Sync && path == directory(key));
    renamed + synced.unwrap_or_else(|| panic!("the directory of {key} is not synced: {calls:#?}"))
}

#[test]
fn the_bytes_of_a_blob_are_durable_before_its_link_is_written() {
    let fixture = Fixture::new(SyncMode::Strict);
    fixture.watch.restart();
    let repository = repository(&fixture);
    let digest = push(&repository, b"bytes");

    let calls = fixture.watch.changes();
    let blob = layout::blob(&digest);
    let synced = calls.iter().position(|(call, path)| *call == Call::SyncData && path.ends_with("/data")).unwrap();
    let linked = at(&calls, Call::Link, blob.as_str());
    let durable = at(&calls, Call::Sync, directory(&blob));
    assert!(synced < linked && linked < durable, "{calls:#?}");
    let end = is_written_durably(&calls, Some(durable), &layout::layer_link(repository.name(), &digest));
    // Only then what was uploaded is dropped.
    let dropped = calls.iter().position(|(call, path)| *call == Call::Unlink && path.ends_with("/data")).unwrap();
    assert!(end < dropped, "{calls:#?}");
}

#[test]
fn each_step_of_a_manifest_is_durable_before_the_next() {
    let fixture = Fixture::new(SyncMode::Strict);
    let repository = repository(&fixture);
    let config = push(&repository, b"{}");
    let manifest = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{config}","size":2}},"layers":[]}}"#,
    );
    fixture.watch.restart();
    let tag: Tag = "v1".parse().unwrap();
    let put = block_on(repository.manifests().put(&tag.clone().into(), None, manifest.into(), &[])).unwrap();

    let calls = fixture.watch.changes();
    let name = repository.name();
    let mut end = None;
    for key in [
        layout::blob(&put.digest),
        layout::revision_link(name, &put.digest),
        layout::tag_index(name, &tag, &put.digest),
        layout::tag_current(name, &tag),
    ] {
        end = Some(is_written_durably(&calls, end, &key));
    }
    assert_eq!(end, Some(calls.len() - 1), "{calls:#?}");
}
