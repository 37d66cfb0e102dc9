use registry_core::EventAction;

use super::*;

fn config(path: &Path) -> NotificationsConfig {
    let mut endpoint = sample::endpoint_config(&["pull"]);
    endpoint.name = "the Hook/1".into();
    // Nobody listens there.
    endpoint.url = "http://127.0.0.1:1/".parse().unwrap();
    let spool = SpoolConfig { path: Some(path.to_owned()), max_events: 10, max_bytes: 100_000 };
    NotificationsConfig { include_references: false, endpoints: vec![endpoint], spool }
}

#[test]
fn without_endpoints_there_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(&folder.path().join("spool"));
    config.endpoints.clear();
    assert!(prepare(&config).unwrap().is_none());
    assert!(!folder.path().join("spool").exists());
}

#[tokio::test]
async fn what_is_not_delivered_is_there_at_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(&folder.path().join("spool"));
    let pending = |prepared: &Prepared| prepared.counts().snapshot()[0].pending;
    for round in 0..2 {
        let prepared = prepare(&config).unwrap().unwrap();
        assert!(matches!(prepare(&config), Err(NotificationsError::Held(_))));
        assert_eq!(pending(&prepared), round);
        let (sink, counts) = (prepared.sink(), prepared.counts());
        let source = Source { addr: "a".into(), instance_id: "b".into() };
        let notifying = prepared.start(source).unwrap();
        sink.record(sample::blob(EventAction::Push));
        sink.record(sample::blob(EventAction::Pull));
        notifying.finish().await;
        let told = &counts.snapshot()[0];
        assert_eq!((told.events, told.pending, told.successes), (1, round + 1, 0));
    }
    assert_eq!(fs::read_dir(folder.path().join("spool/the%20Hook%2f1")).unwrap().count(), 2);
}

#[test]
fn each_name_has_a_folder_of_its_own() {
    assert_eq!(["a-B_1", "a.b", "..", "a/b", "%2e"].map(folder_name), ["a-B_1", "a%2eb", "%2e%2e", "a%2fb", "%252e"]);
}
