//! Small sets of digests, links or runs: one bit each.

/// A set of up to eight numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub(crate) struct Set(u8);

impl Set {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) fn one(item: u8) -> Self {
        Self(1 << item)
    }

    pub(crate) fn of(items: &[u8]) -> Self {
        items.iter().fold(Self::EMPTY, |set, item| set.with(*item))
    }

    pub(crate) fn has(self, item: u8) -> bool {
        self.0 & (1 << item) != 0
    }

    pub(crate) fn with(self, item: u8) -> Self {
        Self(self.0 | (1 << item))
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) fn insert(&mut self, item: u8) {
        self.0 |= 1 << item;
    }

    pub(crate) fn remove(&mut self, item: u8) {
        self.0 &= !(1 << item);
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(crate) fn first(self) -> Option<u8> {
        u8::try_from(self.0.trailing_zeros()).ok().filter(|item| *item < 8)
    }
}

impl IntoIterator for Set {
    type Item = u8;
    type IntoIter = Items;

    fn into_iter(self) -> Items {
        Items(self)
    }
}

/// The numbers in a set, the smallest first.
#[derive(Debug)]
pub(crate) struct Items(Set);

impl Iterator for Items {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let item = self.0.first()?;
        self.0.remove(item);
        Some(item)
    }
}
