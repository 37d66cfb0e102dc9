use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, StreamExt as _};
use registry_core::storage::{Fault, OperationKind};
use registry_core::{Algorithm, BodyError, Digest, Error, UploadId, layout};

use crate::world::{World, broken, content, nothing, sha256};

const DAY: Duration = Duration::from_hours(24);

async fn uploads_left(world: &World) -> Vec<String> {
    world.keys(&layout::uploads(&"a".parse().unwrap())).await
}

#[tokio::test]
async fn chunks_become_a_blob() {
    let world = World::new();
    let repository = world.at("a");
    let uploads = repository.uploads();
    let upload = uploads.start(Algorithm::Sha256).await.unwrap();
    assert_eq!(upload.size, 0);
    assert_eq!(uploads.append(&upload.id, Some(0), content("first ")).await.unwrap().size, 6);
    assert_eq!(uploads.append(&upload.id, None, content("second ")).await.unwrap().size, 13);
    assert_eq!(uploads.status(&upload.id).await.unwrap().size, 13);
    let digest = sha256(b"first second third");
    let blob = uploads.finish(&upload.id, &digest, Some(13), content("third")).await.unwrap();
    assert_eq!((blob.digest, blob.size), (digest, 18));
    assert_eq!(repository.blobs().stat(&digest).await.unwrap().size, 18);
    assert!(matches!(uploads.status(&upload.id).await, Err(Error::UploadUnknown { .. })));
    assert!(uploads_left(&world).await.is_empty());
}

#[tokio::test]
async fn large_content_in_odd_frames_becomes_a_blob() {
    let world = World::new();
    let repository = world.at("a");
    let bytes: Bytes = (0..5_000_000_u32).map(|number| (number % 251) as u8).collect();
    for algorithm in Algorithm::ALL {
        let digest = Digest::of(algorithm, &bytes);
        let frames: Vec<_> = bytes.chunks(99_991).map(|frame| Ok(bytes.slice_ref(frame))).collect();
        let blob = repository.uploads().push(&digest, stream::iter(frames).boxed()).await.unwrap();
        assert_eq!(blob.size, 5_000_000);
    }
}

#[tokio::test]
async fn a_chunk_at_the_wrong_offset_adds_nothing() {
    let world = World::new();
    let repository = world.at("a");
    let uploads = repository.uploads();
    let id = uploads.start(Algorithm::Sha256).await.unwrap().id;
    uploads.append(&id, Some(0), content("0123")).await.unwrap();
    for wrong in [0, 3, 5, u64::MAX] {
        let refused = uploads.append(&id, Some(wrong), content("x")).await;
        assert!(matches!(refused, Err(Error::OffsetMismatch { size: 4 })));
        let refused = uploads.finish(&id, &sha256(b"0123x"), Some(wrong), content("x")).await;
        assert!(matches!(refused, Err(Error::OffsetMismatch { size: 4 })));
    }
    uploads.finish(&id, &sha256(b"0123"), None, nothing()).await.unwrap();
}

#[tokio::test]
async fn a_wrong_digest_ends_the_upload_and_leaves_nothing() {
    let world = World::new();
    let repository = world.at("a");
    let uploads = repository.uploads();
    let id = uploads.start(Algorithm::Sha256).await.unwrap().id;
    uploads.append(&id, None, content("bytes")).await.unwrap();
    match uploads.finish(&id, &sha256(b"other"), None, nothing()).await {
        Err(Error::DigestMismatch { computed, .. }) => assert_eq!(computed, sha256(b"bytes")),
        other => panic!("{other:?}"),
    }
    let refused = uploads.push(&sha256(b"other"), content("bytes")).await;
    assert!(matches!(refused, Err(Error::DigestMismatch { .. })));
    assert!(world.keys(&layout::root()).await.is_empty());
}

#[tokio::test]
async fn an_upload_hashed_otherwise_can_be_finished_by_any_digest() {
    let world = World::new();
    let repository = world.at("a");
    for (started, finished) in [(Algorithm::Sha256, Algorithm::Sha512), (Algorithm::Sha512, Algorithm::Sha256)] {
        let id = repository.uploads().start(started).await.unwrap().id;
        repository.uploads().append(&id, None, content("bytes")).await.unwrap();
        let digest = Digest::of(finished, b"bytes");
        assert_eq!(repository.uploads().finish(&id, &digest, None, nothing()).await.unwrap().digest, digest);
        assert!(repository.blobs().stat(&digest).await.is_ok());
    }
}

