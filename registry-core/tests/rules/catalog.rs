use registry_core::layout;

use crate::world::{World, push_blob, push_image, sha256};

async fn names(world: &World, last: Option<&str>, limit: usize) -> (Vec<String>, bool) {
    let page = world.registry.catalog(last, limit).await.unwrap();
    (page.repositories.iter().map(ToString::to_string).collect(), page.more)
}

#[tokio::test]
async fn pages_follow_each_other_depth_first() {
    let world = World::new();
    for name in ["b", "a-b", "a/b/c", "a", "a/b", "a.c", "a/0"] {
        push_image(&world.at(name), "latest").await;
    }
    let all = ["a", "a/0", "a/b", "a/b/c", "a-b", "a.c", "b"];
    assert_eq!(names(&world, None, 100).await, (all.map(String::from).to_vec(), false));
    for limit in 1..=all.len() {
        let mut found = Vec::new();
        loop {
            let (page, more) = names(&world, found.last().map(String::as_str), limit).await;
            found.extend(page);
            if !more {
                break;
            }
        }
        assert_eq!(found, all, "in pages of {limit}");
    }
}

#[tokio::test]
async fn a_crafted_last_has_its_place_in_the_order() {
    let world = World::new();
    for name in ["a/b", "c"] {
        push_image(&world.at(name), "latest").await;
    }
    for (last, expected) in [
        ("", vec!["a/b", "c"]),
        ("a", vec!["a/b", "c"]),
        ("a/a", vec!["a/b", "c"]),
        ("a/b", vec!["c"]),
        ("a/b/zz", vec!["c"]),
        ("a/c", vec!["c"]),
        ("a/../b", vec!["a/b", "c"]),
        ("a/_manifests/x", vec!["a/b", "c"]),
        ("../../etc", vec!["a/b", "c"]),
        ("c", vec![]),
        ("zzz", vec![]),
        ("\u{10ffff}", vec![]),
    ] {
        assert_eq!(names(&world, Some(last), 10).await.0, expected, "behind {last:?}");
    }
}

#[tokio::test]
async fn a_repository_is_listed_as_long_as_it_has_a_manifest() {
    let world = World::new();
    push_blob(&world.at("blobs-only"), b"layer").await;
    let digest = push_image(&world.at("a"), "1").await;
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    world.at("a").manifests().delete(&"1".parse().unwrap()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, ["a"]);
    world.at("a").manifests().delete(&digest.into()).await.unwrap();
    assert_eq!(names(&world, None, 10).await.0, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_repository_is_passed_over() {
    let world = World::new();
    push_image(&world.at("a"), "1").await;
    let link = layout::link(&sha256(b""));
    for odd in ["UPPER/_manifests/revisions", "a/_odd/x", "x..y/_manifests/z", "file"] {
        world.write(&layout::repositories().child(odd).unwrap(), link.clone()).await;
    }
    assert_eq!(names(&world, None, 10).await, (vec!["a".to_owned()], false));
    assert_eq!(names(&world, None, 0).await, (vec![], false));
}
