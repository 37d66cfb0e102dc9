//! Room that is kept for the collector, so that it can free more when there is none.
//!
//! To take something away needs almost no room: a record of the run, and on most filesystems a block for the directory of
//! each copy, which the directory of the original gives back. On a disk that is full to the last block there is not even
//! that. So a run leaves pieces behind that are of no use but that they can be deleted. One at a time, because whoever
//! pushes just then takes the room as well.

use super::Collector;
use crate::storage::{self, Durability, Key, WriteOptions};
use crate::{Algorithm, Digest, Error, layout};

/// The room that is given back at once, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

impl Collector {
    /// Gives a piece back of the room that was kept; tells whether there was one.
    pub(super) async fn use_reserve(&self) -> Result<bool, Error> {
        let pieces = self.registry().storage().list(&layout::reserve(), None, 1).await?;
        let Some(Ok(piece)) = pieces.entries.first().map(|entry| layout::reserve().child(&entry.name)) else {
            return Ok(false);
        };
        self.registry().delete(&piece).await?;
        Ok(true)
    }

    /// Keeps as much room as is asked for, if there is so much. Where none is asked for, what is kept is given back.
    pub(super) async fn keep_reserve(&self) -> Result<(), Error> {
        if self.options().dry_run {
            return Ok(());
        }
        let pieces = self.options().reserve_bytes.div_ceil(PIECE_BYTES);
        if pieces == 0 {
            while self.use_reserve().await? {}
        }
        for number in 0..pieces {
            if !self.keep_piece(&layout::reserve_piece(number)).await? {
                tracing::warn!("there is no room to be kept for the collector");
                break;
            }
        }
        Ok(())
    }

    /// Tells whether there is room for it.
    async fn keep_piece(&self, piece: &Key) -> Result<bool, Error> {
        let storage = self.registry().storage();
        if storage.stat(piece).await?.is_some_and(|found| found.size == PIECE_BYTES as u64) {
            return Ok(true);
        }
        let options = WriteOptions { durability: Durability::Volatile, ..WriteOptions::default() };
        match storage.write(piece, filling().into(), options).await {
            Err(storage::Error::NoSpace { .. }) => Ok(false),
            written => Ok(written.map(|()| true)?),
        }
    }
}

/// Bytes that no filesystem makes fewer of.
fn filling() -> Vec<u8> {
    let blocks = 0..PIECE_BYTES / Algorithm::Sha512.hash_bytes();
    blocks.flat_map(|block| Digest::of(Algorithm::Sha512, &block.to_be_bytes()).hash().to_vec()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fills_does_not_repeat() {
        let filling = filling();
        assert_eq!(filling.len(), PIECE_BYTES);
        let mut blocks: Vec<&[u8]> = filling.chunks(64).collect();
        blocks.sort_unstable();
        blocks.dedup();
        assert_eq!(blocks.len(), 1024);
    }
}
