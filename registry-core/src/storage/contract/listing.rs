//! What lies below a prefix.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::ground::{Ground, names};
use crate::storage::{Error, WriteOptions};

pub(super) async fn an_empty_prefix_has_no_entries(ground: Ground) {
    ground.write("other", "x").await;
    for prefix in ["absent", "deep/er/absent", "oth"] {
        for limit in [0, 1, 100] {
            let listing = ground.list(prefix, None, limit).await;
            assert!(listing.entries.is_empty() && !listing.more, "{prefix}: {listing:?}");
        }
    }
}

pub(super) async fn names_come_in_the_order_of_bytes(ground: Ground) {
    // `-` and `.` sort before `/`, so a flat order of keys would put `a/x` behind `a-b`.
    for name in ["a0", "a.b", "b", "a/x", "a-b", "A", "a_", "aa/x", "a-b-/x", "Z"] {
        ground.write(&format!("p/{name}"), "x").await;
    }
    let sorted = ["A", "Z", "a/", "a-b", "a-b-/", "a.b", "a0", "a_", "aa/", "b"];
    assert_eq!(ground.names("p").await, sorted);
    for limit in 1..=sorted.len() {
        let mut visited: Vec<String> = Vec::new();
        loop {
            let after = visited.last().map(|name| name.trim_end_matches('/').to_owned());
            let page = ground.list("p", after.as_deref(), limit).await;
            visited.extend(names(&page));
            if !page.more {
                break;
            }
        }
        assert_eq!(visited, sorted, "in pages of {limit}");
    }
}

pub(super) async fn objects_and_prefixes_are_told_apart(ground: Ground) {
    for name in ["p/object", "p/prefix/x", "p/prefix/y/z", "q/x", "p2", "p-"] {
        ground.write(name, "x").await;
    }
    assert_eq!(ground.names("p").await, ["object", "prefix/"]);
    assert_eq!(ground.names("p/prefix").await, ["x", "y/"]);
}

pub(super) async fn a_page_ends_at_its_limit(ground: Ground) {
    for name in ["a", "b/x", "b/y", "c", "d"] {
        ground.write(&format!("p/{name}"), "x").await;
    }
    for (limit, expected, more) in [
        (1, &["a"][..], true),
        (2, &["a", "b/"], true),
        (3, &["a", "b/", "c"], true),
        (4, &["a", "b/", "c", "d"], false),
        (5, &["a", "b/", "c", "d"], false),
        (0, &[], true),
    ] {
        let listing = ground.list("p", None, limit).await;
        assert_eq!((names(&listing), listing.more), (expected.iter().map(ToString::to_string).collect(), more));
    }
}

pub(super) async fn after_is_exclusive(ground: Ground) {
    for name in ["a", "b/x", "b-c", "c", "d"] {
        ground.write(&format!("p/{name}"), "x").await;
    }
    for (after, expected) in [
        ("a", &["b/", "b-c", "c", "d"][..]),
        ("b", &["b-c", "c", "d"]),
        ("b-", &["b-c", "c", "d"]),
        ("b-c", &["c", "d"]),
        ("bb", &["c", "d"]),
        ("0", &["a", "b/", "b-c", "c", "d"]),
        ("d", &[]),
        ("z", &[]),
    ] {
        let listing = ground.list("p", Some(after), 100).await;
        assert_eq!(names(&listing), expected, "after {after}");
        assert!(!listing.more);
    }
    let page = ground.list("p", Some("a"), 2).await;
    assert_eq!((names(&page), page.more), (vec!["b/".to_owned(), "b-c".to_owned()], true));
}

