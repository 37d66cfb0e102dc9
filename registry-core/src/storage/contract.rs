//! The contract of [`Storage`] and [`Staged`](super::Staged) as a suite that any adapter can run.
//!
//! From a test of the adapter, with the feature `contract-tests`, inside a tokio runtime (one with several threads,
//! or the races are none):
//!
//! ```
//! use std::sync::Arc;
//! use registry_core::storage::{Memory, contract};
//!
//! # tokio::runtime::Builder::new_multi_thread().build().unwrap().block_on(async {
//! contract::run_all(Arc::new(Memory::new())).await;
//! # });
//! ```
#![expect(clippy::unwrap_used, reason = "a rule that is broken panics, as a test does")]
#![expect(clippy::missing_panics_doc, reason = "panicking is what the rules are for")]

mod copying;
mod deleting;
mod ground;
mod listing;
mod objects;
mod reading;
mod staging;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use super::Storage;
use ground::Ground;

/// Checks every rule, each below its own prefix of `contract-tests`, and panics at the end with the names of those
/// that are broken. Why each of them is broken is told as it happens, by the ordinary message of a panic.
///
/// What lies below `contract-tests` is deleted, before and after.
pub async fn run_all(storage: Arc<dyn Storage>) {
    let mut broken = Vec::new();
    for rule in rules() {
        let check = AssertUnwindSafe(rule.check(Arc::clone(&storage)));
        if check.catch_unwind().await.is_err() {
            broken.push(rule.name());
        }
    }
    assert!(broken.is_empty(), "{storage:?} breaks {} of {} rules: {broken:?}", broken.len(), rules().len());
}

/// One rule of the contract.
pub struct Rule {
    name: &'static str,
    check: fn(Ground) -> BoxFuture<'static, ()>,
}

impl Rule {
    /// What the rule says, as a path.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Checks the rule; panics if the storage breaks it.
    pub async fn check(&self, storage: Arc<dyn Storage>) {
        let ground = Ground::clean(storage, self.name).await;
        (self.check)(ground.clone()).await;
        ground.clear().await;
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

macro_rules! rules {
    ($($module:ident: $($rule:ident),+;)+) => {
        &[$($(Rule {
            name: concat!(stringify!($module), "/", stringify!($rule)),
            check: |ground| Box::pin($module::$rule(ground)),
        }),+),+]
    };
}

/// Every rule.
#[must_use]
pub fn rules() -> &'static [Rule] {
    rules! {
        objects:
            what_is_not_there_is_none, what_was_written_is_read, a_write_replaces, an_object_may_be_empty,
            stat_tells_the_size, an_absent_key_is_written_once, of_many_creators_one_wins,
            read_is_limited, keys_may_be_long_and_deep, names_may_be_odd, a_refused_write_changes_nothing,
            directories_hold_nothing;
        reading:
            spans_are_cut_to_the_object, a_large_object_comes_whole, an_open_object_stays,
            reads_are_never_torn, a_signed_address_is_declared;
        deleting:
            a_deleted_object_is_gone, deleting_nothing_is_fine, each_of_several_goes,
            a_prepared_delete_waits_until_it_is_sent,
            the_objects_of_staged_bytes_are_these_bytes, siblings_stay, a_tree_goes_and_its_siblings_stay,
            staged_bytes_go_with_the_tree, a_deleted_key_can_be_created_again;
        copying:
            a_copy_has_the_content, what_is_not_there_is_not_copied, a_copy_replaces_nothing,
            a_copy_outlives_the_other_place, a_published_object_can_be_copied_and_deleted,
            a_directory_goes_when_it_is_empty;
        listing:
            an_empty_prefix_has_no_entries, names_come_in_the_order_of_bytes, objects_and_prefixes_are_told_apart,
            a_page_ends_at_its_limit, names_that_begin_others_come_first, after_is_exclusive, pages_visit_every_name_once, deleted_names_are_not_listed,
            a_name_that_is_both_is_a_prefix, writes_are_listed_at_once, a_scan_goes_through_all_in_order;
        staging:
            nothing_is_staged_until_created, bytes_come_back_in_order, bytes_are_read_from_an_offset,
            a_dropped_writer_lets_the_next_go_on, what_was_not_synced_may_be_lost, one_writer_at_a_time,
            of_two_writers_one_goes_on, the_size_is_told_while_held, staged_bytes_are_no_object,
            publishing_makes_the_object, publishing_twice_is_harmless, published_bytes_stay_when_discarded,
            what_has_the_same_size_is_kept, what_has_another_size_is_replaced, nothing_can_be_published,
            discarded_bytes_are_gone, a_resumed_upload_is_published, two_may_publish_the_same,
            publishing_shows_no_part, many_small_batches, large_batches;
    }
}
