//! Each rule is needed: without it, something breaks. The trace that a test prints tells how.

use crate::rules::Deviation;
use crate::scenario::{Fault, Operation, Scenario, Storage};
use crate::state::State;
use crate::verdict::{FAULTS, breaks, push_of_an_image, push_of_an_index, put, put_second, put_untagged};
use crate::world::{IMAGE, INDEX, LAYER, SIGNATURE, World};

fn image_and_runs(name: &'static str, deviation: Deviation) -> Scenario {
    push_of_an_image(name).runs(2).quarantines(&[LAYER]).without(&[deviation])
}

fn index_and_runs(name: &'static str, deviation: Deviation) -> Scenario {
    push_of_an_index(name).runs(2).quarantines(&[LAYER]).retires(&[IMAGE]).without(&[deviation])
}

/// DELETE of an old untagged image while it is pushed anew.
fn delete_and_push(name: &'static str, deviation: Deviation) -> Scenario {
    let scenario = push_of_an_image(name).stored(&[IMAGE]).without(&[deviation]);
    scenario.client(&[Operation::DeleteManifest { link: IMAGE }])
}

#[test]
fn announced_is_not_what_policy_keeps() {
    breaks(image_and_runs("A by policy", Deviation::AnnouncedByPolicy), "I1");
}

#[test]
fn children_count_by_their_digest() {
    breaks(index_and_runs("children by their links", Deviation::ChildrenByLink), "I1");
}

#[test]
fn live_links_are_not_the_only_members() {
    let scenario = image_and_runs("retired links announce nothing", Deviation::RetiredAnnounceNothing);
    breaks(scenario.runs(3).retires(&[IMAGE]), "I1");
}

#[test]
fn retired_links_come_back_for_whoever_needs_them() {
    breaks(index_and_runs("retired links come back by policy", Deviation::WantedByPolicy), "I1");
}

#[test]
fn retired_referrers_come_back_for_their_subject() {
    let scenario = Scenario::new("retired referrers do not come back", World::signed()).acknowledged(SIGNATURE);
    let scenario = scenario.stored(&[LAYER, IMAGE, SIGNATURE]).tagged(1, IMAGE);
    let scenario = scenario.client(&[put(IMAGE), Operation::DeleteTag { tag: 1 }]).runs(2);
    let scenario = scenario.retires(&[IMAGE, SIGNATURE]).without(&[Deviation::SubjectsDoNotMatter]);
    breaks(scenario.recovery(), "I1");
}

#[test]
fn a_missing_manifest_does_not_stop_collection() {
    let scenario = push_of_an_image("a missing manifest stops collection").on(Storage::HardLinks);
    let scenario = scenario.runs(2).quarantines(&[LAYER, IMAGE]).retires(&[LAYER, IMAGE]);
    let scenario = scenario.faults(&[Fault::Crash]).recovery();
    breaks(scenario.without(&[Deviation::MissingStopsRun]), "I5");
}

#[test]
#[ignore = "minutes: run by .ci/model"]
fn a_push_looks_at_its_own_bytes_first() {
    let scenario = image_and_runs("own bytes last", Deviation::OwnBytesLast);
    breaks(scenario.runs(3).quarantines(&[LAYER, IMAGE]), "I1");
}

#[test]
fn what_is_old_enough_is_listed_before_the_scan() {
    breaks(image_and_runs("P0 after the scan", Deviation::ListsAfterScan), "I2");
}

#[test]
fn a_fossil_stays_while_its_delete_may_land() {
    let scenario = image_and_runs("settled early", Deviation::SettlesEarly);
    breaks(scenario.faults(&[Fault::LateBytes]), "I3");
}

#[test]
fn a_fossil_has_a_name_of_its_own_in_each_run() {
    let scenario = image_and_runs("shared names of fossils", Deviation::SharedFossilNames);
    breaks(scenario.runs(3).faults(&[Fault::Crash]), "I2");
}

#[test]
fn what_counts_is_not_purged() {
    breaks(image_and_runs("purge of what counts", Deviation::PurgesRooted), "I1");
}

#[test]
fn a_run_does_not_purge_what_it_quarantined() {
    breaks(image_and_runs("purge in the same run", Deviation::PurgesOwn), "I1");
}

#[test]
fn a_delete_needs_a_fossil() {
    breaks(image_and_runs("no fossil", Deviation::NoFossil), "I1");
}

#[test]
fn a_restore_does_not_move_the_fossil() {
    let scenario = image_and_runs("a restore moves", Deviation::RestoreMoves);
    breaks(scenario.faults(&[Fault::LateBytes]), "I3");
}

#[test]
fn a_delete_is_signed_before_the_copy() {
    breaks(image_and_runs("signed late", Deviation::SignedLate).faults(&[Fault::Pause]), "I2");
}

