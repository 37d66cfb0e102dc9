use futures::StreamExt as _;

use super::*;
use crate::storage::{Body, Memory, contract};
use crate::{Span, TokioBlocking};

fn key(name: &str) -> Key {
    name.parse().unwrap()
}

fn faulty() -> (Arc<dyn Storage>, Faulty) {
    let inner: Arc<dyn Storage> = Arc::new(Memory::new());
    (Arc::clone(&inner), Faulty::new(inner))
}

async fn write(storage: &dyn Storage, name: &str) -> Result<(), Error> {
    storage.write(&key(name), "12345678".into(), WriteOptions::default()).await
}

async fn exists(storage: &dyn Storage, name: &str) -> bool {
    storage.stat(&key(name)).await.unwrap().is_some()
}

fn is_unavailable<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Unavailable { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_faults_it_keeps_the_contract() {
    contract::run_all(Arc::new(faulty().1)).await;
}

#[tokio::test]
async fn notes_every_operation() {
    let (_, storage) = faulty();
    let (a, p) = (key("a"), key("p"));
    write(&storage, "a").await.unwrap();
    storage.stat(&a).await.unwrap();
    storage.confirm(&a).await.unwrap();
    storage.read(&a, 10).await.unwrap();
    storage.open(&a).await.unwrap();
    storage.delete(&a).await.unwrap();
    storage.delete_all(&p).await.unwrap();
    storage.list(&p, None, 1).await.unwrap();
    storage.staged_size(&a).await.unwrap();
    storage.create_directory(&p).await.unwrap();
    storage.presign(&a, Presigned::Get, Duration::ZERO).await.unwrap();
    let mut staged = storage.stage(&a, StageMode::Create).await.unwrap().unwrap();
    staged.append(Vec::new()).await.unwrap();
    staged.sync().await.unwrap();
    drop(staged.read(0).await.unwrap());
    staged.publish(&p).await.unwrap();
    staged.discard().await.unwrap();
    let noted: Vec<_> = storage.operations().into_iter().map(|operation| (operation.kind, operation.key)).collect();
    let expected = [
        (OperationKind::Write, &a),
        (OperationKind::Stat, &a),
        (OperationKind::Confirm, &a),
        (OperationKind::Read, &a),
        (OperationKind::Open, &a),
        (OperationKind::Delete, &a),
        (OperationKind::DeleteAll, &p),
        (OperationKind::List, &p),
        (OperationKind::StagedSize, &a),
        (OperationKind::CreateDirectory, &p),
        (OperationKind::Presign, &a),
        (OperationKind::Stage, &a),
        (OperationKind::Append, &a),
        (OperationKind::Sync, &a),
        (OperationKind::ReadStaged, &a),
        (OperationKind::Publish, &p),
        (OperationKind::Discard, &a),
    ];
    assert_eq!(noted, expected.map(|(kind, key)| (kind, key.clone())));
}

#[tokio::test]
async fn fails_before_or_after_the_effect() {
    let (inner, storage) = faulty();
    storage.fail_at(0, Fault::Before);
    storage.fail_at(1, Fault::After);
    storage.fail_at(2, Fault::NoSpace);
    assert!(is_unavailable(&write(&storage, "before").await));
    assert!(is_unavailable(&write(&storage, "after").await));
    assert!(matches!(write(&storage, "full").await, Err(Error::NoSpace { .. })));
    write(&storage, "fine").await.unwrap();
    assert!(!exists(&*inner, "before").await && !exists(&*inner, "full").await);
    assert!(exists(&*inner, "after").await && exists(&*inner, "fine").await);
}

#[tokio::test]
async fn a_sticky_fault_stays_until_healed() {
    let (_, storage) = faulty();
    storage.fail_from(1, Fault::Before);
    write(&storage, "a").await.unwrap();
    for _ in 0..3 {
        assert!(is_unavailable(&storage.stat(&key("a")).await));
    }
    storage.heal();
    assert!(exists(&storage, "a").await);
}

#[tokio::test]
async fn the_next_of_a_kind_fails_once() {
    let (_, storage) = faulty();
    storage.fail_next(OperationKind::Stat, Fault::Before);
    write(&storage, "a").await.unwrap();
    assert!(is_unavailable(&storage.stat(&key("a")).await));
    assert!(exists(&storage, "a").await);
}

#[tokio::test]
async fn the_own_error_of_an_operation_comes_through() {
    let (_, storage) = faulty();
    write(&storage, "a").await.unwrap();
    storage.fail_next(OperationKind::Read, Fault::After);
    assert!(matches!(storage.read(&key("a"), 1).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn deletes_tell_what_is_known() {
    let (inner, storage) = faulty();
    for (fault, known, stays) in [
        (Fault::Before, None, true),
        (Fault::After, Some(Deletion::Unknown), false),
        (Fault::Cut, Some(Deletion::Unknown), true),
        (Fault::NoSpace, None, true),
    ] {
        write(&storage, "p/a").await.unwrap();
        storage.fail_next(OperationKind::Delete, fault);
        assert_eq!(storage.delete(&key("p/a")).await.ok(), known, "{fault:?}");
        assert_eq!(exists(&*inner, "p/a").await, stays, "{fault:?}");
        write(&storage, "p/a").await.unwrap();
        storage.fail_next(OperationKind::DeleteAll, fault);
        assert_eq!(storage.delete_all(&key("p")).await.ok(), known, "{fault:?}");
        assert_eq!(exists(&*inner, "p/a").await, stays, "{fault:?}");
    }
    assert_eq!(storage.delete(&key("p/a")).await.unwrap(), Deletion::Acked);
}

#[tokio::test]
async fn a_cut_batch_is_kept_in_half() {
    let (inner, storage) = faulty();
    let mut staged = storage.stage(&key("up"), StageMode::Create).await.unwrap().unwrap();
    storage.fail_next(OperationKind::Append, Fault::Cut);
    assert!(is_unavailable(&staged.append(vec!["123".into(), "4567".into(), "89".into()]).await));
    assert_eq!((staged.size(), inner.staged_size(&key("up")).await.unwrap()), (4, Some(4)));
    let kept = staged.read(0).await.unwrap().map(Result::unwrap).collect::<Vec<_>>().await.concat();
    assert_eq!(kept, b"1234");
}

#[tokio::test]
async fn staged_operations_fail_before_or_after() {
    let (inner, storage) = faulty();
    let mut staged = storage.stage(&key("up"), StageMode::Create).await.unwrap().unwrap();
    for (fault, size) in [(Fault::Before, 0), (Fault::After, 2), (Fault::NoSpace, 2)] {
        storage.fail_next(OperationKind::Append, fault);
        assert!(staged.append(vec!["ab".into()]).await.is_err());
        assert_eq!(staged.size(), size, "{fault:?}");
    }
    storage.fail_next(OperationKind::Sync, Fault::Before);
    assert!(is_unavailable(&staged.sync().await));
    storage.fail_next(OperationKind::Publish, Fault::Before);
    assert!(is_unavailable(&staged.publish(&key("blob")).await));
    assert!(!exists(&*inner, "blob").await);
    storage.fail_next(OperationKind::Publish, Fault::After);
    assert!(is_unavailable(&staged.publish(&key("blob")).await));
    assert!(exists(&*inner, "blob").await);
    storage.fail_next(OperationKind::Discard, Fault::Before);
    assert!(is_unavailable(&staged.discard().await));
    let staged = storage.stage(&key("up"), StageMode::Resume).await.unwrap().unwrap();
    storage.fail_next(OperationKind::Discard, Fault::After);
    assert!(is_unavailable(&staged.discard().await));
    assert_eq!(inner.staged_size(&key("up")).await.unwrap(), None);
}

#[tokio::test]
async fn a_cut_body_breaks_in_the_middle() {
    let (_, storage) = faulty();
    write(&storage, "a").await.unwrap();
    storage.fail_next(OperationKind::Open, Fault::Cut);
    let object = storage.open(&key("a")).await.unwrap().unwrap();
    assert_eq!(object.metadata().size, 8);
    let body = object.read(Span::new(2, 6).unwrap()).await.unwrap();
    assert!(matches!(body, Body::Stream { length: 6, .. }));
    let frames: Vec<_> = body.into_stream(Arc::new(TokioBlocking)).collect().await;
    assert!(matches!(&frames[..], [Ok(half), Err(Error::Unavailable { .. })] if half == "345"));

    let mut staged = storage.stage(&key("up"), StageMode::Create).await.unwrap().unwrap();
    staged.append(vec!["1234".into(), "5678".into()]).await.unwrap();
    storage.fail_next(OperationKind::ReadStaged, Fault::Cut);
    let frames: Vec<_> = staged.read(2).await.unwrap().collect().await;
    assert!(matches!(&frames[..], [Ok(a), Ok(b), Err(Error::Unavailable { .. })] if a == "34" && b == "5"));
}

async fn outcomes(seed: u64, per_mille: u16) -> Vec<bool> {
    let storage = Faulty::seeded(Arc::new(Memory::new()), seed, per_mille);
    let mut outcomes = Vec::new();
    for _ in 0..2000 {
        outcomes.push(storage.stat(&key("a")).await.is_ok());
    }
    outcomes
}

#[tokio::test]
async fn chance_follows_the_seed() {
    let first = outcomes(7, 100).await;
    assert_eq!(first, outcomes(7, 100).await);
    assert_ne!(first, outcomes(8, 100).await);
    let failed = first.iter().filter(|fine| !**fine).count();
    assert!((140..260).contains(&failed), "{failed} of 2000 failed");
    assert!(outcomes(7, 0).await.iter().all(|fine| *fine));
    assert!(outcomes(7, 1000).await.iter().all(|fine| !*fine));
    let storage = Faulty::seeded(Arc::new(Memory::new()), 42, 5);
    assert!(format!("{storage:?}").contains("seed 42"), "{storage:?}");
}

#[tokio::test]
async fn a_gate_holds_an_operation() {
    let (inner, storage) = faulty();
    let storage = Arc::new(storage);
    let mut gate = storage.hold(OperationKind::Write);
    let writer = {
        let storage = Arc::clone(&storage);
        tokio::spawn(async move { write(&*storage, "a").await })
    };
    assert!(gate.arrived().await);
    assert!(!exists(&*inner, "a").await);
    write(&*storage, "b").await.unwrap();
    assert!(exists(&*inner, "b").await && !writer.is_finished());
    gate.open();
    writer.await.unwrap().unwrap();
    assert!(exists(&*inner, "a").await);
    drop(storage.hold(OperationKind::Write));
    write(&*storage, "c").await.unwrap();
}
