use registry_core::storage::{Fault, OperationKind, Storage as _};
use registry_core::transfer::{Left, LeftOut, Reason, Transfer, TransferReport};
use registry_core::verify::{Verifier, VerifyOptions};
use registry_core::{Error, layout};

use crate::world::{World, image, index, push_blob, push_image, put};

/// Two repositories with an index, an image, an artifact that refers to it, and a blob that nothing names.
async fn source() -> World {
    let world = World::new();
    let (app, other) = (world.at("lib/app"), world.at("lib/app/nested"));
    push_blob(&app, b"one").await;
    push_blob(&app, b"two").await;
    push_image(&app, "1").await;
    let whole = image(&[b"one", b"two"]);
    let digest = put(&app, "2", &whole).await.unwrap().digest;
    put(&app, "all", &index(&[&whole])).await.unwrap();
    push_image(&other, "1").await;
    let signature = crate::world::with_subject(image(&[]), &whole);
    put(&app, "signature", &signature).await.unwrap();
    push_blob(&other, b"of nobody").await;
    assert_eq!(app.tags().resolve(&"2".parse().unwrap()).await.unwrap(), Some(digest));
    world
}

async fn transfer(from: &World, to: &World) -> TransferReport {
    Transfer::new(from.registry.clone(), to.registry.clone()).run().await.unwrap()
}

/// What a repository has, beside what is made again when it is asked for.
async fn kept(world: &World) -> Vec<String> {
    let keys = world.keys(&layout::root()).await;
    keys.into_iter().filter(|key| !key.contains("/_gc/") && !key.contains("referrers")).collect()
}

#[tokio::test]
async fn all_that_repositories_have_is_there_afterwards() {
    let (from, to) = (source().await, World::new());
    let report = transfer(&from, &to).await;
    assert_eq!((report.repositories, report.left_total), (2, 0), "{report:?}");
    assert_eq!((report.tags, report.known_tags), (5, 0), "{report:?}");
    assert_eq!(kept(&to).await, kept(&from).await);
    let whole = Verifier::new(to.registry.clone(), VerifyOptions::default()).run().await.unwrap();
    assert!(whole.is_sound() && whole.tags == 5, "{whole:?}");
    let subject = from.at("lib/app").tags().resolve(&"2".parse().unwrap()).await.unwrap().unwrap();
    let app = to.at("lib/app");
    assert_eq!(app.referrers().list(&subject, None, None, 10).await.unwrap().referrers.len(), 1);

    let again = transfer(&from, &to).await;
    assert_eq!((again.copied, again.links, again.tags), (0, 0, 0), "{again:?}");
    assert_eq!((again.known_links, again.known_tags), (report.links, 5));
}

#[tokio::test]
async fn a_dry_run_tells_the_same_and_changes_nothing() {
    let (from, to) = (source().await, World::new());
    let look = Transfer::new(from.registry.clone(), to.registry.clone()).dry_run(true).run().await.unwrap();
    assert_eq!(to.keys(&layout::root()).await, [""; 0]);
    let report = transfer(&from, &to).await;
    assert_eq!((look.tags, look.links, look.left_total), (report.tags, report.links, 0));
    // What two repositories share is not there yet for the second one when nothing is copied.
    assert!(look.copied >= report.copied && look.copied_bytes >= report.copied_bytes, "{look:?} {report:?}");
}

#[tokio::test]
async fn what_is_broken_is_left_out_and_told_of() {
    let (from, to) = (source().await, World::new());
    let app = from.at("lib/app");
    let digest = app.tags().resolve(&"1".parse().unwrap()).await.unwrap().unwrap();
    from.write(&layout::blob(&digest), "{}").await;
    let blob = push_blob(&app, b"will rot").await;
    from.write(&layout::blob(&blob), "has rott").await;
    let absent = push_blob(&app, b"will go").await;
    from.storage.delete(&layout::blob(&absent)).await.unwrap();

    let report = transfer(&from, &to).await;
    let left = |what, reason| report.left.iter().any(|left: &Left| left.what == what && left.reason == reason);
    assert!(left(LeftOut::Blob(blob), Reason::Corrupt), "{report:?}");
    assert!(left(LeftOut::Blob(absent), Reason::Absent), "{report:?}");
    assert!(left(LeftOut::Manifest(digest), Reason::Corrupt), "{report:?}");
    assert!(left(LeftOut::Tag("1".parse().unwrap()), Reason::NoManifest), "{report:?}");
    assert!(to.at("lib/app").manifests().get(&"2".parse().unwrap()).await.is_ok());
    let whole = Verifier::new(to.registry.clone(), VerifyOptions::default()).run().await.unwrap();
    assert!(whole.is_sound(), "{whole:?}");
}

#[tokio::test]
async fn wherever_it_is_cut_off_it_is_sound_and_goes_on() {
    let (from, expected) = (source().await, World::new());
    transfer(&from, &expected).await;
    let operations = expected.storage.operations().len();
    let mut failures = 0;
    for number in 0..operations {
        let to = World::new();
        to.storage.fail_at(number, Fault::Before);
        let cut = Transfer::new(from.registry.clone(), to.registry.clone()).run().await;
        to.storage.heal();
        // That the rest of an upload cannot be cleared away is no failure of what is copied.
        assert!(matches!(cut, Ok(_) | Err(Error::Storage(_))), "operation {number}: {cut:?}");
        failures += usize::from(cut.is_err());
        let whole = Verifier::new(to.registry.clone(), VerifyOptions::default()).run().await.unwrap();
        assert!(whole.is_sound(), "operation {number}: {whole:?}");
        let report = transfer(&from, &to).await;
        assert_eq!(report.left_total, 0, "operation {number}");
        let left_uploads = |key: &String| !key.contains("_uploads");
        let there: Vec<_> = kept(&to).await.into_iter().filter(left_uploads).collect();
        assert_eq!(there, kept(&expected).await, "operation {number}");
    }
    assert!(failures > operations / 2, "{failures} of {operations}");
}

#[tokio::test]
async fn what_is_pushed_meanwhile_is_whole_or_not_there() {
    let (from, to) = (source().await, World::new());
    let mut gate = from.storage.hold(OperationKind::Open);
    let running = tokio::spawn({
        let transfer = Transfer::new(from.registry.clone(), to.registry.clone());
        async move { transfer.run().await }
    });
    assert!(gate.arrived().await);
    let app = from.at("lib/app");
    push_blob(&app, b"late").await;
    put(&app, "late", &image(&[b"late"])).await.unwrap();
    gate.open();
    running.await.unwrap().unwrap();
    let whole = Verifier::new(to.registry.clone(), VerifyOptions::default()).run().await.unwrap();
    assert!(whole.is_sound(), "{whole:?}");
    let report = transfer(&from, &to).await;
    assert_eq!(report.tags, 1, "{report:?}");
    assert!(to.at("lib/app").manifests().get(&"late".parse().unwrap()).await.is_ok());
}
