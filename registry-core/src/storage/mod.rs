//! The port: what the registry asks of any place that holds bytes.
//!
//! An adapter implements [`Storage`] (and [`Staged`] for uploads); the contract is written on the traits, and
//! the suite in `contract` (feature `contract-tests`) checks it.

#[cfg(any(test, feature = "contract-tests"))]
pub mod contract;
mod error;
#[cfg(any(test, feature = "test-util"))]
mod faulty;
mod file_frames;
mod key;
mod memory;
mod object;
mod observed;
mod operation;
mod order;
mod paced;

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use error::{Error, Source};
#[cfg(any(test, feature = "test-util"))]
pub use faulty::{Fault, Faulty, Gate, Operation};
pub use file_frames::FileFrames;
pub use key::{Key, ParseKeyError};
pub use memory::Memory;
pub use object::{Body, FileSpan, Metadata, Object, ReadRange, read_small};
pub use observed::{Observed, StorageObserver};
pub use operation::OperationKind;
pub use order::still_to_come;
pub use paced::{Pace, Paced};

/// A place that holds bytes under keys.
///
/// # Contract
/// - **Linearisable per key**: a read that begins after a write or delete returned sees it. Lists see all that
///   was written before they began.
/// - **Atomic**: [`write`](Self::write) and [`Staged::publish`] make the whole new content visible at once or
///   not at all; a reader never sees a part, and one that is under way goes on with what it opened.
/// - **Durable**: what returned `Ok` with [`Durability::Durable`] survives a power cut as far as the backend is
///   configured to promise; [`Durability::Volatile`] survives the end of the process.
/// - **Errors** leave either the old state or the new one, never a third. After [`Error::Unavailable`] it is
///   unknown which.
/// - **Cancellation**: dropping a future leaves what an error would; work that has begun may still take effect.
/// - **Keys are flat**. A prefix needs no creation and does not outlive its objects in any answer; backends with
///   real directories make and remove them unseen.
#[async_trait]
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// What the backend can do beyond the contract.
    fn capabilities(&self) -> Capabilities;

    /// Size and time of an object, `None` if there is none.
    ///
    /// # Errors
    /// If the backend cannot tell.
    async fn stat(&self, key: &Key) -> Result<Option<Metadata>, Error>;

    /// As [`stat`](Self::stat), but what it says is there survives a power cut, whoever wrote it. Another
    /// writer's object may be visible before it is durable; who builds on it confirms it first.
    ///
    /// # Errors
    /// If the backend cannot tell, or cannot make it durable.
    async fn confirm(&self, key: &Key) -> Result<Option<Metadata>, Error>;

    /// The whole of a small object, `None` if there is none.
    ///
    /// # Errors
    /// [`Error::TooLarge`] if it has more than `limit_bytes`.
    async fn read(&self, key: &Key, limit_bytes: u64) -> Result<Option<Bytes>, Error>;

    /// Opens an object of any size, `None` if there is none.
    ///
    /// # Errors
    /// If the backend cannot open it.
    async fn open(&self, key: &Key) -> Result<Option<Object>, Error>;

    /// Writes a small object whole, over what was there unless the options forbid it.
    ///
    /// # Errors
    /// [`Error::Exists`] with [`Precondition::Absent`] if something lies there. Of several such writers at once
    /// exactly one succeeds.
    async fn write(&self, key: &Key, content: Bytes, options: WriteOptions) -> Result<(), Error>;

    /// Deletes an object, durably. One that is not there is deleted already.
    ///
    /// # Errors
    /// If the backend refused: then the object is still there. When it is unknown whether the delete took or will
    /// take effect, that is [`Deletion::Unknown`] and no error. The adapter never tries again by itself.
    async fn delete(&self, key: &Key) -> Result<Deletion, Error>;

    /// Deletes every object below a prefix, staged bytes too, in no particular order. Not atomic: the caller keeps
    /// writers away.
    ///
    /// # Errors
    /// If a delete was refused; others may have happened.
    async fn delete_all(&self, prefix: &Key) -> Result<Deletion, Error>;

    /// Makes a delete ready, which is done when the future is awaited, unless that is later than `validity` from now: then it is
    /// refused, and the object is still there. A request of it that is on its way for longer is refused as well, by the
    /// clock of the storage. `None` where the backend has no such thing; [`Capabilities::expiring_deletes`] tells.
    ///
    /// # Errors
    /// If it cannot be made ready.
    async fn prepare_delete(&self, _key: &Key, _validity: Duration) -> Result<Option<PreparedDelete>, Error> {
        Ok(None)
    }

    /// Deletes each of several objects, in as few requests as the backend needs, in no particular order.
    ///
    /// # Errors
    /// If a delete was refused; others may have happened.
    async fn delete_each(&self, keys: &[Key]) -> Result<Deletion, Error> {
        let mut deletion = Deletion::Acked;
        for key in keys {
            if self.delete(key).await? == Deletion::Unknown {
                deletion = Deletion::Unknown;
            }
        }
        Ok(deletion)
    }

    /// Gives the content of `from` a second place, durably, and without passing its bytes through this process where
    /// the backend can; tells what lies at `to` then, or `None` if nothing lies at `from`.
    ///
    /// What already lies at `to` is kept, whatever it is, and is durable then too. The two places are independent: what
    /// happens to one does not change the other.
    ///
    /// # Errors
    /// What the backend says; then `to` is as before, or as after.
    async fn copy(&self, from: &Key, to: &Key) -> Result<Option<Metadata>, Error>;

    /// One page of what lies directly below a prefix, ordered by the bytes of the name: at most `limit` entries
    /// with a name greater than `after`. A prefix with nothing below it gives an empty page.
    ///
    /// # Errors
    /// If the backend cannot list.
    async fn list(&self, prefix: &Key, after: Option<&str>, limit: usize) -> Result<Listing, Error>;

    /// The paths of the objects below a prefix, at any depth and relative to it, that are greater than `after` by their bytes:
    /// at most `limit`, in that order. Only where [`Capabilities::scans`] says so.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the backend has no such order at hand.
    async fn scan(&self, _prefix: &Key, _after: &str, _limit: usize) -> Result<Scan, Error> {
        Err(Error::Unsupported { capability: "list all that lies below a prefix in order" })
    }

    /// Opens staged bytes to go on writing them, `None` if there are none and `mode` does not create.
    ///
    /// One writer at a time: as long as the [`Staged`] lives, nobody else gets it. (A backend that cannot lock
    /// lets both write and refuses the slower one at its next [`append`](Staged::append) or
    /// [`sync`](Staged::sync); and what was begun there is found by others when it has bytes, not before.)
    ///
    /// # Errors
    /// [`Error::Busy`] if another writer holds it.
    async fn stage(&self, key: &Key, mode: StageMode) -> Result<Option<Box<dyn Staged>>, Error>;

    /// Ends what was begun below a prefix before a time, for content that never became visible, and that no other operation
    /// finds, as a process leaves it that was killed; gives how many. With `dry_run` it only looks.
    ///
    /// # Errors
    /// If the backend cannot tell what there is, or cannot end one of it.
    async fn end_unfinished(&self, _below: &Key, _before: SystemTime, _dry_run: bool) -> Result<usize, Error> {
        Ok(0)
    }

    /// How many staged bytes there are, also while a writer holds them; `None` if there are none.
    ///
    /// # Errors
    /// If the backend cannot tell.
    async fn staged_size(&self, key: &Key) -> Result<Option<u64>, Error>;

    /// Makes a prefix exist before anything lies below it, for programs that look at the directories of this
    /// volume. Backends without directories do nothing.
    ///
    /// # Errors
    /// If the backend cannot.
    async fn create_directory(&self, prefix: &Key) -> Result<(), Error>;

    /// Removes the directory of a prefix if nothing lies below it, for the sake of order, and tells whether it is
    /// gone. A writer that needs it makes it again. Backends without directories have nothing to remove.
    ///
    /// # Errors
    /// If the backend cannot tell.
    async fn remove_directory(&self, prefix: &Key) -> Result<bool, Error>;

    /// An address where a client may send `request` for the object within `validity`, without the credentials of this
    /// process; `None` where the backend has no such thing.
    ///
    /// # Errors
    /// If the backend cannot sign.
    async fn presign(&self, key: &Key, request: Presigned, validity: Duration) -> Result<Option<String>, Error>;
}