#[tokio::test]
async fn what_came_before_the_break_is_kept() {
    let world = World::new();
    let repository = world.at("a");
    let uploads = repository.uploads();
    let id = uploads.start(Algorithm::Sha256).await.unwrap().id;
    assert!(matches!(uploads.append(&id, None, broken("some ")).await, Err(Error::Body(BodyError::Aborted(_)))));
    assert_eq!(uploads.status(&id).await.unwrap().size, 5);
    let digest = sha256(b"some more bytes");
    assert!(matches!(uploads.finish(&id, &digest, Some(5), broken("more ")).await, Err(Error::Body(_))));
    assert_eq!(uploads.status(&id).await.unwrap().size, 10);
    uploads.finish(&id, &digest, Some(10), content("bytes")).await.unwrap();
}

#[tokio::test]
async fn content_in_one_go_that_breaks_off_leaves_nothing() {
    let world = World::new();
    let refused = world.at("a").uploads().push(&sha256(b"bytes"), broken("byt")).await;
    assert!(matches!(refused, Err(Error::Body(_))));
    assert!(world.keys(&layout::root()).await.is_empty());
}

#[tokio::test]
async fn another_process_goes_on_without_hashing_again() {
    let mut world = World::new();
    let id = world.at("a").uploads().start(Algorithm::Sha256).await.unwrap().id;
    let large = Bytes::from(vec![7; 1024 * 1024]);
    let frames = stream::iter([Ok(large.clone())]).boxed();
    world.at("a").uploads().append(&id, None, frames).await.unwrap();
    world.restart();
    let before = world.storage.operations().len();
    let digest = sha256(&[&large[..], b"second"].concat());
    world.at("a").uploads().finish(&id, &digest, Some(1024 * 1024), content("second")).await.unwrap();
    let kinds: Vec<_> = world.storage.operations().split_off(before).iter().map(|operation| operation.kind).collect();
    assert!(!kinds.contains(&OperationKind::ReadStaged), "{kinds:?}");
}

