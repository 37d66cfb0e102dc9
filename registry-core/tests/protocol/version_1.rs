//! The protocol as it was first written, which let policy and age decide what counts, breaks in each of these ways.

use crate::rules::VERSION_1;
use crate::scenario::{Fault, Operation, Scenario, Untagged};
use crate::verdict::{breaks, push_of_an_image, push_of_an_index};
use crate::world::{IMAGE, INDEX, LAYER, World};

#[test]
fn a_tag_on_a_manifest_that_a_scan_saw_untagged_loses_the_layer() {
    let scenario = push_of_an_image("version 1: a tag put while a scan goes on");
    let scenario = scenario.runs(2).quarantines(&[LAYER]).looks_again();
    breaks(scenario.faults(&[Fault::Crash, Fault::LateBytes]).without(VERSION_1), "I1");
}

#[test]
fn an_index_over_an_old_untagged_child_loses_the_layers_of_the_child() {
    let scenario = push_of_an_index("version 1: an index over an old child").untagged(Untagged::DeleteOld);
    breaks(scenario.runs(2).quarantines(&[LAYER]).looks_again().without(VERSION_1), "I1");
}

#[test]
fn a_crash_in_the_middle_of_a_retirement_leaves_a_tag_without_its_revision() {
    let scenario = push_of_an_image("version 1: retirement and a crash").stored(&[IMAGE]);
    let scenario = scenario.runs(2).retires(&[IMAGE]).faults(&[Fault::Crash]).looks_again().recovery();
    breaks(scenario.without(VERSION_1), "I4");
}

#[test]
fn a_parent_that_appears_after_the_second_look_loses_its_child() {
    let scenario = push_of_an_index("version 1: a parent after the second look");
    breaks(scenario.runs(2).retires(&[IMAGE]).looks_again().without(VERSION_1), "I1");
}

#[test]
fn a_parent_loses_its_layer_link_when_a_retirement_crashes() {
    let scenario = push_of_an_image("version 1: retirement of a layer link and a crash");
    let scenario = scenario.runs(2).retires(&[LAYER]).faults(&[Fault::Crash]).looks_again();
    breaks(scenario.without(VERSION_1), "I1");
}

#[test]
fn a_paused_run_deletes_after_its_fossil_was_purged() {
    let scenario = push_of_an_image("version 1: a paused run").untagged(Untagged::Keep);
    let scenario = scenario.runs(2).quarantines(&[LAYER]).faults(&[Fault::Pause]);
    breaks(scenario.without(VERSION_1), "I2");
}

#[test]
fn delete_by_digest_takes_the_tag_of_another_manifest() {
    let scenario = push_of_an_index("version 1: DELETE takes a foreign tag").stored(&[INDEX]).tagged(0, IMAGE);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]);
    breaks(scenario.without(VERSION_1), "I1");
}

#[test]
fn a_late_delete_of_a_link_takes_a_newer_one() {
    let scenario = push_of_an_image("version 1: a late DELETE of a link").stored(&[IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]);
    breaks(scenario.faults(&[Fault::LateLinks]).without(VERSION_1), "I4");
}

#[test]
fn an_upload_drops_its_bytes_too_early() {
    let scenario = Scenario::new("version 1: an upload drops its bytes", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Upload { link: LAYER }]).runs(2).quarantines(&[LAYER]);
    breaks(scenario.without(VERSION_1), "I8");
}
