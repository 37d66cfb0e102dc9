//! The contract over opendal: always over its memory service; over S3 where a server is named.
#![expect(clippy::unwrap_used, reason = "in the functions that the tests share, too, a surprise is a failure")]

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use proptest::prelude::*;
use registry_core::model::{check, programs};
use registry_core::storage::{
    Error, Fault, Faulty, Key, OperationKind, StageMode, Staged, Storage, WriteOptions, contract,
};
use registry_core::{Algorithm, Digest, Registry};
#[cfg(feature = "s3")]
use registry_storage::ProbeError;
use registry_storage::opendal_crate::layers::CapabilityOverrideLayer;
use registry_storage::opendal_crate::{Capability, Operator, services};
use registry_storage::{Opendal, ReadAhead};

fn memory() -> (Operator, Opendal) {
    let operator = Operator::new(services::Memory::default()).unwrap();
    (operator.clone(), Opendal::new(operator).unwrap())
}

fn with(operator: Operator, change: fn(&mut Capability)) -> Operator {
    operator.layer(CapabilityOverrideLayer::new(move |mut capability| {
        change(&mut capability);
        capability
    }))
}

fn key(text: &str) -> Key {
    text.parse().unwrap()
}

async fn create(storage: &Opendal, at: &str) -> Box<dyn Staged> {
    storage.stage(&key(at), StageMode::Create).await.unwrap().unwrap()
}

async fn resume(storage: &Opendal, at: &str) -> Box<dyn Staged> {
    storage.stage(&key(at), StageMode::Resume).await.unwrap().unwrap()
}

async fn append(staged: &mut Box<dyn Staged>, content: &'static str) {
    staged.append(vec![content.into()]).await.unwrap();
    staged.sync().await.unwrap();
}

