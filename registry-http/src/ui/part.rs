//! Which part of a long list stands on a page.

use std::ops::Range;

use crate::call::Call;

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    /// Where it lies in the list.
    pub(super) range: Range<usize>,
    /// The number of the page before, if there is one.
    pub(super) previous: Option<usize>,
    /// The number of the page behind, if there is one.
    pub(super) next: Option<usize>,
}

impl Part {
    /// The part that the parameter `page` asks for, out of `count` entries; the first one if it asks for none. Behind the
    /// end nothing is left.
    pub(super) fn asked(call: &Call, count: usize, size: usize) -> Self {
        let number = call.query.get("page").and_then(|number| number.parse().ok()).unwrap_or(1);
        Self::of(number, count, size)
    }

    fn of(number: usize, count: usize, size: usize) -> Self {
        let number = number.max(1);
        let begin = (number - 1).saturating_mul(size).min(count);
        let end = (begin + size).min(count);
        Self { range: begin..end, previous: (begin > 0).then(|| number - 1), next: (end < count).then(|| number + 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_one_behind_the_other() {
        let part = |number, range, previous, next| {
            assert_eq!(Part::of(number, 120, 50), Part { range, previous, next });
        };
        part(0, 0..50, None, Some(2));
        part(1, 0..50, None, Some(2));
        part(2, 50..100, Some(1), Some(3));
        part(3, 100..120, Some(2), None);
        part(usize::MAX, 120..120, Some(usize::MAX - 1), None);
        assert_eq!(Part::of(1, 0, 50), Part { range: 0..0, previous: None, next: None });
    }
}