pub(super) async fn pages_visit_every_name_once(ground: Ground) {
    let mut writes = JoinSet::new();
    for number in 0..257 {
        // Every tenth is a prefix with several objects in it, which must show once.
        let inside = if number % 10 == 0 { &["/x", "/y"][..] } else { &[""] };
        for rest in inside {
            let (storage, key) = (ground.storage.clone(), ground.key(&format!("p/n{}{rest}", number * 7)));
            writes.spawn(async move { storage.write(&key, "x".into(), WriteOptions::default()).await });
        }
    }
    assert!(writes.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    let expected: BTreeSet<String> = (0..257).map(|number| format!("n{}", number * 7)).collect();
    let (mut visited, mut pages) = (Vec::new(), 0);
    loop {
        let page = ground.list("p", visited.last().map(String::as_str), 10).await;
        pages += 1;
        assert!(page.entries.len() == 10 || !page.more);
        visited.extend(page.entries.into_iter().map(|entry| entry.name));
        if !page.more {
            break;
        }
    }
    assert_eq!(pages, 26);
    assert!(visited.iter().eq(&expected), "{visited:?}");
}

pub(super) async fn names_that_begin_others_come_first(ground: Ground) {
    let mut writes = JoinSet::new();
    // More than fit into a small answer, all of which have paths that come before that of `a`.
    let longer =
        (0..150).map(|number| format!("a-{number:03}")).chain(["a.b".to_owned(), "a".to_owned(), "a-".to_owned()]);
    let mut expected: Vec<String> = longer.collect();
    for name in &expected {
        let (storage, key) = (ground.storage.clone(), ground.key(&format!("p/{name}/x")));
        writes.spawn(async move { storage.write(&key, "x".into(), WriteOptions::default()).await });
    }
    assert!(writes.join_all().await.into_iter().all(|outcome| outcome.is_ok()));
    expected.sort_unstable();
    for limit in [1, 3, 99, 100, 152, 153] {
        let page = ground.list("p", None, limit).await;
        let listed: Vec<_> = page.entries.into_iter().map(|entry| entry.name).collect();
        assert_eq!((listed.as_slice(), page.more), (&expected[..limit], limit < expected.len()));
    }
    let page = ground.list("p", Some("a-100"), 5).await;
    assert_eq!(names(&page), ["a-101/", "a-102/", "a-103/", "a-104/", "a-105/"]);
}

pub(super) async fn deleted_names_are_not_listed(ground: Ground) {
    for name in ["a", "b", "c"] {
        ground.write(&format!("p/{name}"), "x").await;
    }
    ground.storage.delete(&ground.key("p/b")).await.unwrap();
    assert_eq!(ground.names("p").await, ["a", "c"]);
    let page = ground.list("p", Some("a"), 1).await;
    assert_eq!((names(&page), page.more), (vec!["c".to_owned()], false));
}

pub(super) async fn a_name_that_is_both_is_a_prefix(ground: Ground) {
    ground.write("p/both/x", "x").await;
    ground.write("p/last", "x").await;
    // A backend with directories refuses this; then the prefix is there alone, and shows the same.
    let refused = ground.storage.write(&ground.key("p/both"), "x".into(), WriteOptions::default()).await.is_err();
    assert_eq!(ground.exists("p/both").await, !refused);
    assert_eq!(ground.names("p").await, ["both/", "last"]);
    let first = ground.list("p", None, 1).await;
    assert_eq!((names(&first), first.more), (vec!["both/".to_owned()], true));
    let second = ground.list("p", Some("both"), 1).await;
    assert_eq!((names(&second), second.more), (vec!["last".to_owned()], false));
}

pub(super) async fn writes_are_listed_at_once(ground: Ground) {
    let mut written = Vec::new();
    for number in 0..20 {
        written.push(format!("n{number:02}"));
        ground.write(&format!("p/n{number:02}"), "x").await;
        assert_eq!(ground.names("p").await, written);
    }
}

pub(super) async fn a_scan_goes_through_all_in_order(ground: Ground) {
    if !ground.storage.capabilities().scans {
        let refused = ground.storage.scan(&ground.key("p"), "", 1).await;
        assert!(matches!(refused, Err(Error::Unsupported { .. })), "{refused:?}");
        return;
    }
    let sorted = ["A", "a-b/x", "a.b", "a/x", "a/y/z", "a0", "b/b/b"];
    for name in sorted.iter().chain(&["../p0", "../p-/x"]) {
        ground.write(&format!("p/{name}").replace("p/../", ""), "x").await;
    }
    for limit in 1..=sorted.len() + 1 {
        let mut visited: Vec<String> = Vec::new();
        loop {
            let after = visited.last().cloned().unwrap_or_default();
            let page = ground.storage.scan(&ground.key("p"), &after, limit).await.unwrap();
            assert!(page.paths.len() <= limit && (!page.more || page.paths.len() == limit), "{page:?}");
            visited.extend(page.paths);
            if !page.more {
                break;
            }
        }
        assert_eq!(visited, sorted, "in pages of {limit}");
    }
    let behind = ground.storage.scan(&ground.key("p"), "a/", 2).await.unwrap();
    assert_eq!((behind.paths, behind.more), (vec!["a/x".to_owned(), "a/y/z".to_owned()], true));
    assert_eq!(ground.storage.scan(&ground.key("absent"), "", 10).await.unwrap().paths, [""; 0]);
}
