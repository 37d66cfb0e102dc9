//! Durations as Go writes them.

use std::time::Duration;

/// Reads `168h`, `1h30m`, `1.5s`, `300ms` or a bare `0`.
///
/// The units are `ns`, `us` (or `µs`), `ms`, `s`, `m` and `h`. A number without a unit is refused, for nobody who
/// writes `draintimeout: 10` means ten nanoseconds. So is a negative duration.
///
/// # Errors
/// [`ParseDurationError`] if it has another form or does not fit.
pub fn parse(text: &str) -> Result<Duration, ParseDurationError> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(ParseDurationError);
    }
    let mut nanoseconds = 0_u64;
    while !rest.is_empty() {
        let (term, behind) = term(rest).ok_or(ParseDurationError)?;
        nanoseconds = nanoseconds.checked_add(term).ok_or(ParseDurationError)?;
        rest = behind;
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// A text is not a duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a duration is written such as 168h, 1h30m or 1.5s")]
pub struct ParseDurationError;

/// Writes a duration in the form that [`parse`] reads, without parts that are zero.
#[must_use]
pub fn format(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let nanoseconds = u64::from(duration.subsec_nanos());
    let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (nanoseconds, "ns")];
    let parts: Vec<_> =
        parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}")).collect();
    if parts.is_empty() { "0s".into() } else { parts.concat() }
}

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// The nanoseconds of the first number and its unit, and what stands behind them.
fn term(text: &str) -> Option<(u64, &str)> {
    let (whole, rest) = digits(text);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), digits);
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    let (_, scale) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    let nanoseconds = whole.checked_mul(scale)?.checked_add(part(fraction, scale))?;
    Some((nanoseconds, rest))
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len()))
}

/// The digits behind the point, of a unit of `scale` nanoseconds. What is less than a nanosecond is dropped.
fn part(fraction: &str, scale: u64) -> u64 {
    let mut value = 0;
    let mut scale = u128::from(scale) * 1_000_000_000_000_000_000;
    for digit in fraction.bytes().take(18) {
        scale /= 10;
        value += u128::from(digit - b'0') * scale;
    }
    u64::try_from(value / 1_000_000_000_000_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_go_writes() {
        for (text, nanoseconds) in [
            ("0", 0),
            ("+0", 0),
            ("0s", 0),
            ("5s", 5_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("5.s", 5_000_000_000),
            ("168h", 604_800_000_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1h1m1s1ms1us1ns", 3_661_001_001_001),
            ("3µs", 3_000),
            ("3μs", 3_000),
            ("0.3333333333333333333h", 1_199_999_999_999),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_nanos(nanoseconds)), "{text}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in
            ["", "10", "-1s", "s", ".s", "1", "1x", "1 s", "1s ", "1h 30m", "1S", "1d", "++1s", "1e3s", "9999999h"]
        {
            assert_eq!(parse(bad), Err(ParseDurationError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[0-9.hmsnuµ+ -]{0,40}") {
            let _ = parse(&text);
        }

        #[test]
        fn never_panics_on_any_text(text in ".{0,30}") {
            let _ = parse(&text);
        }

        #[test]
        fn reads_what_it_writes(nanoseconds in 0_u64..u64::MAX / 2) {
            let duration = Duration::from_nanos(nanoseconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }
    }
}