#[test]
fn a_push_needs_what_its_children_need() {
    let mut scenario = Scenario::new("needs are not transitive", World::index());
    // A layer link whose bytes were lost long ago. The push of the image will be refused, but its link will be there.
    scenario.initial = State::default();
    scenario.initial.store.live.insert(LAYER);
    let scenario = scenario.client(&[put_untagged(IMAGE)]).client(&[put(INDEX)]);
    breaks(scenario.without(&[Deviation::DirectNeeds]), "I1");
}

#[test]
fn a_push_announces_before_it_looks() {
    breaks(image_and_runs("W2 before W1", Deviation::LooksBeforeAnnouncing), "I1");
}

#[test]
fn an_epoch_does_not_replace_the_second_look() {
    // The runs bump the epoch before they list what is old.
    breaks(image_and_runs("an epoch", Deviation::EpochShortcut).runs(3), "I1");
}

#[test]
fn a_push_copies_fossils_back() {
    breaks(image_and_runs("a fossil suffices", Deviation::FossilSuffices), "I1");
}

#[test]
fn a_push_looks_at_a_link_again() {
    let scenario = Scenario::new("W2 looks once", World::index()).stored(&[LAYER]);
    let scenario = scenario.client(&[put(IMAGE), put_second(INDEX)]).runs(2).retires(&[IMAGE]);
    breaks(scenario.without(&[Deviation::LooksOnce]), "I8");
}

#[test]
fn a_push_confirms_its_link_against_runs() {
    let scenario = image_and_runs("no W4, a run", Deviation::NoConfirm);
    breaks(scenario.quarantines(&[]).retires(&[IMAGE]), "I1");
}

#[test]
fn a_push_confirms_its_link_against_deletes() {
    breaks(delete_and_push("no W4, a DELETE", Deviation::NoConfirm), "I4");
}

#[test]
fn an_upload_keeps_its_bytes_until_it_has_looked() {
    let scenario = Scenario::new("an upload drops its bytes early", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Upload { link: LAYER }]).runs(2).quarantines(&[LAYER]);
    breaks(scenario.without(&[Deviation::UploadDropsEarly]), "I8");
}

#[test]
fn head_of_a_retired_layer_restores_it() {
    let scenario = Scenario::new("HEAD restores nothing", World::image()).stored(&[LAYER]);
    let scenario = scenario.client(&[Operation::Head { link: LAYER }, put(IMAGE)]);
    let scenario = scenario.runs(2).quarantines(&[LAYER]).retires(&[LAYER]);
    breaks(scenario.without(&[Deviation::HeadRestoresNothing]), "I8");
}

#[test]
fn head_of_a_retired_manifest_restores_it() {
    let scenario = Scenario::new("HEAD of a manifest restores nothing", World::index()).stored(&[LAYER, IMAGE]);
    let scenario = scenario.client(&[Operation::Head { link: IMAGE }, put(INDEX)]);
    let scenario = scenario.runs(2).quarantines(&[LAYER]).retires(&[IMAGE]);
    breaks(scenario.without(&[Deviation::HeadRestoresNothing]), "I8");
}

#[test]
fn delete_takes_a_tag_only_while_it_names_the_manifest() {
    let scenario = push_of_an_index("DELETE of a foreign tag").stored(&[INDEX]).tagged(0, IMAGE);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }]);
    breaks(scenario.without(&[Deviation::UnconditionalTagDelete]), "I1");
}

#[test]
fn delete_is_not_retried_blindly() {
    let scenario = delete_and_push("DELETE is retried blindly", Deviation::RetriesBlindly);
    breaks(scenario.faults(&[Fault::LateLinks]), "I4");
}

#[test]
fn delete_takes_the_link_before_the_tags() {
    breaks(delete_and_push("DELETE of tags first", Deviation::TagsBeforeLink), "I4");
}

#[test]
fn delete_does_not_uncover_the_delete_of_a_run() {
    let scenario = delete_and_push("DELETE removes retired copies", Deviation::DeleteRemovesRetired);
    breaks(scenario.runs(1).retires(&[IMAGE]).faults(FAULTS), "I3");
}

#[test]
fn delete_marks_retired_copies() {
    // Without a mark, a push of a parent brings a child back whose DELETE was acknowledged long before.
    let scenario = Scenario::new("DELETE forgets retired copies", World::index()).stored(&[LAYER, IMAGE]);
    let scenario = scenario.client(&[Operation::DeleteManifest { link: IMAGE }, put(INDEX)]);
    let scenario = scenario.runs(1).retires(&[IMAGE]);
    breaks(scenario.without(&[Deviation::DeleteForgetsRetired]), "I7");
}

#[test]
fn a_push_takes_the_marks_off() {
    let scenario = delete_and_push("a push leaves the marks", Deviation::LeavesMarks);
    breaks(scenario.runs(1).retires(&[IMAGE]), "I1");
}

#[test]
fn a_push_confirms_that_there_is_no_mark() {
    let scenario = delete_and_push("W4 does not look for marks", Deviation::ConfirmsMarked);
    breaks(scenario.runs(1).retires(&[IMAGE]), "I4");
}