async fn paths(operator: &Operator) -> Vec<String> {
    let entries = operator.lister_with("/").recursive(true).await.unwrap();
    let mut paths: Vec<String> = entries.map_ok(|entry| entry.path().to_owned()).try_collect().await.unwrap();
    paths.sort();
    paths
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_service_keeps_the_contract() {
    contract::run_all(Arc::new(memory().1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_service_that_takes_pieces_keeps_the_contract() {
    let operator = with(memory().0, |capability| {
        capability.write_can_multi = true;
        capability.write_multi_min_size = Some(5 * 1024 * 1024);
    });
    contract::run_all(Arc::new(Opendal::new(operator).unwrap())).await;
}

#[test]
fn what_a_service_lacks_is_named() {
    let operator = with(memory().0, |capability| {
        capability.write_with_if_not_exists = false;
        capability.list = false;
    });
    let missing = Opendal::new(operator).unwrap_err();
    assert_eq!(missing.service(), "memory");
    assert_eq!(missing.missing().count(), 2);
    let text = missing.to_string();
    assert!(text.contains("memory") && text.contains("if_not_exists") && text.contains("list"), "{text}");
}

#[tokio::test]
async fn parts_lie_beside_the_key_and_go_when_discarded() {
    let (operator, storage) = memory();
    let mut staged = create(&storage, "up/data").await;
    append(&mut staged, "first").await;
    append(&mut staged, "second").await;
    let expected = ["up/data.parts/00000000000000000000", "up/data.parts/00000000000000000005"];
    assert_eq!(paths(&operator).await, expected);
    assert_eq!(staged.objects(), Some(expected.map(key).to_vec()));
    staged.publish(&key("blob")).await.unwrap();
    staged.discard().await.unwrap();
    assert_eq!(paths(&operator).await, ["blob"]);
    assert_eq!(storage.read(&key("blob"), 11).await.unwrap(), Some("firstsecond".into()));
}

#[tokio::test]
async fn what_was_not_synced_is_not_there() {
    let (_, storage) = memory();
    let mut staged = create(&storage, "up/data").await;
    append(&mut staged, "kept").await;
    staged.append(vec!["lost".into()]).await.unwrap();
    assert_eq!((staged.size(), storage.staged_size(&key("up/data")).await.unwrap()), (8, Some(4)));
    drop(staged);
    assert_eq!(resume(&storage, "up/data").await.size(), 4);
}

#[tokio::test]
async fn a_part_behind_a_gap_belongs_to_nobody() {
    let (operator, storage) = memory();
    append(&mut create(&storage, "up/data").await, "kept").await;
    operator.write("up/data.parts/00000000000000000009", "stray").await.unwrap();
    operator.write("up/data.parts/notes", "stray").await.unwrap();
    assert_eq!(storage.staged_size(&key("up/data")).await.unwrap(), Some(4));
    let staged = resume(&storage, "up/data").await;
    assert_eq!(staged.size(), 4);
    staged.discard().await.unwrap();
    assert_eq!(paths(&operator).await, [""; 0]);
}

#[tokio::test]
async fn what_has_no_bytes_yet_costs_nothing_and_is_not_found() {
    let (operator, storage) = memory();
    drop(create(&storage, "up/data").await);
    assert_eq!(paths(&operator).await, [""; 0]);
    let other = Opendal::new(operator).unwrap();
    assert!(other.stage(&key("up/data"), StageMode::Resume).await.unwrap().is_none());
    assert_eq!(storage.staged_size(&key("up/data")).await.unwrap(), None);
}

#[tokio::test]
async fn the_slower_writer_falls_back_to_what_both_share() {
    let (_, storage) = memory();
    append(&mut create(&storage, "up/data").await, "common").await;
    let (mut slow, mut fast) = (resume(&storage, "up/data").await, resume(&storage, "up/data").await);
    slow.append(vec!["slow".into()]).await.unwrap();
    append(&mut fast, "fast").await;
    assert!(matches!(slow.sync().await, Err(Error::Busy { key: told }) if told == key("up/data")));
    assert_eq!(slow.size(), 6);
    assert_eq!(resume(&storage, "up/data").await.size(), 10);
    fast.publish(&key("blob")).await.unwrap();
    assert_eq!(storage.read(&key("blob"), 10).await.unwrap(), Some("commonfast".into()));
}

#[tokio::test]
async fn who_asks_how_far_they_are_goes_on_with_what_others_wrote() {
    let (operator, here) = memory();
    let there = Opendal::new(operator).unwrap();
    append(&mut create(&here, "up/data").await, "one").await;
    append(&mut resume(&there, "up/data").await, "two").await;
    let mut old = resume(&here, "up/data").await;
    assert_eq!(old.size(), 3);
    old.append(vec!["three".into()]).await.unwrap();
    assert!(matches!(old.sync().await, Err(Error::Busy { .. })));
    drop(old);
    assert_eq!(resume(&here, "up/data").await.size(), 6);
    append(&mut resume(&there, "up/data").await, "four").await;
    assert_eq!(here.staged_size(&key("up/data")).await.unwrap(), Some(10));
    assert_eq!(resume(&here, "up/data").await.size(), 10);
}

#[tokio::test]
async fn an_upload_goes_from_process_to_process() {
    let operator = Operator::new(services::Memory::default()).unwrap();
    let process = || {
        let storage = Arc::new(Opendal::new(operator.clone()).unwrap());
        Registry::builder(storage).build().repository(&"a".parse().unwrap())
    };
    let (one, two) = (process(), process());
    let content = |text: &'static str| futures::stream::iter([Ok(Bytes::from(text))]).boxed();
    let begun = one.uploads().start(Algorithm::Sha256).await.unwrap();
    for (repository, offset, text) in [(&one, 0, "a"), (&two, 1, "bc"), (&two, 3, "d"), (&one, 4, "e"), (&two, 5, "f")]
    {
        let status = repository.uploads().append(&begun.id, Some(offset), content(text)).await.unwrap();
        assert_eq!(status.size, offset + text.len() as u64);
    }
    // Who is told nothing of an offset takes all that there is.
    let digest = Digest::of(Algorithm::Sha256, b"abcdef");
    one.uploads().finish(&begun.id, &digest, None, content("")).await.unwrap();
    assert_eq!(two.blobs().stat(&digest).await.unwrap().size, 6);
    let late = two.uploads().append(&begun.id, None, content("g")).await;
    assert!(matches!(late, Err(registry_core::Error::UploadUnknown { .. })), "{late:?}");
}

/// What a client does with its upload, each at any of three processes.
#[derive(Debug, Clone)]
enum Step {
    Append {
        bytes: usize,
        tells_offset: bool,
    },
    /// The bucket fails to take what is noted, or the process dies before.
    Fails {
        bytes: usize,
    },
    AskHowFar,
    /// The client goes before it sent anything.
    Gone,
    Restart,
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    // Much is noted for others at once, little is not.
    let bytes = prop_oneof![4 => 0..100_usize, 1 => 1_000_000..1_200_000_usize];
    let step = prop_oneof![
        6 => (bytes, any::<bool>()).prop_map(|(bytes, tells_offset)| Step::Append { bytes, tells_offset }),
        2 => (1..100_usize).prop_map(|bytes| Step::Fails { bytes }),
        1 => Just(Step::AskHowFar),
        2 => Just(Step::Gone),
        1 => Just(Step::Restart),
    ];
    (0..3_usize, step)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_upload_goes_on_wherever_it_comes(
        starts in 0..3_usize,
        steps in prop::collection::vec(step(), 1..12),
        ends in 0..3_usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let operator = Operator::new(services::Memory::default()).unwrap();
            let process = || {
                let storage = Arc::new(Faulty::new(Arc::new(Opendal::new(operator.clone()).unwrap())));
                let over = Arc::clone(&storage) as Arc<dyn Storage>;
                (storage, Registry::builder(over).build().repository(&"a".parse().unwrap()))
            };
            let mut processes = [process(), process(), process()];
            let id = processes[starts].1.uploads().start(Algorithm::Sha256).await.unwrap().id;
            let mut sent = Vec::new();
            for (number, step) in steps {
                let (storage, repository) = &processes[number];
                let uploads = repository.uploads();
                match step {
                    Step::Append { bytes, tells_offset } => {
                        let content = vec![u8::try_from(sent.len() % 251).unwrap(); bytes];
                        let offset = tells_offset.then_some(sent.len() as u64);
                        sent.extend_from_slice(&content);
                        let frames = futures::stream::iter([Ok(Bytes::from(content))]).boxed();
                        let status = uploads.append(&id, offset, frames).await.unwrap();
                        assert_eq!(status.size, sent.len() as u64);
                    }
                    Step::Fails { bytes } => {
                        let content = vec![u8::try_from(sent.len() % 251).unwrap(); bytes];
                        let frames = futures::stream::iter([Ok(Bytes::from(content.clone()))]).boxed();
                        storage.fail_next(OperationKind::Write, Fault::Before);
                        let failed = uploads.append(&id, None, frames).await.is_err();
                        storage.heal();
                        let size = uploads.status(&id).await.unwrap().size;
                        assert!(failed || size == (sent.len() + bytes) as u64);
                        if size > sent.len() as u64 {
                            sent.extend_from_slice(&content);
                        }
                        assert_eq!(size, sent.len() as u64);
                    }
                    Step::AskHowFar => assert_eq!(uploads.status(&id).await.unwrap().size, sent.len() as u64),
                    Step::Gone => {
                        let nothing_yet = futures::stream::pending().boxed();
                        tokio::select! {
                            biased;
                            ended = uploads.append(&id, None, nothing_yet) => panic!("{ended:?}"),
                            () = async { for _ in 0..50 { tokio::task::yield_now().await } } => {}
                        }
                    }
                    Step::Restart => processes[number] = process(),
                }
            }
            let digest = Digest::of(Algorithm::Sha256, &sent);
            let nothing = futures::stream::empty().boxed();
            processes[ends].1.uploads().finish(&id, &digest, None, nothing).await.unwrap();
            let blob = format!("docker/registry/v2/blobs/sha256/{}/{}/data", &digest.hex()[..2], digest.hex());
            let link = format!("docker/registry/v2/repositories/a/_layers/sha256/{}/link", digest.hex());
            assert_eq!(paths(&operator).await, [blob, link], "and nothing else is left");
        });
    }
}

#[tokio::test]
async fn a_changed_length_is_no_short_body() {
    let (_, storage) = memory();
    storage.write(&key("a"), "123456".into(), WriteOptions::default()).await.unwrap();
    let object = storage.open(&key("a")).await.unwrap().unwrap();
    storage.write(&key("a"), "1234".into(), WriteOptions::default()).await.unwrap();
    let read = async {
        let body = object.read(registry_core::Span::whole(6)).await?;
        body.into_stream(Arc::new(registry_core::TokioBlocking)).try_collect::<Vec<Bytes>>().await
    };
    assert!(matches!(read.await, Err(Error::Failed { .. })));
}

#[tokio::test]
async fn what_is_read_ahead_comes_in_order_and_to_its_end() {
    let (_, storage) = memory();
    let storage = storage.reading_ahead(ReadAhead::new(3, 1000, 1));
    let content: Bytes = (0..10_500_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
    storage.write(&key("a"), content.clone(), WriteOptions::default()).await.unwrap();
    for (offset, length) in [(0, 10_500), (1, 10_499), (999, 2_001), (5_000, 2_000), (5_000, 1_999), (10_499, 1)] {
        let object = storage.open(&key("a")).await.unwrap().unwrap();
        let body = object.read(registry_core::Span::new(offset, length).unwrap()).await.unwrap();
        let frames: Vec<_> = body.into_stream(Arc::new(registry_core::TokioBlocking)).try_collect().await.unwrap();
        let at = |position: u64| usize::try_from(position).unwrap();
        assert_eq!(frames.concat(), content[at(offset)..at(offset + length)], "{length} from {offset}");
    }
    // One that is not read to its end does not keep others from it.
    let object = storage.open(&key("a")).await.unwrap().unwrap();
    let body = object.read(registry_core::Span::whole(10_500)).await.unwrap();
    let mut frames = body.into_stream(Arc::new(registry_core::TokioBlocking));
    assert!(frames.try_next().await.unwrap().is_some());
    storage.write(&key("a"), "other".into(), WriteOptions::default()).await.unwrap();
    assert!(frames.try_collect::<Vec<_>>().await.is_err(), "not the bytes of another object");
}

#[tokio::test]
async fn keys_that_would_become_one_are_refused() {
    let (_, storage) = memory();
    for odd in [" a", "a ", "a/b\u{a0}"] {
        let refused = storage.write(&key(odd), "x".into(), WriteOptions::default()).await;
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{odd:?}");
        assert!(storage.stat(&key(odd)).await.is_err());
    }
}

#[cfg(feature = "s3")]
mod s3 {
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Duration;

    use registry_core::storage::Presigned;
    use registry_storage::{MultipartUploads, over_http};

    use super::*;

    /// Names a server that speaks the protocol, with a bucket `registry`.
    const ENDPOINT: &str = "REGISTRY_TEST_S3_ENDPOINT";
    /// User and password, `test:test` where nothing is said. A server that has users checks signatures.
    const USER: &str = "REGISTRY_TEST_S3_USER";

    fn user() -> (String, String) {
        let credentials = std::env::var(USER).unwrap_or_else(|_| "test:test".into());
        let (user, password) = credentials.split_once(':').unwrap();
        (user.into(), password.into())
    }

    fn bucket(root: &str) -> Option<Operator> {
        let Ok(endpoint) = std::env::var(ENDPOINT) else {
            let skipped =
                format!("SKIPPED: {ENDPOINT} names no server, so nothing was tried over S3; .ci/s3 starts one");
            #[expect(clippy::explicit_write, reason = "what the macros print is kept back when the test passes")]
            writeln!(std::io::stderr(), "{skipped}").unwrap();
            return None;
        };
        let (user, password) = user();
        let service = services::S3::default()
            .root(root)
            .bucket("registry")
            .endpoint(&endpoint)
            .region("us-east-1")
            .access_key_id(&user)
            .secret_access_key(&password)
            .disable_config_load()
            .disable_ec2_metadata();
        Some(over_http(Operator::new(service).unwrap()).unwrap())
    }

    #[tokio::test]
    async fn s3_ends_uploads_that_nobody_completed() {
        let Some(operator) = bucket("/a b/unfinished/") else { return };
        let (user, password) = user();
        let uploads = MultipartUploads::in_region("us-east-1").credentials(&user, &password, None);
        let storage = Opendal::new(operator.clone()).unwrap().ending_multipart_uploads(uploads);
        for path in ["ours/b+c/d e", "ours/%41", "others/a"] {
            let mut writer = operator.writer_with(path).chunk(5 << 20).await.unwrap();
            for _ in 0..3 {
                writer.write(vec![0_u8; 5 << 20]).await.unwrap();
            }
            // As if the process had been killed: it is neither completed nor ended.
        }
        let [ours, others]: [Key; 2] = ["ours", "others"].map(|key| key.parse().unwrap());
        // The clock of the test does not matter, and the service's may be a bit off.
        let [past, future] =
            ["2001-01-01T00:00:00Z", "2999-01-01T00:00:00Z"].map(|time| humantime::parse_rfc3339(time).unwrap());
        let end = |below, before, dry_run| storage.end_unfinished(below, before, dry_run);
        assert_eq!(end(&ours, past, false).await.unwrap(), 0);
        assert_eq!(end(&ours, future, true).await.unwrap(), 2);
        assert_eq!(end(&ours, future, false).await.unwrap(), 2);
        assert_eq!(end(&ours, future, false).await.unwrap(), 0);
        assert_eq!(end(&others, future, false).await.unwrap(), 1);
        eprintln!("multipart uploads were ended over S3");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn s3_keeps_the_contract() {
        let Some(operator) = bucket("/contract/") else { return };
        contract::run_all(Arc::new(Opendal::new(operator).unwrap())).await;
        eprintln!("the contract was tried over S3");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn s3_without_copies_and_ordered_lists_keeps_the_contract() {
        let Some(operator) = bucket("/plain/") else { return };
        let operator = with(operator, |capability| {
            capability.copy = false;
            capability.write_can_copy_from = false;
            capability.list_with_start_after = false;
            capability.read_with_if_match = false;
        });
        contract::run_all(Arc::new(Opendal::new(operator).unwrap())).await;
    }

    #[tokio::test]
    async fn a_replaced_object_is_not_read_in_the_place_of_another() {
        let Some(operator) = bucket("/replaced/") else { return };
        let storage = Opendal::new(operator).unwrap();
        storage.write(&key("a"), "old".into(), WriteOptions::default()).await.unwrap();
        let object = storage.open(&key("a")).await.unwrap().unwrap();
        storage.write(&key("a"), "new".into(), WriteOptions::default()).await.unwrap();
        assert!(matches!(object.read(registry_core::Span::whole(3)).await, Err(Error::Failed { .. })));
    }

    #[tokio::test]
    async fn a_bucket_that_does_as_it_should_is_told_so_and_keeps_nothing_of_it() {
        let Some(operator) = bucket("/probed/") else { return };
        let storage = Opendal::new(operator).unwrap();
        storage.probe("one").await.unwrap();
        let left = storage.list(&registry_core::layout::root(), None, 10).await.unwrap();
        assert!(left.entries.is_empty(), "{left:?}");
        // What somebody else has under that name is not theirs to lose, and says that something is wrong.
        let taken = registry_core::layout::probes().child("two").unwrap();
        storage.write(&taken, "mine".into(), WriteOptions::default()).await.unwrap();
        assert!(matches!(storage.probe("two").await, Err(ProbeError::Refused { what: "create an object", .. })));
        assert_eq!(storage.read(&taken, 10).await.unwrap().unwrap(), "mine");
    }

    #[tokio::test]
    async fn a_bucket_that_is_not_there_is_named_by_what_fails() {
        let Some(_) = bucket("/probed/") else { return };
        let endpoint = std::env::var(ENDPOINT).unwrap();
        let service = services::S3::default().bucket("missing").region("us-east-1").endpoint(&endpoint);
        let operator = Operator::new(service.access_key_id("a").secret_access_key("b")).unwrap();
        let probed = Opendal::new(over_http(operator).unwrap()).unwrap().probe("x").await;
        assert!(matches!(probed, Err(ProbeError::Refused { what: "create an object", .. })), "{probed:?}");
    }

    #[tokio::test]
    async fn a_signed_address_opens_without_credentials() {
        let Some(operator) = bucket("/signed/") else { return };
        let storage = Opendal::new(operator).unwrap();
        assert!(storage.capabilities().presign && storage.capabilities().shared);
        storage.write(&key("a"), "signed content".into(), WriteOptions::default()).await.unwrap();
        let minute = Duration::from_mins(1);
        let address = storage.presign(&key("a"), Presigned::Get, minute).await.unwrap().unwrap();
        let answer = ask("GET", &address);
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("signed content"), "{answer}");
        let address = storage.presign(&key("a"), Presigned::Head, minute).await.unwrap().unwrap();
        let answer = ask("HEAD", &address).to_ascii_lowercase();
        assert!(answer.starts_with("http/1.1 200") && answer.contains("content-length: 14"), "{answer}");
        // Clients may know the bucket by another name.
        let operator = |endpoint: &str| {
            let service = services::S3::default().bucket("registry").region("us-east-1").endpoint(endpoint);
            over_http(Operator::new(service.access_key_id("a").secret_access_key("b")).unwrap()).unwrap()
        };
        let storage = Opendal::new(operator("http://inside.example")).unwrap();
        let storage = storage.presigning_with(operator("https://outside.example"));
        let address = storage.presign(&key("a"), Presigned::Get, minute).await.unwrap().unwrap();
        assert!(address.starts_with("https://outside.example/registry/a?"), "{address}");
    }

    #[tokio::test]
    async fn what_was_signed_too_long_ago_is_refused() {
        let Some(operator) = bucket("/late/") else { return };
        if std::env::var(USER).is_err() {
            return;
        }
        let storage = Opendal::new(operator).unwrap();
        storage.write(&key("a"), "content".into(), WriteOptions::default()).await.unwrap();
        let late = storage.prepare_delete(&key("a"), Duration::from_secs(1)).await.unwrap().unwrap();
        // Only the service's own time counts.
        let begun = tokio::time::Instant::now();
        while begun.elapsed() < Duration::from_millis(2500) {
            assert!(storage.stat(&key("a")).await.unwrap().is_some());
        }
        assert!(matches!(late.await, Err(Error::Failed { .. })));
        assert!(storage.stat(&key("a")).await.unwrap().is_some());
        eprintln!("a late delete was tried over S3");
    }

    fn ask(method: &str, address: &str) -> String {
        let (host, path) = address.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let mut stream = TcpStream::connect(host).unwrap();
        write!(stream, "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 500, ..ProptestConfig::default() })]

    #[test]
    fn the_memory_service_answers_like_the_model(program in programs(30)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let registry = Registry::builder(Arc::new(memory().1)).build();
        runtime.block_on(check(&registry, &program)).map_err(TestCaseError::fail)?;
    }
}

/// Says aloud that nothing was tried over a service, and what would.
#[cfg(any(feature = "azblob", feature = "gcs"))]
fn skipped(variable: &str, step: &str) {
    use std::io::Write as _;

    let skipped = format!("SKIPPED: {variable} names no server, so nothing was tried over it; {step} starts one");
    #[expect(clippy::explicit_write, reason = "what the macros print is kept back when the test passes")]
    writeln!(std::io::stderr(), "{skipped}").unwrap();
}

#[cfg(feature = "azblob")]
mod azure {
    use registry_storage::over_http;

    use super::*;

    /// Names an emulator of Azure Blob Storage with a container `registry`, and its account.
    const ENDPOINT: &str = "REGISTRY_TEST_AZURE_ENDPOINT";
    /// The account of emulators, which all of them have.
    const ACCOUNT: &str = "devstoreaccount1";
    const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

    fn container(root: &str) -> Option<Operator> {
        let Ok(endpoint) = std::env::var(ENDPOINT) else {
            skipped(ENDPOINT, ".ci/clouds");
            return None;
        };
        let service = services::Azblob::default().root(root).container("registry").endpoint(&endpoint);
        let service = service.account_name(ACCOUNT).account_key(KEY);
        Some(over_http(Operator::new(service).unwrap()).unwrap())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn azure_keeps_the_contract() {
        let Some(operator) = container("/contract/") else { return };
        contract::run_all(Arc::new(Opendal::new(operator).unwrap())).await;
        eprintln!("the contract was tried over Azure");
    }

    #[tokio::test]
    async fn a_container_does_as_it_should() {
        let Some(operator) = container("/probed/") else { return };
        Opendal::new(operator).unwrap().probe("one").await.unwrap();
    }
}

#[cfg(feature = "gcs")]
mod gcs {
    use registry_storage::over_http;

    use super::*;

    /// Names a server that speaks the protocol of Google Cloud Storage, with a bucket `registry`, and asks for no login.
    const ENDPOINT: &str = "REGISTRY_TEST_GCS_ENDPOINT";

    fn bucket(root: &str) -> Option<Operator> {
        let Ok(endpoint) = std::env::var(ENDPOINT) else {
            skipped(ENDPOINT, ".ci/clouds");
            return None;
        };
        let service = services::Gcs::default().root(root).bucket("registry").endpoint(&endpoint);
        let operator = over_http(Operator::new(service.skip_signature()).unwrap()).unwrap();
        // Without a key there is nothing to sign with.
        Some(with(operator, |capability| capability.presign = false))
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn gcs_keeps_the_contract() {
        let Some(operator) = bucket("/contract/") else { return };
        contract::run_all(Arc::new(Opendal::new(operator).unwrap())).await;
        eprintln!("the contract was tried over Google Cloud Storage");
    }

    #[tokio::test]
    async fn a_bucket_does_as_it_should() {
        let Some(operator) = bucket("/probed/") else { return };
        Opendal::new(operator).unwrap().probe("one").await.unwrap();
    }
}