#[tokio::test]
async fn little_is_not_noted_but_hashed_again() {
    let mut world = World::new();
    let id = world.at("a").uploads().start(Algorithm::Sha256).await.unwrap().id;
    let before = world.storage.operations().len();
    for text in ["first ", "second "] {
        world.at("a").uploads().append(&id, None, content(text)).await.unwrap();
    }
    let kinds: Vec<_> = world.storage.operations().split_off(before).iter().map(|operation| operation.kind).collect();
    assert!(!kinds.contains(&OperationKind::Write) && !kinds.contains(&OperationKind::ReadStaged), "{kinds:?}");
    world.restart();
    world.at("a").uploads().append(&id, Some(13), content("third")).await.unwrap();
    assert!(world.storage.operations().iter().any(|operation| operation.kind == OperationKind::ReadStaged));
    let digest = sha256(b"first second third");
    world.at("a").uploads().finish(&id, &digest, None, nothing()).await.unwrap();
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_large_chunk_leaves_little_to_hash_again() {
    let world = World::with(|builder| {
        let mut limits = registry_core::Limits::default();
        limits.checkpoint_bytes = 2_000_000;
        builder.limits(limits)
    });
    let repository = world.at("a");
    let id = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
    let frames = stream::repeat_with(|| Ok(Bytes::from(vec![7; 100_000]))).take(50).chain(stream::pending()).boxed();
    let uploads = repository.uploads();
    let append = uploads.append(&id, None, frames);
    let state = layout::upload_state(&"a".parse().unwrap(), &id);
    let noted = async {
        while world.offset_in(&state).await < 2_000_000 {
            tokio::task::yield_now().await;
        }
    };
    // The process ends while the client still sends.
    futures::future::select(std::pin::pin!(append), std::pin::pin!(noted)).await;
    let size = repository.uploads().status(&id).await.unwrap().size;
    let rest = 5_000_000 - usize::try_from(size).unwrap();
    let digest = sha256(&vec![7; 5_000_000]);
    repository.uploads().finish(&id, &digest, Some(size), content(vec![7; rest])).await.unwrap();
}

#[tokio::test]
async fn a_hash_state_that_is_unknown_or_too_far_is_made_again() {
    let world = World::new();
    let repository = world.at("a");
    let state = |offset: u64, hash: &str| format!(r#"{{"owner":null,"offset":{offset},"hash":{hash}}}"#);
    let unknown = r#"{"algorithm":"sha256","form":"sha2-9.9","state":"AAAA"}"#;
    let far = serde_json::to_string(&registry_core::Hasher::new(Algorithm::Sha256).checkpoint()).unwrap();
    for state in [state(6, unknown), state(7, &far), state(0, &far)] {
        let id = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
        repository.uploads().append(&id, None, content("first ")).await.unwrap();
        world.write(&layout::upload_state(&"a".parse().unwrap(), &id), state).await;
        let digest = sha256(b"first second");
        repository.uploads().finish(&id, &digest, Some(6), content("second")).await.unwrap();
    }
}

#[tokio::test]
async fn a_session_of_another_registry_goes_on() {
    let world = World::new();
    let repository = world.at("a");
    let id = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
    repository.uploads().append(&id, None, content("first ")).await.unwrap();
    let name = "a".parse().unwrap();
    world.delete(&layout::upload_state(&name, &id)).await;
    assert_eq!(repository.uploads().status(&id).await.unwrap().size, 6);
    repository.uploads().finish(&id, &sha256(b"first second"), Some(6), content("second")).await.unwrap();
}

#[tokio::test]
async fn an_upload_belongs_to_its_repository_and_its_owner() {
    let world = World::new();
    let alice = world.at_as("a", "alice");
    let id = alice.uploads().start(Algorithm::Sha256).await.unwrap().id;
    for stranger in [world.at_as("a", "bob"), world.at("a"), world.at_as("b", "alice")] {
        let uploads = stranger.uploads();
        for outcome in [
            uploads.status(&id).await.map(drop),
            uploads.append(&id, None, content("x")).await.map(drop),
            uploads.finish(&id, &sha256(b""), None, nothing()).await.map(drop),
            uploads.cancel(&id).await,
        ] {
            assert!(matches!(outcome, Err(Error::UploadUnknown { .. })), "{outcome:?}");
        }
    }
    assert_eq!(alice.uploads().status(&id).await.unwrap().size, 0);
}

#[tokio::test]
async fn an_upload_whose_state_is_torn_belongs_to_nobody() {
    let world = World::new();
    let id = world.at("a").uploads().start(Algorithm::Sha256).await.unwrap().id;
    world.write(&layout::upload_state(&"a".parse().unwrap(), &id), "{").await;
    assert!(matches!(world.at("a").uploads().status(&id).await, Err(Error::UploadUnknown { .. })));
}

#[tokio::test]
async fn two_writers_never_interleave() {
    let world = World::new();
    let repository = world.at("a");
    let id = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
    let (mut sender, receiver) = futures::channel::mpsc::channel::<Result<Bytes, BodyError>>(1);
    let first = tokio::spawn({
        let repository = repository.clone();
        async move { repository.uploads().append(&id, None, receiver.boxed()).await }
    });
    // The first frame is taken, so the first writer has opened the upload.
    sender.try_send(Ok("first".into())).unwrap();
    while sender.try_send(Ok("".into())).is_ok() {
        tokio::task::yield_now().await;
        if world.storage.operations().iter().filter(|operation| operation.kind == OperationKind::Stage).count() > 1 {
            break;
        }
    }
    for outcome in [
        repository.uploads().append(&id, None, content("second")).await.map(drop),
        repository.uploads().finish(&id, &sha256(b""), None, nothing()).await.map(drop),
        repository.uploads().cancel(&id).await,
    ] {
        assert!(matches!(outcome, Err(Error::OffsetMismatch { .. })), "{outcome:?}");
    }
    drop(sender);
    assert_eq!(first.await.unwrap().unwrap().size, 5);
    repository.uploads().finish(&id, &sha256(b"firstlast"), Some(5), content("last")).await.unwrap();
}

#[tokio::test]
async fn cancelling_drops_everything() {
    let world = World::new();
    let repository = world.at("a");
    let id = repository.uploads().start(Algorithm::Sha256).await.unwrap().id;
    repository.uploads().append(&id, None, content("bytes")).await.unwrap();
    repository.uploads().cancel(&id).await.unwrap();
    assert!(matches!(repository.uploads().cancel(&id).await, Err(Error::UploadUnknown { .. })));
    assert!(world.keys(&layout::root()).await.is_empty());
}

#[tokio::test]
async fn old_uploads_expire_and_young_ones_stay() {
    let world = World::new();
    let old = world.at_as("a/b", "alice").uploads().start(Algorithm::Sha256).await.unwrap().id;
    world.clock.advance(8 * DAY.as_secs());
    let young = world.at("a").uploads().start(Algorithm::Sha256).await.unwrap().id;
    let stray: UploadId = "550e8400-e29b-41d4-a716-446655440000".parse().unwrap();
    world.write(&layout::upload_started_at(&"a".parse().unwrap(), &stray), "not a time").await;

    let expired = vec![("a/b".parse().unwrap(), old)];
    assert_eq!(world.registry.expire_uploads(7 * DAY, true).await.unwrap(), expired);
    assert_eq!(world.registry.expire_uploads(7 * DAY, false).await.unwrap(), expired);
    assert_eq!(world.registry.expire_uploads(7 * DAY, false).await.unwrap(), []);
    assert!(world.at_as("a/b", "alice").uploads().status(&old).await.is_err());
    assert!(world.at("a").uploads().status(&young).await.is_ok());
    // What does not say when it started is as old as it was last touched.
    world.clock.advance(8 * DAY.as_secs());
    let expired = world.registry.expire_uploads(7 * DAY, true).await.unwrap();
    assert!(expired.contains(&("a".parse().unwrap(), stray)), "{expired:?}");
    // An age beyond the beginning of time makes nothing old.
    assert_eq!(world.registry.expire_uploads(Duration::MAX, false).await.unwrap(), []);
}

#[tokio::test]
async fn when_it_started_is_told_as_other_registries_tell_it() {
    let world = World::new();
    world.at("a").uploads().start(Algorithm::Sha256).await.unwrap();
    let keys = uploads_left(&world).await;
    let key = keys.iter().find(|key| key.ends_with("/startedat")).unwrap().parse().unwrap();
    assert_eq!(world.read(&key).await, "2027-01-15T08:00:00Z");
}

/// As a delete leaves it that was cut off.
#[tokio::test]
async fn what_does_not_tell_when_it_started_expires_when_its_state_is_old() {
    let world = World::new();
    world.at("a").uploads().start(Algorithm::Sha256).await.unwrap();
    let keys = uploads_left(&world).await;
    let key = keys.iter().find(|key| key.ends_with("/startedat")).unwrap().parse().unwrap();
    world.delete(&key).await;
    let hour = Duration::from_hours(1);
    assert_eq!(world.registry.expire_uploads(hour, false).await.unwrap().len(), 0);
    world.clock.advance(2 * hour.as_secs());
    assert_eq!(world.registry.expire_uploads(hour, false).await.unwrap().len(), 1);
    assert_eq!(uploads_left(&world).await, [""; 0]);
}

/// Whatever operation fails: either the blob is there, or it can be pushed again; nothing in between.
#[tokio::test]
async fn a_failure_at_any_step_leaves_no_half_blob() {
    let mut failures = 0;
    for fault in [Fault::Before, Fault::After] {
        for number in 0.. {
            let world = World::new();
            let repository = world.at("a");
            let digest = sha256(b"some bytes");
            world.storage.fail_at(number, fault);
            let outcome = repository.uploads().push(&digest, content("some bytes")).await;
            world.storage.heal();
            match repository.blobs().stat(&digest).await {
                Ok(info) => assert_eq!(info.size, 10),
                Err(_) => assert!(outcome.is_err()),
            }
            repository.uploads().push(&digest, content("some bytes")).await.unwrap();
            if outcome.is_ok() {
                break;
            }
            failures += 1;
        }
    }
    assert!(failures > 10, "only {failures} steps failed");
}

impl World {
    async fn delete(&self, key: &registry_core::storage::Key) {
        use registry_core::storage::Storage as _;
        self.storage.delete(key).await.unwrap();
    }

    async fn offset_in(&self, key: &registry_core::storage::Key) -> u64 {
        let state: serde_json::Value = serde_json::from_slice(&self.read(key).await).unwrap();
        state["offset"].as_u64().unwrap()
    }

    async fn read(&self, key: &registry_core::storage::Key) -> Bytes {
        use registry_core::storage::Storage as _;
        self.storage.read(key, 1_000).await.unwrap().unwrap()
    }
}