/// A delete that is ready to be sent, once. It answers as [`Storage::delete`] does.
pub type PreparedDelete = BoxFuture<'static, Result<Deletion, Error>>;

/// What a client is allowed to ask by an address that is [signed](Storage::presign) for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Presigned {
    /// The bytes, all or a range.
    Get,
    /// What is known of them.
    Head,
}

/// Bytes on their way in, written in order and published as one object.
///
/// Dropping it lets the next writer in; what was appended and not synced may or may not be found by it.
#[async_trait]
pub trait Staged: fmt::Debug + Send + Sync {
    /// How many bytes there are.
    fn size(&self) -> u64;

    /// Adds the buffers, in order, at the end. They are visible to [`Storage::staged_size`] by the time
    /// [`sync`](Self::sync) returned.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::Busy`] (another writer was faster, or the bytes are published), or what the backend
    /// says. After an error
    /// [`size`](Self::size) tells what is kept.
    async fn append(&mut self, batch: Vec<Bytes>) -> Result<(), Error>;

    /// Makes what was appended as durable as the backend is configured to promise.
    ///
    /// # Errors
    /// As [`append`](Self::append). After a failed sync the staged bytes are not to be trusted.
    async fn sync(&mut self) -> Result<(), Error>;

    /// Reads back what was appended, from `offset` to the end.
    ///
    /// # Errors
    /// If the backend refuses the read, here or as the last item of the stream.
    async fn read(&mut self, offset: u64) -> Result<BoxStream<'static, Result<Bytes, Error>>, Error>;

