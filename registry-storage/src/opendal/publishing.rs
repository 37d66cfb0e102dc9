//! From parts to one object.

use ::opendal::options::{CopyOptions, WriteOptions};
use ::opendal::{Buffer, Capability, Operator, Writer};
use bytes::Bytes;
use futures::TryStreamExt as _;
use registry_core::storage::{Error, Key};

use super::parts::{self, Part};
use super::{error, path, reading, stat};

/// How many pieces are on their way at once.
const AT_ONCE: usize = 4;
/// As many as fit, and some more where a part does not end with a piece.
const MOST_PIECES: usize = 9_000;
/// How often to look at what is there and make it what it should be, when others publish meanwhile or an answer is
/// lost.
const ATTEMPTS: usize = 3;

/// Makes the parts one object: without their bytes passing through this process if the service can copy, with a
/// stream of them otherwise. The object shows when it is whole, and does not replace one of the same size.
pub(super) async fn publish(operator: &Operator, staged: &[Part], key: &Key) -> Result<(), Error> {
    let capability = operator.info().capability();
    let publishing = Publishing { operator, capability, staged, key, to: path(key)? };
    let mut unanswered = None;
    for _ in 0..ATTEMPTS {
        let there = stat(operator, key).await?.map(|there| there.content_length());
        if there == Some(parts::size(staged)) {
            return Ok(());
        }
        match publishing.make(there.is_none()).await {
            Ok(Made::Whole) => return Ok(()),
            Ok(Made::ByAnother) => {}
            // It may have taken effect; if not, making it once more does no harm.
            Err(lost @ Error::Unavailable { .. }) => unanswered = Some(lost),
            Err(error) => return Err(error),
        }
    }
    Err(unanswered.unwrap_or_else(|| Error::Busy { key: key.clone() }))
}

enum Made {
    Whole,
    /// It should be new, and another was faster.
    ByAnother,
}

struct Publishing<'a> {
    operator: &'a Operator,
    capability: Capability,
    staged: &'a [Part],
    key: &'a Key,
    to: &'a str,
}

impl Publishing<'_> {
    async fn make(&self, new: bool) -> Result<Made, Error> {
        let made = match self.staged {
            [] => self.write(Buffer::new(), new).await,
            [part] if self.capability.copy => self.copy(part, new).await,
            staged if self.capability.write_can_multi => self.join(staged, new).await,
            // A service that takes an object in one piece gets it in one; its objects are as small as memory is.
            staged => {
                let content = reading::joined(self.operator, self.key, staged, 0);
                self.write(content.try_collect::<Vec<Bytes>>().await?.into(), new).await
            }
        };
        match made {
            Ok(()) => Ok(Made::Whole),
            Err(error) if new && error::is_taken(self.operator, self.to, &error).await => Ok(Made::ByAnother),
            Err(error) => Err(error::of(self.key, error)),
        }
    }

    async fn write(&self, content: Buffer, new: bool) -> ::opendal::Result<()> {
        let options = WriteOptions { if_not_exists: new, ..WriteOptions::default() };
        self.operator.write_options(self.to, content, options).await.map(drop)
    }

    /// Where a copy cannot be held to make something new, it may replace what another published meanwhile: the same.
    async fn copy(&self, part: &Part, new: bool) -> ::opendal::Result<()> {
        let new = new && self.capability.copy_with_if_not_exists;
        let size = Some(part.size);
        let options = CopyOptions { if_not_exists: new, source_content_length_hint: size, ..CopyOptions::default() };
        self.operator.copy_options(&part.path, self.to, options).await.map(drop)
    }

    async fn join(&self, staged: &[Part], new: bool) -> ::opendal::Result<()> {
        let chunk = piece_bytes(staged);
        let options = WriteOptions { if_not_exists: new, concurrent: AT_ONCE, chunk, ..WriteOptions::default() };
        let mut writer = self.operator.writer_options(self.to, options).await?;
        let joined = copy_all(&mut writer, staged).await;
        if joined.is_err()
            && let Err(error) = writer.abort().await
        {
            tracing::debug!(path = self.to, %error, "an upload of pieces was left behind");
        }
        joined
    }
}

/// How large pieces have to be; `None` where each part may be one. Services put no more than 10,000 together, so many parts are
/// joined to fewer pieces, through this process.
fn piece_bytes(staged: &[Part]) -> Option<usize> {
    let size = usize::try_from(parts::size(staged)).unwrap_or(usize::MAX);
    (staged.len() > MOST_PIECES).then(|| size.div_ceil(MOST_PIECES))
}

async fn copy_all(writer: &mut Writer, staged: &[Part]) -> ::opendal::Result<()> {
    for part in staged {
        writer.copy_from(&part.path, 0..part.size).await?;
    }
    writer.close().await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_parts_become_fewer_pieces() {
        let parts = |count: u64, size: u64| -> Vec<Part> {
            (0..count).map(|number| Part { path: String::new(), offset: number * size, size }).collect()
        };
        assert_eq!(piece_bytes(&[]), None);
        assert_eq!(piece_bytes(&parts(9_000, 1)), None);
        let (count, mebibytes) = (20_000, 5 * 1024 * 1024);
        let pieces = piece_bytes(&parts(count, mebibytes)).unwrap();
        assert!((count * mebibytes).div_ceil(pieces as u64) <= 9_000, "{pieces}");
    }
}
