//! The rules of version 2, as what can be changed about them.
//!
//! Version 2 is the protocol with no [`Deviation`]. Each deviation takes one rule away, so that a scenario can show
//! what the rule is for. [`version_1`] is the set of those that the protocol began with.

/// One rule that is broken or missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Deviation {
    // What a run counts as a root.
    /// A is what policy keeps, instead of everything that a link or a tag announces.
    AnnouncedByPolicy,
    /// A child counts only where its own revision link was seen.
    ChildrenByLink,
    /// Retired links announce nothing.
    RetiredAnnounceNothing,
    /// Live links are read once, before the retired ones.
    LiveLinksOnce,
    /// P3 brings back what policy keeps only, and leaves what else is announced to another run.
    WantedByPolicy,
    /// A manifest whose bytes are nowhere makes a run leave everything as it is, instead of counting without needs.
    MissingStopsRun,
    /// P3 does not ask whether the subject of a retired referrer is kept.
    SubjectsDoNotMatter,

    // Purging and quarantine.
    /// What is old enough to purge is listed after the scan.
    ListsAfterScan,
    /// A fossil counts as settled while its delete may still be on its way.
    SettlesEarly,
    /// All runs use the same name for a fossil.
    SharedFossilNames,
    /// A purge deletes what is rooted, too, without bringing it back.
    PurgesRooted,
    /// A run purges what it quarantined itself, by its own old scan.
    PurgesOwn,
    /// Bytes are deleted without a copy.
    NoFossil,
    /// A restore moves the fossil instead of copying it.
    RestoreMoves,
    /// A delete is signed when it is sent, so that a paused run can send it at any time later.
    SignedLate,

    // Pushing.
    /// W2 looks at what the manifest lists, not at what its children need.
    DirectNeeds,
    /// W2 comes before W1.
    LooksBeforeAnnouncing,
    /// W2 looks at the manifest's own bytes last.
    OwnBytesLast,
    /// W2 takes a fossil for present bytes, and does not copy it back.
    FossilSuffices,
    /// W2 comes before W1, and again after it only if a run has begun since.
    EpochShortcut,
    /// A writer that writes a link leaves the marks on its retired copies, and W4 does not look for any.
    LeavesMarks,
    /// W4 does not look for marks.
    ConfirmsMarked,
    /// No W4.
    NoConfirm,
    /// W2 does not look at a link again after it looked at the retired ones.
    LooksOnce,
    /// An upload looks for its bytes before W1, and drops its own if they are there.
    UploadDropsEarly,
    /// HEAD answers 200 for a retired link or a fossil and restores nothing.
    HeadRestoresNothing,

    // Deleting.
    /// DELETE by digest reads a tag, and then removes it whatever it names by then.
    UnconditionalTagDelete,
    /// A DELETE without an answer is sent again at once.
    RetriesBlindly,
    /// DELETE removes the tags before the revision link.
    TagsBeforeLink,
    /// DELETE removes retired copies instead of marking them.
    DeleteRemovesRetired,
    /// DELETE does nothing to retired copies.
    DeleteForgetsRetired,
}

/// Version 2, less some of its rules.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Rules(u64);

impl Rules {
    pub(crate) fn without(deviations: &[Deviation]) -> Self {
        Self(deviations.iter().fold(0, |bits, deviation| bits | 1 << *deviation as u8))
    }

    pub(crate) fn has(self, deviation: Deviation) -> bool {
        self.0 & (1 << deviation as u8) != 0
    }
}

/// The protocol as it was first written. What a run counts as a root was left to policy and age.
pub(crate) const VERSION_1: &[Deviation] = &[
    Deviation::AnnouncedByPolicy,
    Deviation::ChildrenByLink,
    Deviation::RetiredAnnounceNothing,
    Deviation::LiveLinksOnce,
    Deviation::WantedByPolicy,
    Deviation::SignedLate,
    Deviation::DirectNeeds,
    Deviation::UploadDropsEarly,
    Deviation::UnconditionalTagDelete,
    Deviation::RetriesBlindly,
    Deviation::DeleteForgetsRetired,
];
