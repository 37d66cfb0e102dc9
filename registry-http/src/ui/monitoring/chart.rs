//! Pictures of numbers over time: bars that stand upon each other.

use std::fmt::Write as _;

/// How wide a bar is with the gap beside it, and the gap alone.
const STEP: usize = 10;
const GAP: usize = 2;

/// How high a picture is.
const HEIGHT: u64 = 100;

/// A picture. Its size is that of its coordinates; a page stretches it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chart {
    /// What the top stands for.
    pub(super) top: u64,
    /// The bars of each series, as the data of a path.
    pub(super) paths: Vec<String>,
    count: usize,
}

impl Chart {
    /// A picture of some series, the first at the bottom, of as many values each.
    pub(super) fn stacked<const SERIES: usize>(values: &[[u64; SERIES]]) -> Self {
        let sum = |values: &[u64; SERIES]| values.iter().fold(0_u64, |sum, value| sum.saturating_add(*value));
        let top = round_up(values.iter().map(sum).max().unwrap_or_default());
        let mut paths = vec![String::new(); SERIES];
        for (at, values) in values.iter().enumerate() {
            let mut below = 0_u64;
            for (path, value) in paths.iter_mut().zip(values) {
                let (from, to) = (height(below, top), height(below.saturating_add(*value), top));
                below = below.saturating_add(*value);
                if *value > 0 {
                    // What is there is seen, however little it is.
                    let to = to.max(from + 0.7);
                    let (x, width) = (at * STEP + GAP / 2, STEP - GAP);
                    #[expect(clippy::cast_precision_loss, reason = "it is a hundred")]
                    let (bottom, tall) = (HEIGHT as f64 - from, to - from);
                    // Nothing that is written into a text fails.
                    let _ = write!(path, "M{x} {bottom:.1}v-{tall:.1}h{width}v{tall:.1}z");
                }
            }
        }
        Self { top, paths, count: values.len() }
    }

    pub(super) fn width(&self) -> usize {
        self.count * STEP
    }

    /// Where each bar is, with room for a pointer beside it: its left edge and its width.
    pub(super) fn places(&self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.count).map(|at| (at * STEP, STEP))
    }
}

#[expect(clippy::cast_precision_loss, reason = "three digits are drawn")]
fn height(value: u64, top: u64) -> f64 {
    if top == 0 { 0.0 } else { value as f64 / top as f64 * HEIGHT as f64 }
}

/// The next number that people like: one, two or five, with zeros.
fn round_up(value: u64) -> u64 {
    let mut unit = 1_u64;
    loop {
        for digit in [1, 2, 5] {
            match unit.checked_mul(digit) {
                Some(round) if round >= value => return round,
                Some(_) => {}
                None => return value,
            }
        }
        let Some(next) = unit.checked_mul(10) else { return value };
        unit = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_stand_upon_each_other() {
        let chart = Chart::stacked(&[[6, 2], [0, 0], [0, 10]]);
        assert_eq!((chart.top, chart.width()), (10, 30));
        assert_eq!(chart.paths[0], "M1 100.0v-60.0h8v60.0z");
        assert_eq!(chart.paths[1], "M1 40.0v-20.0h8v20.0zM21 100.0v-100.0h8v100.0z");
        assert_eq!(chart.places().last(), Some((20, 10)));
    }

    #[test]
    fn nothing_is_drawn_as_nothing_and_little_is_seen() {
        assert_eq!(Chart::stacked(&[[0], [0]]).paths, [""]);
        assert_eq!(Chart::stacked::<1>(&[]).width(), 0);
        assert_eq!(Chart::stacked(&[[1], [10_000]]).paths[0], "M1 100.0v-0.7h8v0.7zM11 100.0v-100.0h8v100.0z");
        assert_eq!(Chart::stacked(&[[u64::MAX, u64::MAX]]).top, u64::MAX);
    }

    #[test]
    fn the_top_is_round() {
        for (value, top) in [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (51, 100), (500, 500), (501, 1_000)] {
            assert_eq!(round_up(value), top, "{value}");
        }
    }
}
