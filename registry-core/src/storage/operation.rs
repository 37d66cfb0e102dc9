//! The operations of a storage, by name.

/// The operations of a storage and of staged bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "each is named after its method")]
#[non_exhaustive]
pub enum OperationKind {
    Stat,
    Confirm,
    Read,
    Open,
    Write,
    Delete,
    DeleteAll,
    Copy,
    List,
    Scan,
    Stage,
    EndUnfinished,
    StagedSize,
    CreateDirectory,
    RemoveDirectory,
    Presign,
    Append,
    Sync,
    ReadStaged,
    Publish,
    Discard,
}
