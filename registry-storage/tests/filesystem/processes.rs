//! Several processes on one root.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use registry_core::storage::{Error, StageMode, Storage as _};
use registry_storage::filesystem::{Filesystem, LockError};

use super::{Ground, TMP, UPLOAD, key};

const ROOT: &str = "REGISTRY_TEST_ROOT";

/// Runs as a process of its own: takes every lock, says so, and waits for the end.
#[tokio::test]
#[ignore = "other tests start it, as a process of its own"]
async fn holder() {
    let storage = Filesystem::builder(std::env::var_os(ROOT).unwrap()).open().unwrap();
    let _serving = storage.lock_for_serving().unwrap();
    let _collecting = storage.lock_for_collecting().unwrap();
    let mut staged = storage.stage(&key(UPLOAD), StageMode::Create).await.unwrap().unwrap();
    staged.append(vec!["bytes".into()]).await.unwrap();
    println!("\nlocked");
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

fn start_holder(root: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::holder", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "locked"));
    child
}

#[tokio::test]
async fn locks_hold_between_processes_and_die_with_them() {
    let ground = Ground::new();
    let mut child = start_holder(ground.directory.path());

    let refused = ground.storage.lock_for_serving().unwrap_err();
    assert!(
        matches!(&refused, LockError::Held { process: Some(process), .. } if *process == child.id()),
        "{refused:?}"
    );
    let told = refused.to_string();
    assert!(
        told.contains(&child.id().to_string()) && told.contains(ground.directory.path().to_str().unwrap()),
        "{told}"
    );
    let refused = ground.storage.lock_for_collecting().unwrap_err().to_string();
    assert!(refused.contains("collects") && refused.contains(&child.id().to_string()), "{refused}");
    let staged = ground.storage.stage(&key(UPLOAD), StageMode::Resume).await;
    assert!(matches!(staged, Err(Error::Busy { .. })));
    assert_eq!(ground.storage.staged_size(&key(UPLOAD)).await.unwrap(), Some(5));

    child.kill().unwrap();
    child.wait().unwrap();
    let _serving = ground.storage.lock_for_serving().unwrap();
    let _collecting = ground.storage.lock_for_collecting().unwrap();
    let staged = ground.storage.stage(&key(UPLOAD), StageMode::Resume).await.unwrap().unwrap();
    assert_eq!(staged.size(), 5);
}

#[tokio::test]
async fn one_server_at_a_time_and_it_cleans_up() {
    let ground = Ground::new();
    ground.write("a/b", "1").await;
    std::fs::write(ground.path(TMP).join("left-by-a-crash"), "1").unwrap();
    let serving = ground.storage.lock_for_serving().unwrap();
    assert_eq!(ground.left_on_the_way(), 0);
    assert!(matches!(ground.storage.lock_for_serving(), Err(LockError::Held { .. })));
    drop(serving);
    let _serving = ground.storage.lock_for_serving().unwrap();
    assert_eq!(ground.read("a/b").await.unwrap(), "1");
}
