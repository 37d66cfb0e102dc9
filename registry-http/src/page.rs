//! Pages of long lists: what a client asks for, and where the next page is.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::query::Query;

/// Which page a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageRequest<'a> {
    /// How many entries at most; `None` if the client did not say.
    pub(crate) limit: Option<usize>,
    /// The entry that the page begins behind; it need not exist.
    pub(crate) last: Option<&'a str>,
}

/// A number of entries that is not a number, or a negative one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InvalidNumber(pub(crate) String);

impl<'a> PageRequest<'a> {
    /// Reads `n` and `last`. A client that asks for more than `max_entries` gets that many.
    pub(crate) fn parse(query: &'a Query, max_entries: usize) -> Result<Self, InvalidNumber> {
        let limit = query.get("n").map(|text| number(text, max_entries)).transpose()?;
        Ok(Self { limit, last: query.get("last") })
    }
}

fn number(text: &str, max: usize) -> Result<usize, InvalidNumber> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is more than the most.
        Ok(text.parse().unwrap_or(usize::MAX).min(max))
    } else {
        Err(InvalidNumber(text.into()))
    }
}

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value of a `Link` header to the next page: `path`, which is safe as it is, with `parameters`, which are not.
pub(crate) fn link_to_next(path: &str, parameters: &[(&str, &str)]) -> String {
    let mut link = format!("<{path}");
    for (index, (name, value)) in parameters.iter().enumerate() {
        link.push(if index == 0 { '?' } else { '&' });
        link.push_str(name);
        link.push('=');
        link.extend(utf8_percent_encode(value, RESERVED));
    }
    link.push_str(r#">; rel="next""#);
    link
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_clamped_or_refused() {
        let limit = |text: &str| PageRequest::parse(&Query::parse(Some(text)), 1000).map(|page| page.limit);
        assert_eq!(limit(""), Ok(None));
        assert_eq!(limit("n="), Ok(None));
        assert_eq!(limit("n=0"), Ok(Some(0)));
        assert_eq!(limit("n=7"), Ok(Some(7)));
        for large in ["n=1001", "n=2147483648", "n=9223372036854775808", "n=99999999999999999999999"] {
            assert_eq!(limit(large), Ok(Some(1000)), "{large}");
        }
        for bad in ["-1", "abc", "1e100", "0x5", "1.5", " 1", "٣"] {
            assert_eq!(limit(&format!("n={bad}")), Err(InvalidNumber(bad.into())), "{bad}");
        }
    }

    #[test]
    fn links_are_encoded() {
        assert_eq!(
            link_to_next("/v2/_catalog", &[("last", "a/b>;\r\n\"é"), ("n", "2")]),
            r#"</v2/_catalog?last=a%2Fb%3E%3B%0D%0A%22%C3%A9&n=2>; rel="next""#
        );
    }

    proptest! {
        #[test]
        fn a_link_is_one_line_with_one_target(value in "\\PC{0,30}") {
            let link = link_to_next("/v2/_catalog", &[("last", &value)]);
            prop_assert!(link.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(link.matches('>').count(), 1);
        }
    }
}
