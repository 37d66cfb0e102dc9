//! The protocol holds with more at once: several writers, three runs, every fault, everything collected.

use crate::scenario::{Fault, Operation, Scenario, Storage, Untagged};
use crate::verdict::{FAULTS, holds, push_of_an_image, push_of_an_index, put, put_second, put_untagged};
use crate::world::{IMAGE, INDEX, LAYER, OUTER, SIGNATURE, World};

const ALL_FAULTS: &[Fault] = &[Fault::Crash, Fault::LateBytes, Fault::LateLinks, Fault::Pause];

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_of_an_image_with_every_fault() {
    let scenario = push_of_an_image("image; everything collected, every fault").runs(2).looks_again();
    holds(scenario.quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]).faults(ALL_FAULTS).recovery(), 5_600_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_of_an_index_with_every_fault() {
    let scenario = push_of_an_index("index; the child and the layer collected, every fault").runs(2);
    holds(scenario.quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]).faults(ALL_FAULTS).recovery(), 480_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_of_an_index_while_everything_is_collected() {
    let scenario = push_of_an_index("index; everything collected").runs(2).fine_scan();
    holds(scenario.quarantines(&[LAYER, IMAGE, INDEX]).retires(&[LAYER, IMAGE, INDEX]).recovery(), 190_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_of_an_image_and_three_runs() {
    let scenario = push_of_an_image("image; three runs with faults").runs(3);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS), 1_400_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_of_an_index_and_three_runs() {
    let scenario = push_of_an_index("index; three runs with faults").runs(3);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS), 1_500_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn three_runs_that_collect_everything() {
    let scenario = push_of_an_image("image; three runs that collect everything").runs(3);
    holds(scenario.quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]), 9_000_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn an_image_and_an_index_over_it_are_pushed_at_once() {
    let scenario = push_of_an_index("image beside index").client(&[put_second(IMAGE)]).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 340_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn an_index_is_pushed_twice_at_once() {
    let scenario = push_of_an_index("index beside index").client(&[put_second(INDEX)]).runs(2);
    let scenario = scenario.quarantines(&[LAYER]).retires(&[IMAGE, LAYER]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateLinks]), 2_600_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_child_is_pushed_by_digest_before_its_index() {
    let scenario = Scenario::new("child by digest, then index", World::index()).stored(&[LAYER]);
    let scenario = scenario.client(&[put_untagged(IMAGE), put(INDEX)]).runs(2).untagged(Untagged::DeleteOld);
    let scenario = scenario.quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateBytes, Fault::Ageing]), 4_500_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_manifest_is_deleted_and_pushed_at_once() {
    let scenario = push_of_an_image("DELETE by digest beside a push, two runs").stored(&[IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(2).looks_again();
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 1_600_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_tagged_manifest_is_deleted_and_pushed_again() {
    let scenario = Scenario::new("DELETE by digest, then a push", World::image()).stored(&[LAYER, IMAGE]);
    let scenario = scenario.tagged(1, IMAGE);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }, put(IMAGE)]).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER, IMAGE]).faults(ALL_FAULTS).recovery(), 820_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_child_is_deleted_while_its_index_is_pushed() {
    let scenario = push_of_an_index("DELETE of a child beside a push of its index, two runs");
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]).faults(FAULTS).recovery(), 570_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_is_deleted_while_its_image_is_pushed() {
    let scenario = push_of_an_image("DELETE of a blob beside a push of its image, two runs");
    let scenario = scenario.client(&[Operation::DeleteBlob { link: LAYER }]).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER]).faults(FAULTS).recovery(), 1_300_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_is_deleted_and_uploaded_again() {
    let scenario = Scenario::new("DELETE of a blob, an upload, a push", World::image()).stored(&[LAYER]);
    let program = [Operation::DeleteBlob { link: LAYER }, Operation::Upload { link: LAYER }, put(IMAGE)];
    let scenario = scenario.client(&program).first_look().runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER, IMAGE]).faults(FAULTS).recovery(), 280_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_is_mounted_and_both_repositories_push() {
    let world = World::image().with_second_repository();
    let (layer, image) = (world.link(1, LAYER), world.link(1, IMAGE));
    let scenario = Scenario::new("mount and push beside a push in the source", world).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Mount { from: LAYER, to: layer }, put_second(image)]);
    let scenario = scenario.client(&[put(IMAGE)]).runs(2).first_look();
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER, layer, image]).recovery(), 850_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_goes_from_one_repository_to_another() {
    let world = World::image().with_second_repository();
    let (layer, image) = (world.link(1, LAYER), world.link(1, IMAGE));
    let scenario = Scenario::new("a blob moves to another repository", world).stored(&[LAYER, IMAGE]);
    let program =
        [Operation::Mount { from: LAYER, to: layer }, put_second(image), Operation::DeleteManifest { link: IMAGE }];
    let scenario = scenario.tagged(0, IMAGE).client(&program).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER, IMAGE, layer, image]).faults(FAULTS).recovery(), 43_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn an_upload_beside_a_push() {
    let scenario = push_of_an_image("an upload beside a push").client(&[Operation::Upload { link: LAYER }]).runs(2);
    let scenario = scenario.quarantines(&[LAYER]).retires(&[LAYER]);
    holds(scenario.faults(ALL_FAULTS).recovery(), 770_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn promises_hold_while_links_become_old() {
    let scenario = Scenario::new("an upload, then a push, with links that become old", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Upload { link: LAYER }, put(IMAGE)]).first_look().runs(2);
    let faults = [Fault::Crash, Fault::LateBytes, Fault::LateLinks, Fault::Ageing];
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER]).faults(&faults), 340_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn head_promises_with_faults() {
    let scenario = Scenario::new("HEAD of an image, then an index, with faults", World::index());
    let scenario = scenario.stored(&[LAYER, IMAGE]).client(&[Operation::Head { link: IMAGE }, put(INDEX)]);
    let scenario = scenario.first_look().runs(2).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateBytes, Fault::Ageing]), 230_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn head_promises_with_three_runs() {
    let scenario = Scenario::new("HEAD of a layer, then a push, three runs", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Head { link: LAYER }, put(IMAGE)]).first_look().runs(3);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER]), 1_200_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn two_levels_of_nesting_with_faults() {
    let scenario = Scenario::new("two levels of nesting, with faults", World::nested());
    let scenario = scenario.stored(&[LAYER, IMAGE, INDEX]).client(&[put(OUTER)]).runs(2);
    holds(scenario.quarantines(&[LAYER, IMAGE]).retires(&[IMAGE, INDEX]).faults(FAULTS).recovery(), 230_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn an_image_and_its_signature_are_pushed_at_once() {
    let scenario =
        Scenario::new("image beside its signature", World::signed()).stored(&[LAYER, IMAGE]).tagged(1, IMAGE);
    let scenario = scenario.client(&[put(IMAGE), Operation::DeleteTag { tag: 1 }]);
    let scenario = scenario.client(&[put_untagged(SIGNATURE)]).runs(2);
    holds(scenario.quarantines(&[SIGNATURE]).retires(&[IMAGE, SIGNATURE]).faults(FAULTS).recovery(), 160_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn filesystems_with_two_writers() {
    for (name, storage) in [("hard links, two writers", Storage::HardLinks), ("renames, two writers", Storage::Renames)]
    {
        let scenario = push_of_an_index(name).on(storage).client(&[put_second(IMAGE)]).runs(3);
        let scenario = scenario.quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
        holds(scenario.faults(&[Fault::Crash]).recovery(), 290_000);
    }
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_manifest_is_deleted_and_pushed_at_once_and_three_runs() {
    let scenario = push_of_an_image("DELETE by digest beside a push, three runs").stored(&[IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(3);
    holds(scenario.quarantines(&[LAYER]).retires(&[IMAGE]), 11_000_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_manifest_is_deleted_by_two_and_pushed_by_two() {
    let scenario = push_of_an_image("DELETE and push beside a push").stored(&[IMAGE]).tagged(0, IMAGE);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }, put(IMAGE)]).runs(2);
    holds(scenario.retires(&[IMAGE]).faults(&[Fault::Crash]).recovery(), 440_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_run_stops_for_long_beside_a_delete() {
    let scenario = push_of_an_image("a paused run, DELETE by digest beside a push").stored(&[IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]).runs(2);
    let scenario = scenario.quarantines(&[LAYER]).retires(&[IMAGE]);
    holds(scenario.faults(&[Fault::Crash, Fault::Pause]).recovery(), 490_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_is_uploaded_and_pushed_while_it_is_deleted() {
    let scenario = Scenario::new("DELETE of a blob beside an upload and a push", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Upload { link: LAYER }, put(IMAGE)]);
    let scenario = scenario.client(&[Operation::DeleteBlob { link: LAYER }]).runs(2);
    holds(scenario.quarantines(&[LAYER]).retires(&[LAYER]).recovery(), 170_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_blob_is_mounted_while_it_is_deleted_in_the_source() {
    let world = World::image().with_second_repository();
    let (layer, image) = (world.link(1, LAYER), world.link(1, IMAGE));
    let scenario = Scenario::new("mount beside DELETE of the blob in the source", world).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Mount { from: LAYER, to: layer }, put_second(image)]);
    let scenario = scenario.client(&[Operation::DeleteBlob { link: LAYER }]).runs(2).first_look();
    let scenario = scenario.quarantines(&[LAYER]).retires(&[LAYER, layer, image]);
    holds(scenario.faults(&[Fault::Crash]).recovery(), 230_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn an_index_loses_its_tag_while_its_child_gets_one() {
    let scenario = Scenario::new("index, DELETE of its tag, tag on its child", World::index());
    let program = [put(INDEX), Operation::DeleteTag { tag: 0 }, put_second(IMAGE)];
    let scenario = scenario.stored(&[LAYER, IMAGE]).client(&program).runs(2);
    let scenario = scenario.quarantines(&[LAYER]).retires(&[IMAGE, INDEX]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateLinks]).recovery(), 300_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_child_gets_a_tag_while_its_index_is_pushed_after_head() {
    let scenario = Scenario::new("HEAD of a child and an index beside a tag on the child", World::index());
    let scenario = scenario.stored(&[LAYER, IMAGE]).client(&[Operation::Head { link: IMAGE }, put(INDEX)]);
    let scenario = scenario.client(&[put_second(IMAGE)]).runs(2).first_look();
    let scenario = scenario.quarantines(&[LAYER]).retires(&[IMAGE, LAYER]);
    holds(scenario.faults(&[Fault::Crash]).recovery(), 1_700_000);
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn untagged_manifests_that_become_old_meanwhile() {
    let scenario = push_of_an_index("index; links become old").untagged(Untagged::DeleteOld).runs(2);
    let scenario = scenario.quarantines(&[LAYER]).retires(&[IMAGE, LAYER]);
    holds(scenario.faults(&[Fault::Crash, Fault::LateBytes, Fault::Ageing]).recovery(), 130_000);
}
