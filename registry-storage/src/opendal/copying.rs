//! A second place for an object.

use ::opendal::options::WriteOptions;
use ::opendal::{ErrorKind, Operator, Writer};
use registry_core::storage::{Error, Key, Metadata};

use super::parts::Part;
use super::{error, metadata, path, publishing, stat};

/// What a service copies in one request; the protocol of S3 takes no more.
const ONE_REQUEST_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// What a larger object is copied in.
const PIECE_BYTES: u64 = 1024 * 1024 * 1024;

/// Copies without the bytes passing through this process where the service can, as publishing does.
pub(super) async fn copy(operator: &Operator, from: &Key, to: &Key) -> Result<Option<Metadata>, Error> {
    let Some(found) = stat(operator, from).await? else { return Ok(None) };
    if let Some(kept) = stat(operator, to).await? {
        return Ok(Some(metadata(&kept)));
    }
    let size = found.content_length();
    let copied = if size > ONE_REQUEST_BYTES && operator.info().capability().write_can_multi {
        copy_pieces(operator, path(from)?, size, to).await
    } else {
        let whole = Part { offset: 0, size, path: path(from)?.to_owned() };
        publishing::publish(operator, &[whole], to).await
    };
    match (copied, stat(operator, to).await?) {
        (Ok(()), there) => Ok(there.as_ref().map(metadata)),
        // The answer was lost, or another was faster.
        (Err(_), Some(there)) if there.content_length() == size => Ok(Some(metadata(&there))),
        // What was to be copied may have gone meanwhile.
        (Err(failed), _) => {
            if stat(operator, from).await?.is_some() {
                Err(failed)
            } else {
                Ok(None)
            }
        }
    }
}

async fn copy_pieces(operator: &Operator, from: &str, size: u64, to: &Key) -> Result<(), Error> {
    let mut writer =
        operator.writer_options(path(to)?, WriteOptions::default()).await.map_err(|error| error::of(to, error))?;
    let copied = write_pieces(&mut writer, from, size).await;
    if copied.is_err()
        && let Err(error) = writer.abort().await
        && error.kind() != ErrorKind::Unsupported
    {
        tracing::debug!(key = %to, %error, "an upload of pieces was left behind");
    }
    copied.map_err(|error| error::of(to, error))
}

async fn write_pieces(writer: &mut Writer, from: &str, size: u64) -> ::opendal::Result<()> {
    let mut offset = 0;
    while offset < size {
        let end = size.min(offset + PIECE_BYTES);
        writer.copy_from(from, offset..end).await?;
        offset = end;
    }
    writer.close().await.map(drop)
}
