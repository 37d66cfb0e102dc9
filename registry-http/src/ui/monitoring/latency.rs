//! How long many answers took, in little room.

use std::time::Duration;

/// How many buckets there are.
const BUCKETS: usize = 32;

/// The upper bound of each, in microseconds: the first is a tenth of a millisecond, and each is half as long again as the
/// one before. The last takes the rest, from some 20 seconds on.
const BOUNDS: [u64; BUCKETS] = bounds();

const fn bounds() -> [u64; BUCKETS] {
    let mut bounds = [100; BUCKETS];
    let mut at = 1;
    while at < BUCKETS {
        bounds[at] = bounds[at - 1] * 3 / 2;
        at += 1;
    }
    bounds
}

/// So many answers took so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Latencies([u32; BUCKETS]);

impl Latencies {
    pub(super) fn add(&mut self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros).min(BUCKETS - 1);
        self.0[bucket] = self.0[bucket].saturating_add(1);
    }

    pub(super) fn add_all(&mut self, more: &Self) {
        for (count, more) in self.0.iter_mut().zip(more.0) {
            *count = count.saturating_add(more);
        }
    }

    /// So long took no more than all but `percent` of a hundred, true to a half; `None` if there were none.
    pub(super) fn percentile(&self, percent: u64) -> Option<Duration> {
        let total: u64 = self.0.iter().copied().map(u64::from).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.0.iter().position(|count| {
            seen += u64::from(*count);
            seen >= rank
        })?;
        Some(Duration::from_micros(BOUNDS[bucket]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_true_to_a_half() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.percentile(50), None);
        for millis in 1..=100 {
            latencies.add(Duration::from_millis(millis));
        }
        for percent in [1, 50, 95, 99, 100] {
            let (told, exact) = (latencies.percentile(percent).unwrap(), Duration::from_millis(percent));
            assert!(told >= exact && told <= exact * 3 / 2, "{percent}: {told:?}");
        }
    }

    #[test]
    fn the_shortest_and_the_longest_have_a_place() {
        let mut latencies = Latencies::default();
        latencies.add(Duration::ZERO);
        latencies.add(Duration::MAX);
        assert_eq!(latencies.percentile(50), Some(Duration::from_micros(100)));
        assert!(latencies.percentile(100).unwrap() > Duration::from_secs(15));
        let mut sum = latencies;
        sum.add_all(&latencies);
        assert_eq!(sum.0.iter().sum::<u32>(), 4);
    }
}
