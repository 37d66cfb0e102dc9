//! The bytes of an object, as they came.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// Bytes in pieces: what is large is not copied together, which would take as long as it took to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Pieces {
    pieces: Arc<[Bytes]>,
    size: u64,
}

/// So much is put together: there is no more than one piece of what others want whole.
const JOINED_BYTES: u64 = 1024 * 1024;

impl Pieces {
    pub(super) fn new(pieces: Vec<Bytes>) -> Self {
        let size = pieces.iter().map(|piece| piece.len() as u64).sum();
        let pieces = if pieces.len() > 1 && size <= JOINED_BYTES { vec![join(&pieces)] } else { pieces };
        Self { pieces: pieces.into(), size }
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn as_slice(&self) -> &[Bytes] {
        &self.pieces
    }

    /// In one piece.
    pub(super) fn whole(&self) -> Bytes {
        match &*self.pieces {
            [] => Bytes::new(),
            [piece] => piece.clone(),
            pieces => join(pieces),
        }
    }
}

fn join(pieces: &[Bytes]) -> Bytes {
    let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        joined.extend_from_slice(piece);
    }
    joined.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_small_is_one_piece_and_what_is_large_stays_as_it_came() {
        let small = Pieces::new(vec!["one".into(), "two".into()]);
        assert_eq!((small.size(), small.as_slice(), small.whole()), (6, &["onetwo".into()][..], "onetwo".into()));
        assert_eq!(Pieces::new(Vec::new()).whole(), Bytes::new());
        let piece = Bytes::from(vec![7; 600_000]);
        let large = Pieces::new(vec![piece.clone(), piece.clone()]);
        assert_eq!(large.as_slice()[1].as_ptr(), piece.as_ptr());
        assert_eq!((large.size(), large.whole()), (1_200_000, vec![7; 1_200_000].into()));
    }
}