    /// Makes the staged bytes the content of `key`: whole, durable, without a moment in which a part shows.
    ///
    /// What already lies at `key` with the same size is kept, anything of another size replaced. The staged bytes
    /// stay until [`discard`](Self::discard), so publishing twice does no harm; they must not be appended to any
    /// more.
    ///
    /// # Errors
    /// What the backend says; then `key` is as before, or as after.
    async fn publish(&mut self, key: &Key) -> Result<(), Error>;

    /// The objects that the bytes lie in, if they lie in objects of their own and all of them are known. Who
    /// [deletes](Storage::delete_each) these drops the bytes.
    fn objects(&self) -> Option<Vec<Key>> {
        None
    }

    /// Drops the staged bytes.
    ///
    /// # Errors
    /// What the backend says; then what is left of them is found again by [`Storage::stage`], or goes with the prefix that they
    /// lie below.
    async fn discard(self: Box<Self>) -> Result<(), Error>;
}

/// What a backend can do beyond the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each stands for itself")]
#[non_exhaustive]
pub struct Capabilities {
    /// [`Storage::presign`] gives addresses.
    pub presign: bool,
    /// [`Storage::scan`] lists all that lies below a prefix, in order, and a page of it costs no more than one of a
    /// [`list`](Storage::list).
    pub scans: bool,
    /// Several processes may serve the same content at once.
    pub shared: bool,
    /// A second writer of staged bytes is refused when it opens them, not later.
    pub exclusive_staging: bool,
    /// An open [`Object`] reads the content as of opening whatever happens to its key. Without it, a reader whose
    /// object was replaced or deleted may fail, or find the new content.
    pub stable_readers: bool,
    /// What a read shows survives a power cut, so that there is nothing to [`confirm`](Storage::confirm) after it.
    pub durable_reads: bool,
    /// A delete takes effect before it is answered or never, also one that is answered by [`Deletion::Unknown`] or
    /// whose future was dropped; at the latest when the process ends. Without it, a delete that was not answered may
    /// take effect at any time later, and hit what was written since.
    pub prompt_deletes: bool,
    /// [`Storage::prepare_delete`] makes deletes ready that do not take effect when they come too late.
    pub expiring_deletes: bool,
}

/// How [`Storage::write`] writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// What must hold for the write to happen.
    pub precondition: Precondition,
    /// What the write survives.
    pub durability: Durability,
}

/// What must hold for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Precondition {
    /// Nothing: what is there is replaced.
    #[default]
    None,
    /// Nothing lies there yet.
    Absent,
}

/// What a write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// A power cut, as far as the backend is configured to promise it.
    #[default]
    Durable,
    /// The end of the process, no more: for state whose loss only costs work.
    Volatile,
}

/// What is known of a delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone, and stays gone.
    Acked,
    /// It may be gone, or still go: the backend did not answer.
    Unknown,
}

/// Whether [`Storage::stage`] makes staged bytes where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageMode {
    /// Starts with no bytes. For a key of which the caller knows that nobody staged anything there; where it does not, a backend
    /// that cannot lock may find that out as late as at the first [`sync`](Staged::sync).
    Create,
    /// Goes on with what is there.
    Resume,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// The entries, ordered by the bytes of the name.
    pub entries: Vec<Entry>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

/// One page of all that lies below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scan {
    /// The paths, ordered by their bytes.
    pub paths: Vec<String>,
    /// Whether there may be more behind the last one.
    pub more: bool,
}

/// One name directly below a prefix. A name that is both an object and a prefix shows as a prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The segment.
    pub name: String,
    /// What stands behind it.
    pub kind: EntryKind,
}

/// What stands behind a name in a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// An object.
    Object,
    /// A prefix of further objects; on a backend with directories it may turn out to be empty.
    Prefix,
}
