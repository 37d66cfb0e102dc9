//! A collector as other registries have it: it looks what is referred to, then deletes the rest. It must be found out.

use std::sync::Arc;

use registry_core::storage::{Storage, WriteOptions};
use registry_core::{Registry, layout};

use crate::explore::faults;
use crate::program::{Collect, Program};
use crate::request::Request::{Head, Mount, Push, Put, Ship};
use crate::universe::{APP, CONFIG, IMAGE_A, IMAGE_B, INDEX, Item, LAYER_A, LAYER_B, LIB, ONE, Repo, Set};

/// How careful it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Care {
    /// It counts on its scan.
    None,
    /// It looks once more, right before each delete.
    SecondLook,
    /// It keeps a copy, but makes it after the delete.
    CopyTooLate,
}

fn collector(care: Care) -> Collect {
    Collect::new(move |registry| collect(registry, care))
}

async fn collect(registry: Registry, care: Care) -> Result<(), String> {
    let storage = registry.storage();
    let kept = scan(storage).await;
    for item in Item::all().filter(|item| kept & item.bit() == 0) {
        let place = layout::blob(item.digest());
        let content = storage.read(&place, 1024).await.ok().flatten();
        let Some(content) = content else { continue };
        if care == Care::SecondLook && scan(storage).await & item.bit() != 0 {
            continue;
        }
        storage.delete(&place).await.map_err(|error| error.to_string())?;
        if care == Care::CopyTooLate {
            let copy = format!("docker/registry/v2/_gc/fossil/sha256/{}/1", item.digest().hex());
            let copied = storage.write(&copy.parse().unwrap(), content, WriteOptions::default()).await;
            copied.map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}

/// What manifests refer to.
async fn scan(storage: &Arc<dyn Storage>) -> Set {
    let mut kept = 0;
    for repo in Repo::all() {
        for item in Item::all().filter(|item| item.is_manifest()) {
            let link = layout::revision_link(&repo.name(), item.digest());
            if storage.stat(&link).await.is_ok_and(|link| link.is_some()) {
                kept |= item.needs();
            }
        }
    }
    kept
}

/// What is wrong in one order or another has all of this in it.
fn found_out(program: Program, what: &[&str]) {
    let faults = faults(program).unwrap();
    for what in what {
        assert!(faults.iter().any(|fault| fault.contains(what)), "{what}: {faults:#?}");
    }
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn it_breaks_a_promise() {
    let program = Program::new("a promise and a careless collector").before([Push(APP, CONFIG), Push(APP, LAYER_A)]);
    let program = program.client([Head(APP, LAYER_A), Put(APP, IMAGE_A, Some(ONE))]);
    found_out(program.collector(collector(Care::None)), &["promised, but missing: [layer-a]"]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn it_breaks_an_image_between_the_last_look_and_the_tag() {
    let program =
        Program::new("an image and a collector that looks twice").before([Push(APP, CONFIG), Push(APP, LAYER_A)]);
    let program = program.client([Put(APP, IMAGE_A, Some(ONE))]);
    found_out(
        program.collector(collector(Care::SecondLook)),
        &["promised, but missing: [layer-a]", "image-a), and the bytes of config are nowhere"],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn it_breaks_a_mount() {
    let program = Program::new("a mount and a careless collector").before([Push(LIB, LAYER_B), Push(APP, CONFIG)]);
    let program = program.client([Mount(APP, LIB, LAYER_B), Put(APP, IMAGE_B, Some(ONE))]);
    found_out(
        program.collector(collector(Care::None)),
        &["promised, but missing: [layer-b]", "Mount(app, lib, layer-b) of task 0: it was there"],
    );
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn it_breaks_an_index() {
    let before = [Ship(APP, IMAGE_A, None), Ship(APP, IMAGE_B, None)];
    let program = Program::new("an index and a careless collector").before(before);
    let program = program.client([Put(APP, INDEX, Some(ONE))]);
    // It keeps untagged manifests, so here it does no harm to what was there before, only to the index itself.
    found_out(program.collector(collector(Care::None)), &["index is needed in app"]);
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes without optimisation")]
fn a_copy_after_the_delete_is_too_late() {
    let program = Program::new("a copy after the delete").before([Push(APP, CONFIG), Push(APP, LAYER_A)]);
    let program = program.client([Put(APP, IMAGE_A, Some(ONE))]);
    found_out(program.collector(collector(Care::CopyTooLate)), &["layer-a is needed in app"]);
}
