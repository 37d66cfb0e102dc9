//! The order of names beside that of paths.

/// The names that come behind `name` where whole paths are ordered by their bytes, and before it where names are, as in a
/// [`Listing`](super::Listing): their slash sorts behind what stands in its place in `name`.
///
/// So who reads ordered paths up to one that goes through `name`, and knows which of these few are there, has all names up to
/// the last one seen: no other name behind it in the order of paths comes before that one.
///
/// ```
/// use registry_core::storage::still_to_come;
///
/// // `a-b.c/` comes before `a-b/`, and that before `a/`.
/// assert_eq!(still_to_come("a-b.c").collect::<Vec<_>>(), ["a", "a-b"]);
/// ```
pub fn still_to_come(name: &str) -> impl Iterator<Item = &str> {
    name.char_indices().filter(|(at, letter)| *at > 0 && *letter < '/').map(|(at, _)| &name[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_name_may_come_later() {
        assert_eq!(still_to_come("a-b.c_d").collect::<Vec<_>>(), ["a", "a-b"]);
        assert_eq!(still_to_come("-a").count(), 0);
    }
}
