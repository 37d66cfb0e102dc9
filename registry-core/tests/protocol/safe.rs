//! The protocol holds: scenarios small enough for every run of the tests. `large` has the same with more at once.

use crate::scenario::{Fault, Operation, Scenario, Storage, Untagged};
use crate::verdict::{FAULTS, holds, push_of_an_image, push_of_an_index, put, put_second, put_untagged};
use crate::world::{IMAGE, INDEX, LAYER, OUTER, SIGNATURE, World};

#[test]
fn a_push_of_an_image_while_its_layer_is_quarantined() {
    let scenario = push_of_an_image("image; quarantine of the layer");
    holds(scenario.runs(2).quarantines(&[LAYER]).faults(FAULTS).recovery(), 7_500);
}

#[test]
fn a_push_of_an_image_while_its_link_is_retired() {
    let scenario = push_of_an_image("image; retirement of its revision");
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE]).looks_again().recovery(), 7_600);
}

#[test]
fn a_push_of_an_image_while_everything_is_collected() {
    let scenario = push_of_an_image("image; quarantine and retirement of all");
    holds(scenario.runs(2).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]).recovery(), 46_000);
}

#[test]
fn untagged_manifests_that_policy_keeps_are_never_retired() {
    let scenario = Scenario::new("image by digest; untagged ones are kept", World::image());
    let scenario = scenario.stored(&[LAYER]).client(&[put_untagged(IMAGE)]).untagged(Untagged::Keep);
    holds(scenario.runs(2).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]).recovery(), 22_000);
}

#[test]
fn a_push_of_an_index_over_an_old_child() {
    let scenario = push_of_an_index("index; quarantine of the layer, retirement of the child");
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 21_000);
}

#[test]
fn a_push_of_an_index_over_an_index() {
    let scenario = Scenario::new("two levels of nesting", World::nested());
    let scenario = scenario.stored(&[LAYER, IMAGE, INDEX]).client(&[put(OUTER)]);
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE, INDEX]).recovery(), 26_000);
}

#[test]
fn a_manifest_that_keeps_its_tag_while_the_tag_moves() {
    let scenario = Scenario::new("a tag moves", World::image()).stored(&[LAYER, IMAGE]).tagged(1, IMAGE);
    let scenario = scenario.client(&[put(IMAGE), Operation::DeleteTag { tag: 1 }]).looks_again();
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE, LAYER]).faults(FAULTS).recovery(), 19_000);
}

#[test]
fn a_signature_stays_while_the_tag_of_its_image_moves() {
    let scenario = Scenario::new("a tag moves under a signature", World::signed()).acknowledged(SIGNATURE);
    let scenario = scenario.stored(&[LAYER, IMAGE, SIGNATURE]).tagged(1, IMAGE);
    let scenario = scenario.client(&[put(IMAGE), Operation::DeleteTag { tag: 1 }]).runs(2);
    holds(scenario.quarantines(&[LAYER, SIGNATURE]).retires(&[IMAGE, SIGNATURE]).faults(FAULTS).recovery(), 9_500);
}

#[test]
fn a_signature_of_a_tagged_image_is_pushed() {
    let scenario = Scenario::new("push of a signature", World::signed()).stored(&[LAYER, IMAGE]).tagged(0, IMAGE);
    let scenario = scenario.client(&[put_untagged(SIGNATURE)]).runs(2);
    holds(scenario.quarantines(&[SIGNATURE]).retires(&[SIGNATURE]).faults(FAULTS).recovery(), 4_600);
}

#[test]
fn a_manifest_is_deleted_and_pushed_at_once() {
    let scenario = push_of_an_image("DELETE by digest beside a push of the same").stored(&[IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(1);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 13_000);
}

#[test]
fn a_child_is_deleted_while_its_index_is_pushed() {
    let scenario = push_of_an_index("DELETE of a child beside a push of its index");
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(1);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 7_800);
}

#[test]
fn a_blob_is_deleted_while_its_image_is_pushed() {
    let scenario = push_of_an_image("DELETE of a blob beside a push of its image");
    let scenario = scenario.client(&[Operation::DeleteBlob { link: LAYER }]).runs(1);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER]).faults(FAULTS).recovery(), 10_000);
}

#[test]
fn a_tag_goes_to_another_manifest_while_the_first_is_deleted() {
    let scenario = push_of_an_index("DELETE by digest beside a tag that moves away").stored(&[INDEX]).tagged(0, IMAGE);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).faults(FAULTS);
    holds(scenario.runs(1).retires(&[IMAGE]), 2_700);
}

#[test]
fn head_promises_a_layer() {
    let scenario = Scenario::new("HEAD of a layer, then a push over it", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Head { link: LAYER }, put(IMAGE)]).first_look();
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[LAYER]), 18_000);
}

#[test]
fn head_promises_a_child() {
    let scenario = Scenario::new("HEAD of an image, then a push over it", World::index()).stored(&[LAYER, IMAGE]);
    let scenario = scenario.client(&[Operation::Head { link: IMAGE }, put(INDEX)]).first_look();
    holds(scenario.runs(2).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]), 31_000);
}

#[test]
fn an_upload_promises_a_layer() {
    let scenario = Scenario::new("an upload, then a push over it", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Upload { link: LAYER }, put(IMAGE)]).first_look();
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[LAYER]), 19_000);
}

#[test]
fn a_mount_promises_a_layer() {
    let world = World::image().with_second_repository();
    let (layer, image) = (world.link(1, LAYER), world.link(1, IMAGE));
    let scenario = Scenario::new("a mount, then a push over it", world).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Mount { from: LAYER, to: layer }, put(image)]).first_look();
    let scenario = scenario.runs(2).quarantines(&[LAYER]).retires(&[LAYER, layer, image]);
    holds(scenario.recovery(), 22_000);
}

#[test]
fn what_a_tag_keeps_is_never_unknown_to_a_push() {
    let scenario = Scenario::new("a push, then a push over it", World::index()).stored(&[LAYER]);
    let scenario = scenario.client(&[put(IMAGE), put_second(INDEX)]).first_look();
    holds(scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE]), 34_000);
}

#[test]
fn a_run_that_stops_for_long_deletes_nothing_when_it_goes_on() {
    let scenario = push_of_an_image("a paused run");
    let scenario = scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateBytes, Fault::Pause]), 21_000);
}

#[test]
fn a_filesystem_with_hard_links() {
    let scenario = push_of_an_index("filesystem, hard links").on(Storage::HardLinks);
    let scenario = scenario.runs(3).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
    holds(scenario.faults(&[Fault::Crash]).recovery(), 15_000);
}

#[test]
fn a_filesystem_without_hard_links() {
    let scenario = push_of_an_index("filesystem, renames").on(Storage::Renames);
    let scenario = scenario.runs(3).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
    holds(scenario.faults(&[Fault::Crash]).recovery(), 9_500);
}
